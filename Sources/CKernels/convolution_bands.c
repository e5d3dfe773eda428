#include "convolution_bands.h"

enum {
  // What two neighbours both see adds at most a quarter to quantising them.
  MK_BAND_ROWS = 8, // of the input, at least, from a band to the next
  MK_BAND_OVERLAPS = 4,
  MK_BAND_UNITS = 1 << 20, // of the images that are there at a time: they stay in the last cache
};

mk_band_plan mk_plan_bands(const mk_kernels *kernels, const mk_conv_shape *s, mk_int units) {
  mk_band_plan p = {.kernels = kernels, .s = s, .bytes = kernels->int8_pixels.depths == 4};
  mk_int step = mk_max(MK_BAND_ROWS, MK_BAND_OVERLAPS * (s->kernel_h - s->stride_h));
  p.count = mk_max(mk_ceil_div(s->out_height * s->stride_h, step), 1);
  p.height = mk_ceil_div(s->out_height, p.count);
  p.count = mk_ceil_div(s->out_height, mk_max(p.height, 1));
  p.rows = (p.height - 1) * s->stride_h + s->kernel_h;
  p.halves = p.bytes ? 1 : 2;
  p.line = mk_ceil_div((s->out_width - 1) * s->stride_w + s->kernel_w, s->stride_w);
  p.row = p.halves * s->stride_w * p.line;
  // Behind the last row, what vectors are written and read beyond it.
  p.band = mk_round_up(mk_ceil_div(s->channels, 4) * p.rows * p.row + MK_PANEL, MK_PANEL);
  p.together = mk_max(mk_min(MK_BAND_UNITS / mk_max(p.count * p.band, 1), s->batch), 1);
  p.scales_at = mk_round_up(units * (mk_int)(sizeof(mk_int) / sizeof(float)), MK_PANEL);
  p.zeros_at = p.scales_at + mk_round_up(p.together * p.count, MK_PANEL);
  p.bands_at = p.zeros_at + mk_round_up(p.together * p.count, MK_PANEL);
  p.all = p.bands_at + p.together * p.count * p.band;
  p.worker = mk_round_up(p.row + 2 * MK_PANEL, MK_PANEL);
  return p;
}

typedef struct {
  const mk_band_plan *plan;
  const float *x;
  float *shared, *workers;
  mk_int worker_step;
} mk_bands_call;

static void mk_quantise_one_band(void *context, mk_int task, int32_t worker) {
  const mk_bands_call *c = context;
  const mk_band_plan *p = c->plan;
  const mk_conv_shape *s = p->s;
  mk_int image = task / p->count, index = task % p->count;
  // Input rows that the band sees, in front of the image and behind it too; those that are inside.
  mk_int output = mk_min((index + 1) * p->height, s->out_height) - index * p->height;
  mk_int top = index * p->height * s->stride_h - s->pad_top;
  mk_int bottom = top + p->rows - (p->height - output) * s->stride_h;
  mk_int first = mk_min(mk_max(top, 0), s->height), last = mk_max(mk_min(bottom, s->height), first);
  mk_int stretch = s->stride_w * p->line, left = mk_min(s->pad_left, stretch);
  mk_band band = {
    .x = c->x + image * s->channels * s->height * s->width + first * s->width,
    .channels = s->channels,
    .plane = s->height * s->width,
    .width = s->width,
    .above = mk_max(mk_min(0, bottom) - top, 0),
    .rows = last - first,
    .left = left,
    .columns = mk_min(s->width, stretch - left),
    .lines = s->stride_w,
    .line = p->line,
    .quad = p->rows * p->row,
    .scale = c->shared + p->scales_at + task,
    .zero = (int32_t *)(void *)(c->shared + p->zeros_at + task),
    .row = c->workers + worker * c->worker_step,
    .out = c->shared + p->bands_at + task * p->band,
  };
  band.below = bottom - top - band.above - band.rows;
  p->kernels->int8_pixels.quantise_band(&band);
}

void mk_quantise_bands(
  mk_pool *pool, const mk_band_plan *plan, mk_int images, const float *x, float *shared, float *workers,
  mk_int worker_step) {
  const mk_conv_shape *s = plan->s;
  mk_int *offsets = (mk_int *)(void *)shared, half = s->stride_w * plan->line, i = 0;
  for (mk_int u = 0; u < s->kernel_h; u++) {
    for (mk_int quad = 0; quad < mk_ceil_div(s->channels, 4); quad++) {
      mk_int row = (quad * plan->rows + u) * plan->row;
      for (mk_int t = 0; t < s->kernel_w; t++) {
        mk_int column = t % s->stride_w * plan->line + t / s->stride_w;
        for (mk_int h = 0; h < plan->halves; h++) offsets[i++] = row + h * half + column;
      }
    }
  }
  mk_bands_call call = {plan, x, shared, workers, worker_step};
  mk_parallel(pool, images * plan->count, mk_quantise_one_band, &call);
}

void mk_make_band_columns(
  const mk_band_plan *plan, const float *shared, mk_int image, mk_int first, mk_int pixels, mk_int units, float *scales,
  int32_t *zeros, float *columns) {
  const mk_conv_shape *s = plan->s;
  const mk_int *offsets = (const mk_int *)(const void *)shared;
  const int32_t *band_zeros = (const int32_t *)(const void *)(shared + plan->zeros_at);
  mk_int row = first / s->out_width, column = first % s->out_width;
  for (mk_int j = 0; j < pixels; j += MK_PANEL) {
    const float *from[MK_PANEL];
    int32_t at[MK_PANEL], runs = 0;
    mk_int end = mk_min(pixels - j, MK_PANEL);
    for (mk_int i = 0; i < end; runs++) {
      mk_int count = mk_min(end - i, s->out_width - column);
      mk_int band = image * plan->count + row / plan->height;
      from[runs] = shared + plan->bands_at + band * plan->band + row % plan->height * s->stride_h * plan->row + column;
      at[runs] = (int32_t)i;
      for (mk_int e = i + count; i < e; i++) scales[j + i] = shared[plan->scales_at + band], zeros[j + i] = band_zeros[band];
      column += count;
      if (column == s->out_width) row++, column = 0;
    }
    // Whole vectors of them are read.
    for (mk_int i = end; i < MK_PANEL; i++) scales[j + i] = 0, zeros[j + i] = 0;
    plan->kernels->join_panel(units, offsets, runs, from, at, columns + j * units);
  }
}
