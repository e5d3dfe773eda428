// Convolution 1 x 1 with weights of 8 bits: y[channel, pixel] = scale[channel] scale[pixel] (sum over depths of w[channel,
// depth] (u[depth, pixel] - zero[pixel])), w being signed bytes and u unsigned ones. A pixel has a scale and a zero of its
// own, over its input channels, as a row of a product has (linear_blocks.c).
//
// Packed weights: scales of the output channels, then the sums of their integers, both filled up to whole panels; then as
// convolution.c has them: [depth part], and in each blocks of output channels as tiles read them, [unit][height], a unit
// being a quad of input channels, or a pair where the instruction set has no products of bytes. Pairs are those of
// pack_fine_row. Bytes would have to be widened for them in each call.
//
// A task quantises its block of pixels, which then stays in the second cache while all output channels pass over it.
#include "convolution_int8.h"

#include "convolution.h"
#include "linear.h"

#include <math.h>

enum {
  MK_LEAST_CHANNELS = 64, // with fewer, rounding costs more than the products spare
  MK_MOST_CHANNELS = MK_QUANTISED_DEPTH, // sums of more might not fit in 32 bits
  MK_QUANTISED_FLOATS = 48 * 1024,       // of pixels that are quantised together: they are read twice
};

int32_t mk_has_int8(const mk_conv_shape *s) {
  return s->kernel_h == 1 && s->kernel_w == 1 && s->groups == 1 && s->channels >= MK_LEAST_CHANNELS &&
    s->channels <= MK_MOST_CHANNELS && s->out_channels >= MK_LEAST_CHANNELS;
}

// Units of one row of weights or column of pixels: whole quads of channels.
static mk_int mk_units(const mk_conv_shape *s) {
  return mk_ceil_div(s->channels, 4) * (4 / mk_current_kernels()->pixels.depths);
}

static mk_int mk_scale_count(const mk_conv_shape *s) { return mk_round_up(s->out_channels, MK_PANEL); }

size_t mk_conv_int8_packed_bytes(const mk_conv_shape *s) {
  return (size_t)(2 * mk_scale_count(s) + s->out_channels * mk_units(s)) * sizeof(float);
}

// Pixels that are quantised together.
static mk_int mk_quantised_pixels(const mk_conv_shape *s) {
  mk_int pixels = MK_QUANTISED_FLOATS / s->channels / MK_PANEL * MK_PANEL;
  return mk_min(mk_max(pixels, MK_PANEL), MK_QUANTISED_PIXELS);
}

typedef struct {
  const mk_conv_shape *s;
  const float *weights;
  float *packed;
} mk_conv_int8_pack_call;

// The scale of one output channel.
static float mk_channel_scale(mk_int depth, const float *w, float *inverse) {
  uint32_t largest = 0; // as bits, among which an infinity or NaN is larger than any number
  for (mk_int p = 0; p < depth; p += 2) {
    float mean = 0.5f * fabsf(w[p]) + (p + 1 < depth ? 0.5f * fabsf(w[p + 1]) : 0);
    uint32_t bits;
    memcpy(&bits, &mean, sizeof bits);
    if (bits > largest) largest = bits;
  }
  float mean;
  memcpy(&mean, &largest, sizeof mean);
  return mk_weight_scale(mean, inverse);
}

// Packs one block of output channels.
static void mk_pack_conv_block(void *context, mk_int block, int32_t worker) {
  const mk_conv_int8_pack_call *c = context;
  const mk_kernels *kernels = mk_current_kernels();
  mk_int channels = c->s->out_channels, depth = c->s->channels, units = mk_units(c->s), depths = kernels->pixels.depths;
  mk_int blocks = mk_ceil_div(channels, kernels->rows);
  mk_int first = mk_part(channels, blocks, block), height = mk_part(channels, blocks, block + 1) - first;
  const float *weights = c->weights + first * depth;
  int32_t *sums = (int32_t *)(void *)(c->packed + mk_scale_count(c->s)) + first;
  float inverses[MK_BLOCK_ROWS], rows[MK_BLOCK_ROWS * MK_MAX_DEPTH];
  (void)worker;
  for (mk_int r = 0; r < height; r++) {
    c->packed[first + r] = mk_channel_scale(depth, weights + r * depth, &inverses[r]);
    sums[r] = 0;
  }
  for (mk_int part = 0; part < mk_depth_parts(units); part++) {
    mk_int unit0 = mk_first_depth(units, part), count = mk_first_depth(units, part + 1) - unit0;
    mk_int depth0 = unit0 * depths, these = mk_min(count * depths, depth - depth0);
    for (mk_int r = 0; r < height; r++) {
      float *row = rows + r * MK_MAX_DEPTH;
      kernels->pixels.pack_weights(these, weights + r * depth + depth0, inverses[r], INT8_MAX, row);
      const int8_t *bytes = (const int8_t *)row;
      for (mk_int p = 0; depths == 4 && p < these; p++) sums[r] += bytes[p];
    }
    float *to = c->packed + 2 * mk_scale_count(c->s) + unit0 * channels + first * count;
    mk_interleave(height, count, rows, MK_MAX_DEPTH, to);
  }
}

void mk_conv_int8_pack(mk_pool *pool, const mk_conv_shape *s, const float *weights, void *packed) {
  mk_conv_int8_pack_call call = {s, weights, packed};
  memset(packed, 0, (size_t)(2 * mk_scale_count(s)) * sizeof(float));
  mk_parallel(pool, mk_ceil_div(s->out_channels, mk_current_kernels()->rows), mk_pack_conv_block, &call);
}

// What a worker has in scratch, in units: scales, zeros and columns of its pixels; sums of one depth part, which wait for
// the next; pixels as float32, where they are not side by side.
typedef struct {
  mk_int zeros, columns, partials, gathered, all;
} mk_conv_int8_worker;

static mk_conv_int8_worker mk_plan_worker(const mk_conv_shape *s) {
  mk_int units = mk_units(s), pixels = mk_most_pixels(units);
  mk_conv_int8_worker w = {.zeros = pixels, .columns = 2 * pixels, .partials = (2 + units) * pixels};
  w.gathered = w.partials + (mk_depth_parts(units) > 1 ? MK_BLOCK_ROWS * pixels : 0);
  w.all = w.gathered + (mk_is_direct(s) ? 0 : s->channels * mk_quantised_pixels(s));
  return w;
}

size_t mk_conv_int8_scratch(const mk_pool *pool, const mk_conv_shape *s) {
  return (size_t)mk_plan_worker(s).all * (size_t)mk_pool_threads(pool) * sizeof(float) + 64;
}

typedef struct {
  const mk_kernels *kernels;
  const mk_conv_shape *s;
  const float *x, *scales, *weights, *bias, *residual;
  const int32_t *sums; // of the weights of an output channel
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
  float *gathered = scratch + c->worker.gathered;
  int32_t *zeros = (int32_t *)(void *)(scratch + c->worker.zeros);
  mk_int together = mk_quantised_pixels(s);
  for (mk_int j = 0; j < place->pixels; j += together) {
    mk_int first = place->pixel0 + j, count = mk_min(place->pixels - j, together);
    uint32_t *panels = (uint32_t *)(void *)(scratch + c->worker.columns + j * c->units);
    if (mk_is_direct(s)) {
      c->kernels->pixels.quantise(
        s->channels, count, x + first, plane, scratch + j, zeros + j, panels, c->units * MK_PANEL);
      continue;
    }
    for (mk_int channel = 0; channel < s->channels; channel++) {
      float *row = gathered + channel * together;
      mk_make_column(c->kernels, s, x + channel * plane, 0, 0, first, first + count, row);
    }
    c->kernels->pixels.quantise(
      s->channels, count, gathered, together, scratch + j, zeros + j, panels, c->units * MK_PANEL);
  }
}

static void mk_conv_int8_task(void *context, mk_int task, int32_t worker) {
  const mk_conv_int8_call *c = context;
  const mk_conv_shape *s = c->s;
  const mk_kernels *kernels = c->kernels;
  mk_conv_place place = mk_place_conv(s, &c->parts, task);
  float *scales = c->scratch + worker * c->worker.all, *columns = scales + c->worker.columns;
  int32_t *partials = (int32_t *)(void *)(scales + c->worker.partials);
  const int32_t *zeros = (const int32_t *)(const void *)(scales + c->worker.zeros);
  mk_quantise_place(c, &place, scales);
  mk_int wide = kernels->panels * MK_PANEL, depth_parts = mk_depth_parts(c->units);
  // A block of weights passes over all pixels before the next: lines of c are written one after the other.
  for (mk_int block = place.block0; block < place.block1; block++) {
    mk_int first = mk_part(s->out_channels, place.blocks, block);
    mk_int rows = mk_part(s->out_channels, place.blocks, block + 1) - first;
    mk_int at = (place.image * s->out_channels + first) * c->parts.pixels + place.pixel0;
    for (mk_int part = 0; part < depth_parts; part++) {
      mk_int unit0 = mk_first_depth(c->units, part), units = mk_first_depth(c->units, part + 1) - unit0;
      int32_t last = part == depth_parts - 1;
      for (mk_int j = 0; j < place.pixels; j += wide) {
        mk_int width = mk_min(place.pixels - j, wide);
        mk_tile t = {
          .a = c->weights + unit0 * s->out_channels + first * units,
          .b = columns + j * c->units + unit0 * MK_PANEL,
          .b_panel = c->units * MK_PANEL,
          .k = units,
          .c = c->y + at + j,
          .ldc = c->parts.pixels,
          .c_panel = MK_PANEL,
          .columns = width,
          .accumulate = c->add_to_y,
          .last = last,
          .add_partials = part > 0,
          .partials = partials + j * rows,
          .partials_panel = rows * MK_PANEL,
          .row_scales = c->scales + first,
          .row_zeros = c->sums + first,
          .column_scales = scales + j,
          .column_sums = zeros + j,
          .row_bias = c->bias ? c->bias + first : NULL,
          .residual = c->residual && last ? c->residual + at + j : NULL,
          .ldr = c->parts.pixels,
          .relu = c->activation == MK_ACT_RELU,
        };
        kernels->pixels.tiles[width > MK_PANEL][rows - 1](&t);
      }
    }
    if (c->activation > MK_ACT_RELU) kernels->activate(c->activation, rows, place.pixels, c->y + at, c->parts.pixels);
  }
}

void mk_conv_int8(
  mk_pool *pool, const mk_conv_shape *s, const float *x, const void *packed, const float *bias,
  mk_activation activation, const float *residual, float *y, void *scratch) {
  mk_conv_int8_call c = {
    .kernels = mk_current_kernels(), .s = s, .x = x, .scales = packed, .bias = bias, .activation = activation, .y = y,
    .residual = residual == y ? NULL : residual, .add_to_y = residual && residual == y, .units = mk_units(s),
    .worker = mk_plan_worker(s), .scratch = scratch};
  c.sums = (const int32_t *)packed + mk_scale_count(s);
  c.weights = c.scales + 2 * mk_scale_count(s);
  c.parts = mk_share_conv(pool, s, c.units);
  if (s->batch <= 0 || c.parts.pixels <= 0) return;
  mk_int products = s->batch * s->out_channels * c.parts.pixels * s->channels;
  mk_parallel(mk_pool_for(pool, products, MK_PARALLEL_PRODUCTS), mk_conv_tasks(s, &c.parts), mk_conv_int8_task, &c);
}
