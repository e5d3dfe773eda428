// Units of two int16: sums of two products, exact on every instruction set.

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

// The sum of both halves of each unit.
#if MK_ISA == 2
MK_INLINE vu mk_add_halves(__m512i units) { return (vu)_mm512_madd_epi16(units, (__m512i)(v16)1); }
#elif MK_ISA == 1
// The ones are read from memory each time: a tile's sums, operands and products take
// all registers, and the compiler would rather keep the ones in a register and a sum in memory.
static const int16_t mk_int16_ones[16] __attribute__((aligned(32))) = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

MK_INLINE vu mk_add_halves(__m256i units) {
  __asm__("vpmaddwd %1, %0, %0" : "+x"(units) : "m"(mk_int16_ones));
  return (vu)units;
}
#endif
