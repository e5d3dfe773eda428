// Functions over contiguous rows, shared out among threads by rows.
#include "kernels.h"

#include <math.h>

typedef struct {
  const mk_kernels *kernels;
  mk_int rows, n, parts;
  const float *x, *residual, *gamma, *beta;
  float eps;
  float *sum, *y;
  int32_t log;
  mk_reduction reduction;
} mk_rows_call;

static void mk_share_rows(mk_pool *pool, mk_rows_call *call, void (*fn)(void *, mk_int, int32_t)) {
  if (call->rows <= 0) return;
  mk_int work = call->rows * call->n;
  pool = mk_pool_for(pool, work, MK_PARALLEL_ELEMENTS);
  mk_int parts = mk_min(mk_pool_threads(pool) * (mk_int)3, mk_ceil_div(work, MK_PARALLEL_ELEMENTS / 2));
  call->kernels = mk_current_kernels();
  call->parts = mk_pool_threads(pool) == 1 ? 1 : mk_max(mk_min(parts, call->rows), 1);
  mk_parallel(pool, call->parts, fn, call);
}

#define MK_ROWS(c, task) \
  mk_int r = mk_part((c)->rows, (c)->parts, task); r < mk_part((c)->rows, (c)->parts, (task) + 1); r++

static void mk_layer_norm_task(void *context, mk_int task, int32_t worker) {
  (void)worker;
  const mk_rows_call *c = context;
  for (MK_ROWS(c, task)) {
    mk_int at = r * c->n;
    c->kernels->layer_norm(
      c->n, c->x + at, c->residual ? c->residual + at : NULL, c->gamma, c->beta, c->eps, c->sum ? c->sum + at : NULL,
      c->y + at);
  }
}

void mk_layer_norm(
  mk_pool *pool, mk_int rows, mk_int n, const float *x, const float *residual, const float *gamma, const float *beta,
  float eps, float *sum, float *y) {
  mk_rows_call call = {
    .rows = rows, .n = n, .x = x, .residual = residual, .gamma = gamma, .beta = beta, .eps = eps, .sum = sum, .y = y};
  if (n > 0) mk_share_rows(pool, &call, mk_layer_norm_task);
}

static void mk_rms_norm_task(void *context, mk_int task, int32_t worker) {
  (void)worker;
  const mk_rows_call *c = context;
  for (MK_ROWS(c, task)) {
    mk_int at = r * c->n;
    c->kernels->rms_norm(
      c->n, c->x + at, c->residual ? c->residual + at : NULL, c->gamma, c->eps, c->sum ? c->sum + at : NULL, c->y + at);
  }
}

void mk_rms_norm(
  mk_pool *pool, mk_int rows, mk_int n, const float *x, const float *residual, const float *gamma, float eps,
  float *sum, float *y) {
  mk_rows_call call = {.rows = rows, .n = n, .x = x, .residual = residual, .gamma = gamma, .eps = eps, .sum = sum, .y = y};
  if (n > 0) mk_share_rows(pool, &call, mk_rms_norm_task);
}

static void mk_softmax_task(void *context, mk_int task, int32_t worker) {
  (void)worker;
  const mk_rows_call *c = context;
  for (MK_ROWS(c, task)) c->kernels->softmax(c->n, c->x + r * c->n, c->log, c->y + r * c->n);
}

void mk_softmax(mk_pool *pool, mk_int rows, mk_int n, const float *x, int32_t log, float *y) {
  mk_rows_call call = {.rows = rows, .n = n, .x = x, .log = log, .y = y};
  if (n > 0) mk_share_rows(pool, &call, mk_softmax_task);
}

static void mk_reduce_task(void *context, mk_int task, int32_t worker) {
  (void)worker;
  const mk_rows_call *c = context;
  for (MK_ROWS(c, task)) {
    const float *x = c->x + r * c->n;
    float low, high;
    switch (c->reduction) {
    case MK_REDUCE_SUM: c->y[r] = (float)c->kernels->sum(c->n, x, 0); break;
    case MK_REDUCE_MEAN: c->y[r] = (float)(c->kernels->sum(c->n, x, 0) / (double)c->n); break;
    case MK_REDUCE_SUM_SQUARE: c->y[r] = (float)c->kernels->sum(c->n, x, 1); break;
    case MK_REDUCE_MIN:
    case MK_REDUCE_MAX:
      c->kernels->extremes(c->n, x, &low, &high);
      c->y[r] = c->reduction == MK_REDUCE_MIN ? low : high;
      break;
    }
  }
}

void mk_reduce_rows(mk_pool *pool, mk_reduction op, mk_int rows, mk_int n, const float *x, float *y) {
  mk_rows_call call = {.rows = rows, .n = n, .x = x, .y = y, .reduction = op};
  mk_share_rows(pool, &call, mk_reduce_task);
}

float mk_logsumexp(const float *x, mk_int n) { return n > 0 ? mk_current_kernels()->logsumexp(n, x) : -INFINITY; }

mk_int mk_argmax(const float *x, mk_int n) {
  if (n <= 0) return -1;
  float top = mk_current_kernels()->maximum(n, x);
  for (mk_int i = 0; i < n; i++) {
    if (mk_load1(x + i) == top) return i;
  }
  return 0; // nothing but NaN
}

// a before b in the order of mk_topk.
static inline int32_t mk_before(float a, float b) { return a > b || (b != b && a == a); }

enum { MK_TOPK_BLOCK = 64, MK_TOPK_BLOCKS = 1024 };

// Puts v where it belongs among the first `have` of at most k values, largest first; returns how many there are then.
static mk_int mk_insert(float v, mk_int index, mk_int k, mk_int have, float *values, mk_int *indices) {
  if (have == k && !mk_before(v, values[k - 1])) return have;
  mk_int at = have < k ? have : k - 1;
  for (; at > 0 && mk_before(v, values[at - 1]); at--) {
    values[at] = values[at - 1];
    indices[at] = indices[at - 1];
  }
  values[at] = v;
  indices[at] = index;
  return have < k ? have + 1 : k;
}

void mk_topk(const float *x, mk_int n, mk_int k, float *values, mk_int *indices) {
  const mk_kernels *kernels = mk_current_kernels();
  if (k <= 0) return;
  // Each of k blocks has an element that is at least the k-th largest of their maxima, so none below that is wanted: all but
  // about k blocks are left out. A maximum ignores NaN, and -inf may be nothing but NaN: then nothing is known.
  float maxima[MK_TOPK_BLOCKS];
  mk_int block = mk_round_up(mk_max(mk_ceil_div(n, MK_TOPK_BLOCKS), MK_TOPK_BLOCK), MK_PANEL);
  mk_int blocks = mk_ceil_div(n, block), have = 0;
  for (mk_int b = 0; b < blocks; b++) {
    maxima[b] = kernels->maximum(mk_min(n - b * block, block), x + b * block);
    have = mk_insert(maxima[b], b, k, have, values, indices);
  }
  float least = have == k ? values[k - 1] : -INFINITY;
  have = 0;
  for (mk_int b = 0; b < blocks; b++) {
    if (maxima[b] < least) continue;
    mk_int end = mk_min((b + 1) * block, n);
    for (mk_int i = b * block; i < end; i++) {
      float v = mk_load1(x + i);
      if (least > -INFINITY && !(v >= least)) continue;
      have = mk_insert(v, i, k, have, values, indices);
    }
  }
}

typedef struct {
  mk_int rows, n, ldx, k;
  const float *x;
  float *values, *sums;
  mk_int *indices;
} mk_rank_call;

// Two tasks a row, the longer ones first, so that an odd number of rows is shared out evenly.
static void mk_rank_task(void *context, mk_int task, int32_t worker) {
  (void)worker;
  const mk_rank_call *c = context;
  mk_int r = task % c->rows;
  if (task < c->rows) {
    c->sums[r] = mk_logsumexp(c->x + r * c->ldx, c->n);
  } else {
    mk_topk(c->x + r * c->ldx, c->n, c->k, c->values + r * c->k, c->indices + r * c->k);
  }
}

void mk_rank_rows(
  mk_pool *pool, mk_int rows, mk_int n, const float *x, mk_int ldx, mk_int k, float *values, mk_int *indices,
  float *sums) {
  mk_rank_call call = {.rows = rows, .n = n, .ldx = ldx, .k = k, .x = x, .values = values, .sums = sums, .indices = indices};
  if (rows > 0) mk_parallel(mk_pool_for(pool, rows * n, MK_PARALLEL_ELEMENTS), 2 * rows, mk_rank_task, &call);
}

double mk_similarity(const float *a, const float *b, mk_int n) {
  double sums[3];
  mk_current_kernels()->similarity(n, a, b, sums);
  return sums[1] == 0 || sums[2] == 0 ? 0 : sums[0] / (sqrt(sums[1]) * sqrt(sums[2]));
}
