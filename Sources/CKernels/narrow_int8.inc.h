// Register tiles of few rows of x, rounded to int16, with weights in int8, which are widened to pairs of int16 on the way.
// The sums are integers: linear.c sees to it that they fit.

MK_INLINE void mk_narrow_int8(const int rows, const int panels, const mk_tile *t) {
  const int vectors = panels * MK_VECTORS;
  vf sum[MK_BLOCK_ROWS][MK_TILE_VECTORS];
#pragma clang loop unroll(full)
  for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
    for (int v = 0; v < vectors; v++) sum[r][v] = 0;

  const float *a = t->a, *b = t->b;
// The first and third depth of a quad, then the second and fourth, as mk_widen_int16 has them.
#define MK_UNIT(q, v) (v16) vu_load(b + (q) * MK_PANEL + (v) / MK_VECTORS * t->b_panel + (v) % MK_VECTORS * MK_WIDTH)
#define MK_WIDENED(unit, i) ((vf)((i) == 0 ? (unit) << 8 >> 8 : (unit) >> 8))
#define MK_QUAD(q)                                                                                     \
  if (rows == 1) {                                                                                     \
    _Pragma("clang loop unroll(full)") for (int v = 0; v < vectors; v++) {                             \
      v16 unit = MK_UNIT(q, v);                                                                        \
      _Pragma("clang loop unroll(full)") for (int i = 0; i < 2; i++) {                                 \
        sum[0][v] = mk_add_int16_pairs(sum[0][v], (vf)mk_load1(a + 2 * (q) + i), MK_WIDENED(unit, i)); \
        MK_DONE(sum[0][v]);                                                                            \
      }                                                                                                \
    }                                                                                                  \
  } else {                                                                                             \
    __builtin_prefetch(b + ((q) + MK_AHEAD) * MK_PANEL, 0, 3);                                         \
    _Pragma("clang loop unroll(full)") for (int i = 0; i < 2; i++) {                                   \
      vf w[MK_TILE_VECTORS];                                                                           \
      _Pragma("clang loop unroll(full)") for (int v = 0; v < vectors; v++) {                           \
        v16 unit = MK_UNIT(q, v);                                                                      \
        w[v] = MK_WIDENED(unit, i);                                                                    \
      }                                                                                                \
      _Pragma("clang loop unroll(full)") for (int r = 0; r < rows; r++) {                              \
        vf x = (vf)mk_load1(a + (2 * (q) + i) * rows + r);                                             \
        _Pragma("clang loop unroll(full)") for (int v = 0; v < vectors; v++) {                         \
          sum[r][v] = mk_add_int16_pairs(sum[r][v], x, w[v]);                                          \
          MK_DONE(sum[r][v]);                                                                          \
        }                                                                                              \
      }                                                                                                \
    }                                                                                                  \
  }
  enum { MK_TOGETHER = 4 };
  mk_int quads = (t->k + 3) / 4;
  for (mk_int i = quads / MK_TOGETHER; i > 0; i--) {
#pragma clang loop unroll(full)
    for (int q = 0; q < MK_TOGETHER; q++) MK_QUAD(q)
    a += MK_TOGETHER * 2 * rows;
    b += MK_TOGETHER * MK_PANEL;
  }
  for (int q = 0; q < (int)(quads % MK_TOGETHER); q++) MK_QUAD(q)
#undef MK_QUAD
#undef MK_WIDENED
#undef MK_UNIT

  vf acc[MK_BLOCK_ROWS][MK_TILE_VECTORS];
#pragma clang loop unroll(full)
  for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
    for (int v = 0; v < vectors; v++) {
      vf whole = __builtin_convertvector((vi)sum[r][v], vf);
      vf scaled = whole * vf_load(t->column_scales + v * MK_WIDTH);
      acc[r][v] = scaled * t->row_scales[r];
    }
  mk_tile_finish(rows, panels, t, acc);
}

#define MK_NARROW_INT8(rows, panels, ignored) \
  static void mk_narrow_int8_##rows##_##panels(const mk_tile *t) { mk_narrow_int8(rows, panels, t); }
#define MK_NARROW_INT8_NAME(rows, panels, ignored) mk_narrow_int8_##rows##_##panels,

MK_NARROW_INT8(1, 4, 0)
MK_HEIGHTS(MK_NARROW_INT8, 1, 0)
