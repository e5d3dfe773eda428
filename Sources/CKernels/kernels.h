// The kernels that exist once per instruction set, and the table through which the rest of this target calls them.
#pragma once
#include "mue_kernels.h"

#include <string.h>

enum {
  MK_PANEL = 16,     // columns of one packed panel of a right operand
  MK_BLOCK_ROWS = 12, // most rows of a register tile, and so of one packed block of a left operand
  MK_CHUNK = 16,      // depths are cut at multiples of it
  MK_MAX_DEPTH = 384,
  MK_MAX_RANK = 8,
};

// Scales of quantised weights and rows below this are zero: the smallest normal number.
#define MK_LEAST_SCALE 0x1p-126f

// The largest mean magnitude, in steps of their scale, of two int8 weights that meet depths 2p and 2p + 1. Rounded, the two
// are at most 128 together, so that with bytes of x, at most 255, the sum of both products fits in 16 bits: vpmaddubsw does
// not saturate.
#define MK_PAIR_LEVELS 63.5f

// int4 weights: depths that share a scale for each column, units of 4 bytes of a column that they take, what stands for zero,
// and levels of x on each side of zero.
enum { MK_INT4_GROUP = 128, MK_INT4_UNITS = MK_INT4_GROUP / 8, MK_INT4_ZERO = 8, MK_BYTE_LEVELS = 127 };

// One register tile: c[rows, columns] = a[rows, k] b[k, columns], then (all optional) + c, + biases, + residual, relu.
//
// Left operand, three layouts:
//   packed:  a[p * rows + row], rows being those of the tile: what one depth needs lies side by side, in different banks of
//            the first cache
//   strided: a[row * row_stride + p]
//   column:  a[p * 16 + row]
//   planes:  as packed
// Right operand: b[p * b_stride + column] for the first 16 columns and b[b_panel + p * b_stride + column - 16] for the
// next; b_stride is 16 for the packed and strided layouts. Planes: b[b_offsets[p] + column], tiles are whole, and what they
// read goes to `copy` as packed panels for those that follow.
typedef struct {
  const float *a;
  mk_int row_stride;
  const float *b;
  mk_int b_stride, b_panel;
  const mk_int *b_offsets; // planes only, as copy
  float *copy;
  mk_int k;
  float *c;
  mk_int ldc;
  mk_int c_panel; // from 16 columns of c, and of what is added to it, to the next: 16 in a plain matrix
  mk_int columns; // 1...16 * panels
  const float *bias;     // per column
  const float *row_bias; // per row
  const float *residual;
  mk_int ldr;
  int32_t accumulate;
  int32_t relu;
  int32_t streams_b; // packed: b comes from memory (below) and a from the first cache; 0: the other way round
  const char *next; // what will be read after this product: `next_lines` lines of 64 bytes, fetched to the second cache
  mk_int next_lines;

  // Integer products only: c = scale of the row * scale of the column * (sums - zero of the row * sum of the column). Of a
  // convolution the sums are the rows' and the zeros the columns'.
  // Sums of a depth part wait for the next in partials[row * 16 + column], `partials_panel` from one panel to the next.
  int32_t last; // the last depth part: c is written
  int32_t add_partials;
  int32_t *partials;
  mk_int partials_panel;
  const float *row_scales, *column_scales;
  const int32_t *row_zeros, *column_sums;
  mk_int zeros_group; // int4: from the rows' zeros of one group of depths to those of the next
  const uint8_t *uppers; // coded weights: of the first panel, those of the next `uppers_panel` bytes on
  mk_int uppers_panel;
} mk_tile;

// How a tile's panels come from memory: one after the other, or side by side, each from a run of panels of its own, which
// four panels for one row may.
enum { MK_PANELS_OF_B = 1, MK_RUNS_OF_B = 2 };

// Biases of a panel of 16 queries in the layout of its scores, [keys][16]; NULL: none.
typedef struct {
  const float *bias;
  const float *table; // what index points into
  const int32_t *index;
} mk_panel_biases;

typedef void (*mk_tile_fn)(const mk_tile *tile);

typedef enum { MK_PACKED, MK_STRIDED, MK_COLUMN, MK_PLANES, MK_LAYOUTS } mk_layout;

typedef struct mk_depthwise_strip mk_depthwise_strip; // depthwise.h
typedef struct mk_band mk_band;                       // convolution_narrow.h
typedef struct mk_few_rows mk_few_rows;               // attention_few.h

// How many rows are multiplied with weights in a narrow format (linear_blocks.c).
typedef struct {
  int32_t depths;  // in one unit of 4 bytes of x and of the panels that the tiles read
  int32_t integer; // sums are integers: rows of x are quantised
  // Depths 0..<k of one row to units, in whole groups of 16; NULL: x is already in units. Returns the sum of integers.
  int32_t (*pack_row)(mk_int k, const float *x, float inverse, int32_t zero, void *out);
  // Rows of a packed panel to the units that the tiles read; NULL: they are the same.
  void (*widen)(mk_int rows, const void *panel, const float *scales, void *out);
  const mk_tile_fn (*tiles)[MK_BLOCK_ROWS]; // [panels - 1][rows - 1]
} mk_blocks;

// How few rows are multiplied with weights of a format (linear.c).
typedef struct {
  int32_t depths; // in one unit of 4 bytes of x
  int32_t panels; // of the widest of `tiles`
  int32_t rows;   // of the highest of them
  // Depths 0..<k of one row to units, in whole groups of 16, of integers within +-levels where the weights are integers;
  // whose sum it returns; NULL: x stays float32.
  int32_t (*pack_row)(mk_int k, const float *x, float inverse, int32_t levels, void *out);
  const mk_tile_fn (*tiles)[MK_BLOCK_ROWS]; // [panels - 1][rows - 1]; k counts units of weights
  mk_tile_fn wide_row;                      // 1 row of 4 panels
  // What the tiles add to weights to have them unsigned, and take from their sums again, times the sum of the row; 0: nothing.
  int32_t zero;
} mk_few;

// Which kernels larger than 1 x 1 take less time so than in float32: none, those that Winograd's method does not do, all.
typedef enum { MK_NO_WINDOWS, MK_DIRECT_WINDOWS, MK_ALL_WINDOWS } mk_windows;

// How pixels of a convolution are multiplied with weights in a narrow format (convolution_narrow.c).
typedef struct {
  int32_t depths;  // in one unit of 4 bytes of weights and pixels
  int32_t integer; // sums are integers: pixels are quantised
  // Depths 0..<k of one row of weights to units, of integers within +-levels, in whole groups of 16.
  int32_t (*pack_weights)(mk_int k, const float *w, float inverse, int32_t levels, void *out);
  // convolution_int8.inc.h, convolution_bf16.inc.h
  void (*round)(
    mk_int channels, mk_int pixels, const float *x, mk_int plane, float *scales, int32_t *zeros, uint32_t *out,
    mk_int panel);
  const mk_tile_fn (*tiles)[MK_BLOCK_ROWS]; // [panels - 1][rows - 1]; NULL: no such products
  void (*quantise_band)(const mk_band *band); // convolution_bands.inc.h; integers only
  mk_windows windows;
} mk_pixels;

// Winograd's transforms for tiles of side x side outputs, which see patches of `patch` = side + 2 rows and columns of
// input and have patch x patch positions. Whole vectors are read and written: room behind the last tile.
typedef struct {
  int32_t side;
  // Nine taps of groups of 16 pairs of channels, g[group][tap][16], to two rows of their positions, the first of them `row`:
  // u[((0 or 1) * patch + column) * position + pair].
  void (*weights)(int row, mk_int groups, const float *g, float *u, mk_int position);
  // Columns of n pixels of the `patch` rows x[] that a row of tiles sees, to as many rows of out. No other pixel is read;
  // those `ahead` of them are fetched.
  void (*input_rows)(mk_int n, const float *const x[], mk_int ahead, float *out, mk_int row);
  // The rows of that to positions, out[p * position + tile]; tile j starts at pixel side * j.
  void (*input_columns)(mk_int tiles, const float *x, mk_int row, float *out, mk_int position);
  // `side` rows of side * tiles pixels of m[p * position + tile].
  void (*output)(mk_int tiles, const float *m, mk_int position, float bias, int32_t relu, float *out, mk_int row);
} mk_winograd_transforms;

// How attention multiplies many queries (attention.c), in units of 4 bytes of one float or two bf16.
typedef struct {
  int32_t depths; // in a unit: channels of queries and keys, keys of weights and values
  // Panels of queries that are taken together, and an even number of keys whose scores and values stay in the near caches
  // while those queries use them.
  mk_int panels, keys;
  const mk_tile_fn (*scores)[MK_BLOCK_ROWS], (*sums)[MK_BLOCK_ROWS]; // strided and column layouts, [panels - 1][rows - 1]
  // Scores [keys][16 queries] of one more block of keys to weights exp(score + biases - top) in place, units [keys /
  // depths][16], a zero behind the last. tops[16] and sums[16] are those of all blocks so far; factors[16] receives what the
  // outputs so far must be multiplied with.
  void (*softmax_panel)(
    mk_int keys, float *scores, const mk_panel_biases *biases, float *tops, float *sums, float *factors);
} mk_attention_form;

typedef struct {
  const char *name;
  int32_t panels; // panels of the widest tile: 1 or 2
  int32_t rows;   // rows of the highest tile, at most MK_BLOCK_ROWS
  mk_int depth;   // depth of one block of a long product, at most MK_MAX_DEPTH
  mk_tile_fn tiles[MK_LAYOUTS][2][MK_BLOCK_ROWS]; // [layout][panels - 1][rows - 1]

  mk_blocks f32, bf16, int8, wide_int8; // wide: with x in float32
  mk_few few_f32, few_bf16, few_coded_f32, few_coded_bf16, few_int8, few_int4;
  int32_t prefers_coded;
  mk_pixels int8_pixels, bf16_pixels;

  // formats.inc.h
  void (*pack_bf16)(mk_int pairs, const float *panel, void *out);
  void (*pair_maxima)(mk_int pairs, const float *panel, float *maxima);
  void (*pack_int8)(mk_int quads, const float *panel, const float *inverse, void *out, int32_t *sums);
  void (*pack_int4)(mk_int units, const float *panel, void *out);
  // coded_units.inc.h
  void (*decode_bf16)(mk_int groups, const uint8_t *uppers, const void *coded, uint32_t *out);
  void (*decode_f32)(mk_int groups, const uint8_t *uppers, const void *coded, uint32_t *out);

  // In place over rows of n elements.
  void (*activate)(mk_activation activation, mk_int rows, mk_int n, float *c, mk_int ldc);
  // out[p * 16 + r] = scale * x[r * row_stride + p], zero for r >= rows (rows <= 16).
  void (*transpose_panel)(
    mk_int rows, mk_int n, const float *x, mk_int row_stride, float scale, float *out, int32_t add);
  mk_attention_form attention;
  const mk_attention_form *paired_attention; // of pairs of bf16, panels in full vectors; NULL: none
  // attention_few.inc.h
  void (*few_scores)(const mk_few_rows *keys);
  void (*few_sums)(const mk_few_rows *values);
  // y[i * ldy + j] = x[i] . w[j] for i < m <= 6 and j < rows, both operands row by row.
  void (*product_rows)(
    mk_int m, mk_int k, const float *x, mk_int ldx, mk_int rows, const float *w, mk_int ldw, float *y, mk_int ldy);
  // screen.inc.h
  mk_int (*reaching)(
    mk_int n, const float *y, const float *bounds, float norm, float floor, mk_int most, mk_int *indices);
  double (*dot)(mk_int k, const float *x, const float *w, const float *next);
  // x = exp(x - top), top being the largest of x; returns the sum: 0 when all are -inf.
  float (*softmax_row)(mk_int n, float *x, int32_t count, const float *const biases[2], float *top);

  void (*layer_norm)(
    mk_int n, const float *x, const float *residual, const float *gamma, const float *beta, float eps, float *sum,
    float *y);
  void (*rms_norm)(
    mk_int n, const float *x, const float *residual, const float *gamma, float eps, float *sum, float *y);
  void (*softmax)(mk_int n, const float *x, int32_t log, float *y);
  float (*logsumexp)(mk_int n, const float *x);
  float (*maximum)(mk_int n, const float *x); // ignores NaN; -inf when there is nothing else
  void (*similarity)(mk_int n, const float *a, const float *b, double sums[3]); // a.b, a.a, b.b
  double (*sum)(mk_int n, const float *x, int32_t square);
  void (*extremes)(mk_int n, const float *x, float *low, float *high); // NaN when there is one

  int32_t (*unary)(mk_unary_op op, mk_int n, const float *x, float *y); // 0: not vectorised
  void (*affine)(mk_int n, const float *x, float a, float b, float *y);
  // Operand strides are 0 or 1. 0: not vectorised.
  int32_t (*binary)(
    mk_binary_op op, mk_int n, const float *a, mk_int a_stride, const float *b, mk_int b_stride, float *y);

  // y[i] = x[i * step] for step 2.
  void (*every_second)(mk_int n, const float *x, float *y);
  // convolution_bands.inc.h
  void (*join_panel)(
    mk_int k, const mk_int *offsets, int32_t runs, const float *const *from, const int32_t *at, float *out);
  void (*make_lines)(const mk_depthwise_strip *strip); // only copies what it sees
  void (*depthwise)(const mk_depthwise_strip *strip);

  mk_winograd_transforms winograd2, winograd4;

  void (*f16_to_f32)(const uint16_t *x, mk_int n, float *y); // NULL: use the portable form
  void (*f32_to_f16)(const float *x, mk_int n, uint16_t *y);
} mk_kernels;

extern const mk_kernels mk_kernels_portable;
#if defined(__x86_64__)
extern const mk_kernels mk_kernels_avx2, mk_kernels_avx2_vnni;
extern const mk_kernels mk_kernels_avx512, mk_kernels_avx512_vnni, mk_kernels_avx512_bf16;
#elif defined(__aarch64__)
extern const mk_kernels mk_kernels_neon;
#endif

// The kernels in use.
const mk_kernels *mk_current_kernels(void);

static inline mk_int mk_min(mk_int a, mk_int b) { return a < b ? a : b; }
static inline mk_int mk_max(mk_int a, mk_int b) { return a > b ? a : b; }
static inline mk_int mk_ceil_div(mk_int a, mk_int b) { return (a + b - 1) / b; }
static inline mk_int mk_round_up(mk_int a, mk_int b) { return mk_ceil_div(a, b) * b; }

// Part `index` of `parts` almost equal parts of 0..<count: starts at mk_part(count, parts, index).
static inline mk_int mk_part(mk_int count, mk_int parts, mk_int index) {
  mk_int base = count / parts, rest = count % parts;
  return index * base + mk_min(index, rest);
}

// Rows 0..<rows (any number) as tiles of almost equal heights, at most `most`; `tile` is the first of them. Rows of c and
// of what is per row follow; a moves on by `step` a row, and each tile fetches its share of what is next.
void mk_run_tiles(const mk_tile_fn *tiles, mk_int most, mk_int step, mk_int rows, const mk_tile *tile);

// Packs rows 0..<rows of x, depths 0..<depth times a factor, as tiles of at most `most` rows read them: blocks of the same
// heights as in mk_run_tiles one behind the other, [padded][height] each, zeros from `depth` to `padded`.
void mk_pack_left(
  mk_int most, mk_int rows, mk_int depth, mk_int padded, const float *x, mk_int ldx, float factor, float *out);
// One such block: out[p * height + row].
void mk_interleave(mk_int height, mk_int depth, const float *x, mk_int ldx, float *out);

// Products below this many multiply-adds are not worth waking a thread.
enum { MK_PARALLEL_PRODUCTS = 100000, MK_PARALLEL_ELEMENTS = 16384 };

static inline mk_pool *mk_pool_for(mk_pool *pool, mk_int work, mk_int threshold) {
  return work < threshold ? NULL : pool;
}

// A float at any address.
static inline float mk_load1(const float *p) {
  float value;
  memcpy(&value, p, sizeof value);
  return value;
}

typedef float mk_four __attribute__((ext_vector_type(4)));

static inline mk_four mk_load4(const float *p) {
  mk_four v;
  memcpy(&v, p, sizeof v);
  return v;
}

// Elements 0..<4 of four rows, `row` apart, to four columns.
static inline __attribute__((always_inline)) void mk_transpose4(const float *p, mk_int row, mk_four columns[4]) {
  mk_four a = mk_load4(p), b = mk_load4(p + row), c = mk_load4(p + 2 * row), d = mk_load4(p + 3 * row);
  mk_four ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
  columns[0] = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
  columns[1] = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
  ab = __builtin_shufflevector(a, b, 2, 6, 3, 7), cd = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  columns[2] = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
  columns[3] = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
}
