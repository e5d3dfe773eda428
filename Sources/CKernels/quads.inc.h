// Sums of four products of bytes, u unsigned and s signed: MK_ADD_QUADS(sum, u, s). Before each inclusion: MK_VNNI, 1 where
// one instruction does it. Otherwise two do: sums of two products in 16 bits, in which they must fit, and of two of these in
// 32.

#undef MK_ADD_QUADS
#if MK_VNNI && MK_ISA == 2
#define MK_ADD_QUADS(sum, u, s) (vf)_mm512_dpbusd_epi32((__m512i)(sum), (__m512i)(u), (__m512i)(s))
#elif MK_VNNI
#define MK_ADD_QUADS(sum, u, s) (vf)_mm256_dpbusd_avx_epi32((__m256i)(sum), (__m256i)(u), (__m256i)(s))
#elif MK_ISA == 2
#define MK_ADD_QUADS(sum, u, s) (vf)((vu)(sum) + mk_add_halves(_mm512_maddubs_epi16((__m512i)(u), (__m512i)(s))))
#else
#define MK_ADD_QUADS(sum, u, s) (vf)((vu)(sum) + mk_add_halves(_mm256_maddubs_epi16((__m256i)(u), (__m256i)(s))))
#endif
