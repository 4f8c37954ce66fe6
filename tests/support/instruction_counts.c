// A plugin of the emulator QEMU (API 1): how often each block of guest code ran.
//
// Argument `out=FILE`. Where the guest ends, FILE gets a line for each block: address, number of
// instructions, executions. The distributions ship no qemu-plugin.h, so what is used of it is
// declared here.
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };

typedef void (*OnTranslation)(qemu_plugin_id_t, struct qemu_plugin_tb*);
typedef void (*OnExit)(qemu_plugin_id_t, void*);

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, OnTranslation);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb*, enum qemu_plugin_op, void*,
                                              uint64_t);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t, OnExit, void*);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb*);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb*);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

typedef struct Block {
  uint64_t address, instructions, executions;
  struct Block* next;
} Block;

static Block* blocks;  // guarded by `lock`; QEMU adds to executions
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char* path;

// A block that is translated again is another one in the file.
static void Translated(qemu_plugin_id_t id, struct qemu_plugin_tb* code) {
  (void)id;
  Block* block = calloc(1, sizeof *block);
  if (block == NULL) abort();
  block->address = qemu_plugin_tb_vaddr(code);
  block->instructions = qemu_plugin_tb_n_insns(code);
  pthread_mutex_lock(&lock);
  block->next = blocks;
  blocks = block;
  pthread_mutex_unlock(&lock);
  qemu_plugin_register_vcpu_tb_exec_inline(code, QEMU_PLUGIN_INLINE_ADD_U64, &block->executions, 1);
}

static void Ended(qemu_plugin_id_t id, void* data) {
  (void)id, (void)data;
  FILE* file = fopen(path, "w");
  if (file == NULL) abort();
  for (const Block* block = blocks; block != NULL; block = block->next) {
    fprintf(file, "%llx %llu %llu\n", (unsigned long long)block->address,
            (unsigned long long)block->instructions, (unsigned long long)block->executions);
  }
  if (fclose(file) != 0) abort();
}

__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id,
                                                               const void* info, int count,
                                                               char** arguments) {
  (void)info;
  if (count != 1 || strncmp(arguments[0], "out=", 4) != 0) return 1;
  path = strdup(arguments[0] + 4);
  qemu_plugin_register_vcpu_tb_trans_cb(id, Translated);
  qemu_plugin_register_atexit_cb(id, Ended, NULL);
  return path == NULL;
}
