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

/* Models on one pool, which outlives its handle. */
static void pools_are_shared(void) {
  proto tiny = tiny_model("Add");
  mue_model_options options = MUE_MODEL_OPTIONS_INIT;
  mue_thread_pool *pool = NULL, *other = NULL;
  mue_model *models[3] = {NULL, NULL, NULL};
  void *not_a_pool[8] = {NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL};
  size_t i;
  EXPECT_ERROR(mue_thread_pool_create(-1, &pool), MUE_E_INVALID_ARGUMENT, "threads");
  EXPECT_ERROR(mue_thread_pool_create(1025, &pool), MUE_E_INVALID_ARGUMENT, "threads");
  EXPECT_ERROR(mue_thread_pool_create(2, NULL), MUE_E_INVALID_ARGUMENT, "pool");
  EXPECT(pool == NULL && mue_thread_pool_threads(NULL) == 0);
  mue_thread_pool_free(NULL);
  if (!EXPECT_OK(mue_thread_pool_create(3, &pool)) || !EXPECT_OK(mue_thread_pool_create(0, &other))) return;
  EXPECT(mue_thread_pool_threads(pool) == 3 && mue_thread_pool_threads(other) >= 1);
  mue_thread_pool_free(other);
  options.pool = (const mue_thread_pool *)not_a_pool;
  EXPECT_ERROR(mue_model_parse(tiny.bytes, tiny.count, &options, &models[0]), MUE_E_INVALID_ARGUMENT, "options.pool");
  options.pool = pool;
  options.threads = 2;
  EXPECT_ERROR(mue_model_parse(tiny.bytes, tiny.count, &options, &models[0]), MUE_E_INVALID_ARGUMENT,
               "options.threads");
  options.threads = 0;
  for (i = 0; i < 3; i++) EXPECT_OK(mue_model_parse(tiny.bytes, tiny.count, &options, &models[i]));
  mue_thread_pool_free(pool);
  for (i = 0; i < 3; i++) {
    EXPECT(run_once(models[i], (float)i + 1));
    mue_model_free(models[i]);
  }
  /* The struct as it first was: what lies behind it is not read. */
  options.pool = (const mue_thread_pool *)not_a_pool;
  options.struct_size = offsetof(mue_model_options, pool);
  if (EXPECT_OK(mue_model_parse(tiny.bytes, tiny.count, &options, &models[0]))) mue_model_free(models[0]);
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
  pools_are_shared();
  if (EXPECT_OK(mue_model_parse(tiny.bytes, tiny.count, NULL, &model))) {
    shared = model;
    on_threads(run_shared);
    mue_model_free(model);
  }
  return expect_summary("processes");
}
