/* How much more work N sessions do at once than one alone, on N processors: `make build`, then

    make -C Benchmarks/sessions && Benchmarks/sessions/sessions MODEL [N [SECONDS [ROUNDS]]]

Each session is used by a thread of the host's and captions a picture again and again. Three ways to open the model:
one thread each (what docs/c-api.md recommends for many sessions), a pool of N threads that the sessions share, and N
models on one pool. Every round measures one session with one thread and then N sessions each way, so that other load
falls on all; what N do over what one does is taken round by round, and the median shown. */
#define _POSIX_C_SOURCE 200809L
#include <mue.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST = 64, MOST_ROUNDS = 1000 };

typedef struct {
  mue_session *session;
  mue_image *image;
  double until;
  long requests;
  double seconds;
} worker;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void check(mue_error *error) {
  if (!error) return;
  fprintf(stderr, "%s\n", mue_error_description(error));
  exit(1);
}

static void *work(void *argument) {
  worker *w = (worker *)argument;
  mue_generate_options options = MUE_GENERATE_OPTIONS_INIT;
  mue_item item = MUE_ITEM_INIT;
  double begin = now(), end;
  item.image = w->image;
  options.beams = 1;
  options.max_tokens = options.min_tokens = 12;
  w->requests = 0;
  do {
    mue_result *result = NULL;
    check(mue_session_generate(w->session, &item, 1, &options, &result));
    mue_result_free(result);
    w->requests++;
    end = now();
  } while (end < w->until);
  w->seconds = end - begin;
  return NULL;
}

/* Requests per second of `count` sessions at once. */
static double rate(worker *workers, int count, double seconds) {
  pthread_t ids[MOST];
  double sum = 0;
  for (int i = 0; i < count; i++) {
    workers[i].until = now() + seconds;
    if (pthread_create(&ids[i], NULL, work, &workers[i])) exit(1);
  }
  for (int i = 0; i < count; i++) {
    pthread_join(ids[i], NULL);
    sum += (double)workers[i].requests / workers[i].seconds;
  }
  return sum;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

enum { WAYS = 3 };
static const char *const names[WAYS] = {"one thread each", "shared threads", "models on one pool"};

/* Models and sessions of one way to open them. */
typedef struct {
  mue_thread_pool *pool;
  mue_model *models[MOST];
  worker workers[MOST];
} setting;

static void prepare(setting *s, int way, int count, const char *path, mue_image *image) {
  mue_model_options options = MUE_MODEL_OPTIONS_INIT;
  int i;
  memset(s, 0, sizeof *s);
  if (way == 2) {
    check(mue_thread_pool_create(count, &s->pool));
    options.pool = s->pool;
  } else {
    options.threads = way == 0 ? 1 : count;
  }
  for (i = 0; i < count; i++) {
    if (i == 0 || way == 2) check(mue_model_open(path, strlen(path), &options, &s->models[i]));
    s->workers[i].image = image;
    check(mue_session_create(s->models[i] ? s->models[i] : s->models[0], &s->workers[i].session));
  }
  rate(s->workers, count, 0.1); /* plans are made */
}

static void release(setting *s, int count) {
  int i;
  for (i = 0; i < count; i++) {
    mue_session_free(s->workers[i].session);
    mue_model_free(s->models[i]);
  }
  mue_thread_pool_free(s->pool);
}

int main(int argc, char **argv) {
  static setting settings[WAYS];
  static double one[MOST_ROUNDS], many[WAYS][MOST_ROUNDS], scaling[WAYS][MOST_ROUNDS];
  mue_image *image = NULL;
  uint8_t *pixels = (uint8_t *)malloc(3 * 200 * 160);
  int count = argc > 2 ? atoi(argv[2]) : 2, rounds = argc > 4 ? atoi(argv[4]) : 5, way, round, i;
  double seconds = argc > 3 ? atof(argv[3]) : 1;
  if (argc < 2 || !pixels || count < 1 || count > MOST || rounds < 1 || rounds > MOST_ROUNDS) {
    fprintf(stderr, "usage: %s MODEL [N [SECONDS [ROUNDS]]]\n", argv[0]);
    return 2;
  }
  for (i = 0; i < 3 * 200 * 160; i++) pixels[i] = (uint8_t)(((uint32_t)i * 2654435761u) >> 24);
  check(mue_image_from_rgb(pixels, 200, 160, 0, &image));
  for (way = 0; way < WAYS; way++) prepare(&settings[way], way, count, argv[1], image);
  for (round = 0; round < rounds; round++) {
    one[round] = rate(settings[0].workers, 1, seconds);
    for (way = 0; way < WAYS; way++) {
      many[way][round] = rate(settings[way].workers, count, seconds);
      scaling[way][round] = many[way][round] / one[round];
    }
  }
  qsort(one, (size_t)rounds, sizeof *one, ascending);
  printf("one session with one thread: %.1f requests per second\n", one[rounds / 2]);
  for (way = 0; way < WAYS; way++) {
    qsort(many[way], (size_t)rounds, sizeof(double), ascending);
    qsort(scaling[way], (size_t)rounds, sizeof(double), ascending);
    printf("%d sessions, %-20s %8.1f requests per second, %.2f times\n", count, names[way], many[way][rounds / 2],
           scaling[way][rounds / 2]);
    release(&settings[way], count);
  }
  mue_image_free(image);
  free(pixels);
  return 0;
}
