/* The vocabulary of the C tests. Everything here is valid C99 and C++11. */
#ifndef EXPECT_H
#define EXPECT_H

#include <mue.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int expect_failures = 0;
static int expect_count = 0;

#define EXPECT(condition)                                                      \
  do {                                                                         \
    expect_count++;                                                            \
    if (!(condition)) {                                                        \
      expect_failures++;                                                       \
      printf("%s:%d: expected %s\n", __FILE__, __LINE__, #condition);          \
    }                                                                          \
  } while (0)

/* The call succeeds. */
#define EXPECT_OK(call) expect_ok((call), #call, __FILE__, __LINE__)

static inline int expect_ok(mue_error *error, const char *call, const char *file, int line) {
  int ok = error == NULL;
  expect_count++;
  if (!ok) {
    expect_failures++;
    printf("%s:%d: %s failed: %s\n", file, line, call, mue_error_description(error));
  }
  mue_error_free(error);
  return ok;
}

/* The call fails with `code`, and names `argument` unless that is NULL. */
#define EXPECT_ERROR(call, code, argument) expect_error((call), (code), (argument), #call, __FILE__, __LINE__)

static inline void expect_error(mue_error *error, int32_t code, const char *argument, const char *call,
                                const char *file, int line) {
  const char *where = mue_error_argument(error);
  expect_count++;
  if (mue_error_code(error) != code || (argument && (!where || strcmp(where, argument) != 0))) {
    expect_failures++;
    printf("%s:%d: %s: code %d, argument %s, message '%s'; expected code %d, argument %s\n", file, line, call,
           (int)mue_error_code(error), where ? where : "none", mue_error_description(error), (int)code,
           argument ? argument : "any");
  }
  if (error && strlen(mue_error_message(error)) < 5) {
    expect_failures++;
    printf("%s:%d: %s: the message '%s' says nothing\n", file, line, call, mue_error_message(error));
  }
  mue_error_free(error);
}

static inline int expect_summary(const char *name) {
  printf("%s: %d checks, %d failures\n", name, expect_count, expect_failures);
  return expect_failures == 0 ? 0 : 1;
}

/* A pointer that no object of MuE is at. */
static inline void *wild(void) {
  static uint64_t memory[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  return memory;
}

#endif
