/* Threads and processes: a fork before first use, 100 threads that open models, one model shared by many sessions. */
#define _POSIX_C_SOURCE 200809L
#include "expect.h"
#include "tiny_model.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

enum { threads = 100 };

static int run_once(const mue_model *model, float value) {
  mue_session *session = NULL;
  mue_result *result = NULL;
  mue_tensor input = MUE_TENSOR_INIT;
  mue_tensor output = MUE_TENSOR_INIT;
  int64_t shape[2] = {1, 2};
  float values[2];
  int right = 0;
  mue_error *error = mue_session_create(model, &session);
  values[0] = value;
  values[1] = -value;
  input.name = "x";
  input.name_length = 1;
  input.dtype = MUE_FLOAT32;
  input.rank = 2;
  input.shape = shape;
  input.data = values;
  if (!error) error = mue_session_run(session, &input, 1, NULL, 0, NULL, &result);
  if (!error) error = mue_result_tensor(result, 0, &output);
  if (!error) {
    const float *y = (const float *)output.data;
    right = y[0] == 2 * value && y[1] == -2 * value;
  }
  mue_error_free(error);
  mue_result_free(result);
  mue_session_free(session);
  return right;
}

static void *open_and_run(void *argument) {
  proto tiny = tiny_model("Add");
  mue_model_options options = MUE_MODEL_OPTIONS_INIT;
  mue_model *model = NULL;
  int right = 0, round;
  options.threads = 2;
  for (round = 0; round < 3; round++) {
    mue_error *error = mue_model_parse(tiny.bytes, tiny.count, &options, &model);
    if (!error) right += run_once(model, (float)(size_t)argument);
    mue_error_free(error);
    if (!error) mue_model_free(model);
  }
  return (void *)(size_t)(right == 3);
}

static const mue_model *shared;

static void *run_shared(void *argument) {
  int right = 0, round;
  for (round = 0; round < 20; round++) right += run_once(shared, (float)(size_t)argument + 0.25f);
  return (void *)(size_t)(right == 20);
}

static void on_threads(void *(*body)(void *)) {
  pthread_t ids[threads];
  size_t i, right = 0;
  for (i = 0; i < threads; i++) EXPECT(pthread_create(&ids[i], NULL, body, (void *)(i + 1)) == 0);
  for (i = 0; i < threads; i++) {
    void *answer = NULL;
    pthread_join(ids[i], &answer);
    right += (size_t)answer;
  }
  EXPECT(right == threads);
}

int main(void) {
  proto tiny = tiny_model("Add");
  mue_model *model = NULL;
  int status = -1;
  pid_t child;
  EXPECT(mue_version() == MUE_VERSION);
  /* Loaded, but no model opened yet: the child may use it. */
  child = fork();
  if (child == 0) _exit(open_and_run((void *)(size_t)7) ? 0 : 3);
  EXPECT(child > 0 && waitpid(child, &status, 0) == child);
  EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);

  on_threads(open_and_run);
  if (EXPECT_OK(mue_model_parse(tiny.bytes, tiny.count, NULL, &model))) {
    shared = model;
    on_threads(run_shared);
    mue_model_free(model);
  }
  return expect_summary("processes");
}
