// Register tiles of few rows of x with weights in bf16, which are widened on the way: reading them is what takes the time.

// x is packed, filled up with a zero to whole units. `rows`, `panels` are constants at each use.
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
#define MK_PAIRS(q)                                                                                         \
  _Pragma("clang loop unroll(full)") for (int v = 0; v < vectors; v++) {                                    \
    const float *p = b + (q) * MK_PANEL + v / MK_VECTORS * t->b_panel;                                      \
    if (rows > 1 && v % MK_VECTORS == 0) __builtin_prefetch(p + MK_AHEAD * MK_PANEL, 0, 3);                        \
    vu unit = vu_load(p + v % MK_VECTORS * MK_WIDTH);                                                       \
    _Pragma("clang loop unroll(full)") for (int i = 0; i < 2; i++) {                                        \
      vf w = (vf)(i == 0 ? unit << 16 : unit & 0xffff0000);                                                 \
      _Pragma("clang loop unroll(full)") for (int r = 0; r < rows; r++) {                                   \
        vf *s = &sum[i % sets][r][v];                                                                       \
        *s += (vf)a[((q) * 2 + i) * rows + r] * w;                                                          \
        MK_DONE(*s);                                                                                        \
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
