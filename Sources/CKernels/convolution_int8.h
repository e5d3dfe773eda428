// Convolutions 1 x 1 with weights of 8 bits; the same functions as mk_conv has in mue_kernels.h.
#pragma once
#include "kernels.h"

// The most pixels that are quantised together.
enum { MK_QUANTISED_PIXELS = 256 };

// Whether a convolution has such a form. Sizes of images do not count.
int32_t mk_has_int8(const mk_conv_shape *shape);

size_t mk_conv_int8_packed_bytes(const mk_conv_shape *shape);
void mk_conv_int8_pack(mk_pool *pool, const mk_conv_shape *shape, const float *weights, void *packed);
size_t mk_conv_int8_scratch(const mk_pool *pool, const mk_conv_shape *shape);
void mk_conv_int8(
  mk_pool *pool, const mk_conv_shape *shape, const float *x, const void *packed, const float *bias,
  mk_activation activation, const float *residual, float *y, void *scratch);
