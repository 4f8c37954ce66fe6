/* Opens a model.so and closes it; ends with 1 and the reason where it is refused. */
#include <dlfcn.h>
#include <stdio.h>

#include "hetcomp.h"

int main(int argc, char** argv) {
  void* library = argc == 2 ? dlopen(argv[1], RTLD_NOW) : NULL;
  hetcomp_status (*model_open)(const char*, hetcomp_model**);
  void (*model_close)(hetcomp_model*);
  const char* (*last_error)(void);
  hetcomp_model* model = NULL;
  if (library == NULL) {
    fprintf(stderr, "%s\n", argc == 2 ? dlerror() : "usage: open MODEL.so");
    return 2;
  }
  *(void**)&model_open = dlsym(library, "hetcomp_model_open");
  *(void**)&model_close = dlsym(library, "hetcomp_model_close");
  *(void**)&last_error = dlsym(library, "hetcomp_last_error");
  if (model_open("{}", &model) != HETCOMP_OK) {
    fprintf(stderr, "%s\n", last_error());
    return 1;
  }
  model_close(model);
  return 0;
}
