// Tiles of quads of unsigned bytes and signed ones, integer sums of four products: mk_quads, whose left operand is the
// unsigned one (rows of a product), and mk_pixels, whose right one is (pixels of a convolution). Before each inclusion:
// MK_VNNI, 1 where one instruction does it; their names then end in _vnni. Otherwise two do: sums of two products in 16
// bits, in which they fit (MK_PAIR_LEVELS), and of two of these in 32.

#if MK_VNNI
#define MK_NAMED(tiles) tiles##_vnni
#else
#define MK_NAMED(tiles) tiles
#endif
#if MK_VNNI && MK_ISA == 2
#define MK_ADD_QUADS(sum, u, s) (vf)_mm512_dpbusd_epi32((__m512i)(sum), (__m512i)(u), (__m512i)(s))
#elif MK_VNNI
#define MK_ADD_QUADS(sum, u, s) (vf)_mm256_dpbusd_avx_epi32((__m256i)(sum), (__m256i)(u), (__m256i)(s))
#elif MK_ISA == 2
#define MK_ADD_QUADS(sum, u, s) (vf)((vu)(sum) + mk_add_halves(_mm512_maddubs_epi16((__m512i)(u), (__m512i)(s))))
#else
#define MK_ADD_QUADS(sum, u, s) (vf)((vu)(sum) + mk_add_halves(_mm256_maddubs_epi16((__m256i)(u), (__m256i)(s))))
#endif

#define MK_DOTS MK_NAMED(mk_quads)
#define MK_INTEGERS 1
#define MK_UNSIGNED 1
#define MK_DOT(sum, a, b) MK_ADD_QUADS(sum, a, b)
#define MK_SUM(a, b) (vf)((vu)(a) + (vu)(b))
#include "dots.inc.h"

#define MK_DOTS MK_NAMED(mk_pixels)
#define MK_INTEGERS 1
#define MK_UNSIGNED 1
#define MK_DOT(sum, a, b) MK_ADD_QUADS(sum, b, a)
#define MK_SUM(a, b) (vf)((vu)(a) + (vu)(b))
#include "dots.inc.h"

#undef MK_ADD_QUADS
#undef MK_NAMED
#undef MK_VNNI
