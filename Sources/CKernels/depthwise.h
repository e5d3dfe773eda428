// Depthwise convolutions: every channel by itself. The same functions as mk_conv has in mue_kernels.h.
#pragma once
#include "kernels.h"

int32_t mk_is_depthwise(const mk_conv_shape *shape);

size_t mk_depthwise_scratch(const mk_pool *pool, const mk_conv_shape *shape);
// The weights are as given.
void mk_depthwise(
  mk_pool *pool, const mk_conv_shape *shape, const float *x, const float *weights, const float *bias,
  mk_activation activation, const float *residual, float *y, void *scratch);

// How the input of a strip of output rows lies in scratch.
typedef struct {
  // Lines of one input row: one for each remainder of the columns by the stride, which taps share, or one for each tap.
  int32_t shared;
  mk_int lines;
  mk_int line_floats; // from one line to the next
  mk_int line_used;   // what taps read of it
  // Copied rows: those from the first to the last that are seen, or the kernel's rows for each output row.
  int32_t whole;
  mk_int step; // from an output row to the next, in copied rows
  mk_int strip_rows, worker_floats;
} mk_depthwise_plan;

// The plan but for its strips; and where the taps of a kernel row find their columns, in one copied row.
mk_depthwise_plan mk_plan_lines(const mk_conv_shape *s);
void mk_place_taps(const mk_conv_shape *s, const mk_depthwise_plan *plan, mk_int *taps);

// One strip: y[i * out_width + j] = relu(bias + residual + the sum over kernel rows u and columns t of
// w[u][t] * line[(i * step + u) * lines * line_floats + taps[t] + j]), i < rows.
struct mk_depthwise_strip {
  const mk_conv_shape *s;
  const mk_depthwise_plan *plan;
  const mk_int *taps;
  const float *x; // the plane
  mk_int first;   // output row
  mk_int rows;
  float *lines; // scratch
  const float *w;
  float bias;
  const float *residual; // optional; may be y
  int32_t relu;
  float *y;
};

// Rows that are copied for so many output rows.
static inline mk_int mk_copied_rows(const mk_depthwise_plan *p, const mk_conv_shape *s, mk_int rows) {
  return p->whole ? (rows - 1) * s->stride_h + s->kernel_h : rows * s->kernel_h;
}
