// Depthwise convolution. A strip of input rows is copied into scratch with its padding, so that the sums need no edges:
// each row as lines that a tap reads one element after the other, whatever the stride. Both the lines and the copied rows
// are bounded by the kernel and the output, never by strides, dilations or pads.
#include "depthwise.h"

enum {
  MK_STRIP_FLOATS = 5 * 1024, // of a strip: it stays in the first cache, beside what is read and written
  MK_STRIP_ROWS = 4,          // output rows of a strip, at least
  MK_SHORT_REACH = 1024,      // columns from the first tap to the last, where lines may be shared by taps
};

int32_t mk_is_depthwise(const mk_conv_shape *s) {
  return s->groups > 1 && s->groups == s->channels && s->out_channels == s->channels;
}

mk_depthwise_plan mk_plan_lines(const mk_conv_shape *s) {
  mk_depthwise_plan p = {0};
  mk_int reach = (s->kernel_w - 1) * s->dilation_w;
  p.shared = s->stride_w <= s->kernel_w && reach <= MK_SHORT_REACH;
  p.lines = p.shared ? s->stride_w : s->kernel_w;
  mk_int last_tap = p.shared ? reach / s->stride_w : 0;
  p.line_used = s->out_width + last_tap;
  p.line_floats = mk_round_up(p.line_used + MK_PANEL, MK_PANEL); // lines end with whole vectors, read and written
  p.whole = s->dilation_h == 1 && s->stride_h <= s->kernel_h;
  p.step = p.whole ? s->stride_h : s->kernel_h;
  return p;
}

void mk_place_taps(const mk_conv_shape *s, const mk_depthwise_plan *plan, mk_int *taps) {
  for (mk_int t = 0; t < s->kernel_w; t++) {
    mk_int column = t * s->dilation_w;
    taps[t] = plan->shared ? column % s->stride_w * plan->line_floats + column / s->stride_w : t * plan->line_floats;
  }
}

static mk_depthwise_plan mk_plan_depthwise(const mk_conv_shape *s) {
  mk_depthwise_plan p = mk_plan_lines(s);
  mk_int row = p.lines * p.line_floats, rows = MK_STRIP_ROWS;
  while (rows < s->out_height && mk_copied_rows(&p, s, rows + MK_STRIP_ROWS) * row <= MK_STRIP_FLOATS) {
    rows += MK_STRIP_ROWS;
  }
  p.strip_rows = mk_min(rows, s->out_height);
  p.worker_floats = mk_copied_rows(&p, s, p.strip_rows) * row;
  return p;
}

static mk_int mk_taps_bytes(const mk_conv_shape *s) { return mk_round_up(s->kernel_w * (mk_int)sizeof(mk_int), 64); }

size_t mk_depthwise_scratch(const mk_pool *pool, const mk_conv_shape *s) {
  mk_depthwise_plan plan = mk_plan_depthwise(s);
  return (size_t)mk_taps_bytes(s) + (size_t)plan.worker_floats * (size_t)mk_pool_threads(pool) * sizeof(float);
}

typedef struct {
  const mk_kernels *kernels;
  const mk_conv_shape *s;
  mk_depthwise_plan plan;
  const float *x, *weights, *bias, *residual;
  mk_activation activation;
  float *y;
  const mk_int *taps;
  float *scratch;
} mk_depthwise_call;

static void mk_depthwise_plane(void *context, mk_int task, int32_t worker) {
  const mk_depthwise_call *c = context;
  const mk_conv_shape *s = c->s;
  mk_int channel = task % s->channels;
  mk_depthwise_strip strip = {
    .s = s,
    .plan = &c->plan,
    .taps = c->taps,
    .x = c->x + task * s->height * s->width,
    .lines = c->scratch + worker * c->plan.worker_floats,
    .w = c->weights + channel * s->kernel_h * s->kernel_w,
    .bias = c->bias ? mk_load1(c->bias + channel) : 0,
    .relu = c->activation == MK_ACT_RELU,
  };
  for (mk_int first = 0; first < s->out_height; first += c->plan.strip_rows) {
    mk_int at = (task * s->out_height + first) * s->out_width;
    strip.first = first;
    strip.rows = mk_min(c->plan.strip_rows, s->out_height - first);
    strip.y = c->y + at;
    strip.residual = c->residual ? c->residual + at : NULL;
    c->kernels->depthwise(&strip);
    mk_int n = strip.rows * s->out_width;
    if (c->activation > MK_ACT_RELU) c->kernels->activate(c->activation, 1, n, strip.y, n);
  }
}

void mk_depthwise(
  mk_pool *pool, const mk_conv_shape *s, const float *x, const float *weights, const float *bias,
  mk_activation activation, const float *residual, float *y, void *scratch) {
  mk_int products = s->batch * s->channels * s->out_height * s->out_width * s->kernel_h * s->kernel_w;
  if (s->batch <= 0 || s->out_height <= 0 || s->out_width <= 0) return;
  mk_depthwise_call c = {
    .kernels = mk_current_kernels(), .s = s, .plan = mk_plan_depthwise(s), .x = x, .weights = weights, .bias = bias,
    .residual = residual, .activation = activation, .y = y, .taps = scratch,
    .scratch = (float *)scratch + mk_taps_bytes(s) / (mk_int)sizeof(float)};
  mk_place_taps(s, &c.plan, scratch);
  mk_parallel(
    mk_pool_for(pool, products, MK_PARALLEL_PRODUCTS), s->batch * s->channels, mk_depthwise_plane, &c);
}
