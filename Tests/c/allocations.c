/* Tokens are generated without allocating: this program stands between the library and the C library's allocator, and
 * counts the calls from one token's callback to the next.   usage: allocations BUNDLE */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "expect.h"
#include "picture.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The names under which glibc keeps its own allocator. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static volatile long calls = 0; /* of all threads */

static void counted(void) { __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED); }

void *malloc(size_t size) {
  counted();
  return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
  counted();
  return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size) {
  counted();
  return __libc_realloc(memory, size);
}

void *memalign(size_t alignment, size_t size) {
  counted();
  return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
  counted();
  return __libc_memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size) {
  void *made;
  counted();
  made = __libc_memalign(alignment, size);
  if (!made) return ENOMEM;
  *memory = made;
  return 0;
}

void *mmap(void *address, size_t length, int protection, int flags, int file, off_t offset) {
  counted();
  return (void *)syscall(SYS_mmap, address, length, protection, flags, file, offset);
}

#ifdef __cplusplus
}
#endif

enum { TOKENS = 24, FIRST = 5, LAST = 20 };

enum { MOST_ITEMS = 2 };

typedef struct {
  size_t items;
  long before;              /* the calls until the last step */
  int steps;                /* seen so far */
  int32_t deepest[MOST_ITEMS];
  int is_deeper;            /* whether this step is the first to reach a layer: its keys and values are made then */
  long in_steps;            /* calls in the steps that count */
  int counted;              /* how many those were */
} moments;

static int32_t on_token(const mue_token_event *event, void *user) {
  moments *seen = (moments *)user;
  if (event->exit_layer > seen->deepest[event->item]) {
    seen->deepest[event->item] = event->exit_layer;
    seen->is_deeper = 1;
  }
  if (event->item + 1 < seen->items) return MUE_CONTINUE;
  /* The last item's token ends the step. */
  if (seen->steps > FIRST && seen->steps <= LAST && !seen->is_deeper) {
    seen->in_steps += __atomic_load_n(&calls, __ATOMIC_RELAXED) - seen->before;
    seen->counted++;
  }
  seen->is_deeper = 0;
  seen->steps++;
  seen->before = __atomic_load_n(&calls, __ATOMIC_RELAXED);
  return MUE_CONTINUE;
}

/* The calls of one whole request. */
static long request(mue_session *session, const mue_item *items, size_t count, const mue_generate_options *options) {
  mue_result *result = NULL;
  long before = __atomic_load_n(&calls, __ATOMIC_RELAXED), after;
  if (!EXPECT_OK(mue_session_generate(session, items, count, options, &result))) return -1;
  after = __atomic_load_n(&calls, __ATOMIC_RELAXED);
  mue_result_free(result);
  return after - before;
}

static void greedy(mue_session *session, const mue_item *items, size_t count, mue_generate_options options) {
  moments seen;
  int again;
  options.on_token = on_token;
  options.user = &seen;
  options.beams = 1;
  options.max_tokens = TOKENS;
  options.min_tokens = TOKENS;
  for (again = 0; again < 2; again++) { /* the first makes the plans for these sizes */
    memset(&seen, 0, sizeof seen);
    seen.items = count;
    if (request(session, items, count, &options) <= 0) return;
  }
  EXPECT(seen.steps >= TOKENS && seen.counted >= (LAST - FIRST) / 2);
  if (seen.in_steps != 0) printf("%ld allocations in %d steps\n", seen.in_steps, seen.counted);
  EXPECT(seen.in_steps == 0);
}

/* Nobody is called between the tokens of a beam search, so a longer one is compared with a shorter one: what grows is
 * the text of the answer alone. */
static void beams(mue_session *session, const mue_item *item) {
  mue_generate_options options = MUE_GENERATE_OPTIONS_INIT;
  long calls_of[2][2];
  int length, again;
  options.beams = 5;
  options.no_repeat_ngram_size = 3;
  for (again = 0; again < 2; again++)
    for (length = 0; length < 2; length++) {
      options.max_tokens = options.min_tokens = length ? LAST : FIRST;
      calls_of[again][length] = request(session, item, 1, &options);
      EXPECT(calls_of[again][length] > 0);
    }
  printf("beams: %ld and %ld allocations for %d and %d tokens\n", calls_of[1][0], calls_of[1][1], (int)FIRST, (int)LAST);
  EXPECT(calls_of[1][1] - calls_of[1][0] <= 6 * (LAST - FIRST));
}

int main(int argc, char **argv) {
  mue_model *model = NULL;
  mue_session *session = NULL;
  mue_item items[MOST_ITEMS] = {MUE_ITEM_INIT, MUE_ITEM_INIT};
  mue_image *first = picture(2, 64, 48), *second = picture(7, 50, 60);
  mue_generate_options options = MUE_GENERATE_OPTIONS_INIT;
  mue_exits exits = MUE_EXITS_INIT;
  void *volatile probe; /* else a compiler may see that nothing is done with it */
  long before = calls;
  if (argc != 2) return 2;
  probe = malloc(10);
  free(probe);
  EXPECT(calls == before + 1);
  before = calls;
  if (!EXPECT_OK(mue_model_open(argv[1], strlen(argv[1]), NULL, &model))) return expect_summary("allocations");
  EXPECT(calls > before + 100); /* those of the library are seen */
  EXPECT_OK(mue_session_create(model, &session));
  items[0].image = first;
  items[1].image = second;
  greedy(session, items, 1, options);
  greedy(session, items, 2, options);
  options.no_repeat_ngram_size = 2;
  greedy(session, items, 1, options);
  options.no_repeat_ngram_size = 0;
  exits.mode = MUE_EXITS_THRESHOLDS;
  exits.decoder = 0.5;
  options.exits = &exits;
  greedy(session, items, 2, options);
  exits.decoder = 0.97;
  greedy(session, items, 1, options);
  beams(session, items);
  mue_image_free(first);
  mue_image_free(second);
  mue_session_free(session);
  mue_model_free(model);
  return expect_summary("allocations");
}
