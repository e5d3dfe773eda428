// Register tiles of a matrix product: MK_TILE_ROWS rows by MK_TILE_PANELS panels of 16 columns, all heights from 1.

// Lines of a packed panel that are fetched ahead: what the processor's own prefetchers cannot do while additions fill
// its window.
#ifndef MK_AHEAD
#define MK_AHEAD 32
#endif
// The value is computed here, and nothing behind is loaded before: left to itself the compiler hoists loads of the next
// step and has to push accumulators out of the registers for them.
#if MK_ISA == 2
#define MK_DONE(v) __asm__ volatile("" : "+v"(v)::"memory")
#elif defined(__x86_64__)
#define MK_DONE(v) __asm__ volatile("" : "+x"(v)::"memory")
#elif defined(__aarch64__)
#define MK_DONE(v) __asm__ volatile("" : "+w"(v)::"memory")
#else
#define MK_DONE(v)
#endif

enum {
  MK_VECTORS = MK_PANEL / MK_WIDTH, // vectors of one panel
  MK_TILE_VECTORS = 4 * MK_VECTORS,
};

// Adds a and b over depth 0..<k to the accumulators. `rows`, `panels`, `layout` are constants at each use.
MK_INLINE void mk_tile_multiply(
  const int rows, const int panels, const mk_layout layout, const mk_tile *t,
  vf acc[MK_BLOCK_ROWS][MK_TILE_VECTORS]) {
  const int vectors = panels * MK_VECTORS;
  // c and the residual are needed when the sums are done: fetched meanwhile. Of a row that is not aligned it is the end
  // that the tile before has not touched.
#pragma clang loop unroll(full)
  for (int r = 0; r < rows; r++) {
    __builtin_prefetch(t->c + r * t->ldc + MK_PANEL - 1, 1, 3);
    if (panels > 1) __builtin_prefetch(t->c + r * t->ldc + t->c_panel + MK_PANEL - 1, 1, 3);
  }
  if (t->residual) {
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++) {
      __builtin_prefetch(t->residual + r * t->ldr + MK_PANEL - 1, 0, 3);
      if (panels > 1) __builtin_prefetch(t->residual + r * t->ldr + 2 * MK_PANEL - 1, 0, 3);
    }
  }
  // Few accumulators cannot hide the latency of an addition: then several sets share the depth.
  const int sets = rows * vectors <= 2 ? 4 : rows * vectors <= 6 ? 2 : 1;
  vf sum[4][MK_BLOCK_ROWS][MK_TILE_VECTORS];
#pragma clang loop unroll(full)
  for (int s = 0; s < sets; s++)
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
      for (int v = 0; v < vectors; v++) sum[s][r][v] = 0;

  const mk_int row_stride = layout == MK_STRIDED ? t->row_stride : layout == MK_PACKED ? MK_CHUNK : 1;
  const mk_int depth_stride = layout == MK_COLUMN ? MK_PANEL : 1;
  const mk_int chunk_stride = layout == MK_PACKED ? t->chunk_stride : layout == MK_STRIDED ? MK_CHUNK : MK_PANEL * MK_CHUNK;
  const mk_int b_stride = layout == MK_COLUMN ? t->b_stride : MK_PANEL;
  const mk_int b_panel = t->b_panel;
  const float *a = t->a, *b = t->b;

#define MK_STEP(p, set)                                                                     \
  {                                                                                         \
    vf bv[MK_TILE_VECTORS];                                                                  \
    if (layout == MK_PACKED) {                                                              \
      _Pragma("clang loop unroll(full)") for (int v = 0; v < panels; v++) {                 \
        __builtin_prefetch(b + ((p) + MK_AHEAD) * MK_PANEL + v * b_panel, 0, 3);            \
      }                                                                                     \
    }                                                                                       \
    _Pragma("clang loop unroll(full)") for (int v = 0; v < vectors; v++) {                  \
      bv[v] = vf_load(b + (p) * b_stride + (v / MK_VECTORS) * b_panel + v % MK_VECTORS * MK_WIDTH); \
    }                                                                                       \
    _Pragma("clang loop unroll(full)") for (int r = 0; r < rows; r++) {                     \
      vf av = mk_load1(a + r * row_stride + (p) * depth_stride);                            \
      _Pragma("clang loop unroll(full)") for (int v = 0; v < vectors; v++) {                \
        sum[set][r][v] += av * bv[v];                                                       \
        MK_DONE(sum[set][r][v]);                                                            \
      }                                                                                     \
    }                                                                                       \
  }

  for (mk_int chunk = t->k / MK_CHUNK; chunk > 0; chunk--) {
#pragma clang loop unroll_count(2)
    for (int p = 0; p < MK_CHUNK; p += 4) {
      MK_STEP(p, 0)
      MK_STEP(p + 1, 1 % sets)
      MK_STEP(p + 2, 2 % sets)
      MK_STEP(p + 3, 3 % sets)
    }
    a += chunk_stride;
    b += MK_CHUNK * b_stride;
  }
  for (int p = 0; p < (int)(t->k % MK_CHUNK); p++) MK_STEP(p, 0)
#undef MK_STEP

#pragma clang loop unroll(full)
  for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
    for (int v = 0; v < vectors; v++) {
      vf total = sum[0][r][v];
      if (sets == 2) total += sum[1][r][v];
      if (sets == 4) total = (total + sum[1][r][v]) + (sum[2][r][v] + sum[3][r][v]);
      acc[r][v] = total;
    }
}

MK_INLINE void mk_tile_finish(
  const int rows, const int panels, const mk_tile *t, vf acc[MK_BLOCK_ROWS][MK_TILE_VECTORS]) {
  const int vectors = panels * MK_VECTORS;
#define MK_EACH(statement)                                         \
  _Pragma("clang loop unroll(full)") for (int r = 0; r < rows; r++) \
    _Pragma("clang loop unroll(full)") for (int v = 0; v < vectors; v++) { statement; }
  if (t->columns == panels * MK_PANEL) {
    if (t->accumulate) MK_EACH(acc[r][v] += vf_load(t->c + r * t->ldc + v / MK_VECTORS * t->c_panel + v % MK_VECTORS * MK_WIDTH))
    if (t->bias) MK_EACH(acc[r][v] += vf_load(t->bias + v * MK_WIDTH))
    if (t->row_bias) MK_EACH(acc[r][v] += (vf)mk_load1(t->row_bias + r))
    if (t->residual) MK_EACH(acc[r][v] += vf_load(t->residual + r * t->ldr + v * MK_WIDTH))
    if (t->relu) MK_EACH(acc[r][v] = vf_relu(acc[r][v]))
    MK_EACH(vf_store(t->c + r * t->ldc + v / MK_VECTORS * t->c_panel + v % MK_VECTORS * MK_WIDTH, acc[r][v]))
  } else {
    for (int v = 0; v < vectors; v++) {
      mk_int n = t->columns - v * MK_WIDTH;
      if (n <= 0) break;
      for (int r = 0; r < rows; r++) {
        float *c = t->c + r * t->ldc + v / MK_VECTORS * t->c_panel + v % MK_VECTORS * MK_WIDTH;
        const float *residual = t->residual ? t->residual + r * t->ldr + v * MK_WIDTH : NULL;
        vf y = acc[r][v];
        if (n >= MK_WIDTH) {
          if (t->accumulate) y += vf_load(c);
          if (t->bias) y += vf_load(t->bias + v * MK_WIDTH);
          if (t->row_bias) y += (vf)mk_load1(t->row_bias + r);
          if (residual) y += vf_load(residual);
          vf_store(c, t->relu ? vf_relu(y) : y);
        } else {
          if (t->accumulate) y += vf_load_part(c, n);
          if (t->bias) y += vf_load_part(t->bias + v * MK_WIDTH, n);
          if (t->row_bias) y += (vf)mk_load1(t->row_bias + r);
          if (residual) y += vf_load_part(residual, n);
          vf_store_part(c, n, t->relu ? vf_relu(y) : y);
        }
      }
    }
  }
#undef MK_EACH
}

#define MK_TILE_FUNCTION(rows, panels, layout)                                \
  static void mk_tile_##rows##_##panels##_##layout(const mk_tile *t) {        \
    vf acc[MK_BLOCK_ROWS][MK_TILE_VECTORS];                                    \
    mk_tile_multiply(rows, panels, layout, t, acc);                           \
    mk_tile_finish(rows, panels, t, acc);                                     \
  }

#if MK_TILE_ROWS == 12
#define MK_HEIGHTS(M, panels, layout)                                                                              \
  M(1, panels, layout) M(2, panels, layout) M(3, panels, layout) M(4, panels, layout) M(5, panels, layout)         \
  M(6, panels, layout) M(7, panels, layout) M(8, panels, layout) M(9, panels, layout) M(10, panels, layout)        \
  M(11, panels, layout) M(12, panels, layout)
#elif MK_TILE_ROWS == 6
#define MK_HEIGHTS(M, panels, layout)                                                                              \
  M(1, panels, layout) M(2, panels, layout) M(3, panels, layout) M(4, panels, layout) M(5, panels, layout)         \
  M(6, panels, layout)
#else
#define MK_HEIGHTS(M, panels, layout) M(1, panels, layout) M(2, panels, layout)
#endif

// A single row, four panels at once: memory gives more when it is read at several places.
MK_TILE_FUNCTION(1, 4, MK_PACKED)

#define MK_TILE_NAME(rows, panels, layout) mk_tile_##rows##_##panels##_##layout,

MK_HEIGHTS(MK_TILE_FUNCTION, 1, MK_PACKED)
MK_HEIGHTS(MK_TILE_FUNCTION, 1, MK_STRIDED)
MK_HEIGHTS(MK_TILE_FUNCTION, 1, MK_COLUMN)
#if MK_TILE_PANELS == 2
MK_HEIGHTS(MK_TILE_FUNCTION, 2, MK_PACKED)
MK_HEIGHTS(MK_TILE_FUNCTION, 2, MK_STRIDED)
MK_HEIGHTS(MK_TILE_FUNCTION, 2, MK_COLUMN)
#define MK_TILE_TABLE(layout) {{MK_HEIGHTS(MK_TILE_NAME, 1, layout)}, {MK_HEIGHTS(MK_TILE_NAME, 2, layout)}}
#else
#define MK_TILE_TABLE(layout) {{MK_HEIGHTS(MK_TILE_NAME, 1, layout)}}
#endif
