// Convolutions of narrow operands. Integers: y[channel, pixel] = scale[channel] scale[pixel] (sum over depths of w[channel,
// depth] (u[depth, pixel] - zero[pixel])), w being signed bytes and u unsigned ones. 1 x 1: a pixel has a scale and a zero of
// its own, over its input channels, as a row of a product has (linear_blocks.c). Larger kernels: those of its band
// (convolution_bands.h). bf16: products of rounded weights and pixels, sums in float32.
//
// A task rounds its block of pixels, or copies it from bands; it then stays in the second cache while all output channels
// pass over it. Of a long column all integers are there at once, and sums of a depth part wait for the next one in scratch;
// of pairs of bf16 one part is, and sums wait in y.
#include "convolution_narrow.h"

#include "convolution.h"
#include "convolution_bands.h"
#include "linear.h"
#include "winograd.h"

enum {
  // With fewer, rounding costs more than the products spare.
  MK_LEAST_DEPTH = 64,           // of integers, and output channels
  MK_LEAST_CHANNELS = 3,         // of integers: quads of fewer are zeros for the most part
  MK_LEAST_PAIRED = 24,          // output channels, and depth
  MK_ROUNDED_FLOATS = 48 * 1024, // of pixels that are rounded together: integers are read twice
  MK_GATHERED_DEPTHS = 16,       // of columns that are made one by one and read once: they stay in the first cache
};

int32_t mk_has_narrow(mk_weights type, const mk_conv_shape *s) {
  if (s->groups != 1 || type == MK_WEIGHTS_F32) return 0;
  if (type == MK_WEIGHTS_BF16 && !mk_current_kernels()->bf16_pixels.tiles) return 0;
  mk_narrow_row row = mk_narrow_row_of(type, s);
  mk_int kernel = s->kernel_h * s->kernel_w, depth = s->channels * kernel;
  if (kernel > 1 && row.form->windows < (mk_is_winograd(s) ? MK_ALL_WINDOWS : MK_DIRECT_WINDOWS)) return 0;
  if (type == MK_WEIGHTS_BF16) return depth >= MK_LEAST_PAIRED && s->out_channels >= MK_LEAST_PAIRED;
  // Bands have all rows and columns from the first to the last that is seen.
  if (kernel > 1 && (s->dilation_h > 1 || s->dilation_w > 1 || s->stride_h > s->kernel_h || s->stride_w > s->kernel_w)) {
    return 0;
  }
  return depth >= MK_LEAST_DEPTH && s->channels >= MK_LEAST_CHANNELS && s->out_channels >= MK_LEAST_DEPTH &&
    row.depth <= MK_QUANTISED_DEPTH; // integer sums of more might not fit in 32 bits
}

// How a convolution is computed. In scratch, in units: what tasks share, the bands; then, for each worker, scales, zeros and
// columns of its pixels; sums of one depth part, which wait for the next; pixels as float32, where they are not side by side.
typedef struct {
  mk_narrow_row row;
  mk_int parts;    // of the depth
  mk_int passes;   // over the output channels: all parts or one at a time
  mk_int held;     // units of a column that are there during a pass
  mk_int together; // pixels that are rounded together
  mk_int gathered_depths; // of their columns, where they are made for it
  mk_int images;   // that are computed together
  mk_band_plan bands;
  mk_int shared, zeros, columns, partials, gathered, worker;
} mk_narrow_plan;

static mk_narrow_plan mk_plan_narrow(mk_weights type, const mk_conv_shape *s) {
  mk_narrow_plan p = {.row = mk_narrow_row_of(type, s)};
  p.parts = mk_depth_parts(p.row.units);
  p.passes = p.row.form->integer ? 1 : p.parts;
  p.held = p.passes == 1 ? p.row.units : mk_round_up(mk_ceil_div(p.row.units, p.parts), MK_CHUNK);
  mk_int pixels = mk_most_pixels(p.held), depth = mk_min(p.held * p.row.form->depths, p.row.depth);
  p.together = mk_min(mk_max(MK_ROUNDED_FLOATS / depth / MK_PANEL, 1) * MK_PANEL, MK_PIXELS_TOGETHER);
  p.gathered_depths = mk_is_direct(s) || p.row.banded ? 0 : p.row.form->integer ? depth : mk_min(depth, MK_GATHERED_DEPTHS);
  p.zeros = p.row.form->integer ? pixels : 0;
  p.columns = 2 * p.zeros;
  p.partials = p.columns + p.held * pixels;
  p.gathered = p.partials + (p.row.form->integer && p.parts > 1 ? MK_BLOCK_ROWS * pixels : 0);
  p.worker = p.gathered + p.gathered_depths * p.together;
  p.images = s->batch;
  if (p.row.banded) {
    p.bands = mk_plan_bands(mk_current_kernels(), s, p.row.units);
    p.shared = p.bands.all, p.images = p.bands.together;
    p.worker = mk_max(p.worker, p.bands.worker);
  }
  return p;
}

size_t mk_conv_narrow_scratch(const mk_pool *pool, mk_weights type, const mk_conv_shape *s) {
  mk_narrow_plan p = mk_plan_narrow(type, s);
  return (size_t)(p.shared + p.worker * mk_pool_threads(pool)) * sizeof(float) + 64;
}

typedef struct {
  const mk_kernels *kernels;
  const mk_conv_shape *s;
  const float *x, *scales, *weights, *bias, *residual;
  const int32_t *sums; // of the weights of an output channel
  mk_activation activation;
  float *y;
  int32_t add_to_y;
  mk_conv_parts parts;
  mk_narrow_plan plan;
  float *shared, *workers; // scratch
} mk_conv_narrow_call;

// What a task does in one pass, with what a worker has.
typedef struct {
  mk_conv_place place;
  mk_int part0, part1; // of the depth
  mk_int unit0, units; // of its columns
  float *scales, *columns;
  int32_t *zeros, *partials;
} mk_narrow_pass;

// Rounds the pixels of a pass.
static void mk_round_pixels(const mk_conv_narrow_call *c, const mk_narrow_pass *pass, float *gathered) {
  const mk_conv_shape *s = c->s;
  const mk_narrow_plan *plan = &c->plan;
  mk_int plane = s->height * s->width, kernel = s->kernel_h * s->kernel_w, together = plan->together;
  mk_int depth0 = pass->unit0 * plan->row.form->depths;
  mk_int depth = mk_min(pass->units * plan->row.form->depths, plan->row.depth - depth0);
  const float *x = c->x + pass->place.image * s->channels * plane;
  mk_int step = plan->gathered_depths > 0 ? plan->gathered_depths : depth;
  for (mk_int j = 0; j < pass->place.pixels; j += together) {
    mk_int first = pass->place.pixel0 + j, count = mk_min(pass->place.pixels - j, together);
    for (mk_int done = 0; done < depth; done += step) {
      mk_int here = mk_min(depth - done, step), row = plane;
      const float *from = x + (depth0 + done) * plane + first;
      if (plan->gathered_depths > 0) {
        from = gathered, row = together;
        for (mk_int p = 0; p < here; p++) {
          mk_int tap = (depth0 + done + p) % kernel, channel = (depth0 + done + p) / kernel;
          mk_make_column(
            c->kernels, s, x + channel * plane, tap / s->kernel_w, tap % s->kernel_w, first, first + count,
            gathered + p * together);
        }
      }
      plan->row.form->round(
        here, count, from, row, pass->scales + j, pass->zeros + j,
        (uint32_t *)(void *)(pass->columns + j * pass->units + done / plan->row.form->depths * MK_PANEL),
        pass->units * MK_PANEL);
    }
  }
}

// Multiplies one block of weights, whose first channel is `first`, with one depth part of all pixels.
static void mk_multiply_part(
  const mk_conv_narrow_call *c, const mk_narrow_pass *pass, mk_int part, mk_int first, mk_int rows) {
  const mk_narrow_row *row = &c->plan.row;
  mk_int channels = c->s->out_channels, plane = c->parts.pixels, wide = c->kernels->panels * MK_PANEL;
  mk_int at = (pass->place.image * channels + first) * plane + pass->place.pixel0;
  mk_int unit0 = mk_first_depth(row->units, part), units = mk_first_depth(row->units, part + 1) - unit0;
  int32_t last = part == c->plan.parts - 1;
  mk_tile t = {
    .a = c->weights + unit0 * channels + first * units,
    .b_panel = pass->units * MK_PANEL,
    .k = units,
    .ldc = plane,
    .c_panel = MK_PANEL,
    .accumulate = c->add_to_y || (part > 0 && !row->form->integer),
    .row_bias = c->bias && last ? c->bias + first : NULL,
    .ldr = plane,
    .relu = c->activation == MK_ACT_RELU && last,
  };
  if (row->form->integer) {
    t.last = last;
    t.add_partials = part > 0;
    t.partials_panel = rows * MK_PANEL;
    t.row_scales = c->scales + first;
    t.row_zeros = c->sums + first;
  }
  for (mk_int j = 0; j < pass->place.pixels; j += wide) {
    t.columns = mk_min(pass->place.pixels - j, wide);
    t.b = pass->columns + j * pass->units + (unit0 - pass->unit0) * MK_PANEL;
    t.c = c->y + at + j;
    t.residual = c->residual && last ? c->residual + at + j : NULL;
    t.partials = pass->partials + j * rows;
    t.column_scales = pass->scales + j;
    t.column_sums = pass->zeros + j;
    row->form->tiles[t.columns > MK_PANEL][rows - 1](&t);
  }
  if (last && c->activation > MK_ACT_RELU) {
    c->kernels->activate(c->activation, rows, pass->place.pixels, c->y + at, plane);
  }
}

static void mk_conv_narrow_task(void *context, mk_int task, int32_t worker) {
  const mk_conv_narrow_call *c = context;
  const mk_narrow_plan *plan = &c->plan;
  float *scratch = c->workers + worker * plan->worker;
  mk_narrow_pass pass = {
    .place = mk_place_conv(c->s, &c->parts, task),
    .scales = scratch,
    .columns = scratch + plan->columns,
    .zeros = (int32_t *)(void *)(scratch + plan->zeros),
    .partials = (int32_t *)(void *)(scratch + plan->partials),
  };
  const mk_conv_place *place = &pass.place;
  for (mk_int index = 0; index < plan->passes; index++) {
    pass.part0 = mk_part(plan->parts, plan->passes, index);
    pass.part1 = mk_part(plan->parts, plan->passes, index + 1);
    pass.unit0 = mk_first_depth(plan->row.units, pass.part0);
    pass.units = mk_first_depth(plan->row.units, pass.part1) - pass.unit0;
    if (plan->row.banded) {
      mk_make_band_columns(
        &plan->bands, c->shared, place->image, place->pixel0, place->pixels, pass.units, pass.scales, pass.zeros,
        pass.columns);
    } else {
      mk_round_pixels(c, &pass, scratch + plan->gathered);
    }
    // A block of weights passes over all pixels before the next: lines of c are written one after the other.
    for (mk_int block = place->block0; block < place->block1; block++) {
      mk_int first = mk_part(c->s->out_channels, place->blocks, block);
      mk_int rows = mk_part(c->s->out_channels, place->blocks, block + 1) - first;
      for (mk_int part = pass.part0; part < pass.part1; part++) mk_multiply_part(c, &pass, part, first, rows);
    }
  }
}

void mk_conv_narrow(
  mk_pool *pool, mk_weights type, const mk_conv_shape *s, const float *x, const void *packed, const float *bias,
  mk_activation activation, const float *residual, float *y, void *scratch) {
  mk_int pixels = s->out_height * s->out_width;
  if (s->batch <= 0 || pixels <= 0) return;
  mk_conv_shape some = *s; // images
  mk_conv_narrow_call c = {
    .kernels = mk_current_kernels(), .s = &some, .x = x, .scales = packed, .bias = bias, .activation = activation, .y = y,
    .residual = residual == y ? NULL : residual, .add_to_y = residual && residual == y,
    .plan = mk_plan_narrow(type, s), .shared = scratch};
  c.sums = (const int32_t *)packed + c.plan.row.scales;
  c.weights = c.scales + 2 * c.plan.row.scales;
  c.workers = c.shared + c.plan.shared;
  for (mk_int image = 0; image < s->batch; image += some.batch) {
    some.batch = mk_min(c.plan.images, s->batch - image);
    c.parts = mk_share_conv(pool, &some, c.plan.held);
    mk_pool *chosen =
      mk_pool_for(pool, some.batch * s->out_channels * pixels * c.plan.row.depth, MK_PARALLEL_PRODUCTS);
    if (c.plan.row.banded) {
      mk_quantise_bands(chosen, &c.plan.bands, some.batch, c.x, c.shared, c.workers, c.plan.worker);
    }
    mk_parallel(chosen, mk_conv_tasks(&some, &c.parts), mk_conv_narrow_task, &c);
    mk_int outputs = some.batch * s->out_channels * pixels;
    c.x += some.batch * s->channels * s->height * s->width, c.y += outputs;
    if (c.residual) c.residual += outputs;
  }
}
