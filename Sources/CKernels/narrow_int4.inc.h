// Tiles of few rows, rounded to bytes, with weights in int4: a panel's depths are in groups, each of which begins with the
// scales of its columns. Where no instruction multiplies bytes, bytes of x lie in pairs of int16. Before each inclusion: MK_VNNI,
// 1 where one instruction adds four products; names then end in _vnni.

#if MK_VNNI
#define MK_NARROW mk_narrow_int4_vnni
#define MK_MULTIPLY_GROUP mk_narrow_int4_vnni_multiply // as narrow.inc.h names it
#define MK_ADD_GROUPS mk_add_groups_vnni
#else
#define MK_NARROW mk_narrow_int4
#define MK_MULTIPLY_GROUP mk_narrow_int4_multiply
#define MK_ADD_GROUPS mk_add_groups
#endif

// Depths 0 to 3 of a unit are the lower halves of its bytes, 4 to 7 the upper ones.
#if MK_ISA == 1 || MK_ISA == 2
#include "quads.inc.h"
#define MK_MEETS 2
#define MK_WIDENED(unit, i) ((vf)((i) == 0 ? (unit) & 0x0f0f0f0f : (unit) >> 4 & 0x0f0f0f0f))
#define MK_DOT(sum, x, w) MK_ADD_QUADS(sum, w, x)
#else
// Depths 0 and 2, then 1 and 3, and so on, as mk_pair_units has them.
#define MK_MEETS 4
#define MK_WIDENED(unit, i) ((vf)((unit) >> ((i) % 2 * 8 + (i) / 2 * 4) & 0x000f000f))
#define MK_DOT(sum, x, w) mk_add_int16_pairs(sum, x, w)
#endif
#define MK_SUM(a, b) (vf)((vu)(a) + (vu)(b))

MK_INLINE void MK_MULTIPLY_GROUP(
  const int rows, const int panels, const mk_tile *t, mk_fetched *fetched, vf acc[MK_BLOCK_ROWS][MK_TILE_VECTORS]);

// Sums of a group are integers; its scales make floats of them.
MK_INLINE void MK_ADD_GROUPS(
  const int rows, const int panels, const mk_tile *t, vf acc[MK_BLOCK_ROWS][MK_TILE_VECTORS]) {
#define MK_EACH(statement)                                         \
  _Pragma("clang loop unroll(full)") for (int r = 0; r < rows; r++) \
    _Pragma("clang loop unroll(full)") for (int v = 0; v < panels * MK_VECTORS; v++) { statement; }
  mk_fetched fetched = mk_ahead(rows, panels, t);
  mk_tile group = *t;
  const int32_t *zeros = t->row_zeros;
  MK_EACH(acc[r][v] = 0)
  for (mk_int left = t->k; left > 0; left -= MK_INT4_UNITS) {
    const float *scales = group.b;
    for (int v = 0; v < panels; v++) __builtin_prefetch(fetched.first + v * fetched.panel, 0, MK_AHEAD_CACHE);
    fetched.first += fetched.line;
    group.b += MK_PANEL;
    group.k = left < MK_INT4_UNITS ? left : MK_INT4_UNITS;
    vf sums[MK_BLOCK_ROWS][MK_TILE_VECTORS];
    MK_MULTIPLY_GROUP(rows, panels, &group, &fetched, sums);
    MK_EACH(
      vf sum = __builtin_convertvector((vi)((vu)sums[r][v] - (vu)(uint32_t)zeros[r]), vf);
      acc[r][v] += sum * vf_load(scales + v / MK_VECTORS * t->b_panel + v % MK_VECTORS * MK_WIDTH))
    group.a += group.k * MK_MEETS * rows;
    group.b += group.k * MK_PANEL;
    zeros += t->zeros_group;
  }
  MK_EACH(acc[r][v] *= t->row_scales[r])
#undef MK_EACH
}

#define MK_NARROW_PRODUCT(rows, panels, t, acc) MK_ADD_GROUPS(rows, panels, t, acc)
#define MK_NARROW_FINISH mk_tile_finish
#include "narrow.inc.h"

#undef MK_MULTIPLY_GROUP
#undef MK_ADD_GROUPS
#undef MK_VNNI
