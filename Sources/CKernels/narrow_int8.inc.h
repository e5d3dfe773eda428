// Tiles of few rows, rounded to pairs of int16, with weights in int8. The sums are integers: linear.c sees to it that they
// fit. Before each inclusion: MK_VNNI, 1 where one instruction multiplies pairs and adds them; names then end in _vnni.

#if MK_VNNI
#define MK_NAMED(name) name##_vnni
#else
#define MK_NAMED(name) name
#endif
// Written out: left to itself the compiler makes two instructions of it.
#if MK_VNNI && !defined(MK_ADD_PAIRS_VNNI)
#define MK_ADD_PAIRS_VNNI(sum, a, b) __asm__("%{vex%} vpdpwssd %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b))
#endif
#if MK_VNNI
MK_INLINE vf mk_add_int16_pairs_vnni(vf sum, vf a, vf b) {
  MK_ADD_PAIRS_VNNI(sum, a, b);
  return sum;
}
#endif

MK_INLINE void MK_NAMED(mk_finish_int8)(
  const int rows, const int panels, const mk_tile *t, vf acc[MK_BLOCK_ROWS][MK_TILE_VECTORS]) {
#pragma clang loop unroll(full)
  for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
    for (int v = 0; v < panels * MK_VECTORS; v++) {
      vf sum = __builtin_convertvector((vi)acc[r][v], vf);
      vf scaled = sum * vf_load(t->column_scales + mk_vector_column(t, v));
      acc[r][v] = scaled * t->row_scales[r];
    }
  mk_tile_finish(rows, panels, t, acc);
}

// The first and third depth of a quad, then the second and fourth, as mk_widen_int16 has them.
#define MK_NARROW MK_NAMED(mk_narrow_int8)
#define MK_WIDENED(unit, i) ((vf)((i) == 0 ? (v16)(unit) << 8 >> 8 : (v16)(unit) >> 8))
#define MK_DOT(sum, x, w) MK_NAMED(mk_add_int16_pairs)(sum, x, w)
#define MK_SUM(a, b) (vf)((vu)(a) + (vu)(b))
#define MK_NARROW_FINISH MK_NAMED(mk_finish_int8)
#include "narrow.inc.h"

#undef MK_NAMED
#undef MK_VNNI
