// Register tiles of few rows of x with weights in bf16, which are widened on the way: reading them is what takes the time.

// x is packed, filled up with a zero to whole units. `rows`, `panels` are constants at each use: one row widens each unit
// of weights as it comes, several share what is widened and each spreads its x once.
MK_INLINE void mk_narrow_multiply(
  const int rows, const int panels, const mk_tile *t, vf acc[MK_BLOCK_ROWS][MK_TILE_VECTORS]) {
  const int vectors = panels * MK_VECTORS;
  const int sets = rows * vectors <= 6 ? 2 : 1;
  vf sum[2][MK_BLOCK_ROWS][MK_TILE_VECTORS];
#pragma clang loop unroll(full)
  for (int s = 0; s < sets; s++)
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
      for (int v = 0; v < vectors; v++) sum[s][r][v] = 0;

  const float *a = t->a, *b = t->b;
#define MK_UNIT(q, v) vu_load(b + (q) * MK_PANEL + (v) / MK_VECTORS * t->b_panel + (v) % MK_VECTORS * MK_WIDTH)
#define MK_WIDENED(unit, i) ((vf)((i) == 0 ? (unit) << 16 : (unit) & 0xffff0000))
#define MK_PAIRS(q)                                                                                         \
  if (rows == 1) {                                                                                          \
    _Pragma("clang loop unroll(full)") for (int v = 0; v < vectors; v++) {                                  \
      vu unit = MK_UNIT(q, v);                                                                              \
      _Pragma("clang loop unroll(full)") for (int i = 0; i < 2; i++) {                                      \
        sum[i % sets][0][v] += (vf)a[(q) * 2 + i] * MK_WIDENED(unit, i);                                    \
        MK_DONE(sum[i % sets][0][v]);                                                                       \
      }                                                                                                     \
    }                                                                                                       \
  } else {                                                                                                  \
    __builtin_prefetch(b + ((q) + MK_AHEAD) * MK_PANEL, 0, 3);                                              \
    _Pragma("clang loop unroll(full)") for (int i = 0; i < 2; i++) {                                        \
      vf w[MK_TILE_VECTORS];                                                                                \
      _Pragma("clang loop unroll(full)") for (int v = 0; v < vectors; v++) {                                \
        vu unit = MK_UNIT(q, v);                                                                            \
        w[v] = MK_WIDENED(unit, i);                                                                         \
      }                                                                                                     \
      _Pragma("clang loop unroll(full)") for (int r = 0; r < rows; r++) {                                   \
        vf x = (vf)a[((q) * 2 + i) * rows + r];                                                             \
        _Pragma("clang loop unroll(full)") for (int v = 0; v < vectors; v++) {                              \
          sum[i % sets][r][v] += x * w[v];                                                                  \
          MK_DONE(sum[i % sets][r][v]);                                                                     \
        }                                                                                                   \
      }                                                                                                     \
    }                                                                                                       \
  }
  enum { MK_TOGETHER = 4 };
  mk_int pairs = (t->k + 1) / 2;
  for (mk_int i = pairs / MK_TOGETHER; i > 0; i--) {
#pragma clang loop unroll(full)
    for (int q = 0; q < MK_TOGETHER; q++) MK_PAIRS(q)
    a += MK_TOGETHER * 2 * rows;
    b += MK_TOGETHER * MK_PANEL;
  }
  for (int q = 0; q < (int)(pairs % MK_TOGETHER); q++) MK_PAIRS(q)
#undef MK_PAIRS
#undef MK_WIDENED
#undef MK_UNIT

#pragma clang loop unroll(full)
  for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
    for (int v = 0; v < vectors; v++) acc[r][v] = sets > 1 ? sum[0][r][v] + sum[1][r][v] : sum[0][r][v];
}

#define MK_NARROW_BF16(rows, panels, ignored)                 \
  static void mk_narrow_bf16_##rows##_##panels(const mk_tile *t) { \
    vf acc[MK_BLOCK_ROWS][MK_TILE_VECTORS];                    \
    mk_narrow_multiply(rows, panels, t, acc);                  \
    mk_tile_finish(rows, panels, t, acc);                      \
  }
#define MK_NARROW_BF16_NAME(rows, panels, ignored) mk_narrow_bf16_##rows##_##panels,

MK_NARROW_BF16(1, 4, 0)
MK_HEIGHTS(MK_NARROW_BF16, 1, 0)
