// Making the columns of a convolution. A tile that finds all its pixels side by side at each depth, in the input itself or
// in lines that hold every stride_w-th column of it, padding included, reads them there. Only other columns are made
// before: those of panels with pixels of several output rows, the last ones of a plane, and all where lines would take too
// much room.
#include "columns.h"

enum { MK_LINE_UNITS = 64 * 1024 }; // floats of all lines of a task

mk_column_plan mk_plan_columns(const mk_kernels *kernels, const mk_conv_shape *s, mk_int depth, mk_int pixels) {
  mk_column_plan p = {.kernels = kernels, .s = s, .from = mk_is_direct(s) ? MK_IN_PLANES : MK_COPIED};
  mk_int kernel = s->kernel_h * s->kernel_w;
  // In front of the lines: offsets of depths, and of the taps of a row.
  p.lines_at = mk_round_up((MK_MAX_DEPTH + s->kernel_w) * (mk_int)(sizeof(mk_int) / sizeof(float)), MK_PANEL);
  p.columns_at = p.lines_at;
  if (kernel > 1) {
    p.lines = mk_plan_lines(s);
    mk_int rows = mk_max(mk_min((pixels - 2) / mk_max(s->out_width, 1) + 2, s->out_height), 1);
    mk_int channels = mk_min((depth - 2) / kernel + 2, s->channels / s->groups); // that a part begins or ends within
    p.channel_floats = mk_copied_rows(&p.lines, s, rows) * p.lines.lines * p.lines.line_floats;
    if (channels * p.channel_floats <= MK_LINE_UNITS) {
      p.from = MK_IN_LINES;
      p.columns_at += channels * p.channel_floats;
    }
  }
  // Behind the columns, what a copied vector reaches over them; and a row of pixels for columns that are made one by one.
  mk_int whole = mk_round_up(pixels, MK_PANEL);
  p.floats = p.columns_at + whole * depth + MK_PANEL + (p.from == MK_COPIED ? whole : 0);
  return p;
}

void mk_make_column(
  const mk_kernels *kernels, const mk_conv_shape *s, const float *plane, mk_int u, mk_int t, mk_int first, mk_int last,
  float *out) {
  mk_int left = t * s->dilation_w - s->pad_left;
  // Output columns j whose input column j * stride + left lies inside.
  mk_int inside0 = left >= 0 ? 0 : mk_ceil_div(-left, s->stride_w);
  mk_int inside1 = s->width > left ? mk_ceil_div(s->width - left, s->stride_w) : 0;
  mk_int row = first / s->out_width, j = first % s->out_width;
  for (mk_int pixel = first; pixel < last; row++, j = 0) {
    mk_int end = mk_min(s->out_width, j + last - pixel);
    mk_int in_row = row * s->stride_h - s->pad_top + u * s->dilation_h;
    mk_int from = j, to = end;
    if (in_row < 0 || in_row >= s->height) {
      from = to = end;
    } else {
      from = mk_min(mk_max(j, inside0), end);
      to = mk_max(mk_min(end, inside1), from);
    }
    float *o = out + (pixel - first) - j;
    for (mk_int i = j; i < from; i++) o[i] = 0;
    if (to > from) {
      const float *x = plane + in_row * s->width + from * s->stride_w + left;
      mk_int n = to - from;
      if (s->stride_w == 1) {
        for (mk_int i = 0; i < n; i++) o[from + i] = x[i];
      } else if (s->stride_w == 2) {
        kernels->every_second(n, x, o + from);
      } else {
        for (mk_int i = 0; i < n; i++) o[from + i] = x[i * s->stride_w];
      }
    }
    for (mk_int i = to; i < end; i++) o[i] = 0;
    pixel += end - j;
  }
}

// The columns of a run of pixels one by one, each as a row that is cut into panels.
static void mk_make_each(const mk_columns *c, const float *x, mk_int j) {
  const mk_conv_shape *s = c->plan->s;
  mk_int kernel = s->kernel_h * s->kernel_w, n = c->pixels - j, whole = n / MK_PANEL * MK_PANEL;
  float *row = c->columns + mk_round_up(c->pixels, MK_PANEL) * c->depth + MK_PANEL, *columns = c->columns + j * c->depth;
  for (mk_int p = 0; p < c->depth; p++) {
    mk_int tap = (c->depth0 + p) % kernel, channel = (c->depth0 + p) / kernel;
    const float *plane = x + channel * s->height * s->width, *from = row;
    if (c->plan->from == MK_IN_PLANES) {
      from = plane + c->first + j;
    } else {
      mk_make_column(
        c->plan->kernels, s, plane, tap / s->kernel_w, tap % s->kernel_w, c->first + j, c->first + c->pixels, row);
    }
    float *o = columns + p * MK_PANEL;
    for (mk_int i = 0; i < whole; i += MK_PANEL, o += c->depth * MK_PANEL) memcpy(o, from + i, MK_PANEL * sizeof(float));
    if (whole < n) {
      memcpy(o, from + whole, (size_t)(n - whole) * sizeof(float));
      memset(o + n - whole, 0, (size_t)(MK_PANEL - n + whole) * sizeof(float));
    }
  }
}

// One panel out of lines, from pixel j on, whose pixels are of several output rows. Each run of them is copied as a whole
// vector, the next one over what is too much of it.
static void mk_join_lines(const mk_columns *c, mk_int j) {
  mk_int end = mk_min(j + MK_PANEL, c->pixels), runs = 0, width = c->plan->s->out_width;
  const float *from[MK_PANEL];
  mk_int at[MK_PANEL];
  for (mk_int i = j; i < end; i += width - (c->first + i) % width) from[runs] = mk_seen(c, i, 1), at[runs++] = i - j;
  float *out = c->columns + j * c->depth;
  for (mk_int p = 0; p < c->depth; p++, out += MK_PANEL) {
    for (mk_int i = 0; i < runs; i++) memcpy(out + at[i], from[i] + c->offsets[p], MK_PANEL * sizeof(float));
    memset(out + end - j, 0, (size_t)(MK_PANEL - end + j) * sizeof(float));
  }
}

// Copies the input to lines, with what offsets they have.
static void mk_copy_lines(const mk_columns *c, const float *x, mk_int *offsets, mk_int *taps, float *lines) {
  const mk_column_plan *plan = c->plan;
  const mk_conv_shape *s = plan->s;
  mk_int kernel = s->kernel_h * s->kernel_w, channel0 = c->depth0 / kernel, plane = s->height * s->width;
  mk_int channel1 = mk_ceil_div(c->depth0 + c->depth, kernel), row = c->first / s->out_width;
  mk_depthwise_strip strip = {
    .s = s, .plan = &plan->lines, .first = row, .rows = (c->first + c->pixels - 1) / s->out_width - row + 1};
  // Of the next channel, fetched meanwhile.
  mk_int top = mk_min(mk_max(row * s->stride_h - s->pad_top, 0), s->height), bottom = top;
  if (plan->lines.whole) {
    bottom = mk_min((row + strip.rows - 1) * s->stride_h - s->pad_top + s->kernel_h, s->height);
  }
  for (mk_int channel = channel0; channel < channel1; channel++) {
    strip.x = x + channel * plane;
    strip.lines = lines + (channel - channel0) * plan->channel_floats;
    for (mk_int i = top * s->width; i < bottom * s->width; i += MK_PANEL) __builtin_prefetch(strip.x + plane + i, 0, 3);
    plan->kernels->make_lines(&strip);
  }
  mk_place_taps(s, &plan->lines, taps);
  for (mk_int p = 0; p < c->depth; p++) {
    mk_int tap = (c->depth0 + p) % kernel, channel = (c->depth0 + p) / kernel - channel0;
    offsets[p] = channel * plan->channel_floats + taps[tap % s->kernel_w] +
      tap / s->kernel_w * plan->lines.lines * plan->lines.line_floats;
  }
}

mk_columns mk_make_columns(
  const mk_column_plan *plan, const float *x, mk_int depth0, mk_int depth, mk_int first, mk_int pixels, float *scratch) {
  const mk_conv_shape *s = plan->s;
  mk_int *offsets = (mk_int *)(void *)scratch, wide = plan->kernels->panels * MK_PANEL;
  mk_columns c = {plan, depth0, depth, first, pixels, NULL, offsets, scratch + plan->columns_at};
  switch (plan->from) {
  case MK_IN_PLANES:
    c.seen = x + depth0 * s->height * s->width + first;
    for (mk_int p = 0; p < depth; p++) offsets[p] = p * s->height * s->width;
    mk_make_each(&c, x, pixels / wide * wide);
    break;
  case MK_IN_LINES:
    c.seen = scratch + plan->lines_at;
    mk_copy_lines(&c, x, offsets, offsets + MK_MAX_DEPTH, scratch + plan->lines_at);
    for (mk_int j = 0; j < pixels; j += wide) {
      if (mk_seen(&c, j, wide)) continue;
      for (mk_int i = j; i < mk_min(j + wide, pixels); i += MK_PANEL) mk_join_lines(&c, i);
    }
    break;
  case MK_COPIED: mk_make_each(&c, x, 0); break;
  }
  return c;
}
