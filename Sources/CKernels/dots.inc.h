// Register tiles of products with units of several depths. Before each inclusion: MK_DOTS, the name of the tiles;
// MK_INTEGERS, 1 when sums are integers; MK_UNSIGNED, 1 when x has its zero added; MK_DOTS_LAYOUT, the layout of the
// operands, packed unless given; MK_DOTS_ROW, defined where a single row meets four panels too; MK_DOT and MK_SUM as in
// tile_multiply.inc.h.

#ifndef MK_DOTS_LAYOUT
#define MK_DOTS_LAYOUT MK_PACKED
#endif
#define MK_JOIN_2(a, b) a##_##b
#define MK_JOIN(a, b) MK_JOIN_2(a, b)

#define MK_MULTIPLY MK_JOIN(MK_DOTS, multiply)
#define MK_FACTOR vf
#define MK_FACTOR_LOAD (vf)mk_load1
#define MK_ROW_FETCHES mk_row_fetches
#include "tile_multiply.inc.h"

#if MK_INTEGERS
MK_INLINE void MK_JOIN(MK_DOTS, finish)(
  const int rows, const int panels, const mk_tile *t, vf acc[MK_BLOCK_ROWS][MK_TILE_VECTORS]) {
#define MK_EACH(statement)                                         \
  _Pragma("clang loop unroll(full)") for (int r = 0; r < rows; r++) \
    _Pragma("clang loop unroll(full)") for (int v = 0; v < panels * MK_VECTORS; v++) { statement; }
#define MK_PARTIAL (t->partials + v / MK_VECTORS * t->partials_panel + r * MK_PANEL + v % MK_VECTORS * MK_WIDTH)
  if (t->add_partials) MK_EACH(acc[r][v] = (vf)((vu)acc[r][v] + vu_load(MK_PARTIAL)))
  if (!t->last) {
    MK_EACH(vu_store(MK_PARTIAL, (vu)acc[r][v]))
    return;
  }
  const int32_t *row_zeros = t->row_zeros, *column_sums = t->column_sums;
  const float *row_scales = t->row_scales, *column_scales = t->column_scales;
  MK_EACH(
    vu exact = (vu)acc[r][v];
    if (MK_UNSIGNED) exact -= (vu)(uint32_t)row_zeros[r] * vu_load(column_sums + v * MK_WIDTH);
    vf sum = __builtin_convertvector((vi)exact, vf);
    vf scaled = sum * vf_load(column_scales + v * MK_WIDTH);
    acc[r][v] = scaled * row_scales[r])
  mk_tile_finish(rows, panels, t, acc);
#undef MK_PARTIAL
#undef MK_EACH
}
#endif

#define MK_DOTS_NAME(rows, panels) MK_JOIN(MK_JOIN(MK_DOTS, rows), panels)
#if MK_INTEGERS
#define MK_DOTS_FUNCTION(rows, panels, ignored)                 \
  static void MK_DOTS_NAME(rows, panels)(const mk_tile *t) {    \
    vf acc[MK_BLOCK_ROWS][MK_TILE_VECTORS];                     \
    MK_JOIN(MK_DOTS, multiply)(rows, panels, MK_DOTS_LAYOUT, t, acc); \
    MK_JOIN(MK_DOTS, finish)(rows, panels, t, acc);             \
  }
#else
#define MK_DOTS_FUNCTION(rows, panels, ignored)                 \
  static void MK_DOTS_NAME(rows, panels)(const mk_tile *t) {    \
    vf acc[MK_BLOCK_ROWS][MK_TILE_VECTORS];                     \
    MK_JOIN(MK_DOTS, multiply)(rows, panels, MK_DOTS_LAYOUT, t, acc); \
    mk_tile_finish(rows, panels, t, acc);                       \
  }
#endif
#define MK_DOTS_ENTRY(rows, panels, ignored) MK_DOTS_NAME(rows, panels),

MK_TILES(MK_DOTS_FUNCTION, 0)
#ifdef MK_DOTS_ROW
MK_DOTS_FUNCTION(1, 4, 0)
#endif
static const mk_tile_fn MK_JOIN(MK_DOTS, tiles)[2][MK_BLOCK_ROWS] = MK_TILE_ENTRIES(MK_DOTS_ENTRY, 0);

#undef MK_DOTS_ENTRY
#undef MK_DOTS_FUNCTION
#undef MK_DOTS_NAME
#undef MK_JOIN
#undef MK_JOIN_2
#undef MK_DOTS
#undef MK_DOTS_LAYOUT
#undef MK_DOTS_ROW
#undef MK_INTEGERS
#undef MK_UNSIGNED
