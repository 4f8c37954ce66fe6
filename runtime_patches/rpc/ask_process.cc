#include "ask_process.h"

#include <fcntl.h>
#include <unistd.h>

#include <exception>
#include <stdexcept>

#include "child_process.h"
#include "descriptor.h"

namespace hetcomp::rpc {
namespace {

// On the pipe: one of these, a text, and a NUL. The pipe's end does not tell that all is there: a
// process that the driver left behind may keep it open.
constexpr char kAnswer = '=';
constexpr char kError = '!';

std::string Reply(const std::function<std::string()>& question) {
  try {
    return kAnswer + question();
  } catch (const std::exception& error) {
    return kError + std::string(error.what());
  }
}

int Tell(int fd, const std::function<std::string()>& question) {
  const std::string reply = Reply(question);
  const ssize_t size = static_cast<ssize_t>(reply.size()) + 1;
  return write(fd, reply.c_str(), static_cast<size_t>(size)) == size ? 0 : 1;
}

std::string ReadReply(int fd, Deadline end) {
  std::string reply;
  char chunk[4096];
  while (reply.empty() || reply.back() != '\0') {
    const size_t got = ReadWithin(fd, chunk, sizeof(chunk), end);
    if (got == 0) throw std::runtime_error("its process ended without an answer");
    reply.append(chunk, got);
  }
  reply.pop_back();
  return reply;
}

}  // namespace

std::string AskProcess(const std::function<std::string()>& question, Deadline end) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe failed");
  const Descriptor reader(ends[0]);
  Descriptor writer(ends[1]);
  const ChildProcess process([&] { return Tell(writer.get(), question); });
  writer = Descriptor();
  const std::string reply = ReadReply(reader.get(), end);
  if (reply.front() == kError) throw std::runtime_error(reply.substr(1));
  return reply.substr(1);
}

}  // namespace hetcomp::rpc
