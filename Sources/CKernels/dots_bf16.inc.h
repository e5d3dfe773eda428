// Tiles of pairs of bf16, two products in one instruction. Before each inclusion: MK_DOTS and MK_DOTS_LAYOUT as in
// dots.inc.h.

#define MK_INTEGERS 0
#define MK_UNSIGNED 0
#define MK_DOT(sum, a, b) (vf)_mm512_dpbf16_ps((__m512)(sum), (__m512bh)(a), (__m512bh)(b))
#define MK_SUM(a, b) ((a) + (b))
#include "dots.inc.h"
