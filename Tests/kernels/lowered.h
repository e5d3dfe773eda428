// What the AVX-512 kernels use beyond vectors that clang lowers by itself, in plain C: one lane after the other, so that
// a lane outside a mask is neither read nor written. An intrinsic that is missing here is a compile error.
#pragma once
#if defined(__x86_64__)
#define _GNU_SOURCE
#include <immintrin.h>
#include <string.h>

// The processor is said to have everything: the lowered kernels need AVX2 only.
#define __builtin_cpu_supports(name) 1

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
#endif
