// Tiles of few rows of float32 with weights in bf16.

#define MK_NARROW mk_narrow_bf16
#define MK_WIDENED(unit, i) ((vf)((i) == 0 ? (unit) << 16 : (unit) & 0xffff0000))
#define MK_DOT(sum, x, w) ((sum) + (x) * (w))
#define MK_SUM(a, b) ((a) + (b))
#define MK_NARROW_FINISH mk_tile_finish
#include "narrow.inc.h"
