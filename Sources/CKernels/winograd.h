// Convolutions that Winograd's method suits; the same functions as mk_conv has in mue_kernels.h.
#pragma once
#include "kernels.h"

// Whether a convolution is computed so. Sizes of images do not count.
int32_t mk_is_winograd(const mk_conv_shape *shape);

size_t mk_winograd_packed_bytes(const mk_conv_shape *shape);
void mk_winograd_pack(mk_pool *pool, const mk_conv_shape *shape, const float *weights, void *packed);
size_t mk_winograd_scratch(const mk_pool *pool, const mk_conv_shape *shape);
void mk_winograd(
  mk_pool *pool, const mk_conv_shape *shape, const float *x, const void *packed, const float *bias,
  mk_activation activation, const float *residual, float *y, void *scratch);
