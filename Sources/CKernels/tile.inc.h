// Register tiles of a matrix product: MK_TILE_ROWS rows by MK_TILE_PANELS panels of 16 columns, all heights from 1.

// Lines of packed panels that are fetched ahead when they come from memory, to which cache (3: the first), and elements of a
// packed left operand.
#if MK_ISA == 2
enum { MK_AHEAD = 64, MK_AHEAD_CACHE = 2, MK_AHEAD_LEFT = 512 };
#else
enum { MK_AHEAD = 64, MK_AHEAD_CACHE = 3, MK_AHEAD_LEFT = 512 };
#endif
// The value is computed here, and nothing behind is loaded before: left to itself the compiler hoists loads of the next
// step and has to push accumulators out of the registers for them.
#if defined(MK_DONE)
#elif MK_ISA == 2
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

// What a tile fetches: with line l of its panels, line l * line + v * panel of each panel v from `first` on.
typedef struct {
  const float *first;
  mk_int line, panel;
} mk_fetched;

// Panels that follow each other are fetched as memory lies: those that are read side by side end together, so that a
// distance within each would never fetch the beginnings of the next ones. Runs go on behind each panel.
MK_INLINE mk_fetched mk_ahead(const int rows, const int panels, const mk_tile *t) {
  const float *b = t->b + MK_AHEAD * MK_PANEL;
  if (rows == 1 && panels == 4 && t->streams_b == MK_RUNS_OF_B) return (mk_fetched){b, MK_PANEL, t->b_panel};
  return (mk_fetched){b + (panels - 1) * t->b_panel, panels * MK_PANEL, MK_PANEL};
}

// Whether a single row with narrow weights fetches them, as several rows always do: panels that follow each other, not runs of
// them. There the processor has fetched by itself, and where weights are in the second cache already each request is one
// more look at it. Vectors of 8 leave it room to fetch in any order.
MK_INLINE int32_t mk_row_fetches(const mk_tile *t) { return MK_ISA == 2 && t->streams_b != MK_RUNS_OF_B; }

// Sets of accumulators that share the depth of a tile.
MK_INLINE void mk_clear_sums(
  const int sets, const int rows, const int vectors, vf sum[][MK_BLOCK_ROWS][MK_TILE_VECTORS]) {
#pragma clang loop unroll(full)
  for (int s = 0; s < sets; s++)
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
      for (int v = 0; v < vectors; v++) sum[s][r][v] = 0;
}

// Fetches a row of c and of the residual, which are needed when the sums are done. Of a row that is not aligned it is the end
// that the tile before has not touched.
MK_INLINE void mk_fetch_row(const int panels, const mk_tile *t, mk_int row) {
  const float *c = t->c + row * t->ldc + MK_PANEL - 1;
  __builtin_prefetch(c, 1, 3);
  if (panels > 1) __builtin_prefetch(c + t->c_panel, 1, 3);
  if (!t->residual) return;
  const float *residual = t->residual + row * t->ldr + MK_PANEL - 1;
  __builtin_prefetch(residual, 0, 3);
  if (panels > 1) __builtin_prefetch(residual + t->c_panel, 0, 3);
}

enum { MK_STEPS = 8 }; // depths of a step of a tile

#define MK_MULTIPLY mk_tile_multiply
#define MK_FACTOR vf_factor
#define MK_FACTOR_LOAD vf_factor_load
#define MK_DOT(sum, a, b) vf_add_scaled(sum, b, a)
#define MK_SUM(a, b) ((a) + (b))
#define MK_ROW_FETCHES(t) 0 // float32 leaves the processor room to fetch, and is slower with more requests
#include "tile_multiply.inc.h"

// From the first of c's columns to vector v: how far they lie apart in c, and in what is added to it.
MK_INLINE mk_int mk_vector_column(const mk_tile *t, int v) {
  return v / MK_VECTORS * t->c_panel + v % MK_VECTORS * MK_WIDTH;
}

// The end of a tile that is not whole. A function of its own: sums that are indexed in a loop lie in memory, and a whole
// tile would store them there after each step of its end.
static __attribute__((noinline)) void mk_tile_finish_part(
  mk_int rows, mk_int vectors, const mk_tile *t, const vf sums[][MK_TILE_VECTORS]) {
  for (mk_int v = 0; v < vectors; v++) {
    mk_int n = t->columns - v * MK_WIDTH;
    if (n <= 0) break;
    for (mk_int r = 0; r < rows; r++) {
      mk_int column = mk_vector_column(t, (int)v);
      float *c = t->c + r * t->ldc + column;
      const float *residual = t->residual ? t->residual + r * t->ldr + column : NULL;
      vf y = sums[r][v];
      if (n >= MK_WIDTH) {
        if (t->accumulate) y += vf_load(c);
        if (t->bias) y += vf_load(t->bias + column);
        if (t->row_bias) y += (vf)mk_load1(t->row_bias + r);
        if (residual) y += vf_load(residual);
        vf_store(c, t->relu ? vf_relu(y) : y);
      } else {
        if (t->accumulate) y += vf_load_part(c, n);
        if (t->bias) y += vf_load_part(t->bias + column, n);
        if (t->row_bias) y += (vf)mk_load1(t->row_bias + r);
        if (residual) y += vf_load_part(residual, n);
        vf_store_part(c, n, t->relu ? vf_relu(y) : y);
      }
    }
  }
}

MK_INLINE void mk_tile_finish(
  const int rows, const int panels, const mk_tile *t, vf acc[MK_BLOCK_ROWS][MK_TILE_VECTORS]) {
  const int vectors = panels * MK_VECTORS;
#define MK_EACH(statement)                                         \
  _Pragma("clang loop unroll(full)") for (int r = 0; r < rows; r++) \
    _Pragma("clang loop unroll(full)") for (int v = 0; v < vectors; v++) { statement; }
  if (t->columns != panels * MK_PANEL) {
    vf sums[MK_BLOCK_ROWS][MK_TILE_VECTORS];
    MK_EACH(sums[r][v] = acc[r][v])
    mk_tile_finish_part(rows, vectors, t, sums);
    return;
  }
  if (t->accumulate) MK_EACH(acc[r][v] += vf_load(t->c + r * t->ldc + mk_vector_column(t, v)))
  if (t->bias) MK_EACH(acc[r][v] += vf_load(t->bias + mk_vector_column(t, v)))
  if (t->row_bias) MK_EACH(acc[r][v] += (vf)mk_load1(t->row_bias + r))
  if (t->residual) MK_EACH(acc[r][v] += vf_load(t->residual + r * t->ldr + mk_vector_column(t, v)))
  if (t->relu) MK_EACH(acc[r][v] = vf_relu(acc[r][v]))
  MK_EACH(vf_store(t->c + r * t->ldc + mk_vector_column(t, v), acc[r][v]))
#undef MK_EACH
}

#define MK_TILE_FUNCTION(rows, panels, layout)                                \
  static void mk_tile_##rows##_##panels##_##layout(const mk_tile *t) {        \
    vf acc[MK_BLOCK_ROWS][MK_TILE_VECTORS];                                    \
    mk_tile_multiply(rows, panels, layout, t, acc);                           \
    mk_tile_finish(rows, panels, t, acc);                                     \
  }

#define MK_SIX_HEIGHTS(M, panels, layout)                                                                          \
  M(1, panels, layout) M(2, panels, layout) M(3, panels, layout) M(4, panels, layout) M(5, panels, layout)         \
  M(6, panels, layout)
#if MK_TILE_ROWS == 12
#define MK_HEIGHTS(M, panels, layout)                                                                              \
  MK_SIX_HEIGHTS(M, panels, layout)                                                                                \
  M(7, panels, layout) M(8, panels, layout) M(9, panels, layout) M(10, panels, layout) M(11, panels, layout)       \
  M(12, panels, layout)
#elif MK_TILE_ROWS == 6
#define MK_HEIGHTS(M, panels, layout) MK_SIX_HEIGHTS(M, panels, layout)
#else
#define MK_HEIGHTS(M, panels, layout) M(1, panels, layout) M(2, panels, layout)
#endif

// M for each height and number of panels; and as the rows of a table, [panels - 1][rows - 1].
#if MK_TILE_PANELS == 2
#define MK_TILES_OF(heights, M, layout) heights(M, 1, layout) heights(M, 2, layout)
#define MK_ENTRIES_OF(heights, M, layout) {{heights(M, 1, layout)}, {heights(M, 2, layout)}}
#else
#define MK_TILES_OF(heights, M, layout) heights(M, 1, layout)
#define MK_ENTRIES_OF(heights, M, layout) {{heights(M, 1, layout)}}
#endif
#define MK_TILES(M, layout) MK_TILES_OF(MK_HEIGHTS, M, layout)
#define MK_TILE_ENTRIES(M, layout) MK_ENTRIES_OF(MK_HEIGHTS, M, layout)

// A single row, four panels at once: memory gives more when it is read at several places.
MK_TILE_FUNCTION(1, 4, MK_PACKED)

#define MK_TILE_NAME(rows, panels, layout) mk_tile_##rows##_##panels##_##layout,

MK_TILES(MK_TILE_FUNCTION, MK_PACKED)
MK_TILES(MK_TILE_FUNCTION, MK_STRIDED)
MK_TILES(MK_TILE_FUNCTION, MK_COLUMN)
MK_TILES(MK_TILE_FUNCTION, MK_PLANES)
#define MK_TILE_TABLE(layout) MK_TILE_ENTRIES(MK_TILE_NAME, layout)
