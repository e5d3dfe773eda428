// Kernels over contiguous rows: activations, norms, softmax, sums, elementwise operations.

static void mk_activate(mk_activation activation, mk_int rows, mk_int n, float *c, mk_int ldc) {
#define MK_MAP(f)                                                                     \
  for (mk_int r = 0; r < rows; r++) {                                                 \
    float *p = c + r * ldc;                                                           \
    mk_int i = 0;                                                                     \
    for (; i + MK_WIDTH <= n; i += MK_WIDTH) vf_store(p + i, f(vf_load(p + i)));      \
    if (i < n) vf_store_part(p + i, n - i, f(vf_load_part(p + i, n - i)));            \
  }                                                                                   \
  break;
  switch (activation) {
  case MK_ACT_NONE: break;
  case MK_ACT_RELU: MK_MAP(vf_relu)
  case MK_ACT_GELU_ERF: MK_MAP(vf_gelu_erf)
  case MK_ACT_GELU_TANH: MK_MAP(vf_gelu_tanh)
  case MK_ACT_SILU: MK_MAP(vf_silu)
  case MK_ACT_SIGMOID: MK_MAP(vf_sigmoid)
  case MK_ACT_TANH: MK_MAP(vf_tanh)
  }
#undef MK_MAP
}

MK_INLINE vf vf_sqrt(vf x) { return __builtin_elementwise_sqrt(x); }
MK_INLINE vf vf_reciprocal(vf x) { return 1.0f / x; }
MK_INLINE vf vf_negate(vf x) { return -x; }
MK_INLINE vf vf_floor(vf x) { return __builtin_elementwise_floor(x); }
MK_INLINE vf vf_ceil(vf x) { return __builtin_elementwise_ceil(x); }
MK_INLINE vf vf_round(vf x) { return __builtin_elementwise_roundeven(x); }
MK_INLINE vf vf_square(vf x) { return x * x; }
MK_INLINE vf vf_hard_swish(vf x) {
  vf gate = x * (1.0f / 6.0f) + 0.5f;
  gate = vf_select(gate < 0.0f, (vf)0.0f, gate);
  return x * vf_select(gate > 1.0f, (vf)1.0f, gate);
}

static int32_t mk_unary_rows(mk_unary_op op, mk_int n, const float *x, float *y) {
#define MK_MAP(f)                                                                     \
  {                                                                                   \
    mk_int i = 0;                                                                     \
    for (; i + MK_WIDTH <= n; i += MK_WIDTH) vf_store(y + i, f(vf_load(x + i)));      \
    if (i < n) vf_store_part(y + i, n - i, f(vf_load_part(x + i, n - i)));            \
    return 1;                                                                         \
  }
  switch (op) {
  case MK_RELU: MK_MAP(vf_relu)
  case MK_GELU_ERF: MK_MAP(vf_gelu_erf)
  case MK_GELU_TANH: MK_MAP(vf_gelu_tanh)
  case MK_SIGMOID: MK_MAP(vf_sigmoid)
  case MK_TANH: MK_MAP(vf_tanh)
  case MK_EXP: MK_MAP(vf_exp)
  case MK_SQRT: MK_MAP(vf_sqrt)
  case MK_RECIPROCAL: MK_MAP(vf_reciprocal)
  case MK_ERF: MK_MAP(vf_erf)
  case MK_NEG: MK_MAP(vf_negate)
  case MK_ABS: MK_MAP(vf_abs)
  case MK_SILU: MK_MAP(vf_silu)
  case MK_SQUARE: MK_MAP(vf_square)
  case MK_HARD_SWISH: MK_MAP(vf_hard_swish)
#if MK_ISA != 0 || defined(__aarch64__)
  case MK_FLOOR: MK_MAP(vf_floor)
  case MK_CEIL: MK_MAP(vf_ceil)
  case MK_ROUND: MK_MAP(vf_round)
#endif
  default: return 0;
  }
#undef MK_MAP
}

static void mk_affine_rows(mk_int n, const float *x, float a, float b, float *y) {
  mk_int i = 0;
  for (; i + MK_WIDTH <= n; i += MK_WIDTH) vf_store(y + i, a * vf_load(x + i) + b);
  if (i < n) vf_store_part(y + i, n - i, a * vf_load_part(x + i, n - i) + b);
}

// NaN in either operand gives NaN.
MK_INLINE vf vf_minimum(vf a, vf b) { return vf_select((a < b) | (a != a), a, b); }
MK_INLINE vf vf_maximum(vf a, vf b) { return vf_select((a > b) | (a != a), a, b); }

static int32_t mk_binary_rows(
  mk_binary_op op, mk_int n, const float *a, mk_int a_stride, const float *b, mk_int b_stride, float *y) {
#define MK_LOOP(expression, load_a, load_b, part_a, part_b)          \
  {                                                                  \
    mk_int i = 0;                                                    \
    for (; i + MK_WIDTH <= n; i += MK_WIDTH) {                       \
      vf u = load_a, v = load_b;                                     \
      vf_store(y + i, expression);                                   \
    }                                                                \
    if (i < n) {                                                     \
      vf u = part_a, v = part_b;                                     \
      vf_store_part(y + i, n - i, expression);                       \
    }                                                                \
    return 1;                                                        \
  }
#define MK_CASES(expression)                                                                              \
  if (a_stride == 1 && b_stride == 1)                                                                     \
    MK_LOOP(expression, vf_load(a + i), vf_load(b + i), vf_load_part(a + i, n - i), vf_load_part(b + i, n - i)) \
  if (a_stride == 1 && b_stride == 0) {                                                                   \
    vf all = mk_load1(b);                                                                                 \
    MK_LOOP(expression, vf_load(a + i), all, vf_load_part(a + i, n - i), all)                             \
  }                                                                                                       \
  if (a_stride == 0 && b_stride == 1) {                                                                   \
    vf all = mk_load1(a);                                                                                 \
    MK_LOOP(expression, all, vf_load(b + i), all, vf_load_part(b + i, n - i))                             \
  }                                                                                                       \
  return 0;
  switch (op) {
  case MK_ADD: MK_CASES(u + v)
  case MK_SUB: MK_CASES(u - v)
  case MK_MUL: MK_CASES(u * v)
  case MK_DIV: MK_CASES(u / v)
  case MK_MIN: MK_CASES(vf_minimum(u, v))
  case MK_MAX: MK_CASES(vf_maximum(u, v))
  default: return 0;
  }
#undef MK_CASES
#undef MK_LOOP
}

// Sum in float over blocks of 64 vectors and in double over the blocks.
enum { MK_SUM_BLOCK = 64 * MK_WIDTH };

static double mk_sum_row(mk_int n, const float *x, int32_t square) {
  double total = 0;
  for (mk_int start = 0; start < n; start += MK_SUM_BLOCK) {
    mk_int m = mk_min(n - start, MK_SUM_BLOCK), i = 0;
    vf s0 = 0, s1 = 0;
    const float *p = x + start;
    if (square) {
      for (; i + 2 * MK_WIDTH <= m; i += 2 * MK_WIDTH) {
        vf u = vf_load(p + i), v = vf_load(p + i + MK_WIDTH);
        s0 += u * u;
        s1 += v * v;
      }
      for (; i < m; i += MK_WIDTH) {
        vf u = m - i < MK_WIDTH ? vf_load_part(p + i, m - i) : vf_load(p + i);
        s0 += u * u;
      }
    } else {
      for (; i + 2 * MK_WIDTH <= m; i += 2 * MK_WIDTH) {
        s0 += vf_load(p + i);
        s1 += vf_load(p + i + MK_WIDTH);
      }
      for (; i < m; i += MK_WIDTH) s0 += m - i < MK_WIDTH ? vf_load_part(p + i, m - i) : vf_load(p + i);
    }
    total += (double)vf_sum(s0 + s1);
  }
  return total;
}

// The least of numbers.
MK_INLINE float vf_least(vf v) {
#if MK_WIDTH == 16
  vf_8 h = __builtin_elementwise_min(v.lo, v.hi);
  vf_4 q = __builtin_elementwise_min(h.lo, h.hi);
#elif MK_WIDTH == 8
  vf_4 q = __builtin_elementwise_min(v.lo, v.hi);
#else
  vf_4 q = v;
#endif
  vf_2 d = __builtin_elementwise_min(q.lo, q.hi);
  return d.x < d.y ? d.x : d.y;
}

static void mk_extremes_row(mk_int n, const float *x, float *low, float *high) {
  // Two vectors at a time, so that comparisons do not wait for each other. They pass over a NaN, which is seen apart.
  vf low0 = __builtin_inff(), low1 = low0, high0 = -low0, high1 = high0;
  vi unordered = 0;
  mk_int i = 0;
  for (; i + 2 * MK_WIDTH <= n; i += 2 * MK_WIDTH) {
    vf u = vf_load(x + i), v = vf_load(x + i + MK_WIDTH);
    low0 = vf_min(u, low0), low1 = vf_min(v, low1);
    high0 = vf_max(u, high0), high1 = vf_max(v, high1);
    unordered |= (u != u) | (v != v);
  }
  if (i + MK_WIDTH <= n) {
    vf u = vf_load(x + i);
    low0 = vf_min(u, low0);
    high0 = vf_max(u, high0);
    unordered |= u != u;
    i += MK_WIDTH;
  }
  float l = vf_least(vf_min(low0, low1)), h = -vf_least(-vf_max(high0, high1));
  if (__builtin_reduce_or(unordered)) l = h = __builtin_nanf("");
  for (; i < n; i++) {
    float v = mk_load1(x + i);
    if (v != v) l = h = v;
    if (v < l) l = v;
    if (v > h) h = v;
  }
  *low = l;
  *high = h;
}

static float mk_maximum_row(mk_int n, const float *x) {
  vf m0 = -__builtin_inff(), m1 = m0;
  mk_int i = 0;
  for (; i + 2 * MK_WIDTH <= n; i += 2 * MK_WIDTH) {
    m0 = vf_max(vf_load(x + i), m0); // the running maximum stays when x is NaN
    m1 = vf_max(vf_load(x + i + MK_WIDTH), m1);
  }
  m0 = vf_max(m0, m1);
  float m = -__builtin_inff();
  for (int j = 0; j < MK_WIDTH; j++) m = m0[j] > m ? m0[j] : m;
  for (; i < n; i++) {
    float v = mk_load1(x + i);
    m = v > m ? v : m;
  }
  return m;
}

static void mk_similarity_row(mk_int n, const float *a, const float *b, double sums[3]) {
  sums[0] = sums[1] = sums[2] = 0;
  for (mk_int start = 0; start < n; start += MK_SUM_BLOCK) {
    mk_int m = mk_min(n - start, MK_SUM_BLOCK), i = 0;
    vf ab = 0, aa = 0, bb = 0, ab1 = 0, aa1 = 0, bb1 = 0;
    const float *p = a + start, *q = b + start;
    for (; i + 2 * MK_WIDTH <= m; i += 2 * MK_WIDTH) {
      vf u = vf_load(p + i), v = vf_load(q + i);
      ab += u * v;
      aa += u * u;
      bb += v * v;
      u = vf_load(p + i + MK_WIDTH), v = vf_load(q + i + MK_WIDTH);
      ab1 += u * v;
      aa1 += u * u;
      bb1 += v * v;
    }
    for (; i < m; i += MK_WIDTH) {
      mk_int rest = m - i;
      vf u = rest < MK_WIDTH ? vf_load_part(p + i, rest) : vf_load(p + i);
      vf v = rest < MK_WIDTH ? vf_load_part(q + i, rest) : vf_load(q + i);
      ab += u * v;
      aa += u * u;
      bb += v * v;
    }
    sums[0] += vf_sum_double(ab + ab1);
    sums[1] += vf_sum_double(aa + aa1);
    sums[2] += vf_sum_double(bb + bb1);
  }
}

// out = sum = x + residual.
MK_INLINE void mk_add_residual(mk_int n, const float *x, const float *residual, float *sum, float *out) {
  mk_int i = 0;
  for (; i + MK_WIDTH <= n; i += MK_WIDTH) {
    vf s = vf_load(x + i) + vf_load(residual + i);
    if (sum) vf_store(sum + i, s);
    vf_store(out + i, s);
  }
  if (i < n) {
    vf s = vf_load_part(x + i, n - i) + vf_load_part(residual + i, n - i);
    if (sum) vf_store_part(sum + i, n - i, s);
    vf_store_part(out + i, n - i, s);
  }
}

static void mk_layer_norm_row(
  mk_int n, const float *x, const float *residual, const float *gamma, const float *beta, float eps, float *sum,
  float *y) {
  if (residual) {
    mk_add_residual(n, x, residual, sum, y);
    x = y;
  } else if (sum && sum != x) {
    __builtin_memmove(sum, x, (size_t)n * sizeof(float));
  }
  float mean = (float)(mk_sum_row(n, x, 0) / (double)n);
  double squares = 0;
  for (mk_int start = 0; start < n; start += MK_SUM_BLOCK) {
    mk_int m = mk_min(n - start, MK_SUM_BLOCK), i = 0;
    vf s0 = 0, s1 = 0;
    const float *p = x + start;
    for (; i + 2 * MK_WIDTH <= m; i += 2 * MK_WIDTH) {
      vf u = vf_load(p + i) - mean, v = vf_load(p + i + MK_WIDTH) - mean;
      s0 += u * u;
      s1 += v * v;
    }
    for (; i + MK_WIDTH <= m; i += MK_WIDTH) {
      vf u = vf_load(p + i) - mean;
      s0 += u * u;
    }
    squares += (double)vf_sum(s0 + s1);
    for (; i < m; i++) {
      float u = mk_load1(p + i) - mean;
      squares += (double)(u * u);
    }
  }
  float scale = (float)(1.0 / __builtin_sqrt(squares / (double)n + (double)eps));
  mk_int i = 0;
  for (; i + MK_WIDTH <= n; i += MK_WIDTH) {
    vf v = (vf_load(x + i) - mean) * scale;
    if (gamma) v *= vf_load(gamma + i);
    if (beta) v += vf_load(beta + i);
    vf_store(y + i, v);
  }
  if (i < n) {
    vf v = (vf_load_part(x + i, n - i) - mean) * scale;
    if (gamma) v *= vf_load_part(gamma + i, n - i);
    if (beta) v += vf_load_part(beta + i, n - i);
    vf_store_part(y + i, n - i, v);
  }
}

static void mk_rms_norm_row(
  mk_int n, const float *x, const float *residual, const float *gamma, float eps, float *sum, float *y) {
  if (residual) {
    mk_add_residual(n, x, residual, sum, y);
    x = y;
  } else if (sum && sum != x) {
    __builtin_memmove(sum, x, (size_t)n * sizeof(float));
  }
  float scale = (float)(1.0 / __builtin_sqrt(mk_sum_row(n, x, 1) / (double)n + (double)eps));
  mk_int i = 0;
  for (; i + MK_WIDTH <= n; i += MK_WIDTH) {
    vf v = vf_load(x + i) * scale;
    if (gamma) v *= vf_load(gamma + i);
    vf_store(y + i, v);
  }
  if (i < n) {
    vf v = vf_load_part(x + i, n - i) * scale;
    if (gamma) v *= vf_load_part(gamma + i, n - i);
    vf_store_part(y + i, n - i, v);
  }
}

// y = exp(x - top), returning the sum.
MK_INLINE double mk_exp_row(mk_int n, const float *x, float top, float *y) {
  double total = 0;
  for (mk_int start = 0; start < n; start += MK_SUM_BLOCK) {
    mk_int m = mk_min(n - start, MK_SUM_BLOCK), i = 0;
    vf s = 0;
    for (; i + MK_WIDTH <= m; i += MK_WIDTH) {
      vf e = vf_exp_negative(vf_load(x + start + i) - top);
      if (y) vf_store(y + start + i, e);
      s += e;
    }
    if (i < m) {
      vf e = vf_exp_negative(vf_load_part(x + start + i, m - i) - top);
      if (y) vf_store_part(y + start + i, m - i, e);
      for (mk_int j = 0; j < m - i; j++) total += (double)e[j];
    }
    total += (double)vf_sum(s);
  }
  return total;
}

static void mk_scale_row(mk_int n, float *x, float scale) {
  for (mk_int i = 0; i < n; i++) x[i] *= scale;
}

static float mk_logsumexp_row(mk_int n, const float *x) {
  float top = mk_maximum_row(n, x);
  if (top == -__builtin_inff() || top == __builtin_inff()) {
    double sum = mk_sum_row(n, x, 0);
    return sum == sum || top > 0 ? top : (float)sum;
  }
  return (float)((double)top + __builtin_log(mk_exp_row(n, x, top, NULL)));
}

static void mk_softmax_row(mk_int n, const float *x, int32_t log, float *y) {
  if (log) {
    float all = mk_logsumexp_row(n, x);
    if (all == -__builtin_inff()) all = 0; // nothing but -inf: that is what stays
    mk_affine_rows(n, x, 1, -all, y);
    return;
  }
  float top = mk_maximum_row(n, x);
  if (top == -__builtin_inff()) {
    double sum = mk_sum_row(n, x, 0);
    float value = sum == sum ? 0 : (float)sum;
    for (mk_int i = 0; i < n; i++) y[i] = value;
    return;
  }
  mk_scale_row(n, y, (float)(1.0 / mk_exp_row(n, x, top, y)));
}
