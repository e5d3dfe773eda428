// Register tiles of few rows with weights in a narrow format, which are widened on the way: reading them is what takes the
// time. A unit of weights, 4 bytes of a column, meets MK_MEETS units of x, two unless given. Before each inclusion: MK_NARROW,
// the name; MK_WIDENED(unit, i), what meets unit i of x; MK_DOT(sum, x, w) and MK_SUM as in tile_multiply.inc.h;
// MK_NARROW_FINISH(rows, panels, t, acc), what becomes of the sums; MK_NARROW_PRODUCT(rows, panels, t, acc), where the sums are
// not over the whole depth; MK_APART, 1 where MK_SUM joins what two different units of x have met.

#ifndef MK_MEETS
#define MK_MEETS 2
#endif
#ifndef MK_APART
#define MK_APART 0
#endif

#define MK_JOIN_2(a, b) a##_##b
#define MK_JOIN(a, b) MK_JOIN_2(a, b)

// x is packed, filled up with zeros to whole units. `rows`, `panels` are constants at each use: one row widens each unit of
// weights as it comes, several share what is widened and each spreads its x once.
MK_INLINE void MK_JOIN(MK_NARROW, multiply)(
  const int rows, const int panels, const mk_tile *t, mk_fetched *fetched, vf acc[MK_BLOCK_ROWS][MK_TILE_VECTORS]) {
  const int vectors = panels * MK_VECTORS;
  // Few accumulators cannot hide the latency of an addition.
  const int sets = MK_APART || rows * vectors <= 6 ? 2 : 1;
  vf sum[2][MK_BLOCK_ROWS][MK_TILE_VECTORS];
  mk_clear_sums(sets, rows, vectors, sum);

  const float *a = t->a, *b = t->b;
  const mk_int b_panel = t->b_panel;
  const int32_t fetches = rows > 1 || mk_row_fetches(t);
  mk_fetched ahead = *fetched;
#define MK_UNIT(q, v) vu_load(b + (q) * MK_PANEL + (v) / MK_VECTORS * b_panel + (v) % MK_VECTORS * MK_WIDTH)
#define MK_UNITS(q)                                                                                         \
  {                                                                                                         \
    if (fetches) {                                                                                          \
      _Pragma("clang loop unroll(full)") for (int v = 0; v < panels; v++) {                                 \
        __builtin_prefetch(ahead.first + (q) * ahead.line + v * ahead.panel, 0, MK_AHEAD_CACHE);            \
      }                                                                                                     \
    }                                                                                                       \
    if (rows == 1) {                                                                                        \
      vf x[MK_MEETS];                                                                                       \
      _Pragma("clang loop unroll(full)") for (int i = 0; i < MK_MEETS; i++) {                               \
        x[i] = (vf)mk_load1(a + (q) * MK_MEETS + i);                                                        \
        MK_DONE(x[i]);                                                                                      \
      }                                                                                                     \
      _Pragma("clang loop unroll(full)") for (int v = 0; v < vectors; v++) {                                \
        vu unit = MK_UNIT(q, v);                                                                            \
        _Pragma("clang loop unroll(full)") for (int i = 0; i < MK_MEETS; i++) {                             \
          vf *s = &sum[i % sets][0][v];                                                                     \
          *s = MK_DOT(*s, x[i], MK_WIDENED(unit, i));                                                       \
          MK_DONE(*s);                                                                                      \
        }                                                                                                   \
      }                                                                                                     \
    } else {                                                                                                \
      _Pragma("clang loop unroll(full)") for (int i = 0; i < MK_MEETS; i++) {                               \
        vf w[MK_TILE_VECTORS];                                                                              \
        _Pragma("clang loop unroll(full)") for (int v = 0; v < vectors; v++) {                              \
          vu unit = MK_UNIT(q, v);                                                                          \
          w[v] = MK_WIDENED(unit, i);                                                                       \
        }                                                                                                   \
        _Pragma("clang loop unroll(full)") for (int r = 0; r < rows; r++) {                                 \
          vf x = (vf)mk_load1(a + ((q) * MK_MEETS + i) * rows + r);                                         \
          _Pragma("clang loop unroll(full)") for (int v = 0; v < vectors; v++) {                            \
            vf *s = &sum[i % sets][r][v];                                                                   \
            *s = MK_DOT(*s, x, w[v]);                                                                       \
            MK_DONE(*s);                                                                                    \
          }                                                                                                 \
        }                                                                                                   \
      }                                                                                                     \
    }                                                                                                       \
  }
  enum { MK_TOGETHER = 4 };
  for (mk_int i = t->k / MK_TOGETHER; i > 0; i--) {
#pragma clang loop unroll(full)
    for (int q = 0; q < MK_TOGETHER; q++) MK_UNITS(q)
    a += MK_TOGETHER * MK_MEETS * rows;
    b += MK_TOGETHER * MK_PANEL;
    ahead.first += MK_TOGETHER * ahead.line;
  }
  for (int q = 0; q < (int)(t->k % MK_TOGETHER); q++) MK_UNITS(q)
#undef MK_UNITS
#undef MK_UNIT
  *fetched = ahead;

#pragma clang loop unroll(full)
  for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
    for (int v = 0; v < vectors; v++) acc[r][v] = sets > 1 ? MK_SUM(sum[0][r][v], sum[1][r][v]) : sum[0][r][v];
}

#ifndef MK_NARROW_PRODUCT
#define MK_NARROW_PRODUCT(rows, panels, t, acc)       \
  mk_fetched fetched = mk_ahead(rows, panels, t);     \
  MK_JOIN(MK_NARROW, multiply)(rows, panels, t, &fetched, acc)
#endif
#include "narrow_tiles.inc.h"

#undef MK_JOIN
#undef MK_JOIN_2
#undef MK_NARROW
#undef MK_NARROW_FINISH
#undef MK_NARROW_PRODUCT
#undef MK_MEETS
#undef MK_APART
#undef MK_WIDENED
#undef MK_DOT
#undef MK_SUM
