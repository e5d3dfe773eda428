// Convolutions of narrow operands; the same functions as mk_conv has in mue_kernels.h. Below them what packing the weights
// (convolution_narrow_pack.c) and multiplying (convolution_narrow.c) share.
#pragma once
#include "kernels.h"

enum { MK_PIXELS_TOGETHER = 256 }; // the most that are rounded together

// Whether a convolution has a form of this type. Sizes of images do not count.
int32_t mk_has_narrow(mk_weights type, const mk_conv_shape *shape);

size_t mk_conv_narrow_packed_bytes(mk_weights type, const mk_conv_shape *shape);
void mk_conv_narrow_pack(
  mk_pool *pool, mk_weights type, const mk_conv_shape *shape, const float *weights, void *packed);
size_t mk_conv_narrow_scratch(const mk_pool *pool, mk_weights type, const mk_conv_shape *shape);
void mk_conv_narrow(
  mk_pool *pool, mk_weights type, const mk_conv_shape *shape, const float *x, const void *packed, const float *bias,
  mk_activation activation, const float *residual, float *y, void *scratch);

// Rows of an image that are quantised together (convolution_bands.h), zeros beyond the image included.
struct mk_band {
  const float *x;                // the first row inside the image, of the first channel
  mk_int channels, plane, width; // `plane` and `width` from one channel and row to the next
  mk_int above, rows, below;     // in front of the image, inside, behind it
  mk_int left, columns;          // in front of a row, and inside of what is seen of it
  mk_int lines, line;            // of a row: its columns `lines` apart; units of each
  mk_int quad;                   // units from one quad of channels to the next
  float *scale;
  int32_t *zero;
  float *row; // scratch, one row
  float *out; // [quad][above + rows + below][halves of a quad][lines][line], and room for a vector
};

// A row of weights, or a column of pixels.
typedef struct {
  const mk_pixels *form;
  int32_t banded; // integers of bands of rows
  mk_int depth;  // input channel, kernel row, kernel column; in bands kernel row, quad of channels, kernel column, channel
  mk_int units;  // whole quads of depths
  mk_int scales; // in front of the weights: output channels, filled up to whole panels, that have scales and sums
} mk_narrow_row;
mk_narrow_row mk_narrow_row_of(mk_weights type, const mk_conv_shape *shape);
