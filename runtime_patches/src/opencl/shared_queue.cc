#include "opencl/shared_queue.h"

namespace hetcomp {

void SharedQueue::Publish(void* device, void* context, void* queue) {
  shared_->device = device;
  shared_->context = context;
  shared_->queue = queue;
}

void SharedQueue::Use(void* user, void (*give_way)(void* user)) {
  if (shared_->user != nullptr && shared_->user != user) shared_->give_way(shared_->user);
  shared_->user = user;
  shared_->give_way = give_way;
}

void SharedQueue::Forget(const void* user) {
  if (shared_->user == user) shared_->user = nullptr;
}

}  // namespace hetcomp
