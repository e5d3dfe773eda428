// Convolution 1 x 1 with weights of 8 bits: y[channel, pixel] = scale[channel] scale[pixel] (sum of w[channel, depth]
// x[depth, pixel]), w and x being integers. A pixel has a scale of its own, over its input channels. Both operands are
// pairs of int16, which every instruction set multiplies exactly: so pixels need not be rounded to 8 bits, but keep as
// many as sums of 32 leave them, like few rows of a product (linear.c).
//
// Packed weights: scales of the output channels, filled up to whole panels, then as convolution.c has them: [depth
// part], and in each blocks of output channels as tiles read them, [unit][height], a unit being a pair of input
// channels. The channels of a quad are paired as pack_fine_row does. Bytes would have to be widened in each call.
//
// A task quantises its block of pixels, which then stays in the second cache while all output channels pass over it.
#include "convolution_int8.h"

#include "convolution.h"
#include "linear.h"

enum {
  MK_LEAST_CHANNELS = 64,  // with fewer, rounding costs more than the products spare
  MK_MOST_CHANNELS = 4096, // up to here, and above mk_int8_levels, sums fit in 32 bits
  MK_WEIGHT_LEVELS = 127,
};

int32_t mk_has_int8(const mk_conv_shape *s) {
  return s->kernel_h == 1 && s->kernel_w == 1 && s->groups == 1 && s->channels >= MK_LEAST_CHANNELS &&
    s->channels <= MK_MOST_CHANNELS && s->out_channels >= MK_LEAST_CHANNELS;
}

// Units of one row of weights or column of pixels: whole quads of channels.
static mk_int mk_units(const mk_conv_shape *s) { return 2 * mk_ceil_div(s->channels, 4); }

static mk_int mk_scale_count(const mk_conv_shape *s) { return mk_round_up(s->out_channels, MK_PANEL); }

size_t mk_conv_int8_packed_bytes(const mk_conv_shape *s) {
  return (size_t)(mk_scale_count(s) + s->out_channels * mk_units(s)) * sizeof(float);
}

typedef struct {
  const mk_conv_shape *s;
  const float *weights;
  float *packed;
} mk_conv_int8_pack_call;

// Packs one block of output channels.
static void mk_pack_conv_block(void *context, mk_int block, int32_t worker) {
  const mk_conv_int8_pack_call *c = context;
  const mk_kernels *kernels = mk_current_kernels();
  mk_int channels = c->s->out_channels, depth = c->s->channels, units = mk_units(c->s);
  mk_int blocks = mk_ceil_div(channels, kernels->rows);
  mk_int first = mk_part(channels, blocks, block), height = mk_part(channels, blocks, block + 1) - first;
  const float *weights = c->weights + first * depth;
  float inverses[MK_BLOCK_ROWS], rows[MK_BLOCK_ROWS * MK_MAX_DEPTH];
  (void)worker;
  for (mk_int r = 0; r < height; r++) {
    c->packed[first + r] = mk_fine_scale(kernels, depth, weights + r * depth, MK_WEIGHT_LEVELS, &inverses[r]);
  }
  for (mk_int part = 0; part < mk_depth_parts(units); part++) {
    mk_int unit0 = mk_first_depth(units, part), count = mk_first_depth(units, part + 1) - unit0;
    for (mk_int r = 0; r < height; r++) {
      kernels->pack_fine_row(
        mk_min(2 * count, depth - 2 * unit0), weights + r * depth + 2 * unit0, inverses[r], MK_WEIGHT_LEVELS,
        rows + r * MK_MAX_DEPTH);
    }
    float *to = c->packed + mk_scale_count(c->s) + unit0 * channels + first * count;
    mk_interleave(height, count, rows, MK_MAX_DEPTH, to);
  }
}

void mk_conv_int8_pack(mk_pool *pool, const mk_conv_shape *s, const float *weights, void *packed) {
  mk_conv_int8_pack_call call = {s, weights, packed};
  memset(call.packed + s->out_channels, 0, (size_t)(mk_scale_count(s) - s->out_channels) * sizeof(float));
  mk_parallel(pool, mk_ceil_div(s->out_channels, mk_current_kernels()->rows), mk_pack_conv_block, &call);
}

// What a worker has in scratch, in units: scales and columns of its pixels; sums of one depth part, which wait for the
// next; pixels as float32, where they are not side by side.
typedef struct {
  mk_int columns, partials, gathered, all;
} mk_conv_int8_worker;

static mk_conv_int8_worker mk_plan_worker(const mk_conv_shape *s) {
  mk_int units = mk_units(s), pixels = mk_most_pixels(units);
  mk_conv_int8_worker w = {.columns = pixels, .partials = pixels + units * pixels};
  // Row groups are almost equal numbers of blocks.
  mk_int rows = mk_depth_parts(units) > 1 ? mk_min(MK_WEIGHT_ROWS + 2 * MK_BLOCK_ROWS, s->out_channels) : 0;
  w.gathered = w.partials + rows * pixels;
  w.all = w.gathered + (mk_is_direct(s) ? 0 : s->channels * MK_QUANTISED_PIXELS);
  return w;
}

size_t mk_conv_int8_scratch(const mk_pool *pool, const mk_conv_shape *s) {
  return (size_t)mk_plan_worker(s).all * (size_t)mk_pool_threads(pool) * sizeof(float) + 64;
}

typedef struct {
  const mk_kernels *kernels;
  const mk_conv_shape *s;
  const float *x, *scales, *weights, *bias, *residual;
  mk_activation activation;
  float *y;
  int32_t add_to_y;
  mk_int units;
  mk_conv_parts parts;
  mk_conv_int8_worker worker;
  float *scratch;
} mk_conv_int8_call;

// Quantises the pixels of a task.
static void mk_quantise_place(const mk_conv_int8_call *c, const mk_conv_place *place, float *scratch) {
  const mk_conv_shape *s = c->s;
  mk_int plane = s->height * s->width;
  const float *x = c->x + place->image * s->channels * plane;
  float levels = (float)mk_int8_levels(s->channels), *gathered = scratch + c->worker.gathered;
  for (mk_int j = 0; j < place->pixels; j += MK_QUANTISED_PIXELS) {
    mk_int first = place->pixel0 + j, count = mk_min(place->pixels - j, MK_QUANTISED_PIXELS);
    uint32_t *panels = (uint32_t *)(void *)(scratch + c->worker.columns + j * c->units);
    if (mk_is_direct(s)) {
      c->kernels->quantise_pixels(
        s->channels, count, x + first, plane, levels, scratch + j, panels, c->units * MK_PANEL);
      continue;
    }
    for (mk_int channel = 0; channel < s->channels; channel++) {
      float *row = gathered + channel * MK_QUANTISED_PIXELS;
      mk_make_column(c->kernels, s, x + channel * plane, 0, 0, first, first + count, row);
    }
    c->kernels->quantise_pixels(
      s->channels, count, gathered, MK_QUANTISED_PIXELS, levels, scratch + j, panels, c->units * MK_PANEL);
  }
}

static void mk_conv_int8_task(void *context, mk_int task, int32_t worker) {
  const mk_conv_int8_call *c = context;
  const mk_conv_shape *s = c->s;
  const mk_kernels *kernels = c->kernels;
  mk_conv_place place = mk_place_conv(s, &c->parts, task);
  float *scales = c->scratch + worker * c->worker.all, *columns = scales + c->worker.columns;
  mk_quantise_place(c, &place, scales);
  mk_int wide = kernels->panels * MK_PANEL, depth_parts = mk_depth_parts(c->units);
  for (mk_int g = place.row_group0; g < place.row_group1; g++) {
    mk_int first = mk_first_row(kernels, &c->parts, s->out_channels, g);
    mk_int rows = mk_first_row(kernels, &c->parts, s->out_channels, g + 1) - first;
    for (mk_int part = 0; part < depth_parts && rows > 0; part++) {
      mk_int unit0 = mk_first_depth(c->units, part), units = mk_first_depth(c->units, part + 1) - unit0;
      int32_t last = part == depth_parts - 1;
      for (mk_int j = 0; j < place.pixels; j += wide) {
        mk_int width = mk_min(place.pixels - j, wide);
        mk_int at = (place.image * s->out_channels + first) * c->parts.pixels + place.pixel0 + j;
        mk_tile t = {
          .a = c->weights + unit0 * s->out_channels + first * units,
          .b = columns + j * c->units + unit0 * MK_PANEL,
          .b_panel = c->units * MK_PANEL,
          .k = units,
          .c = c->y + at,
          .ldc = c->parts.pixels,
          .c_panel = MK_PANEL,
          .columns = width,
          .accumulate = c->add_to_y,
          .last = last,
          .add_partials = part > 0,
          .partials = (int32_t *)(void *)(scales + c->worker.partials + j * rows),
          .partials_panel = rows * MK_PANEL,
          .row_scales = c->scales + first,
          .column_scales = scales + j,
          .row_bias = c->bias ? c->bias + first : NULL,
          .residual = c->residual && last ? c->residual + at : NULL,
          .ldr = c->parts.pixels,
          .relu = c->activation == MK_ACT_RELU,
        };
        mk_run_tiles(kernels->int16_tiles[width > MK_PANEL], kernels->rows, units, rows, &t, NULL, 0);
        if (last && c->activation > MK_ACT_RELU) {
          kernels->activate(c->activation, rows, width, c->y + at, c->parts.pixels);
        }
      }
    }
  }
}

void mk_conv_int8(
  mk_pool *pool, const mk_conv_shape *s, const float *x, const void *packed, const float *bias,
  mk_activation activation, const float *residual, float *y, void *scratch) {
  mk_conv_int8_call c = {
    .kernels = mk_current_kernels(), .s = s, .x = x, .scales = packed, .bias = bias, .activation = activation, .y = y,
    .residual = residual == y ? NULL : residual, .add_to_y = residual && residual == y, .units = mk_units(s),
    .worker = mk_plan_worker(s), .scratch = scratch};
  c.weights = c.scales + mk_scale_count(s);
  c.parts = mk_share_conv(pool, s, c.units);
  if (s->batch <= 0 || c.parts.pixels <= 0) return;
  mk_int products = s->batch * s->out_channels * c.parts.pixels * s->channels;
  mk_parallel(mk_pool_for(pool, products, MK_PARALLEL_PRODUCTS), mk_conv_tasks(s, &c.parts), mk_conv_int8_task, &c);
}
