// Tiles of few rows, rounded to pairs of int16, with weights in int8. The sums are integers: linear.c sees to it that they
// fit.

MK_INLINE void mk_narrow_int8_finish(
  const int rows, const int panels, const mk_tile *t, vf acc[MK_BLOCK_ROWS][MK_TILE_VECTORS]) {
#pragma clang loop unroll(full)
  for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
    for (int v = 0; v < panels * MK_VECTORS; v++) {
      vf sum = __builtin_convertvector((vi)acc[r][v], vf);
      vf scaled = sum * vf_load(t->column_scales + v * MK_WIDTH);
      acc[r][v] = scaled * t->row_scales[r];
    }
  mk_tile_finish(rows, panels, t, acc);
}

// The first and third depth of a quad, then the second and fourth, as mk_widen_int16 has them.
#define MK_NARROW mk_narrow_int8
#define MK_NARROW_DEPTHS 4
#define MK_WIDENED(unit, i) ((vf)((i) == 0 ? (v16)(unit) << 8 >> 8 : (v16)(unit) >> 8))
#define MK_DOT(sum, x, w) mk_add_int16_pairs(sum, x, w)
#define MK_SUM(a, b) (vf)((vu)(a) + (vu)(b))
#define MK_NARROW_FINISH mk_narrow_int8_finish
#include "narrow.inc.h"
