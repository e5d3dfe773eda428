// Functions of single elements. What a network spends time in is vectorised (kernels); the rest asks the C library.
#include "kernels.h"

#include <math.h>

enum { MK_PIECE = 8192 }; // elements of one task

typedef struct {
  const mk_kernels *kernels;
  mk_unary_op op;
  mk_param_op param_op;
  mk_int n;
  const float *x;
  float p0, p1;
  float *y;
} mk_unary_call;

static float mk_softplus(float x) { return x > 0 ? x + log1pf(expf(-x)) : log1pf(expf(x)); }

static float mk_unary_scalar(mk_unary_op op, float x) {
  switch (op) {
  case MK_LOG: return logf(x);
  case MK_SOFTPLUS: return mk_softplus(x);
  case MK_SIN: return sinf(x);
  case MK_COS: return cosf(x);
  case MK_FLOOR: return floorf(x);
  case MK_CEIL: return ceilf(x);
  case MK_ROUND: {
    // Not rintf: the host may have changed the rounding direction.
    float r = roundf(x);
    return fabsf(x - truncf(x)) == 0.5f ? 2 * roundf(x / 2) : r;
  }
  case MK_SIGN: return x > 0 ? 1 : x < 0 ? -1 : x;
  case MK_MISH: return x * tanhf(mk_softplus(x));
  case MK_SOFTSIGN: return x / (1 + fabsf(x));
  case MK_TAN: return tanf(x);
  case MK_ASIN: return asinf(x);
  case MK_ACOS: return acosf(x);
  case MK_ATAN: return atanf(x);
  case MK_SINH: return sinhf(x);
  case MK_COSH: return coshf(x);
  case MK_ASINH: return asinhf(x);
  case MK_ACOSH: return acoshf(x);
  case MK_ATANH: return atanhf(x);
  default: return x; // vectorised
  }
}

static void mk_unary_task(void *context, mk_int task, int32_t worker) {
  (void)worker;
  const mk_unary_call *c = context;
  mk_int start = task * MK_PIECE, n = mk_min(c->n - start, MK_PIECE);
  const float *x = c->x + start;
  float *y = c->y + start;
  if (c->kernels->unary(c->op, n, x, y)) return;
  for (mk_int i = 0; i < n; i++) y[i] = mk_unary_scalar(c->op, mk_load1(x + i));
}

void mk_unary(mk_pool *pool, mk_unary_op op, mk_int n, const float *x, float *y) {
  mk_unary_call call = {.kernels = mk_current_kernels(), .op = op, .n = n, .x = x, .y = y};
  mk_parallel(mk_pool_for(pool, n, MK_PARALLEL_ELEMENTS), mk_ceil_div(n, MK_PIECE), mk_unary_task, &call);
}

static void mk_unary_param_task(void *context, mk_int task, int32_t worker) {
  (void)worker;
  const mk_unary_call *c = context;
  mk_int start = task * MK_PIECE, n = mk_min(c->n - start, MK_PIECE);
  const float *x = c->x + start;
  float *y = c->y + start, p0 = c->p0, p1 = c->p1;
  switch (c->param_op) {
  case MK_LEAKY_RELU:
    for (mk_int i = 0; i < n; i++) y[i] = x[i] < 0 ? p0 * x[i] : x[i];
    break;
  case MK_ELU:
    for (mk_int i = 0; i < n; i++) y[i] = x[i] < 0 ? p0 * expm1f(x[i]) : x[i];
    break;
  case MK_HARD_SIGMOID:
    for (mk_int i = 0; i < n; i++) {
      float v = p0 * x[i] + p1;
      v = v < 0 ? 0 : v;
      y[i] = v > 1 ? 1 : v;
    }
    break;
  case MK_CLIP:
    for (mk_int i = 0; i < n; i++) {
      float v = x[i] < p0 ? p0 : x[i];
      y[i] = v > p1 ? p1 : v;
    }
    break;
  case MK_AFFINE: c->kernels->affine(n, x, p0, p1, y); break;
  }
}

void mk_unary_param(mk_pool *pool, mk_param_op op, mk_int n, const float *x, float p0, float p1, float *y) {
  mk_unary_call call = {.kernels = mk_current_kernels(), .param_op = op, .n = n, .x = x, .p0 = p0, .p1 = p1, .y = y};
  mk_parallel(mk_pool_for(pool, n, MK_PARALLEL_ELEMENTS), mk_ceil_div(n, MK_PIECE), mk_unary_param_task, &call);
}

typedef struct {
  const mk_kernels *kernels;
  mk_binary_op op;
  int32_t rank;
  mk_int shape[MK_MAX_RANK], a_strides[MK_MAX_RANK], b_strides[MK_MAX_RANK];
  mk_int lines, piece, pieces; // the last axis is cut into pieces
  const float *a, *b;
  float *y;
} mk_binary_call;

static float mk_binary_scalar(mk_binary_op op, float a, float b) {
  switch (op) {
  case MK_ADD: return a + b;
  case MK_SUB: return a - b;
  case MK_MUL: return a * b;
  case MK_DIV: return a / b;
  case MK_MIN: return a < b || a != a ? a : b;
  case MK_MAX: return a > b || a != a ? a : b;
  case MK_POW: return b == 2 ? a * a : powf(a, b);
  }
  return 0;
}

static void mk_binary_line(
  const mk_binary_call *c, mk_int n, const float *a, mk_int sa, const float *b, mk_int sb, float *y) {
  if (sa >= 0 && sa <= 1 && sb >= 0 && sb <= 1 && c->kernels->binary(c->op, n, a, sa, b, sb, y)) return;
  for (mk_int i = 0; i < n; i++) y[i] = mk_binary_scalar(c->op, mk_load1(a + i * sa), mk_load1(b + i * sb));
}

// Lines (all axes but the last) are shared out in runs, pieces of a long line one by one.
static void mk_binary_task(void *context, mk_int task, int32_t worker) {
  (void)worker;
  const mk_binary_call *c = context;
  int32_t inner = c->rank - 1;
  mk_int n = c->shape[inner], sa = c->a_strides[inner], sb = c->b_strides[inner];
  mk_int run = c->pieces > 1 ? 1 : mk_max(c->piece / mk_max(n, 1), 1);
  mk_int line0 = c->pieces > 1 ? task / c->pieces : task * run, line1 = mk_min(line0 + run, c->lines);
  mk_int start = c->pieces > 1 ? task % c->pieces * c->piece : 0;
  mk_int count = c->pieces > 1 ? mk_min(n - start, c->piece) : n;
  for (mk_int line = line0; line < line1; line++) {
    mk_int rest = line, at_a = start * sa, at_b = start * sb;
    for (int32_t axis = inner - 1; axis >= 0; axis--) {
      mk_int i = rest % c->shape[axis];
      rest /= c->shape[axis];
      at_a += i * c->a_strides[axis];
      at_b += i * c->b_strides[axis];
    }
    mk_binary_line(c, count, c->a + at_a, sa, c->b + at_b, sb, c->y + line * n + start);
  }
}

void mk_binary(
  mk_pool *pool, mk_binary_op op, int32_t rank, const mk_int *shape, const float *a, const mk_int *a_strides,
  const float *b, const mk_int *b_strides, float *y) {
  mk_binary_call c = {.kernels = mk_current_kernels(), .op = op, .a = a, .b = b, .y = y};
  mk_int total = 1;
  for (int32_t i = 0; i < rank && i < MK_MAX_RANK; i++) {
    total *= shape[i];
    if (shape[i] == 1) continue;
    int32_t last = c.rank - 1;
    // An axis that continues the one before it in both operands is the same axis.
    if (last >= 0 && c.a_strides[last] == shape[i] * a_strides[i] && c.b_strides[last] == shape[i] * b_strides[i]) {
      c.shape[last] *= shape[i];
      c.a_strides[last] = a_strides[i];
      c.b_strides[last] = b_strides[i];
    } else {
      c.shape[c.rank] = shape[i];
      c.a_strides[c.rank] = a_strides[i];
      c.b_strides[c.rank++] = b_strides[i];
    }
  }
  if (total == 0) return;
  if (c.rank == 0) c.shape[c.rank++] = 1;
  mk_int n = c.shape[c.rank - 1];
  c.lines = total / n;
  c.piece = MK_PIECE;
  c.pieces = mk_ceil_div(n, c.piece);
  mk_int tasks = c.pieces > 1 ? c.lines * c.pieces : mk_ceil_div(c.lines, mk_max(c.piece / n, 1));
  mk_parallel(mk_pool_for(pool, total, MK_PARALLEL_ELEMENTS), tasks, mk_binary_task, &c);
}
