// Tiles of quads of unsigned bytes of x and signed ones of weights, four products in one instruction (VNNI).

#if MK_ISA == 2
#define MK_ADD_QUADS(sum, a, b) (vf)_mm512_dpbusd_epi32((__m512i)(sum), (__m512i)(a), (__m512i)(b))
#else
#define MK_ADD_QUADS(sum, a, b) (vf)_mm256_dpbusd_avx_epi32((__m256i)(sum), (__m256i)(a), (__m256i)(b))
#endif

#define MK_DOTS mk_uint8
#define MK_INTEGERS 1
#define MK_UNSIGNED 1
#define MK_DOT(sum, a, b) MK_ADD_QUADS(sum, a, b)
#define MK_SUM(a, b) (vf)((vu)(a) + (vu)(b))
#include "dots.inc.h"

#undef MK_ADD_QUADS
