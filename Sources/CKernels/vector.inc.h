// Vectors of MK_WIDTH floats and their elementary functions. Included once per instruction set, between the pragmas
// that set the target; everything is static.

typedef float vf __attribute__((ext_vector_type(MK_WIDTH)));
typedef int32_t vi __attribute__((ext_vector_type(MK_WIDTH)));

#define MK_INLINE static inline __attribute__((always_inline))

MK_INLINE vf vf_load(const float *p) {
  vf v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

MK_INLINE void vf_store(float *p, vf v) { __builtin_memcpy(p, &v, sizeof v); }

// The first n < MK_WIDTH elements, zeros behind them; nothing behind them is touched.
MK_INLINE vf vf_load_part(const float *p, mk_int n) {
#if MK_ISA == 2
  return (vf)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
#elif MK_ISA == 1
  vi lane = {0, 1, 2, 3, 4, 5, 6, 7};
  return (vf)_mm256_maskload_ps(p, (__m256i)(lane < (vi)(int32_t)n));
#else
  vf v = 0;
  for (mk_int i = 0; i < n; i++) v[i] = mk_load1(p + i);
  return v;
#endif
}

MK_INLINE void vf_store_part(float *p, mk_int n, vf v) {
#if MK_ISA == 2
  _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
#elif MK_ISA == 1
  vi lane = {0, 1, 2, 3, 4, 5, 6, 7};
  _mm256_maskstore_ps(p, (__m256i)(lane < (vi)(int32_t)n), (__m256)v);
#else
  for (mk_int i = 0; i < n; i++) __builtin_memcpy(p + i, (const char *)&v + 4 * i, 4);
#endif
}

// One factor for all lanes, and sum + x * factor.
#if MK_ISA == 3
// The multiplication takes a lane by itself. The empty statement keeps the compiler from spreading it first, which costs
// as much as a multiplication.
typedef vf vf_factor;
MK_INLINE vf_factor vf_factor_load(const float *p) {
  vf factor = {mk_load1(p)};
  __asm__("" : "+w"(factor));
  return factor;
}
MK_INLINE vf vf_add_scaled(vf sum, vf x, vf_factor factor) { return vfmaq_laneq_f32(sum, x, factor, 0); }
#else
typedef vf vf_factor;
MK_INLINE vf_factor vf_factor_load(const float *p) { return mk_load1(p); }
MK_INLINE vf vf_add_scaled(vf sum, vf x, vf_factor factor) { return sum + factor * x; }
#endif

MK_INLINE vf vf_select(vi mask, vf yes, vf no) { return (vf)((mask & (vi)yes) | (~mask & (vi)no)); }
// a where a > b, else b: takes b when either is NaN, which is what the x86 instruction does.
MK_INLINE vf vf_max(vf a, vf b) { return vf_select(a > b, a, b); }
MK_INLINE vf vf_min(vf a, vf b) { return vf_select(a < b, a, b); }
MK_INLINE vf vf_abs(vf a) { return (vf)((vi)a & 0x7fffffff); }
MK_INLINE vf vf_copysign(vf magnitude, vf sign) {
  return (vf)(((vi)magnitude & 0x7fffffff) | ((vi)sign & (int32_t)0x80000000));
}

typedef float vf_2 __attribute__((ext_vector_type(2)));
typedef mk_four vf_4;
typedef float vf_8 __attribute__((ext_vector_type(8)));

// Adds the upper to the lower half until four lanes are left.
MK_INLINE vf_4 vf_fold(vf v) {
#if MK_WIDTH == 16
  vf_8 h = v.lo + v.hi;
  return h.lo + h.hi;
#elif MK_WIDTH == 8
  return v.lo + v.hi;
#else
  return v;
#endif
}

MK_INLINE float vf_sum(vf v) {
  vf_4 q = vf_fold(v);
  vf_2 d = q.lo + q.hi;
  return d.x + d.y;
}

MK_INLINE double vf_sum_double(vf v) {
  double sum = 0;
  for (int i = 0; i < MK_WIDTH; i++) sum += (double)v[i];
  return sum;
}

// exp(x), below 1.5 ulp over all floats, subnormal results included; NaN stays.
MK_INLINE vf vf_exp(vf x) {
  x = vf_select(x > 89.0f, (vf)89.0f, x);
  x = vf_select(x < -104.0f, (vf)-104.0f, x);
  const vf magic = 0x1.8p23f;
  vf shifted = x * 0x1.715476p+0f + magic; // the integer nearest x / ln 2, in the low bits
  vi n = (vi)shifted - (vi)magic;
  vf f = shifted - magic;
  vf r = x - f * 0.693359375f; // exact
  r = r - f * -2.12194440e-4f;
  vf p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r;
  p = p + 1.0f;
  // 2^n in two factors, so that neither leaves the range of normal numbers.
  vi half = n >> 1;
  vf s0 = (vf)((half + 127) << 23), s1 = (vf)((n - half + 127) << 23);
  return p * s0 * s1;
}

// exp(x) for x <= 0 (or NaN); results below 2^-125 are zero.
MK_INLINE vf vf_exp_negative(vf x) {
  vf c = vf_select(x < -87.0f, (vf)-87.0f, x);
  const vf magic = 0x1.8p23f;
  vf shifted = c * 0x1.715476p+0f + magic;
  vi n = (vi)shifted << 23; // the bits of `magic` are shifted out
  vf f = shifted - magic;
  vf r = c - f * 0.693359375f;
  r = r - f * -2.12194440e-4f;
  vf p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r;
  p = p + 1.0f;
  vf y = (vf)((vi)p + n);
  y = vf_select(x != x, x, y); // integer addition may turn a NaN into a number
  return (vf)((vi)y & ~(x < -87.0f));
}

MK_INLINE vf vf_sigmoid(vf x) {
  // exp of a negative number cannot overflow.
  vf e = vf_exp(-vf_abs(x));
  vf s = 1.0f / (1.0f + e);
  return vf_select(x < 0.0f, e * s, s);
}

// tanh(x): below 0.625 a polynomial in x^2 (Cephes), above 1 - 2 / (exp(2|x|) + 1).
MK_INLINE vf vf_tanh(vf x) {
  vf t = vf_abs(x), s = x * x;
  vf p = -5.70498872745e-3f;
  p = p * s + 2.06390887954e-2f;
  p = p * s + -5.37397155531e-2f;
  p = p * s + 1.33314422036e-1f;
  p = p * s + -3.33332819422e-1f;
  p = p * (s * x) + x;
  vf e = vf_exp(t + t);
  vf q = vf_copysign(1.0f - 2.0f / (e + 1.0f), x);
  vf y = vf_select(t < 0.625f, p, q);
  return vf_select(x != x, x, y);
}

// log(erfc(t)) for t >= 0.9 (N. Juffa's minimax polynomial for erff).
MK_INLINE vf vf_log_erfc(vf t) {
  vf s = t * t;
  vf r = t * -1.72853470e-5f + 3.83197126e-4f;
  vf u = t * -3.88396438e-3f + 2.42546219e-2f;
  r = r * s + u;
  r = r * t + -1.06777877e-1f;
  r = r * t + -6.34846687e-1f;
  r = r * t + -1.28717512e-1f;
  return r * t - t;
}

// erf(x) / x - 1 below 0.93, times x (same source).
MK_INLINE vf vf_erf_small(vf x) {
  vf s = x * x;
  vf r = -5.96761703e-4f;
  r = r * s + 4.99119423e-3f;
  r = r * s + -2.67681349e-2f;
  r = r * s + 1.12819925e-1f;
  r = r * s + -3.76125336e-1f;
  r = r * s + 1.28379166e-1f;
  return r * x + x;
}

MK_INLINE vf vf_erf(vf x) {
  vf t = vf_abs(x);
  vf clamped = vf_select(t > 4.0f, (vf)4.0f, t); // erf(4) rounds to 1; the polynomial holds up to there
  vf large = vf_copysign(1.0f - vf_exp_negative(vf_log_erfc(clamped)), x);
  vf y = vf_select(t > 0.927734375f, large, vf_erf_small(x));
  return vf_select(x != x, x, y);
}

// x / 2 (1 + erf(x / sqrt 2)) = max(x, 0) - t h(t), t = |x|, h(t) = erfc(t / sqrt 2) / 2 = 2^q(t): one polynomial for all t.
// Terms are added in pairs, for the length of the chain is what a vector takes.
MK_INLINE vf vf_gelu_erf(vf x) {
  const vf magic = 0x1.8p23f + 127;
  const float end = 5.66f; // behind it t h(t) is less than 4.4e-8
  vf t = vf_min((vf)end, vf_abs(x)), t2 = t * t;
  // (q + 1) / t, minimax with the weight max(t, 0.15) h(t): what it adds to the result's error is 1e-8.
  vf low = (t * 0.00722791115f + -0.0526122563f) * t2 + (t * -0.459168941f + -1.15110993f);
  vf high = (t * -1.95346888e-06f + 2.87574112e-05f) * t2 + (t * -0.000135324939f + -0.00026106945f);
  vf q = (high * (t2 * t2) + low) * t - 1.0f;
  vf shifted = q + magic; // the nearest integer and 127 in the low bits
  vf f = q - (shifted - magic), f2 = f * f;
  // 2^f, relative error 9.2e-8 for |f| <= 1/2.
  vf p = ((f * 0x1.5bba14p-10f + 0x1.3cea88p-7f) * f2 + (f * 0x1.c6b752p-5f + 0x1.ebf9bcp-3f)) * f2 + (f * 0x1.62e42ap-1f + 1.0f);
  vf scaled = t * (vf)((vi)shifted << 23);
  return vf_select(x < 0.0f, (vf)0.0f, x) - p * (vf)((vi)scaled & ~(x < -end));
}

MK_INLINE vf vf_gelu_tanh(vf x) {
  // 1 + tanh(z) = 2 sigmoid(2 z)
  vf z = 1.5957691216057308f * (x + 0.044715f * (x * x * x));
  vf y = x * vf_sigmoid(z);
  return vf_select(x == (vf)-__builtin_inff(), (vf)-0.0f, y);
}

MK_INLINE vf vf_silu(vf x) {
  vf y = x * vf_sigmoid(x);
  return vf_select(x == (vf)-__builtin_inff(), (vf)-0.0f, y);
}

MK_INLINE vf vf_relu(vf x) { return vf_select(x < 0.0f, (vf)0.0f, x); }
