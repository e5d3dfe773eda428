// What the files of linear products share.
#pragma once
#include "coded.h"

// mk_linear's arguments. residual is NULL when it is y: then results are added to what is there.
typedef struct {
  mk_int m, k, n;
  const float *x;
  mk_int ldx;
  const void *packed;
  const float *bias;
  mk_activation activation;
  const float *residual;
  mk_int ldr;
  float *y;
  mk_int ldy;
  int32_t add_to_y;
} mk_linear_args;

enum {
  MK_ROW_BYTES = MK_PANEL * 4, // one row of a packed panel: 16 units
};

// Depths of a column in one unit of 4 bytes.
static inline mk_int mk_stored_depths(mk_weights type) {
  switch (type) {
  case MK_WEIGHTS_F32: return 1;
  case MK_WEIGHTS_BF16:
  case MK_WEIGHTS_BF16_CODED:
  case MK_WEIGHTS_F32_CODED: return 2;
  case MK_WEIGHTS_INT8: return 4;
  case MK_WEIGHTS_INT4: return 8;
  }
  return 1;
}
static inline mk_int mk_panel_bytes(mk_weights type, mk_int k) {
  if (mk_is_coded(type)) return mk_coded_panel_bytes(type, k);
  mk_int scales = type == MK_WEIGHTS_INT4 ? mk_ceil_div(k, MK_INT4_GROUP) : 0;
  return (mk_ceil_div(k, mk_stored_depths(type)) + scales) * MK_ROW_BYTES;
}

// The parts of a packed matrix. scales and sums of its columns: int8 only; heads of its panels: coded ones.
typedef struct {
  const char *panels;
  mk_int panel_bytes;
  const char *heads;
  mk_int head_bytes;
  const float *scales;
  const int32_t *sums;
} mk_packed;
mk_packed mk_packed_view(mk_weights type, mk_int k, mk_int n, const void *packed);
static inline const mk_coded_head *mk_head_of_panel(const mk_packed *packed, mk_int panel) {
  return (const void *)(packed->heads + panel * packed->head_bytes);
}

// Products of more than MK_NARROW_ROWS rows with narrow weights.
size_t mk_blocks_scratch(const mk_pool *pool, mk_weights type, mk_int m, mk_int k, mk_int n);
void mk_linear_blocks(mk_pool *pool, mk_weights type, const mk_linear_args *args, void *scratch);

// The smallest and largest element of a row, 0 included; NaN where there is one.
static inline void mk_row_range(const mk_kernels *kernels, mk_int k, const float *x, float *low, float *high) {
  kernels->extremes(k, x, low, high);
  *low = *low < 0 ? *low : *low == *low ? 0 : *low;
  *high = *high > 0 ? *high : *high == *high ? 0 : *high;
}

// The scale of int8 weights: `mean` is the largest mean magnitude of two that meet depths 2p and 2p + 1. 0 when there is
// nothing to tell apart, NaN when one is not finite.
static inline float mk_weight_scale(float mean, float *inverse) {
  float scale = mean / MK_PAIR_LEVELS;
  *inverse = 0;
  if (!(scale - scale == 0)) return __builtin_nanf("");
  if (scale < MK_LEAST_SCALE) return 0;
  *inverse = 1 / scale;
  return scale;
}

// The scale with which a row becomes integers within +-levels, round(x inverse): 0 when there is nothing to tell apart,
// NaN when an element is not finite.
static inline float mk_fine_scale(
  const mk_kernels *kernels, mk_int k, const float *x, int32_t levels, float *inverse) {
  float low, high;
  mk_row_range(kernels, k, x, &low, &high);
  float scale = (-low > high ? -low : high) / (float)levels;
  *inverse = 0;
  if (!(low - low == 0 && high - high == 0)) return __builtin_nanf("");
  if (scale < MK_LEAST_SCALE) return 0;
  *inverse = 1 / scale;
  return scale;
}

// How a row of x becomes 8 bits: u = clamp(round(x inverse) + zero, 0, 255), which stands for scale (u - zero). Returns
// the scale: 0 when there is nothing to tell apart, NaN when an element is not finite.
static inline float mk_quantise_row(const mk_kernels *kernels, mk_int k, const float *x, float *inverse, int32_t *zero) {
  float low, high;
  mk_row_range(kernels, k, x, &low, &high);
  float above = high / 255, below = low / 255;
  float scale = above - below;
  *inverse = 0;
  *zero = 0;
  if (!(scale - scale == 0)) return __builtin_nanf("");
  if (scale < MK_LEAST_SCALE) return 0;
  *inverse = 1 / scale;
  float steps = -low * *inverse;
  *zero = (int32_t)__builtin_roundevenf(steps < 255 ? steps : 255);
  return scale;
}
