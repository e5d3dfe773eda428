// Rounding to pairs of bf16 by the instruction, which takes subnormal numbers for zero as products of pairs do.

// Pairs of bf16: 16 units of a row of x.
MK_INLINE void mk_bf16_units(const float *x, float inverse, int32_t zero, void *out) {
  (void)inverse, (void)zero;
  vu16 units = (vu16)_mm512_cvtne2ps_pbh((__m512)vf_load(x + MK_WIDTH), (__m512)vf_load(x));
  __builtin_memcpy(out, &units, sizeof units);
}

MK_PACK_ROW(mk_pack_bf16_row, 2, mk_bf16_units)
