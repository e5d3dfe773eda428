// Convolution, NCHW: y[channel, pixel] = w[channel, depth] columns[depth, pixel] per image and group, the columns being
// made for a block of pixels at a time (columns.c; depth = input channel, kernel row, kernel column). Depthwise ones are
// depthwise.c's, most of 3 x 3 winograd.c's.
//
// Packed weights, per group: [depth part], and in each blocks of output channels as tiles read them, [depth][height].
// Depthwise: as given.
#include "convolution.h"

#include "columns.h"
#include "convolution_narrow.h"
#include "depthwise.h"
#include "winograd.h"

static mk_int mk_conv_depth(const mk_conv_shape *s) { return s->channels / s->groups * s->kernel_h * s->kernel_w; }

mk_weights mk_conv_weights(mk_weights type, const mk_conv_shape *s) {
  return mk_has_narrow(type, s) ? type : MK_WEIGHTS_F32;
}

mk_int mk_conv_layout(void) { return 8 * mk_current_kernels()->rows + mk_current_kernels()->int8_pixels.depths; }

size_t mk_conv_packed_bytes(mk_weights type, const mk_conv_shape *s) {
  if (mk_has_narrow(type, s)) return mk_conv_narrow_packed_bytes(type, s);
  if (mk_is_winograd(s)) return mk_winograd_packed_bytes(s);
  mk_int depth = mk_conv_depth(s);
  return (size_t)s->out_channels * (size_t)depth * sizeof(float);
}

typedef struct {
  const mk_conv_shape *s;
  const float *weights;
  float *packed;
} mk_conv_pack_call;

// Packs one depth part of one group.
static void mk_pack_conv_part(void *context, mk_int task, int32_t worker) {
  const mk_conv_pack_call *c = context;
  mk_int depth = mk_conv_depth(c->s), parts = mk_depth_parts(depth), channels = c->s->out_channels / c->s->groups;
  mk_int group = task / parts, first = mk_first_depth(depth, task % parts);
  mk_int count = mk_first_depth(depth, task % parts + 1) - first;
  const float *weights = c->weights + group * channels * depth + first;
  (void)worker;
  mk_pack_left(
    mk_current_kernels()->rows, channels, count, count, weights, depth, 1,
    c->packed + group * channels * depth + first * channels);
}

void mk_conv_pack(mk_pool *pool, mk_weights type, const mk_conv_shape *s, const float *weights, void *packed) {
  if (mk_has_narrow(type, s)) {
    mk_conv_narrow_pack(pool, type, s, weights, packed);
    return;
  }
  if (mk_is_winograd(s)) {
    mk_winograd_pack(pool, s, weights, packed);
    return;
  }
  if (mk_is_depthwise(s)) {
    memcpy(packed, weights, mk_conv_packed_bytes(type, s));
    return;
  }
  mk_conv_pack_call call = {s, weights, packed};
  mk_parallel(pool, s->groups * mk_depth_parts(mk_conv_depth(s)), mk_pack_conv_part, &call);
}

typedef struct {
  const mk_kernels *kernels;
  const mk_conv_shape *s;
  const float *x, *packed, *bias, *residual;
  mk_activation activation;
  float *y;
  int32_t add_to_y;
  float *scratch;
  mk_int depth, depth_parts;
  mk_column_plan columns;
  mk_conv_parts parts;
} mk_conv_call;

mk_conv_parts mk_share_conv(const mk_pool *pool, const mk_conv_shape *s, mk_int units) {
  mk_int pixels = s->out_height * s->out_width, channels = s->out_channels / s->groups;
  mk_conv_parts parts = {
    .pixels = pixels,
    .pixel_parts = mk_max(mk_ceil_div(pixels, mk_most_pixels(units)), 1),
    .shares = 1,
  };
  mk_int threads = mk_pool_threads(pool), planes = s->batch * s->groups;
  if (threads > 1) {
    // Enough tasks for all threads, but whole rows of panels.
    mk_int wanted = mk_ceil_div(threads * 3, mk_max(planes, 1));
    parts.pixel_parts = mk_max(parts.pixel_parts, mk_min(wanted, pixels / (4 * MK_PANEL)));
  }
  mk_int tasks = planes * parts.pixel_parts;
  // Sharing the output channels out as well makes the columns more than once, so only where tasks are short.
  if (threads > 1 && tasks < 2 * threads) {
    parts.shares = mk_min(mk_ceil_div(2 * threads, mk_max(tasks, 1)), mk_max(channels / MK_PANEL, 1));
  }
  return parts;
}

mk_conv_place mk_place_conv(const mk_conv_shape *s, const mk_conv_parts *parts, mk_int task) {
  mk_int share = task % parts->shares, pixel_part = task / parts->shares % parts->pixel_parts;
  mk_int rest = task / parts->shares / parts->pixel_parts, panels = mk_ceil_div(parts->pixels, MK_PANEL);
  mk_int pixel0 = mk_part(panels, parts->pixel_parts, pixel_part) * MK_PANEL;
  mk_int pixel1 = mk_min(mk_part(panels, parts->pixel_parts, pixel_part + 1) * MK_PANEL, parts->pixels);
  mk_int blocks = mk_ceil_div(s->out_channels / s->groups, mk_current_kernels()->rows);
  return (mk_conv_place){
    .image = rest / s->groups,
    .group = rest % s->groups,
    .pixel0 = pixel0,
    .pixels = mk_max(pixel1 - pixel0, 0),
    .blocks = blocks,
    .block0 = mk_part(blocks, parts->shares, share),
    .block1 = mk_part(blocks, parts->shares, share + 1),
  };
}

// Depth of the longest part.
static mk_int mk_most_depth(const mk_conv_shape *s) {
  mk_int depth = mk_conv_depth(s);
  return mk_round_up(mk_ceil_div(depth, mk_depth_parts(depth)), MK_CHUNK);
}

static mk_column_plan mk_plan_conv_columns(const mk_conv_shape *s) {
  mk_int depth = mk_most_depth(s);
  return mk_plan_columns(mk_current_kernels(), s, depth, mk_most_pixels(depth));
}

size_t mk_conv_scratch(const mk_pool *pool, mk_weights type, const mk_conv_shape *s) {
  if (mk_has_narrow(type, s)) return mk_conv_narrow_scratch(pool, type, s);
  if (mk_is_winograd(s)) return mk_winograd_scratch(pool, s);
  if (mk_is_depthwise(s)) return mk_depthwise_scratch(pool, s);
  return (size_t)mk_plan_conv_columns(s).floats * (size_t)mk_pool_threads(pool) * sizeof(float);
}

// Multiplies one block of weights with all columns of a task, panel by panel, so that rows of c and of the residual are
// read and written one whole line after the other. The first block reads columns where they are seen and leaves copies for
// those that follow, each of which fetches its share of the planes for the pixels behind them. `t` is the first tile.
static void mk_multiply_block(const mk_columns *columns, mk_int rows, mk_int block, mk_int blocks, mk_tile t) {
  const mk_kernels *kernels = columns->plan->kernels;
  mk_int wide = kernels->panels * MK_PANEL;
  mk_int plane0 = 0, plane1 = 0;
  if (block > 0 && columns->plan->from == MK_IN_PLANES) {
    plane0 = mk_part(columns->depth, blocks - 1, block - 1), plane1 = mk_part(columns->depth, blocks - 1, block);
  }
  for (mk_int j = 0; j < columns->pixels; j += wide) {
    for (mk_int p = plane0; p < plane1; p++) {
      const float *behind = columns->seen + columns->offsets[p] + columns->pixels + j;
      for (mk_int i = MK_PANEL; i <= wide; i += MK_PANEL) __builtin_prefetch(behind + i - 1, 0, 2);
    }
    const float *seen = block == 0 ? mk_seen(columns, j, wide) : NULL;
    float *panels = columns->columns + j * t.k;
    t.columns = mk_min(columns->pixels - j, wide);
    if (seen) {
      t.b = seen, t.b_offsets = columns->offsets, t.copy = panels;
      kernels->tiles[MK_PLANES][kernels->panels - 1][rows - 1](&t);
    } else {
      t.b = panels;
      kernels->tiles[MK_PACKED][t.columns > MK_PANEL][rows - 1](&t);
    }
    t.c += wide;
    if (t.residual) t.residual += wide;
  }
}

static void mk_conv_task(void *context, mk_int task, int32_t worker) {
  const mk_conv_call *c = context;
  const mk_conv_shape *s = c->s;
  const mk_kernels *kernels = c->kernels;
  mk_conv_place place = mk_place_conv(s, &c->parts, task);
  mk_int pixel0 = place.pixel0, pixels = place.pixels, plane = c->parts.pixels;
  if (pixels <= 0) return;
  mk_int in_channels = s->channels / s->groups, channels = s->out_channels / s->groups;
  const float *x = c->x + (place.image * s->channels + place.group * in_channels) * s->height * s->width;
  const float *weights = c->packed + place.group * channels * c->depth;
  for (mk_int part = 0; part < c->depth_parts; part++) {
    mk_int depth0 = mk_first_depth(c->depth, part), depth = mk_first_depth(c->depth, part + 1) - depth0;
    int32_t last = part == c->depth_parts - 1;
    mk_columns columns =
      mk_make_columns(&c->columns, x, depth0, depth, pixel0, pixels, c->scratch + worker * c->columns.floats);
    for (mk_int block = place.block0; block < place.block1; block++) {
      mk_int first = mk_part(channels, place.blocks, block), rows = mk_part(channels, place.blocks, block + 1) - first;
      mk_int at = (place.image * s->out_channels + place.group * channels + first) * plane + pixel0;
      mk_tile t = {
        .a = weights + depth0 * channels + first * depth,
        .b_panel = depth * MK_PANEL,
        .k = depth,
        .c = c->y + at,
        .ldc = plane,
        .c_panel = MK_PANEL,
        .accumulate = c->add_to_y || part > 0,
      };
      if (last) {
        if (c->bias) t.row_bias = c->bias + place.group * channels + first;
        if (c->residual) t.residual = c->residual + at;
        t.ldr = plane;
        t.relu = c->activation == MK_ACT_RELU;
      }
      mk_multiply_block(&columns, rows, block - place.block0, place.block1 - place.block0, t);
      if (last && c->activation > MK_ACT_RELU) kernels->activate(c->activation, rows, pixels, c->y + at, plane);
    }
  }
}

void mk_conv(
  mk_pool *pool, mk_weights type, const mk_conv_shape *shape, const float *x, const void *packed, const float *bias,
  mk_activation activation, const float *residual, float *y, void *scratch) {
  if (mk_has_narrow(type, shape)) {
    mk_conv_narrow(pool, type, shape, x, packed, bias, activation, residual, y, scratch);
    return;
  }
  if (mk_is_winograd(shape)) {
    mk_winograd(pool, shape, x, packed, bias, activation, residual, y, scratch);
    return;
  }
  if (mk_is_depthwise(shape)) {
    mk_depthwise(pool, shape, x, packed, bias, activation, residual, y, scratch);
    return;
  }
  mk_int depth = mk_conv_depth(shape), parts = mk_depth_parts(depth);
  mk_conv_call c = {
    .kernels = mk_current_kernels(), .s = shape, .x = x, .packed = packed, .bias = bias, .activation = activation,
    .y = y,
    // Adding to what is there is the same as adding y at the end, and partial sums may then be kept in y.
    .residual = residual == y ? NULL : residual, .add_to_y = residual && residual == y, .scratch = scratch,
    .depth = depth, .depth_parts = parts, .columns = mk_plan_conv_columns(shape),
    .parts = mk_share_conv(pool, shape, mk_most_depth(shape))};
  if (shape->batch <= 0 || shape->out_channels <= 0 || c.parts.pixels <= 0) return;
  mk_int products = shape->batch * shape->out_channels * c.parts.pixels * depth;
  mk_pool *chosen = mk_pool_for(pool, products, MK_PARALLEL_PRODUCTS);
  mk_parallel(chosen, mk_conv_tasks(shape, &c.parts), mk_conv_task, &c);
}
