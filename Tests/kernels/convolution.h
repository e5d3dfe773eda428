// What the checks of convolutions share: cases, shapes and what an output sees.
#pragma once
#include "check.h"

typedef struct {
  mk_conv_shape s;
  mk_activation activation;
  int bias, residual; // residual: 0 none, 1 of its own, 2 what is in y
  mk_pool *pool;
  uint64_t seed;
} conv_case;

// The shape with what its output follows from; out_height or out_width is 0 where the kernel does not fit.
static inline mk_conv_shape shaped(mk_conv_shape s, mk_int pad_bottom, mk_int pad_right) {
  mk_int h = s.height + s.pad_top + pad_bottom - s.dilation_h * (s.kernel_h - 1) - 1;
  mk_int w = s.width + s.pad_left + pad_right - s.dilation_w * (s.kernel_w - 1) - 1;
  s.out_height = h < 0 ? 0 : h / s.stride_h + 1;
  s.out_width = w < 0 ? 0 : w / s.stride_w + 1;
  return s;
}

// The input under kernel position (u, t) of output (i, j), 0 in the padding.
static inline double seen(const mk_conv_shape *s, const float *plane, mk_int i, mk_int j, mk_int u, mk_int t) {
  mk_int y = i * s->stride_h - s->pad_top + u * s->dilation_h, x = j * s->stride_w - s->pad_left + t * s->dilation_w;
  return y < 0 || y >= s->height || x < 0 || x >= s->width ? 0 : (double)plane[y * s->width + x];
}

static inline mk_conv_shape pointwise(mk_int batch, mk_int in, mk_int height, mk_int width, mk_int out) {
  return shaped((mk_conv_shape){batch, in, height, width, out, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 1}, 0, 0);
}
