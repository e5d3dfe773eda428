// The columns that a task of a convolution multiplies (convolution.c): one depth part of them for a run of pixels.
#pragma once
#include "convolution.h"
#include "depthwise.h"

typedef enum {
  MK_IN_PLANES, // columns are planes of the input
  MK_IN_LINES,  // columns are parts of lines that the input is copied to, one channel behind the other
  MK_COPIED,    // columns are made one by one
} mk_columns_from;

typedef struct {
  const mk_kernels *kernels;
  const mk_conv_shape *s;
  mk_columns_from from;
  mk_depthwise_plan lines;
  mk_int channel_floats;              // lines of a channel
  mk_int lines_at, columns_at, floats; // in a worker's scratch, behind offsets and taps
} mk_column_plan;
// For tasks of at most `pixels` pixels and depth parts of at most `depth`.
mk_column_plan mk_plan_columns(const mk_kernels *kernels, const mk_conv_shape *s, mk_int depth, mk_int pixels);

// Columns of pixels first..<first + pixels and depths depth0..<depth0 + depth.
typedef struct {
  const mk_column_plan *plan;
  mk_int depth0, depth, first, pixels;
  const float *seen;     // planes from their first pixel on, or lines from that of the output row of pixel `first`
  const mk_int *offsets; // of each depth in them
  float *columns;        // panels, [pixels / 16][depth][16]
} mk_columns;
// `x` are the input planes of the group.
mk_columns mk_make_columns(
  const mk_column_plan *plan, const float *x, mk_int depth0, mk_int depth, mk_int first, mk_int pixels, float *scratch);

// Where `count` pixels from first + j on are seen side by side at each depth, or NULL: they are in the columns. Others will
// be there when they were read once, by tiles that copy them.
static inline const float *mk_seen(const mk_columns *c, mk_int j, mk_int count) {
  const mk_column_plan *p = c->plan;
  if (j + count > c->pixels || p->from == MK_COPIED) return NULL;
  if (p->from == MK_IN_PLANES) return c->seen + j;
  mk_int width = p->s->out_width, pixel = c->first % width + j, column = pixel % width;
  if (column + count > width) return NULL;
  return c->seen + pixel / width * p->lines.step * p->lines.lines * p->lines.line_floats + column;
}
