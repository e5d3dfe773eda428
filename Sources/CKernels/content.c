// Hashes of contents: XXH3 of pieces of 1 MiB, seeded with their number and added up, so that all threads take part and
// nothing is kept meanwhile.
#define _GNU_SOURCE
#include "kernels.h"

#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { MK_PIECE = 1 << 20 };

typedef struct {
  mk_int n;
  const char *bytes; // what is hashed
  char *to;          // the same place, when it is read from the file first
  int32_t descriptor;
  int64_t offset;
  _Atomic uint64_t low, high;
  _Atomic int32_t failure;
} mk_content_call;

// 0, or an errno.
static int32_t mk_read_all(int32_t descriptor, char *to, mk_int n, int64_t offset) {
  while (n > 0) {
    ssize_t got = pread(descriptor, to, (size_t)n, offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno;
    if (got == 0) return EIO;
    to += got;
    offset += got;
    n -= got;
  }
  return 0;
}

static void mk_content_piece(void *context, mk_int task, int32_t worker) {
  mk_content_call *c = context;
  mk_int start = task * MK_PIECE, n = mk_min(c->n - start, MK_PIECE);
  (void)worker;
  if (c->to) {
    int32_t failure = mk_read_all(c->descriptor, c->to + start, n, c->offset + start);
    if (failure) {
      atomic_store(&c->failure, failure);
      return;
    }
  }
  XXH128_hash_t piece = XXH3_128bits_withSeed(c->bytes + start, (size_t)n, (XXH64_hash_t)task);
  atomic_fetch_add_explicit(&c->low, piece.low64, memory_order_relaxed);
  atomic_fetch_add_explicit(&c->high, piece.high64, memory_order_relaxed);
}

static int32_t mk_content(mk_pool *pool, mk_content_call *call, uint64_t hash[2]) {
  mk_parallel(mk_pool_for(pool, call->n, 2 * MK_PIECE), mk_ceil_div(call->n, MK_PIECE), mk_content_piece, call);
  hash[0] = atomic_load(&call->low);
  hash[1] = atomic_load(&call->high);
  return atomic_load(&call->failure);
}

void mk_content_hash(mk_pool *pool, const void *bytes, mk_int n, uint64_t hash[2]) {
  mk_content_call call = {.n = n, .bytes = bytes};
  mk_content(pool, &call, hash);
}

int32_t mk_content_read(mk_pool *pool, int32_t descriptor, int64_t offset, mk_int n, void *to, uint64_t hash[2]) {
  mk_content_call call = {.n = n, .bytes = to, .to = to, .descriptor = descriptor, .offset = offset};
  return mk_content(pool, &call, hash);
}
