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
#if MK_WIDTH > 4
typedef int8_t vi8_quarter __attribute__((ext_vector_type(MK_WIDTH)));

#if MK_WIDTH == 16
#define MK_EVEN(a, b) __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30)
#define MK_ODD(a, b) __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31)
#define MK_REPEAT_4(a) __builtin_shufflevector(a, a, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3)
#else
#define MK_EVEN(a, b) __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14)
#define MK_ODD(a, b) __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15)
#define MK_REPEAT_4(a) __builtin_shufflevector(a, a, 0, 1, 2, 3, 0, 1, 2, 3)
#endif

// A single row: the depths of a quad stay side by side, so that bytes are widened by one instruction and four elements of
// x serve all columns. One panel after the other.
MK_INLINE void mk_int8_row(const int panels, const mk_tile *t) {
  enum { MK_SUMS = 4 * MK_VECTORS };
  vf acc[MK_BLOCK_ROWS][MK_TILE_VECTORS];
#pragma clang loop unroll(full)
  for (int panel = 0; panel < panels; panel++) {
    const float *a = t->a;
    const char *b = (const char *)(t->b + panel * t->b_panel);
    vf sums[MK_SUMS];
#pragma clang loop unroll(full)
    for (int i = 0; i < MK_SUMS; i++) sums[i] = 0;
#pragma clang loop unroll_count(2)
    for (mk_int q = (t->k + 3) / 4; q > 0; q--) {
      vf_4 quad;
      __builtin_memcpy(&quad, a, sizeof quad);
      vf x = MK_REPEAT_4(quad);
      __builtin_prefetch(b + MK_AHEAD * MK_PANEL * 4, 0, 3);
#pragma clang loop unroll(full)
      for (int i = 0; i < MK_SUMS; i++) {
        vi8_quarter bytes;
        __builtin_memcpy(&bytes, b + i * MK_WIDTH, sizeof bytes);
        sums[i] += x * __builtin_convertvector(bytes, vf);
        MK_DONE(sums[i]);
      }
      a += 4;
      b += MK_PANEL * 4;
    }
#pragma clang loop unroll(full)
    for (int v = 0; v < MK_VECTORS; v++) {
      vf pairs = MK_EVEN(sums[4 * v], sums[4 * v + 1]) + MK_ODD(sums[4 * v], sums[4 * v + 1]);
      vf others = MK_EVEN(sums[4 * v + 2], sums[4 * v + 3]) + MK_ODD(sums[4 * v + 2], sums[4 * v + 3]);
      vf total = MK_EVEN(pairs, others) + MK_ODD(pairs, others);
      int column = panel * MK_VECTORS + v;
      acc[0][column] = total * 0x1p24f * vf_load(t->column_scales + column * MK_WIDTH); // x carries 2^-24
    }
  }
  mk_tile_finish(1, panels, t, acc);
}

#undef MK_EVEN
#undef MK_ODD
#undef MK_REPEAT_4

static void mk_int8_row_1(const mk_tile *t) { mk_int8_row(1, t); }
static void mk_int8_row_4(const mk_tile *t) { mk_int8_row(4, t); }
#define MK_NARROW_INT8_ROW_1 mk_int8_row_1
#define MK_NARROW_INT8_ROW_4 mk_int8_row_4
#else
#define MK_NARROW_INT8_ROW_1 mk_narrow_1_1_4
#define MK_NARROW_INT8_ROW_4 mk_narrow_1_4_4
#endif

#define MK_NARROW_NAME(rows, panels, depths) mk_narrow_##rows##_##panels##_##depths,

MK_NARROW_FUNCTION(1, 4, 2)
#if MK_WIDTH == 4
MK_NARROW_FUNCTION(1, 4, 4)
#endif
MK_HEIGHTS(MK_NARROW_FUNCTION, 1, 2)
MK_HEIGHTS(MK_NARROW_FUNCTION, 1, 4)
