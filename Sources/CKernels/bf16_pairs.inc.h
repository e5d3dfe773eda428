// Rounding to units of two bf16 by the instruction: to nearest, ties to even; subnormal numbers become zero, as vdpbf16ps
// takes them.

typedef uint16_t vu16 __attribute__((ext_vector_type(2 * MK_WIDTH)));

// Pairs of two vectors of floats, the first in the low halves.
MK_INLINE vu mk_pair_bf16(vf first, vf second) {
  vu16 both = (vu16)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first);
  return (vu)__builtin_shufflevector(
    both, both, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14,
    30, 15, 31);
}

// 16 pairs of neighbours in a row of x.
MK_INLINE vi mk_bf16_units(const float *x, float inverse, int32_t zero, void *out) {
  (void)inverse, (void)zero;
  vu16 units = (vu16)_mm512_cvtne2ps_pbh((__m512)vf_load(x + MK_WIDTH), (__m512)vf_load(x));
  __builtin_memcpy(out, &units, sizeof units);
  return 0;
}

MK_PACK_ROW(mk_pack_bf16_row, 2, mk_bf16_units)
