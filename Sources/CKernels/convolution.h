// How convolutions whose columns are made in scratch are cut into tasks; of float32 (convolution.c) or narrow operands
// (convolution_narrow.c).
#pragma once
#include "kernels.h"

enum {
  MK_COLUMN_UNITS = 48 * 1024, // of 4 bytes, in the columns that a task has in scratch: they stay in the second cache
  MK_MAX_PIXELS = 1024,        // pixels of one task
};

typedef struct {
  mk_int pixels;      // of an output plane
  mk_int pixel_parts; // whole panels, but for the last one
  mk_int shares;      // tasks that share the output channels of the same pixels
} mk_conv_parts;
// `units` of each column are in scratch at a time.
mk_conv_parts mk_share_conv(const mk_pool *pool, const mk_conv_shape *s, mk_int units);
static inline mk_int mk_conv_tasks(const mk_conv_shape *s, const mk_conv_parts *parts) {
  return s->batch * s->groups * parts->pixel_parts * parts->shares;
}

// What a task computes.
typedef struct {
  mk_int image, group, pixel0, pixels;
  mk_int blocks, block0, block1; // of the group's output channels, as tiles read their weights; of these block0..<block1
} mk_conv_place;
mk_conv_place mk_place_conv(const mk_conv_shape *s, const mk_conv_parts *parts, mk_int task);

// The most pixels of a task.
static inline mk_int mk_most_pixels(mk_int units) {
  return mk_min(mk_max(MK_COLUMN_UNITS / mk_max(units, 1) / MK_PANEL, 1) * MK_PANEL, MK_MAX_PIXELS);
}

// Whether the columns of a convolution are the planes of its input as they are.
static inline int32_t mk_is_direct(const mk_conv_shape *s) {
  return s->kernel_h == 1 && s->kernel_w == 1 && s->stride_h == 1 && s->stride_w == 1 && s->pad_top == 0 &&
    s->pad_left == 0 && s->out_height == s->height && s->out_width == s->width;
}
// One row of columns: what kernel position (u, t) of `plane` sees at pixels first..<last.
void mk_make_column(
  const mk_kernels *kernels, const mk_conv_shape *s, const float *plane, mk_int u, mk_int t, mk_int first, mk_int last,
  float *out);

// A depth is cut into equal parts, of at most MK_MAX_DEPTH, at multiples of MK_CHUNK.
static inline mk_int mk_depth_parts(mk_int depth) { return mk_max(mk_ceil_div(depth, MK_MAX_DEPTH), 1); }
static inline mk_int mk_first_depth(mk_int depth, mk_int part) {
  return mk_min(mk_part(mk_ceil_div(depth, MK_CHUNK), mk_depth_parts(depth), part) * MK_CHUNK, depth);
}
