/* Preloaded: a disk on which compiled programs find room for 64 KiB each. It stands in for a small
 * file system where the tests may not mount one. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROOM_BYTES (64 << 10)

static int is_program(int descriptor) {
  char link[64], path[4096];
  ssize_t length;
  snprintf(link, sizeof(link), "/proc/self/fd/%d", descriptor);
  length = readlink(link, path, sizeof(path) - 1);
  if (length <= 0) return 0;
  path[length] = '\0';
  return strstr(path, ".clbin") != NULL;
}

ssize_t write(int descriptor, const void* data, size_t size) {
  static ssize_t (*real)(int, const void*, size_t);
  struct stat info;
  if (real == NULL) *(void**)&real = dlsym(RTLD_NEXT, "write");
  if (is_program(descriptor) && fstat(descriptor, &info) == 0) {
    const size_t left = info.st_size < ROOM_BYTES ? (size_t)(ROOM_BYTES - info.st_size) : 0;
    if (left == 0) {
      errno = ENOSPC;
      return -1;
    }
    if (size > left) size = left;
  }
  return real(descriptor, data, size);
}
