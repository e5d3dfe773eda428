// Tiles of pairs of int16: sums of two products in one instruction, exact on every instruction set.

MK_INLINE vf mk_add_int16_pairs(vf sum, vf a, vf b) {
#if MK_ISA == 2
  vu products = (vu)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif MK_ISA == 1
  vu products = (vu)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#elif defined(__SSE2__)
  vu products = (vu)_mm_madd_epi16((__m128i)a, (__m128i)b);
#elif MK_ISA == 3
  int16x8_t x = (int16x8_t)a, y = (int16x8_t)b;
  vu products = (vu)vpaddq_s32(vmull_s16(vget_low_s16(x), vget_low_s16(y)), vmull_high_s16(x, y));
#else
  vi x = (vi)a;
  vi y = (vi)b;
  vu products = (vu)((x << 16 >> 16) * (y << 16 >> 16)) + (vu)((x >> 16) * (y >> 16));
#endif
  return (vf)((vu)sum + products);
}

#define MK_DOTS mk_int16
#define MK_INTEGERS 1
#define MK_UNSIGNED 0
#define MK_DOT(sum, a, b) mk_add_int16_pairs(sum, a, b)
#define MK_SUM(a, b) (vf)((vu)(a) + (vu)(b))
#include "dots.inc.h"
