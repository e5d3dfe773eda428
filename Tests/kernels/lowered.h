// What the AVX-512 and VNNI kernels use beyond vectors that clang lowers by itself, in plain C: one lane after the other,
// so that a lane outside a mask is neither read nor written. An intrinsic that is missing here is a compile error.
#pragma once
#if defined(__x86_64__)
#define _GNU_SOURCE
#include <immintrin.h>
#include <string.h>

// The processor is said to have everything: the lowered kernels need AVX2 only.
#define __builtin_cpu_supports(name) 1

// So their targets are AVX2's, and the empty statement that needs a 64-byte register is gone.
#define MK_AVX2 "avx2,fma,f16c,bmi,bmi2"
#define MK_AVX2_VNNI MK_AVX2
#define MK_AVX512 MK_AVX2
#define MK_AVX512_VNNI MK_AVX2
#define MK_AVX512_BF16 MK_AVX2
#define MK_DONE(v)

#define LOWERED static inline __attribute__((always_inline, unused))

LOWERED __m512 lowered_maskz_loadu_ps(__mmask16 mask, const void *from) {
  __m512 v = {0};
  for (int i = 0; i < 16; i++) {
    float lane = 0;
    if (mask >> i & 1) memcpy(&lane, (const char *)from + 4 * i, 4);
    v[i] = lane;
  }
  return v;
}
#define _mm512_maskz_loadu_ps lowered_maskz_loadu_ps

LOWERED void lowered_mask_storeu_ps(void *to, __mmask16 mask, __m512 v) {
  for (int i = 0; i < 16; i++) {
    float lane = v[i];
    if (mask >> i & 1) memcpy((char *)to + 4 * i, &lane, 4);
  }
}
#define _mm512_mask_storeu_ps lowered_mask_storeu_ps

// The products of two pairs of int16, added.
#define _mm512_madd_epi16(a, b) lowered_madd((__v16si)(a), (__v16si)(b))
LOWERED __m512i lowered_madd(__v16si a, __v16si b) {
  return (__m512i)((a << 16 >> 16) * (b << 16 >> 16) + (a >> 16) * (b >> 16));
}

// Four products of unsigned bytes of a and signed ones of b added to each sum, without saturation.
#define LOWERED_QUADS(name, vector, whole)                               \
  LOWERED whole name(whole sum, whole a, whole b) {                      \
    vector s = (vector)sum, x = (vector)a, y = (vector)b;                \
    s += (x & 255) * (y << 24 >> 24) + (x >> 8 & 255) * (y << 16 >> 24); \
    s += (x >> 16 & 255) * (y << 8 >> 24) + (x >> 24 & 255) * (y >> 24); \
    return (whole)s;                                                     \
  }
LOWERED_QUADS(lowered_dpbusd_512, __v16si, __m512i)
LOWERED_QUADS(lowered_dpbusd_256, __v8si, __m256i)
#define _mm512_dpbusd_epi32(sum, a, b) lowered_dpbusd_512(sum, a, b)
#define _mm256_dpbusd_avx_epi32(sum, a, b) lowered_dpbusd_256(sum, a, b)

// Two products of bf16, the upper first, each step rounded to nearest even; subnormal numbers count as zero.
LOWERED __v16sf lowered_flush(__v16sf v) {
  __v16su bits = (__v16su)v, zero = (__v16su)((bits & 0x7f800000) == 0);
  return (__v16sf)(bits & (~zero | 0x80000000));
}
LOWERED __m512 lowered_dpbf16(__v16sf sum, __v16su a, __v16su b) {
  __v16sf upper = lowered_flush((__v16sf)(a & 0xffff0000)) * lowered_flush((__v16sf)(b & 0xffff0000));
  __v16sf lower = lowered_flush((__v16sf)(a << 16)) * lowered_flush((__v16sf)(b << 16));
  return (__m512)lowered_flush(lowered_flush(sum + upper) + lower);
}
#define __m512bh __v16su
#define _mm512_dpbf16_ps(sum, a, b) lowered_dpbf16((__v16sf)(sum), a, b)
#endif
