// Tiles of few rows with coded weights (coded.h), decoded on the way. Before each inclusion MK_CODED: MK_CODED_F32,
// MK_CODED_BF16, or MK_CODED_PAIRS where one instruction adds two products of bf16 and x is in pairs too.

#ifndef MK_CODED_F32
#define MK_CODED_F32 0
#define MK_CODED_BF16 1
#define MK_CODED_PAIRS 2
#endif

#if MK_CODED == MK_CODED_PAIRS
#define MK_NARROW mk_narrow_coded_pairs
#define MK_MULTIPLY_CODED mk_multiply_coded_pairs
#define MK_MEETS 1
#define MK_WIDENED(upper, lower, i) ((void)(lower), (vf)(upper))
#define MK_DOT(sum, x, w) (vf)_mm512_dpbf16_ps((__m512)(sum), (__m512bh)(x), (__m512bh)(w))
#elif MK_CODED == MK_CODED_BF16
#define MK_NARROW mk_narrow_coded_bf16
#define MK_MULTIPLY_CODED mk_multiply_coded_bf16
#define MK_MEETS 2
#define MK_WIDENED(upper, lower, i) ((void)(lower), (vf)((i) == 0 ? (upper) << 16 : (upper) & 0xffff0000))
#define MK_DOT(sum, x, w) ((sum) + (x) * (w))
#else
#define MK_NARROW mk_narrow_coded_f32
#define MK_MULTIPLY_CODED mk_multiply_coded_f32
#define MK_MEETS 2
#define MK_WIDENED(upper, lower, i) ((vf)mk_join_halves(upper, lower, i))
#define MK_DOT(sum, x, w) ((sum) + (x) * (w))
#endif

// x is packed, filled up with zeros to whole groups. t->k counts units.
MK_INLINE void MK_MULTIPLY_CODED(
  const int rows, const int panels, const mk_tile *t, vf acc[MK_BLOCK_ROWS][MK_TILE_VECTORS]) {
  const int vectors = panels * MK_VECTORS;
  const int sets = rows * vectors <= 6 ? 2 : 1;
  enum { MK_LINES = MK_CODED == MK_CODED_F32 ? 3 + MK_CODED_UNITS : 3 };
  vf sum[2][MK_BLOCK_ROWS][MK_TILE_VECTORS];
  mk_clear_sums(sets, rows, vectors, sum);
  mk_uppers uppers[4];
#pragma clang loop unroll(full)
  for (int v = 0; v < panels; v++) uppers[v] = mk_load_uppers(t->uppers + v * t->uppers_panel);

  mk_fetched ahead = mk_ahead(rows, panels, t);
  const float *a = t->a, *b = t->b;
  const mk_int b_panel = t->b_panel; // several rows leave no register for it
#define MK_FETCH(line0, line1, panel0, panel1)                            \
  _Pragma("clang loop unroll(full)") for (int l = line0; l < line1; l++)  \
    _Pragma("clang loop unroll(full)") for (int p = panel0; p < panel1; p++) \
      __builtin_prefetch(ahead.first + l * ahead.line + p * ahead.panel, 0, MK_AHEAD_CACHE);
#define MK_GROUP(v) (b + (v) / MK_VECTORS * (rows == 1 ? b_panel : t->b_panel))
#define MK_UNIT(q, v, codes) mk_coded_unit(MK_GROUP(v), q, (v) % MK_VECTORS, codes)
#define MK_LOWER(q, v) (MK_LINES > 3 ? mk_lower_halves(MK_GROUP(v), q, (v) % MK_VECTORS) : (vu)0)
  for (mk_int g = t->k / MK_CODED_UNITS; g > 0; g--) {
    if (rows == 1) {
#pragma clang loop unroll(full)
      for (int v = 0; v < vectors; v++) {
        if (v % MK_VECTORS == 0) MK_FETCH(0, MK_LINES, v / MK_VECTORS, v / MK_VECTORS + 1)
        mk_group_uppers codes = mk_load_codes(MK_GROUP(v), v % MK_VECTORS, uppers[v / MK_VECTORS]);
#pragma clang loop unroll(full)
        for (int q = 0; q < MK_CODED_UNITS; q++) {
          vu upper = MK_UNIT(q, v, codes), lower = MK_LOWER(q, v);
#pragma clang loop unroll(full)
          for (int i = 0; i < MK_MEETS; i++) {
            vf *s = &sum[(q * MK_MEETS + i) % sets][0][v];
            *s = MK_DOT(*s, (vf)mk_load1(a + q * MK_MEETS + i), MK_WIDENED(upper, lower, i));
            MK_DONE(*s);
          }
        }
      }
    } else {
      mk_group_uppers codes[MK_TILE_VECTORS];
#pragma clang loop unroll(full)
      for (int v = 0; v < vectors; v++)
        codes[v] = mk_load_codes(MK_GROUP(v), v % MK_VECTORS, uppers[v / MK_VECTORS]);
#pragma clang loop unroll(full)
      for (int q = 0; q < MK_CODED_UNITS; q++) {
        MK_FETCH(q * MK_LINES / MK_CODED_UNITS, (q + 1) * MK_LINES / MK_CODED_UNITS, 0, panels)
        vu upper[MK_TILE_VECTORS], lower[MK_TILE_VECTORS];
#pragma clang loop unroll(full)
        for (int v = 0; v < vectors; v++) upper[v] = MK_UNIT(q, v, codes[v]), lower[v] = MK_LOWER(q, v);
#pragma clang loop unroll(full)
        for (int i = 0; i < MK_MEETS; i++) {
          vf w[MK_TILE_VECTORS];
#pragma clang loop unroll(full)
          for (int v = 0; v < vectors; v++) w[v] = MK_WIDENED(upper[v], lower[v], i);
#pragma clang loop unroll(full)
          for (int r = 0; r < rows; r++) {
            vf x = (vf)mk_load1(a + (q * MK_MEETS + i) * rows + r);
#pragma clang loop unroll(full)
            for (int v = 0; v < vectors; v++) {
              vf *s = &sum[(q * MK_MEETS + i) % sets][r][v];
              *s = MK_DOT(*s, x, w[v]);
              MK_DONE(*s);
            }
          }
        }
      }
    }
    a += MK_CODED_UNITS * MK_MEETS * rows;
    b += MK_LINES * MK_PANEL;
    ahead.first += MK_LINES * ahead.line;
  }
#undef MK_LOWER
#undef MK_UNIT
#undef MK_GROUP
#undef MK_FETCH
#pragma clang loop unroll(full)
  for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
    for (int v = 0; v < vectors; v++) acc[r][v] = sets > 1 ? sum[0][r][v] + sum[1][r][v] : sum[0][r][v];
}

#define MK_JOIN_2(a, b) a##_##b
#define MK_JOIN(a, b) MK_JOIN_2(a, b)
#define MK_NARROW_PRODUCT(rows, panels, t, acc) MK_MULTIPLY_CODED(rows, panels, t, acc)
#define MK_NARROW_FINISH mk_tile_finish
#include "narrow_tiles.inc.h"

#undef MK_JOIN
#undef MK_JOIN_2
#undef MK_NARROW
#undef MK_NARROW_PRODUCT
#undef MK_NARROW_FINISH
#undef MK_MULTIPLY_CODED
#undef MK_MEETS
#undef MK_WIDENED
#undef MK_DOT
#undef MK_CODED
