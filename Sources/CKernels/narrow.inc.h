// Register tiles of few rows of x in float32 with weights in a narrow format, which are widened on the way: reading them
// is what takes the time.

// Depth i of units of bf16.
MK_INLINE vf mk_bf16_depth(vu unit, int i) { return (vf)(i == 0 ? unit << 16 : unit & 0xffff0000); }
// Depth i of units of int8, times 2^24: what is below the byte is cleared instead of shifted out. x carries the 2^-24.
MK_INLINE vf mk_int8_depth(vu unit, int i) {
  vu high = i == 3 ? unit : unit << (24 - 8 * i);
  return __builtin_convertvector((vi)(i == 0 ? high : high & 0xff000000), vf);
}

// x is packed in chunks of 16 depths, filled up with zeros. `rows`, `panels`, `depths` are constants at each use.
MK_INLINE void mk_narrow_multiply(
  const int rows, const int panels, const int depths, const mk_tile *t, vf acc[MK_BLOCK_ROWS][MK_TILE_VECTORS]) {
  const int vectors = panels * MK_VECTORS;
  const int sets = rows * vectors <= 2 ? 4 : rows * vectors <= 6 ? 2 : 1;
  vf sum[4][MK_BLOCK_ROWS][MK_TILE_VECTORS];
#pragma clang loop unroll(full)
  for (int s = 0; s < sets; s++)
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
      for (int v = 0; v < vectors; v++) sum[s][r][v] = 0;

  const float *a = t->a, *b = t->b;
#define MK_UNITS(q)                                                                                         \
  _Pragma("clang loop unroll(full)") for (int v = 0; v < vectors; v++) {                                    \
    const float *p = b + (q) * MK_PANEL + v / MK_VECTORS * t->b_panel;                                      \
    if (v % MK_VECTORS == 0) __builtin_prefetch(p + MK_AHEAD * MK_PANEL, 0, 3);                             \
    vu unit = vu_load(p + v % MK_VECTORS * MK_WIDTH);                                                       \
    _Pragma("clang loop unroll(full)") for (int i = 0; i < depths; i++) {                                   \
      vf w = depths == 2 ? mk_bf16_depth(unit, i) : mk_int8_depth(unit, i);                                 \
      _Pragma("clang loop unroll(full)") for (int r = 0; r < rows; r++) {                                   \
        vf *s = &sum[i % sets][r][v];                                                                       \
        *s += (vf)a[r * MK_CHUNK + (q) * depths + i] * w;                                                   \
        MK_DONE(*s);                                                                                        \
      }                                                                                                     \
    }                                                                                                       \
  }
  for (mk_int chunk = t->k / MK_CHUNK; chunk > 0; chunk--) {
#pragma clang loop unroll_count(2)
    for (int q = 0; q < MK_CHUNK / depths; q++) MK_UNITS(q)
    a += t->chunk_stride;
    b += MK_CHUNK / depths * MK_PANEL;
  }
  for (int q = 0; q < (int)(t->k % MK_CHUNK + depths - 1) / depths; q++) MK_UNITS(q)
#undef MK_UNITS

#pragma clang loop unroll(full)
  for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
    for (int v = 0; v < vectors; v++) {
      vf total = sum[0][r][v];
      if (sets > 1) total += sum[1][r][v];
      if (sets > 2) total += sum[2 % sets][r][v] + sum[3 % sets][r][v];
      acc[r][v] = depths == 4 ? total * vf_load(t->column_scales + v * MK_WIDTH) : total;
    }
}

#define MK_NARROW_FUNCTION(rows, panels, depths)                             \
  static void mk_narrow_##rows##_##panels##_##depths(const mk_tile *t) {     \
    vf acc[MK_BLOCK_ROWS][MK_TILE_VECTORS];                                  \
    mk_narrow_multiply(rows, panels, depths, t, acc);                        \
    mk_tile_finish(rows, panels, t, acc);                                    \
  }
#define MK_NARROW_NAME(rows, panels, depths) mk_narrow_##rows##_##panels##_##depths,

MK_NARROW_FUNCTION(1, 4, 2)
MK_NARROW_FUNCTION(1, 4, 4)
MK_HEIGHTS(MK_NARROW_FUNCTION, 1, 2)
MK_HEIGHTS(MK_NARROW_FUNCTION, 1, 4)
