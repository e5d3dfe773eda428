// The product of a few rows with a large constant matrix that lies row by row, and its screening: which of many
// approximate products can be among the largest, given a bound of each one's error, and those few exactly.
#include "kernels.h"

#include <math.h>

// ---- Rows as they lie ----

enum {
  MK_ROWS_OF_TASK = 128, // rows of w
  MK_ROWS_TOGETHER = 6,  // rows of x that are multiplied at once
};

typedef struct {
  const mk_kernels *kernels;
  mk_int m, k, n;
  const float *x;
  mk_int ldx;
  const float *w;
  mk_int ldw;
  const float *bias;
  float *y;
  mk_int ldy;
} mk_rows_call;

static void mk_rows_task(void *context, mk_int task, int32_t worker) {
  const mk_rows_call *c = context;
  mk_int end = mk_min((task + 1) * MK_ROWS_OF_TASK, c->n);
  (void)worker;
  mk_int first = task * MK_ROWS_OF_TASK, count = end - first;
  for (mk_int i = 0; i < c->m; i += MK_ROWS_TOGETHER) {
    mk_int m = mk_min(c->m - i, MK_ROWS_TOGETHER);
    float *y = c->y + i * c->ldy + first;
    c->kernels->product_rows(m, c->k, c->x + i * c->ldx, c->ldx, count, c->w + first * c->ldw, c->ldw, y, c->ldy);
    if (!c->bias) continue;
    for (mk_int r = 0; r < m; r++) {
      for (mk_int j = 0; j < count; j++) y[r * c->ldy + j] += mk_load1(c->bias + first + j);
    }
  }
}

void mk_rows_product(
  mk_pool *pool, mk_int m, mk_int k, mk_int n, const float *x, mk_int ldx, const float *w, mk_int ldw,
  const float *bias, float *y, mk_int ldy) {
  if (m <= 0 || n <= 0) return;
  mk_rows_call call = {mk_current_kernels(), m, k, n, x, ldx, w, ldw, bias, y, ldy};
  mk_parallel(mk_pool_for(pool, m * k * n, MK_PARALLEL_PRODUCTS), mk_ceil_div(n, MK_ROWS_OF_TASK), mk_rows_task, &call);
}

// ---- Bounds ----

enum { MK_BOUND_COLUMNS = 64 };

typedef struct {
  const mk_kernels *kernels;
  mk_weights type;
  mk_int k, n;
  const float *w;
  mk_int ldw;
  int32_t transposed;
  float *bounds;
} mk_bounds_call;

// Of a column whose weights have this norm and lost that much. What x loses are steps of its largest magnitude / levels, so
// half a step in each of k directions; any order of the products' k additions, the scale and the bias; a rounding of this very
// number.
static double mk_screen_bound(mk_weights type, mk_int k, double norm, double error) {
  double depth = (double)mk_max(k, 1), levels = type == MK_WEIGHTS_INT4 ? MK_BYTE_LEVELS : (double)mk_int8_levels(k);
  double sums = (depth + 8) * 0x1p-24 * (norm + error);
  double certain = error + 0.51 * sqrt(depth) / levels * (norm + error);
  if (type != MK_WEIGHTS_INT4) return (certain + sums) * (1 + 4e-6);
  // As if the errors of all k directions were independent; a row has one step, of at most norm(x) / levels.
  double step = norm / levels;
  double deviation = sqrt(error * error / depth + step * step / 12);
  return (fmin(certain, MK_SCREEN_DEVIATIONS * deviation) + sums) * (1 + 4e-6);
}

static void mk_bounds_task(void *context, mk_int task, int32_t worker) {
  const mk_bounds_call *c = context;
  mk_int first = task * MK_BOUND_COLUMNS, count = mk_min(c->n - first, MK_BOUND_COLUMNS);
  double squares[MK_BOUND_COLUMNS] = {0};
  (void)worker;
  if (c->transposed) {
    for (mk_int j = 0; j < count; j++) squares[j] = c->kernels->sum(c->k, c->w + (first + j) * c->ldw, 1);
  } else {
    for (mk_int p = 0; p < c->k; p++) {
      const float *row = c->w + p * c->ldw + first;
      for (mk_int j = 0; j < count; j++) {
        double v = mk_load1(row + j);
        squares[j] += v * v;
      }
    }
  }
  for (mk_int j = 0; j < count; j++) {
    double bound = mk_screen_bound(c->type, c->k, sqrt(squares[j]) * (1 + 1e-6), c->bounds[first + j]);
    c->bounds[first + j] = bound == bound ? (float)bound : INFINITY;
  }
}

void mk_screen_bounds(
  mk_pool *pool, mk_weights type, const float *w, mk_int ldw, int32_t transposed, mk_int k, mk_int n, float *bounds) {
  mk_bounds_call call = {mk_current_kernels(), type, k, n, w, ldw, transposed, bounds};
  mk_parallel(mk_pool_for(pool, k * n, MK_PARALLEL_ELEMENTS), mk_ceil_div(n, MK_BOUND_COLUMNS), mk_bounds_task, &call);
}

// ---- Screening ----

// How far y may be from the product, with room for the rounding of the sums that this becomes a part of.
float mk_screen_margin(float y, float bound, float norm) { return norm * bound + 0x1p-21f * fabsf(y); }

typedef struct {
  const mk_kernels *kernels;
  mk_int n, ldy, most;
  const float *y, *bounds, *norms, *floors;
  mk_int *indices, *counts;
} mk_screen_call;

static void mk_screen_task(void *context, mk_int r, int32_t worker) {
  const mk_screen_call *c = context;
  (void)worker;
  c->counts[r] = c->kernels->reaching(
    c->n, c->y + r * c->ldy, c->bounds, c->norms[r], c->floors[r], c->most, c->indices + r * c->most);
}

void mk_screen_rows(
  mk_pool *pool, mk_int rows, mk_int n, const float *y, mk_int ldy, const float *bounds, const float *norms,
  const float *floors, mk_int most, mk_int *indices, mk_int *counts) {
  mk_screen_call call = {mk_current_kernels(), n, ldy, most, y, bounds, norms, floors, indices, counts};
  mk_parallel(mk_pool_for(pool, rows * n, MK_PARALLEL_ELEMENTS), rows, mk_screen_task, &call);
}

// ---- Exact products ----

enum { MK_DOTS_OF_TASK = 8 };

typedef struct {
  const mk_kernels *kernels;
  mk_int k, count;
  const float *x, *const *rows;
  float *const *copies;
  const float *bias;
  const mk_int *indices;
  float *y;
} mk_dots_call;

static void mk_dots_task(void *context, mk_int task, int32_t worker) {
  const mk_dots_call *c = context;
  mk_int end = mk_min((task + 1) * MK_DOTS_OF_TASK, c->count);
  (void)worker;
  for (mk_int i = task * MK_DOTS_OF_TASK; i < end; i++) {
    const float *row = c->rows[i], *next = c->rows[mk_min(i + 1, end - 1)];
    if (c->copies[i]) row = memcpy(c->copies[i], row, (size_t)c->k * sizeof *row);
    double bias = c->bias ? (double)mk_load1(c->bias + c->indices[i]) : 0;
    c->y[i] = (float)(bias + c->kernels->dot(c->k, c->x, row, next));
  }
}

void mk_rows_at(
  mk_pool *pool, mk_int k, const float *x, mk_int count, const float *const *rows, float *const *copies,
  const float *bias, const mk_int *indices, float *y) {
  mk_dots_call call = {mk_current_kernels(), k, count, x, rows, copies, bias, indices, y};
  mk_parallel(mk_pool_for(pool, k * count, MK_PARALLEL_ELEMENTS), mk_ceil_div(count, MK_DOTS_OF_TASK), mk_dots_task, &call);
}
