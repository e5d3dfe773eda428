// Included in front of every kernel source: the instructions beyond AVX2 in plain C on vectors that the compiler lowers,
// so that the sources which use them run on any processor with AVX2. Definitions follow the manufacturer's manual.
#pragma once
#include <immintrin.h>
#include <stdint.h>

#define __builtin_cpu_supports(feature) 1
#define MK_AVX2 "avx2,fma,f16c,bmi,bmi2"
#define MK_AVX2_VNNI MK_AVX2
#define MK_AVX512 MK_AVX2
#define MK_AVX512_VNNI MK_AVX2
#define MK_AVX512_BF16 MK_AVX2
#define MK_DONE(v)
#define MK_ADD_PAIRS_VNNI(sum, a, b) sum = mk_add_int16_pairs(sum, a, b)

#define EMULATED static inline __attribute__((always_inline, unused, target("avx2,fma,f16c,bmi,bmi2")))
typedef float emu_f16 __attribute__((ext_vector_type(16)));
typedef int32_t emu_i16 __attribute__((ext_vector_type(16)));
typedef int32_t emu_i8 __attribute__((ext_vector_type(8)));

EMULATED __m512 emulated_maskz_loadu(unsigned mask, const float *p) {
  emu_f16 v = 0;
  for (int i = 0; i < 16; i++) {
    if (mask >> i & 1) v[i] = ((const float *)p)[i];
  }
  return (__m512)v;
}
#define _mm512_maskz_loadu_ps(mask, p) emulated_maskz_loadu(mask, p)

EMULATED void emulated_mask_storeu(float *p, unsigned mask, __m512 v) {
  for (int i = 0; i < 16; i++) {
    if (mask >> i & 1) p[i] = ((emu_f16)v)[i];
  }
}
#define _mm512_mask_storeu_ps(p, mask, v) emulated_mask_storeu(p, mask, v)

typedef uint8_t emu_bytes __attribute__((ext_vector_type(64)));
EMULATED __m512i emulated_shuffle_bytes(emu_bytes table, emu_bytes index) {
  emu_bytes v;
  for (int i = 0; i < 64; i++) v[i] = index[i] & 0x80 ? 0 : table[i / 16 * 16 + (index[i] & 15)];
  return (__m512i)v;
}
#define _mm512_shuffle_epi8(table, index) emulated_shuffle_bytes((emu_bytes)(table), (emu_bytes)(index))

EMULATED unsigned emulated_test(__m512i a, __m512i b) {
  unsigned mask = 0;
  for (int i = 0; i < 16; i++) mask |= (unsigned)((((emu_i16)a)[i] & ((emu_i16)b)[i]) != 0) << i;
  return mask;
}
#define _mm512_test_epi32_mask(a, b) emulated_test(a, b)

EMULATED __m512 emulated_gather(__m512i index, const void *p, int scale) {
  emu_f16 v;
  for (int i = 0; i < 16; i++) v[i] = *(const float *)((const char *)p + (int64_t)((emu_i16)index)[i] * scale);
  return (__m512)v;
}
#undef _mm512_i32gather_ps
#define _mm512_i32gather_ps(index, p, scale) emulated_gather(index, p, scale)

EMULATED __m512i emulated_madd(__m512i a, __m512i b) {
  emu_i16 x = (emu_i16)a, y = (emu_i16)b;
  return (__m512i)((x << 16 >> 16) * (y << 16 >> 16) + (x >> 16) * (y >> 16));
}
#define _mm512_madd_epi16(a, b) emulated_madd(a, b)

// Unsigned bytes of a times signed ones of b, two products to 16 bits: sums that do not fit become the nearest that does.
EMULATED __m512i emulated_maddubs(__m512i a, __m512i b) {
  emu_i16 x = (emu_i16)a, y = (emu_i16)b;
  emu_i16 low = (x & 255) * (y << 24 >> 24) + (x >> 8 & 255) * (y << 16 >> 24);
  emu_i16 high = (x >> 16 & 255) * (y << 8 >> 24) + (x >> 24 & 255) * (y >> 24);
  emu_i16 most = 32767, least = -32768;
  low = __builtin_elementwise_max(__builtin_elementwise_min(low, most), least);
  high = __builtin_elementwise_max(__builtin_elementwise_min(high, most), least);
  return (__m512i)((low & 0xffff) | high << 16);
}
#define _mm512_maddubs_epi16(a, b) emulated_maddubs(a, b)

// Unsigned bytes of a times signed ones of b, four products to a sum, no saturation.
#define EMULATED_DPBUSD(name, vector, register)                          \
  EMULATED register name(register sum, register a, register b) {         \
    vector s = (vector)sum, x = (vector)a, y = (vector)b;                \
    s += (x & 255) * (y << 24 >> 24) + (x >> 8 & 255) * (y << 16 >> 24); \
    s += (x >> 16 & 255) * (y << 8 >> 24) + (x >> 24 & 255) * (y >> 24); \
    return (register)s;                                                  \
  }
EMULATED_DPBUSD(emulated_dpbusd_512, emu_i16, __m512i)
EMULATED_DPBUSD(emulated_dpbusd_256, emu_i8, __m256i)
#define _mm512_dpbusd_epi32(sum, a, b) emulated_dpbusd_512(sum, a, b)
#define _mm256_dpbusd_avx_epi32(sum, a, b) emulated_dpbusd_256(sum, a, b)

// The odd elements first, each step rounded to nearest even; subnormals count as zero.
typedef uint32_t emu_u16 __attribute__((ext_vector_type(16)));
EMULATED emu_f16 emulated_flush(emu_f16 v) {
  emu_u16 bits = (emu_u16)v, zero = (emu_u16)((bits & 0x7f800000) == 0);
  return (emu_f16)(bits & (~zero | 0x80000000));
}
EMULATED emu_f16 emulated_dpbf16(emu_f16 sum, emu_u16 a, emu_u16 b) {
  emu_f16 a1 = emulated_flush((emu_f16)(a & 0xffff0000)), b1 = emulated_flush((emu_f16)(b & 0xffff0000));
  emu_f16 a0 = emulated_flush((emu_f16)(a << 16)), b0 = emulated_flush((emu_f16)(b << 16));
  emu_f16 odd = emulated_flush(__builtin_elementwise_fma(a1, b1, sum));
  return emulated_flush(__builtin_elementwise_fma(a0, b0, odd));
}
#define _mm512_dpbf16_ps(sum, a, b) (__m512) emulated_dpbf16((emu_f16)(sum), (emu_u16)(a), (emu_u16)(b))
#define __m512bh emu_u16

EMULATED __m512 emulated_mask_loadu(__m512 old, unsigned mask, const float *p) {
  emu_f16 v = (emu_f16)old;
  for (int i = 0; i < 16; i++) {
    if (mask >> i & 1) v[i] = p[i];
  }
  return (__m512)v;
}
#define _mm512_mask_loadu_ps(old, mask, p) emulated_mask_loadu(old, mask, p)

// The second operand in the lower half. Rounded to nearest even; subnormals become zero, a NaN stays one.
typedef uint16_t emu_h32 __attribute__((ext_vector_type(32)));
EMULATED uint16_t emulated_bf16(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  if (value != value) return (uint16_t)(bits >> 16 | 0x40);
  if ((bits & 0x7f800000) == 0) return (uint16_t)(bits >> 16 & 0x8000);
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
EMULATED emu_h32 emulated_cvtne2ps(emu_f16 high, emu_f16 low) {
  emu_h32 halves = 0;
  for (int i = 0; i < 16; i++) halves[i] = emulated_bf16(low[i]), halves[16 + i] = emulated_bf16(high[i]);
  return halves;
}
#define _mm512_cvtne2ps_pbh(high, low) emulated_cvtne2ps((emu_f16)(high), (emu_f16)(low))

// x - floor(x), and p 2^floor(x).
EMULATED __m512 emulated_fraction(emu_f16 x) {
  emu_f16 f = x - __builtin_elementwise_floor(x);
  for (int i = 0; i < 16; i++) f[i] = __builtin_isinf(x[i]) ? 0 : f[i];
  return (__m512)f;
}
#undef _mm512_reduce_ps
#define _mm512_reduce_ps(x, immediate) emulated_fraction((emu_f16)(x))
EMULATED __m512 emulated_scalef(emu_f16 p, emu_f16 x) {
  for (int i = 0; i < 16; i++) {
    float n = __builtin_floorf(x[i]);
    p[i] = x[i] != x[i] ? x[i] : n < -300 ? p[i] * 0 : __builtin_ldexpf(p[i], n > 300 ? 300 : (int)n);
  }
  return (__m512)p;
}
#define _mm512_scalef_ps(p, x) emulated_scalef((emu_f16)(p), (emu_f16)(x))
