// Linked into static programs only: there dlopen would need the very C library that the program was
// linked with, so that OpenCL and NPU drivers are said to be missing instead.
#include <dlfcn.h>

extern "C" {

void* dlopen(const char*, int) { return nullptr; }

void* dlsym(void*, const char*) { return nullptr; }

int dlclose(void*) { return -1; }

char* dlerror() {
  static char text[] = "this program is static and loads no libraries";
  return text;
}

}  // extern "C"
