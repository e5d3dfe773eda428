// The thread pool: one region of tasks at a time. Each thread has a share of them, neighbours, the same in every region of
// as many tasks; it claims its own in chunks, from an atomic counter, and then what is left of the others'. So what one call
// leaves in the caches of a core is mostly what the next one reads there: cores that share no cache (a virtual machine's
// processors may be moved apart at any time) would fetch it from each other.
//
// A worker enters a region by raising `inside` and then looking at `open`; the caller leaves by clearing `open` and then
// waiting for `inside` to reach 0. Both are sequentially consistent, so either the worker sees that the region is over
// or the caller sees the worker. A worker that sleeps through a short region is therefore never waited for.
//
// Several callers at once (sessions that share a model) want as many threads as there are, not more: each of them is a
// thread, so a region takes one worker less for every other caller, and with as many callers as threads each runs its
// own tasks. Callers that come while a region is open run theirs too.
#define _GNU_SOURCE
#include "mue_kernels.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

// A host's idle processor belongs to the host: nobody spins for longer than this, and only for the first part of it without
// giving way to other threads. To wake a thread that sleeps takes a tenth of a millisecond, on a virtual machine more, which
// is longer than most regions: within a request threads should not fall asleep.
enum { MK_SPIN_NANOSECONDS = 1000000, MK_GREEDY_NANOSECONDS = 30000 };

// The tasks of one thread in a region.
typedef struct {
  _Alignas(64) atomic_long next;
  mk_int end;
} mk_share;

struct mk_pool {
  int32_t threads;
  // Written by the caller while no worker can be inside.
  void (*fn)(void *, mk_int, int32_t);
  void *ctx;
  mk_int chunk;
  int32_t helpers; // workers that may enter, by index; a share for each of them and the caller
  int32_t started; // workers that exist
  bool tried;      // start was attempted
  pid_t pid;       // where the workers live
  pthread_t *ids;
  _Alignas(64) atomic_int inside;
  _Alignas(64) atomic_uint epoch; // grows with every region
  atomic_int open;
  atomic_int stop;
  atomic_int sleepers;
  atomic_int caller_sleeps;
  _Alignas(64) atomic_flag busy;
  atomic_int callers; // threads inside mk_parallel, on this pool
  pthread_mutex_t mutex;
  pthread_cond_t wake;
  pthread_cond_t done;
  mk_share shares[];
};

typedef struct {
  mk_pool *pool;
  int32_t index;
} mk_worker_start;

static inline void mk_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static int64_t mk_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void mk_run_share(mk_pool *pool, mk_share *share, int32_t worker) {
  for (;;) {
    mk_int first = atomic_fetch_add_explicit(&share->next, pool->chunk, memory_order_relaxed);
    if (first >= share->end) return;
    mk_int last = first + pool->chunk < share->end ? first + pool->chunk : share->end;
    for (mk_int task = first; task < last; task++) pool->fn(pool->ctx, task, worker);
  }
}

static void mk_run_tasks(mk_pool *pool, int32_t worker) {
  for (int32_t i = worker; i <= pool->helpers; i++) mk_run_share(pool, &pool->shares[i], worker);
  for (int32_t i = 0; i < worker; i++) mk_run_share(pool, &pool->shares[i], worker);
}

static bool mk_is_new_epoch(mk_pool *pool, unsigned seen) {
  return atomic_load_explicit(&pool->epoch, memory_order_acquire) != seen;
}

static bool mk_is_empty(mk_pool *pool, unsigned ignored) {
  (void)ignored;
  return atomic_load(&pool->inside) == 0;
}

// Whether `over` came true while spinning.
static bool mk_spin(mk_pool *pool, bool (*over)(mk_pool *, unsigned), unsigned seen) {
  int64_t start = mk_now(), passed;
  do {
    for (int i = 0; i < 64; i++) {
      if (over(pool, seen)) return true;
      mk_pause();
    }
    passed = mk_now() - start;
    if (passed > MK_GREEDY_NANOSECONDS) sched_yield();
  } while (passed < MK_SPIN_NANOSECONDS);
  return false;
}

// Waits for a new epoch, or for the end of the pool; first spinning, then asleep.
static void mk_wait_for_epoch(mk_pool *pool, unsigned seen) {
  if (mk_spin(pool, mk_is_new_epoch, seen)) return;
  pthread_mutex_lock(&pool->mutex);
  atomic_fetch_add(&pool->sleepers, 1);
  while (atomic_load(&pool->epoch) == seen && !atomic_load(&pool->stop)) {
    pthread_cond_wait(&pool->wake, &pool->mutex);
  }
  atomic_fetch_sub(&pool->sleepers, 1);
  pthread_mutex_unlock(&pool->mutex);
}

static void *mk_worker(void *argument) {
  mk_worker_start start = *(mk_worker_start *)argument;
  free(argument);
  mk_pool *pool = start.pool;
#if defined(__linux__)
  pthread_setname_np(pthread_self(), "mue");
#elif defined(__APPLE__)
  pthread_setname_np("mue");
#endif
  unsigned seen = 0;
  while (!atomic_load(&pool->stop)) {
    unsigned epoch = atomic_load(&pool->epoch);
    if (epoch == seen) {
      mk_wait_for_epoch(pool, seen);
      continue;
    }
    seen = epoch;
    atomic_fetch_add(&pool->inside, 1);
    if (atomic_load(&pool->open) && start.index <= pool->helpers) mk_run_tasks(pool, start.index);
    if (atomic_fetch_sub(&pool->inside, 1) == 1 && atomic_load(&pool->caller_sleeps)) {
      pthread_mutex_lock(&pool->mutex);
      pthread_cond_signal(&pool->done);
      pthread_mutex_unlock(&pool->mutex);
    }
  }
  return NULL;
}

// Started on first use, so that a process may fork between making a pool and using it.
static void mk_start_workers(mk_pool *pool) {
  pool->tried = true;
  pool->pid = getpid();
  pool->ids = malloc(sizeof(pthread_t) * (size_t)(pool->threads - 1));
  if (!pool->ids) return;
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return;
  pthread_attr_setstacksize(&attributes, (size_t)1 << 20);
  // Workers inherit a full mask: the host's signals go to the host's threads.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  while (pool->started < pool->threads - 1) {
    mk_worker_start *start = malloc(sizeof *start);
    if (!start) break;
    *start = (mk_worker_start){pool, pool->started + 1};
    if (pthread_create(&pool->ids[pool->started], &attributes, mk_worker, start) != 0) {
      free(start);
      break;
    }
    pool->started++;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
}

static void mk_wait_until_empty(mk_pool *pool) {
  if (mk_spin(pool, mk_is_empty, 0)) return;
  pthread_mutex_lock(&pool->mutex);
  atomic_store(&pool->caller_sleeps, 1);
  while (atomic_load(&pool->inside) != 0) pthread_cond_wait(&pool->done, &pool->mutex);
  atomic_store(&pool->caller_sleeps, 0);
  pthread_mutex_unlock(&pool->mutex);
}

// The region of a caller that has the workers to itself, `helpers` of them.
static void mk_run_region(
  mk_pool *pool, mk_int tasks, void (*fn)(void *, mk_int, int32_t), void *ctx, int32_t helpers) {
  if (!pool->tried) mk_start_workers(pool);
  pool->fn = fn;
  pool->ctx = ctx;
  pool->helpers = helpers;
  // Large enough that the counter does not become the bottleneck, small enough to even out slow threads.
  mk_int chunk = tasks / ((mk_int)pool->threads * 32);
  pool->chunk = chunk > 1 ? chunk : 1;
  for (mk_int i = 0; i <= helpers; i++) {
    atomic_store_explicit(&pool->shares[i].next, tasks * i / (helpers + 1), memory_order_relaxed);
    pool->shares[i].end = tasks * (i + 1) / (helpers + 1);
  }
  atomic_store(&pool->open, 1);
  atomic_fetch_add(&pool->epoch, 1);
  // The workers of a forked child's pool do not exist, and their mutex may be held for ever.
  if (atomic_load(&pool->sleepers) > 0 && getpid() == pool->pid) {
    pthread_mutex_lock(&pool->mutex);
    if (tasks - 1 >= pool->started || helpers < pool->started) {
      pthread_cond_broadcast(&pool->wake);
    } else {
      for (mk_int i = 0; i < tasks - 1; i++) pthread_cond_signal(&pool->wake);
    }
    pthread_mutex_unlock(&pool->mutex);
  }
  mk_run_tasks(pool, 0);
  atomic_store(&pool->open, 0);
  mk_wait_until_empty(pool);
}

void mk_parallel(mk_pool *pool, mk_int tasks, void (*fn)(void *, mk_int, int32_t), void *ctx) {
  if (tasks <= 0) return;
  if (!pool || pool->threads <= 1) {
    for (mk_int task = 0; task < tasks; task++) fn(ctx, task, 0);
    return;
  }
  int32_t others = atomic_fetch_add_explicit(&pool->callers, 1, memory_order_relaxed);
  int32_t helpers = pool->threads - 1 - others;
  if (tasks > 1 && helpers > 0 && !atomic_flag_test_and_set_explicit(&pool->busy, memory_order_acquire)) {
    mk_run_region(pool, tasks, fn, ctx, helpers);
    atomic_flag_clear_explicit(&pool->busy, memory_order_release);
  } else {
    for (mk_int task = 0; task < tasks; task++) fn(ctx, task, 0);
  }
  atomic_fetch_sub_explicit(&pool->callers, 1, memory_order_relaxed);
}

int32_t mk_pool_threads(const mk_pool *pool) { return pool ? pool->threads : 1; }

mk_pool *mk_pool_create(int32_t threads) {
  mk_pool *pool = NULL;
  threads = threads < 1 ? 1 : threads > 1024 ? 1024 : threads;
  if (posix_memalign((void **)&pool, 64, sizeof *pool + (size_t)threads * sizeof *pool->shares) != 0) return NULL;
  *pool = (mk_pool){.threads = threads, .busy = ATOMIC_FLAG_INIT};
  if (pthread_mutex_init(&pool->mutex, NULL) != 0) {
    free(pool);
    return NULL;
  }
  pthread_cond_init(&pool->wake, NULL);
  pthread_cond_init(&pool->done, NULL);
  return pool;
}

void mk_pool_destroy(mk_pool *pool) {
  if (!pool) return;
  if (pool->started > 0 && getpid() != pool->pid) return; // a forked child has nobody to join; the memory stays
  atomic_store(&pool->stop, 1);
  pthread_mutex_lock(&pool->mutex);
  atomic_fetch_add(&pool->epoch, 1);
  pthread_cond_broadcast(&pool->wake);
  pthread_mutex_unlock(&pool->mutex);
  for (int32_t i = 0; i < pool->started; i++) pthread_join(pool->ids[i], NULL);
  pthread_cond_destroy(&pool->wake);
  pthread_cond_destroy(&pool->done);
  pthread_mutex_destroy(&pool->mutex);
  free(pool->ids);
  free(pool);
}

struct mk_lock {
  pthread_mutex_t mutex;
};

mk_lock *mk_lock_create(void) {
  mk_lock *lock = malloc(sizeof *lock);
  if (lock && pthread_mutex_init(&lock->mutex, NULL) != 0) {
    free(lock);
    return NULL;
  }
  return lock;
}

void mk_lock_destroy(mk_lock *lock) {
  if (!lock) return;
  pthread_mutex_destroy(&lock->mutex);
  free(lock);
}

void mk_lock_acquire(mk_lock *lock) {
  if (lock) pthread_mutex_lock(&lock->mutex);
}

void mk_lock_release(mk_lock *lock) {
  if (lock) pthread_mutex_unlock(&lock->mutex);
}
