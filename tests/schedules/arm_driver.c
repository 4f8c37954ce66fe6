// Runs the calls of one file on the arena in another, and writes the arena back.
//
// Calls are 64-bit words: their number; then for each kernel, number of buffers, their offsets in
// the arena, and the four bounds of the tile range.
#include "arm_driver.h"

#include <stdio.h>
#include <stdlib.h>

enum { kInteger = 1, kPointer = 4, kMaxArguments = 64, kAlignment = 128 };

// Kernels reach the runtime through these. The slots exist only where kernels need them.
void TVMFFIErrorSetRaisedFromCStrParts(const char* kind, const char** parts, int32_t count) {
  fprintf(stderr, "%s: ", kind);
  for (int32_t i = 0; i < count; ++i) fputs(parts[i], stderr);
  fputc('\n', stderr);
}
extern void* __TVMBackendAllocWorkspace __attribute__((weak));
extern void* __TVMBackendFreeWorkspace __attribute__((weak));

static void* Allocate(int type, int id, uint64_t size, int code, int bits) {
  (void)type, (void)id, (void)code, (void)bits;
  return aligned_alloc(kAlignment, (size + kAlignment - 1) / kAlignment * kAlignment);
}
static int Free(int type, int id, void* memory) {
  (void)type, (void)id;
  free(memory);
  return 0;
}

static void FillSlots(void) {
  if (&__TVMBackendAllocWorkspace != NULL) __TVMBackendAllocWorkspace = (void*)Allocate;
  if (&__TVMBackendFreeWorkspace != NULL) __TVMBackendFreeWorkspace = (void*)Free;
}

static char* Read(const char* path, long* size) {
  FILE* file = fopen(path, "rb");
  if (file == NULL) exit(3);
  fseek(file, 0, SEEK_END);
  *size = ftell(file);
  rewind(file);
  char* data = Allocate(0, 0, (uint64_t)*size + 1, 0, 0);
  if (data == NULL || fread(data, 1, (size_t)*size, file) != (size_t)*size) exit(3);
  fclose(file);
  return data;
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  FillSlots();
  long size = 0;
  const int64_t* word = (const int64_t*)Read(argv[1], &size);
  char* arena = Read(argv[2], &size);
  const int64_t calls = *word++;
  for (int64_t call = 0; call < calls; ++call) {
    Any arguments[kMaxArguments] = {{0}}, result = {0};
    const int64_t kernel = *word++, buffers = *word++;
    if (buffers + 4 > kMaxArguments) return 4;
    for (int64_t i = 0; i < buffers + 4; ++i) {
      arguments[i].type_index = i < buffers ? kPointer : kInteger;
      arguments[i].integer = *word++;
      if (i < buffers) arguments[i].pointer = arena + arguments[i].integer;
    }
    const int status = kernels[kernel](NULL, arguments, (int32_t)buffers + 4, &result);
    if (status != 0) {
      fprintf(stderr, "kernel %d of call %d failed\n", (int)kernel, (int)call);
      return 5;
    }
  }
  FILE* file = fopen(argv[2], "wb");
  if (file == NULL || fwrite(arena, 1, (size_t)size, file) != (size_t)size) return 6;
  return fclose(file) == 0 ? 0 : 6;
}
