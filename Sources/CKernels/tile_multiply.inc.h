// The inner loop of a register tile, for each kind of product: MK_MULTIPLY is its name, MK_FACTOR the type of a unit of 4
// bytes of the left operand and MK_FACTOR_LOAD how it is loaded, MK_DOT(sum, a, b) adds products of units to a sum (a vf,
// whatever its bits stand for), MK_SUM adds two sums, MK_ROW_FETCHES(t) tells whether a single row fetches what it will read.

// Adds a and b over depth 0..<k to the accumulators. `rows`, `panels`, `layout` are constants at each use.
MK_INLINE void MK_MULTIPLY(
  const int rows, const int panels, const mk_layout layout, const mk_tile *t,
  vf acc[MK_BLOCK_ROWS][MK_TILE_VECTORS]) {
  const int vectors = panels * MK_VECTORS;
  // Rows of c and lines of what comes next that are fetched meanwhile, a few with each step: of many requests at once some
  // are dropped, and the others delay the tile.
  const mk_int steps = t->k / MK_STEPS, rows_of_step = steps >= rows ? 1 : steps >= 4 ? (rows + 3) / 4 : rows;
  const mk_int lines_of_step = steps > 0 && t->next_lines > 0 ? mk_ceil_div(t->next_lines, steps) : 0;
  const char *next = t->next;
  mk_int row = 0, next_lines = t->next_lines;
  // Few accumulators cannot hide the latency of an addition: then several sets share the depth.
  const int sets = rows * vectors <= 2 ? 4 : rows * vectors <= 6 ? 2 : 1;
  vf sum[4][MK_BLOCK_ROWS][MK_TILE_VECTORS];
  mk_clear_sums(sets, rows, vectors, sum);

  const mk_int row_stride = layout == MK_STRIDED ? t->row_stride : 1;
  const mk_int depth_stride = layout == MK_PACKED || layout == MK_PLANES ? rows : layout == MK_COLUMN ? MK_PANEL : 1;
  const mk_int b_stride = layout == MK_PLANES ? 0 : layout == MK_COLUMN ? t->b_stride : MK_PANEL;
  const mk_int b_panel = layout == MK_PLANES ? MK_PANEL : t->b_panel;
  const float *a = t->a, *b = t->b;
  mk_fetched ahead = mk_ahead(rows, panels, t);
  const mk_int *b_offsets = t->b_offsets;
  float *copy = t->copy;
  const mk_int copy_panel = t->k * MK_PANEL;

#define MK_STEP(p, set)                                                                     \
  {                                                                                         \
    vf bv[MK_TILE_VECTORS];                                                                  \
    const float *b_row = layout == MK_PLANES ? b + b_offsets[p] : b + (p) * b_stride;       \
    _Pragma("clang loop unroll(full)") for (int v = 0; v < vectors; v++) {                  \
      bv[v] = vf_load(b_row + (v / MK_VECTORS) * b_panel + v % MK_VECTORS * MK_WIDTH);      \
      if (layout == MK_PLANES) {                                                            \
        vf_store(copy + (p) * MK_PANEL + (v / MK_VECTORS) * copy_panel + v % MK_VECTORS * MK_WIDTH, bv[v]); \
      }                                                                                     \
    }                                                                                       \
    /* The next tile's, into the second cache: a plane each is nothing that the processor foresees. */ \
    if (layout == MK_PLANES) {                                                              \
      _Pragma("clang loop unroll(full)") for (int v = 1; v <= panels; v++) {                \
        __builtin_prefetch(b_row + (panels + v) * MK_PANEL - 1, 0, 2);                      \
      }                                                                                     \
    }                                                                                       \
    _Pragma("clang loop unroll(full)") for (int r = 0; r < rows; r++) {                     \
      MK_FACTOR av = MK_FACTOR_LOAD(a + r * row_stride + (p) * depth_stride);               \
      _Pragma("clang loop unroll(full)") for (int v = 0; v < vectors; v++) {                \
        sum[set][r][v] = MK_DOT(sum[set][r][v], av, bv[v]);                                 \
        MK_DONE(sum[set][r][v]);                                                            \
      }                                                                                     \
    }                                                                                       \
  }

  for (mk_int i = steps; i > 0; i--) {
    for (mk_int r = 0; r < rows_of_step && row < rows; r++) mk_fetch_row(panels, t, row++);
    for (mk_int l = 0; l < lines_of_step && next_lines > 0; l++, next_lines--, next += 64) __builtin_prefetch(next, 0, 2);
    // What the processor's own prefetchers cannot do while additions fill its window.
    if (layout == MK_PACKED && (rows > 1 || MK_ROW_FETCHES(t))) {
      if (t->streams_b) {
#pragma clang loop unroll(full)
        for (int p = 0; p < MK_STEPS * panels; p++) {
          __builtin_prefetch(ahead.first + p / panels * ahead.line + p % panels * ahead.panel, 0, MK_AHEAD_CACHE);
        }
        ahead.first += MK_STEPS * ahead.line;
      } else {
#pragma clang loop unroll(full)
        for (int p = 0; p < rows * MK_STEPS; p += 64 / (int)sizeof(float)) __builtin_prefetch(a + MK_AHEAD_LEFT + p, 0, 3);
      }
    }
#pragma clang loop unroll(full)
    for (int p = 0; p < MK_STEPS; p += 4) {
      MK_STEP(p, 0)
      MK_STEP(p + 1, 1 % sets)
      MK_STEP(p + 2, 2 % sets)
      MK_STEP(p + 3, 3 % sets)
    }
    a += MK_STEPS * depth_stride;
    b += MK_STEPS * b_stride;
    if (layout == MK_PLANES) {
      b_offsets += MK_STEPS;
      copy += MK_STEPS * MK_PANEL;
    }
  }
  for (int p = 0; p < (int)(t->k % MK_STEPS); p++) MK_STEP(p, 0)
#undef MK_STEP

#pragma clang loop unroll(full)
  for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
    for (int v = 0; v < vectors; v++) {
      vf total = sum[0][r][v];
      if (sets == 2) total = MK_SUM(total, sum[1][r][v]);
      if (sets == 4) total = MK_SUM(MK_SUM(total, sum[1][r][v]), MK_SUM(sum[2][r][v], sum[3][r][v]));
      acc[r][v] = total;
    }
}

#undef MK_MULTIPLY
#undef MK_ROW_FETCHES
#undef MK_FACTOR
#undef MK_FACTOR_LOAD
#undef MK_DOT
#undef MK_SUM
