// First version: plain loops behind every declaration; replaced file by file.
#include "mue_kernels.h"
#include <math.h>
#include <string.h>

static float act(float x, mk_activation a) {
  switch (a) {
  case MK_ACT_NONE: return x;
  case MK_ACT_RELU: return x > 0 ? x : (x < 0 ? 0 : x + 0);
  case MK_ACT_GELU_ERF: return 0.5f * x * (1 + erff(x * 0.70710678f));
  case MK_ACT_GELU_TANH: return 0.5f * x * (1 + tanhf(0.7978845608f * (x + 0.044715f * x * x * x)));
  case MK_ACT_SILU: return x / (1 + expf(-x));
  case MK_ACT_SIGMOID: return 1 / (1 + expf(-x));
  case MK_ACT_TANH: return tanhf(x);
  }
  return x;
}
int32_t mk_isa_force(int32_t isa) { return isa <= 0; }
const char *mk_isa_name(void) { return "portable"; }
size_t mk_linear_packed_bytes(mk_int k, mk_int n) { return (size_t)(k * n) * 4; }
void mk_linear_pack(const float *w, mk_int ldw, int32_t t, mk_int k, mk_int n, void *packed) {
  float *p = packed;
  for (mk_int i = 0; i < k; i++)
    for (mk_int j = 0; j < n; j++) memcpy(p + i * n + j, t ? w + j * ldw + i : w + i * ldw + j, 4);
}
size_t mk_linear_scratch(const mk_pool *pool, mk_int m, mk_int k, mk_int n) {
  (void)pool, (void)m, (void)k;
  return (size_t)n * 4;
}
void mk_linear(
  mk_pool *pool, mk_int m, mk_int k, mk_int n, const float *x, mk_int ldx, const void *packed, const float *bias,
  mk_activation activation, const float *residual, mk_int ldr, float *y, mk_int ldy, void *scratch) {
  (void)pool;
  const float *w = packed;
  float *s = scratch;
  for (mk_int i = 0; i < m; i++) {
    for (mk_int j = 0; j < n; j++) s[j] = 0;
    for (mk_int p = 0; p < k; p++)
      for (mk_int j = 0; j < n; j++) s[j] += x[i * ldx + p] * w[p * n + j];
    for (mk_int j = 0; j < n; j++)
      y[i * ldy + j] = act(s[j] + (bias ? bias[j] : 0) + (residual ? residual[i * ldr + j] : 0), activation);
  }
}
size_t mk_gemm_batched_scratch(const mk_pool *pool, const mk_gemm_args *g) { return (void)pool, (void)g, 64; }
void mk_gemm_batched(mk_pool *pool, const mk_gemm_args *g, void *scratch) {
  (void)pool, (void)scratch;
  for (mk_int z = 0; z < g->batch; z++) {
    const float *a = g->a + (g->offsets_a ? g->offsets_a[z] : z * g->stride_a);
    const float *b = g->b + (g->offsets_b ? g->offsets_b[z] : z * g->stride_b);
    float *c = g->c + (g->offsets_c ? g->offsets_c[z] : z * g->stride_c);
    for (mk_int i = 0; i < g->m; i++)
      for (mk_int j = 0; j < g->n; j++) {
        float s = 0;
        for (mk_int p = 0; p < g->k; p++)
          s += (g->trans_a ? a[p * g->lda + i] : a[i * g->lda + p]) * (g->trans_b ? b[j * g->ldb + p] : b[p * g->ldb + j]);
        c[i * g->ldc + j] = g->alpha * s;
      }
  }
}
size_t mk_attention_scratch(const mk_pool *pool, const mk_attention_args *a) { return (void)pool, (size_t)a->tk * 4 + 64; }
void mk_attention(mk_pool *pool, const mk_attention_args *a, void *scratch) {
  (void)pool;
  float *s = scratch;
  for (mk_int b = 0; b < a->batch; b++)
    for (mk_int h = 0; h < a->heads; h++)
      for (mk_int i = 0; i < a->tq; i++) {
        mk_int tk = a->tk_per_batch ? a->tk_per_batch[b] : a->tk;
        const float *q = a->q + b * a->q_batch + h * a->q_head + i * a->q_row;
        float *o = a->out + b * a->out_batch + h * a->out_head + i * a->out_row;
        float top = -INFINITY, sum = 0;
        for (mk_int j = 0; j < tk; j++) {
          const float *k = a->k[b] + h * a->k_head + j * a->k_row;
          float d = 0;
          for (mk_int p = 0; p < a->dqk; p++) d += q[p] * k[p];
          d *= a->scale;
          for (int m = 0; m < 2; m++)
            if (a->bias[m].p) d += a->bias[m].p[b * a->bias[m].batch + h * a->bias[m].head + i * a->bias[m].row + j];
          s[j] = d;
          top = d > top || d != d ? d : top;
        }
        for (mk_int p = 0; p < a->dv; p++) o[p] = 0;
        if (top == -INFINITY) continue;
        for (mk_int j = 0; j < tk; j++) sum += s[j] = expf(s[j] - top);
        for (mk_int j = 0; j < tk; j++)
          for (mk_int p = 0; p < a->dv; p++) o[p] += s[j] / sum * a->v[b][h * a->v_head + j * a->v_row + p];
      }
}
void mk_layer_norm(
  mk_pool *pool, mk_int rows, mk_int n, const float *x, const float *residual, const float *gamma, const float *beta,
  float eps, float *sum, float *y) {
  (void)pool;
  for (mk_int r = 0; r < rows; r++, y += n, x += n) {
    double m = 0, v = 0;
    for (mk_int i = 0; i < n; i++) {
      y[i] = x[i] + (residual ? residual[r * n + i] : 0);
      if (sum) sum[r * n + i] = y[i];
      m += y[i];
    }
    m /= (double)n;
    for (mk_int i = 0; i < n; i++) v += (y[i] - m) * (y[i] - m);
    v = 1 / sqrt(v / (double)n + eps);
    for (mk_int i = 0; i < n; i++) y[i] = (float)((y[i] - m) * v) * (gamma ? gamma[i] : 1) + (beta ? beta[i] : 0);
  }
}
void mk_rms_norm(
  mk_pool *pool, mk_int rows, mk_int n, const float *x, const float *residual, const float *gamma, float eps,
  float *sum, float *y) {
  (void)pool;
  for (mk_int r = 0; r < rows; r++, y += n, x += n) {
    double v = 0;
    for (mk_int i = 0; i < n; i++) {
      y[i] = x[i] + (residual ? residual[r * n + i] : 0);
      if (sum) sum[r * n + i] = y[i];
      v += (double)y[i] * y[i];
    }
    v = 1 / sqrt(v / (double)n + eps);
    for (mk_int i = 0; i < n; i++) y[i] = (float)(y[i] * v) * (gamma ? gamma[i] : 1);
  }
}
void mk_softmax(mk_pool *pool, mk_int rows, mk_int n, const float *x, int32_t lg, float *y) {
  (void)pool;
  for (mk_int r = 0; r < rows; r++, y += n, x += n) {
    float l = mk_logsumexp(x, n);
    for (mk_int i = 0; i < n; i++) y[i] = l == -INFINITY ? (lg ? -INFINITY : 0) : lg ? x[i] - l : expf(x[i] - l);
  }
}
float mk_logsumexp(const float *x, mk_int n) {
  float top = -INFINITY;
  for (mk_int i = 0; i < n; i++) top = x[i] > top || x[i] != x[i] ? x[i] : top;
  if (top == -INFINITY || top == INFINITY) return top;
  double s = 0;
  for (mk_int i = 0; i < n; i++) s += exp((double)x[i] - top);
  return (float)(top + log(s));
}
mk_int mk_argmax(const float *x, mk_int n) {
  mk_int best = n > 0 ? 0 : -1;
  for (mk_int i = 1; i < n; i++)
    if (x[i] > x[best] || (x[best] != x[best] && x[i] == x[i])) best = i;
  return best;
}
void mk_topk(const float *x, mk_int n, mk_int k, float *values, mk_int *indices) {
  mk_int have = 0;
  for (mk_int i = 0; i < n; i++) {
    mk_int at = have;
    while (at > 0 && (x[i] > values[at - 1] || (x[i] == x[i] && values[at - 1] != values[at - 1]))) at--;
    if (at >= k) continue;
    if (have < k) have++;
    for (mk_int j = have - 1; j > at; j--) values[j] = values[j - 1], indices[j] = indices[j - 1];
    values[at] = x[i], indices[at] = i;
  }
}
double mk_similarity(const float *a, const float *b, mk_int n) {
  double d = 0, x = 0, y = 0;
  for (mk_int i = 0; i < n; i++) d += (double)a[i] * b[i], x += (double)a[i] * a[i], y += (double)b[i] * b[i];
  return x > 0 && y > 0 ? d / sqrt(x) / sqrt(y) : 0;
}
void mk_reduce_rows(mk_pool *pool, mk_reduction op, mk_int rows, mk_int n, const float *x, float *y) {
  (void)pool;
  for (mk_int r = 0; r < rows; r++, x += n) {
    double s = 0;
    float m = n > 0 ? x[0] : 0;
    for (mk_int i = 0; i < n; i++) {
      s += op == MK_REDUCE_SUM_SQUARE ? (double)x[i] * x[i] : x[i];
      if (op == MK_REDUCE_MAX ? x[i] > m : x[i] < m) m = x[i];
      if (x[i] != x[i]) m = x[i];
    }
    y[r] = op >= MK_REDUCE_MIN ? m : (float)(op == MK_REDUCE_MEAN ? s / (double)n : s);
  }
}
static float unary(mk_unary_op op, float x) {
  switch (op) {
  case MK_RELU: return act(x, MK_ACT_RELU);
  case MK_GELU_ERF: return act(x, MK_ACT_GELU_ERF);
  case MK_GELU_TANH: return act(x, MK_ACT_GELU_TANH);
  case MK_SIGMOID: return act(x, MK_ACT_SIGMOID);
  case MK_TANH: return tanhf(x);
  case MK_EXP: return expf(x);
  case MK_LOG: return logf(x);
  case MK_SQRT: return sqrtf(x);
  case MK_RECIPROCAL: return 1 / x;
  case MK_ERF: return erff(x);
  case MK_NEG: return -x;
  case MK_ABS: return fabsf(x);
  case MK_SILU: return act(x, MK_ACT_SILU);
  case MK_SOFTPLUS: return x > 0 ? x + log1pf(expf(-x)) : log1pf(expf(x));
  case MK_SIN: return sinf(x);
  case MK_COS: return cosf(x);
  case MK_FLOOR: return floorf(x);
  case MK_CEIL: return ceilf(x);
  case MK_ROUND: return nearbyintf(x);
  case MK_SQUARE: return x * x;
  case MK_SIGN: return x > 0 ? 1 : x < 0 ? -1 : x;
  case MK_MISH: return x * tanhf(unary(MK_SOFTPLUS, x));
  case MK_HARD_SWISH: return x * fminf(fmaxf(x / 6 + 0.5f, 0), 1);
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
  }
  return x;
}
void mk_unary(mk_pool *pool, mk_unary_op op, mk_int n, const float *x, float *y) {
  (void)pool;
  for (mk_int i = 0; i < n; i++) y[i] = unary(op, x[i]);
}
void mk_unary_param(mk_pool *pool, mk_param_op op, mk_int n, const float *x, float p0, float p1, float *y) {
  (void)pool;
  for (mk_int i = 0; i < n; i++) {
    float v = x[i];
    switch (op) {
    case MK_LEAKY_RELU: y[i] = v < 0 ? p0 * v : v; break;
    case MK_ELU: y[i] = v < 0 ? p0 * expm1f(v) : v; break;
    case MK_HARD_SIGMOID: y[i] = fminf(fmaxf(p0 * v + p1, 0), 1); break;
    case MK_CLIP: y[i] = v < p0 ? p0 : v; y[i] = y[i] > p1 ? p1 : y[i]; break;
    case MK_AFFINE: y[i] = p0 * v + p1; break;
    }
  }
}
static float binary(mk_binary_op op, float a, float b) {
  switch (op) {
  case MK_ADD: return a + b;
  case MK_SUB: return a - b;
  case MK_MUL: return a * b;
  case MK_DIV: return a / b;
  case MK_MIN: return a < b || a != a ? a : b;
  case MK_MAX: return a > b || a != a ? a : b;
  case MK_POW: return powf(a, b);
  }
  return 0;
}
void mk_binary(
  mk_pool *pool, mk_binary_op op, int32_t rank, const mk_int *shape, const float *a, const mk_int *sa,
  const float *b, const mk_int *sb, float *y) {
  if (rank == 0) {
    *y = binary(op, *a, *b);
    return;
  }
  mk_int inner = 1;
  for (int32_t i = 1; i < rank; i++) inner *= shape[i];
  for (mk_int i = 0; i < shape[0]; i++)
    mk_binary(pool, op, rank - 1, shape + 1, a + i * sa[0], sa + 1, b + i * sb[0], sb + 1, y + i * inner);
}
size_t mk_conv_packed_bytes(const mk_conv_shape *s) {
  return (size_t)(s->out_channels * (s->channels / s->groups) * s->kernel_h * s->kernel_w) * 4;
}
void mk_conv_pack(const mk_conv_shape *s, const float *weights, void *packed) {
  memcpy(packed, weights, mk_conv_packed_bytes(s));
}
size_t mk_conv_scratch(const mk_pool *pool, const mk_conv_shape *s) { return (void)pool, (void)s, 64; }
void mk_conv(
  mk_pool *pool, const mk_conv_shape *s, const float *x, const void *packed, const float *bias,
  mk_activation activation, const float *residual, float *y, void *scratch) {
  (void)pool, (void)scratch;
  const float *w = packed;
  mk_int cg = s->channels / s->groups, og = s->out_channels / s->groups, at = 0;
  for (mk_int b = 0; b < s->batch; b++)
    for (mk_int o = 0; o < s->out_channels; o++)
      for (mk_int i = 0; i < s->out_height; i++)
        for (mk_int j = 0; j < s->out_width; j++, at++) {
          float v = 0;
          for (mk_int c = 0; c < cg; c++)
            for (mk_int u = 0; u < s->kernel_h; u++)
              for (mk_int t = 0; t < s->kernel_w; t++) {
                mk_int yy = i * s->stride_h - s->pad_top + u * s->dilation_h;
                mk_int xx = j * s->stride_w - s->pad_left + t * s->dilation_w;
                if (yy < 0 || yy >= s->height || xx < 0 || xx >= s->width) continue;
                v += x[((b * s->channels + o / og * cg + c) * s->height + yy) * s->width + xx] *
                     w[((o * cg + c) * s->kernel_h + u) * s->kernel_w + t];
              }
          y[at] = act(v + (bias ? bias[o] : 0) + (residual ? residual[at] : 0), activation);
        }
}
