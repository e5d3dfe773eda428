/* Not linked with the library: loads it by path, again and again, and looks at what that does to the process.
   usage: loading LIBRARY NAME...    NAME: every function that the header declares */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <mue.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

typedef union {
  void *object;
  int32_t (*version)(void);
  mue_error *(*parse)(const void *, size_t, const mue_model_options *, mue_model **);
  int32_t (*code)(const mue_error *);
  void (*release)(mue_error *);
} function;

static function find(void *library, const char *name) {
  function f;
  f.object = dlsym(library, name);
  return f;
}

static int handlers(struct sigaction *actions) {
  int number, count = 0;
  memset(actions, 0, 65 * sizeof *actions);
  for (number = 1; number <= 64; number++) count += sigaction(number, NULL, &actions[number]) == 0;
  return count;
}

int main(int argc, char **argv) {
  static struct sigaction before[65], after[65];
  int failures = 0, round, i;
  if (argc < 3) return 2;
  handlers(before);
  for (round = 0; round < 20; round++) {
    void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    mue_model *model = NULL;
    mue_error *error;
    if (!library) {
      printf("loading: %s\n", dlerror());
      return 1;
    }
    if (find(library, "mue_version").version() != MUE_VERSION) failures++;
    error = find(library, "mue_model_parse").parse("no model", 8, NULL, &model);
    if (find(library, "mue_error_code").code(error) != MUE_E_INVALID_MODEL) {
      printf("loading: parsing text gave code %d\n", (int)find(library, "mue_error_code").code(error));
      failures++;
    }
    find(library, "mue_error_free").release(error);
    for (i = 2; round == 0 && i < argc; i++) {
      if (!dlsym(library, argv[i])) {
        printf("loading: the library lacks %s\n", argv[i]);
        failures++;
      }
    }
    handlers(after);
    for (i = 1; i <= 64; i++) {
      if (before[i].sa_handler != after[i].sa_handler || before[i].sa_flags != after[i].sa_flags) {
        printf("loading: signal %d has another handler\n", i);
        failures++;
      }
    }
    if (dlclose(library) != 0) failures++;
  }
  printf("loading: %d functions, 20 rounds, %d failures\n", argc - 2, failures);
  return failures == 0 ? 0 : 1;
}
