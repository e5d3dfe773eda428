// Convolution, NCHW: y[channel, pixel] = w[channel, depth] columns[depth, pixel] per image and group, the columns being
// made for a block of pixels at a time (depth = input channel, kernel row, kernel column). Depthwise ones are
// depthwise.c's, most of 3 x 3 winograd.c's.
//
// Packed weights, per group: [depth part], and in each blocks of output channels as tiles read them, [depth][height].
// Depthwise: as given.
#include "convolution.h"

#include "convolution_int8.h"
#include "depthwise.h"
#include "winograd.h"

static mk_int mk_conv_depth(const mk_conv_shape *s) { return s->channels / s->groups * s->kernel_h * s->kernel_w; }

mk_weights mk_conv_weights(mk_weights type, const mk_conv_shape *s) {
  return type == MK_WEIGHTS_INT8 && mk_has_int8(s) ? MK_WEIGHTS_INT8 : MK_WEIGHTS_F32;
}

mk_int mk_conv_layout(void) { return 8 * mk_current_kernels()->rows + mk_current_kernels()->pixels.depths; }

size_t mk_conv_packed_bytes(mk_weights type, const mk_conv_shape *s) {
  if (mk_conv_weights(type, s) == MK_WEIGHTS_INT8) return mk_conv_int8_packed_bytes(s);
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
  if (mk_conv_weights(type, s) == MK_WEIGHTS_INT8) {
    mk_conv_int8_pack(pool, s, weights, packed);
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
  mk_conv_parts parts;
} mk_conv_call;

mk_conv_parts mk_share_conv(const mk_pool *pool, const mk_conv_shape *s, mk_int units) {
  mk_int pixels = s->out_height * s->out_width, channels = s->out_channels / s->groups;
  mk_conv_parts parts = {
    .pixels = pixels,
    .pixel_parts = mk_max(mk_ceil_div(pixels, mk_most_pixels(units)), 1),
    .row_groups = mk_max(mk_ceil_div(channels, MK_WEIGHT_ROWS), 1),
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
    parts.row_groups = mk_max(parts.row_groups, parts.shares);
  }
  return parts;
}

mk_conv_place mk_place_conv(const mk_conv_shape *s, const mk_conv_parts *parts, mk_int task) {
  mk_int share = task % parts->shares, pixel_part = task / parts->shares % parts->pixel_parts;
  mk_int rest = task / parts->shares / parts->pixel_parts, panels = mk_ceil_div(parts->pixels, MK_PANEL);
  mk_int pixel0 = mk_part(panels, parts->pixel_parts, pixel_part) * MK_PANEL;
  mk_int pixel1 = mk_min(mk_part(panels, parts->pixel_parts, pixel_part + 1) * MK_PANEL, parts->pixels);
  return (mk_conv_place){
    .image = rest / s->groups,
    .group = rest % s->groups,
    .pixel0 = pixel0,
    .pixels = mk_max(pixel1 - pixel0, 0),
    .row_group0 = mk_part(parts->row_groups, parts->shares, share),
    .row_group1 = mk_part(parts->row_groups, parts->shares, share + 1),
  };
}

// Columns of one worker, and a row of pixels for making them.
enum { MK_CONV_WORKER_FLOATS = MK_COLUMN_UNITS + MK_MAX_DEPTH * MK_PANEL + MK_MAX_PIXELS + MK_PANEL };

size_t mk_conv_scratch(const mk_pool *pool, mk_weights type, const mk_conv_shape *s) {
  if (mk_conv_weights(type, s) == MK_WEIGHTS_INT8) return mk_conv_int8_scratch(pool, s);
  if (mk_is_winograd(s)) return mk_winograd_scratch(pool, s);
  if (mk_is_depthwise(s)) return mk_depthwise_scratch(pool, s);
  return (size_t)MK_CONV_WORKER_FLOATS * (size_t)mk_pool_threads(pool) * sizeof(float) + 64;
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

static void mk_make_columns(
  const mk_conv_call *c, const float *x, mk_int depth0, mk_int depth, mk_int first, mk_int last, float *row, float *out) {
  const mk_conv_shape *s = c->s;
  mk_int kernel = s->kernel_h * s->kernel_w, n = last - first, whole = n / MK_PANEL * MK_PANEL;
  int32_t direct = mk_is_direct(s);
  mk_int channel = depth0 / kernel, u = depth0 % kernel / s->kernel_w, t = depth0 % s->kernel_w;
  for (mk_int p = 0; p < depth; p++) {
    const float *plane = x + channel * s->height * s->width, *from = row;
    if (direct) {
      from = plane + first;
    } else {
      mk_make_column(c->kernels, s, plane, u, t, first, last, row);
    }
    float *o = out + p * MK_PANEL;
    for (mk_int i = 0; i < whole; i += MK_PANEL, o += depth * MK_PANEL) memcpy(o, from + i, MK_PANEL * sizeof(float));
    if (whole < n) {
      memcpy(o, from + whole, (size_t)(n - whole) * sizeof(float));
      memset(o + n - whole, 0, (size_t)(MK_PANEL - n + whole) * sizeof(float));
    }
    if (++t == s->kernel_w) {
      t = 0;
      if (++u == s->kernel_h) u = 0, channel++;
    }
  }
}

// Multiplies one block of weights with all columns of a task, panel by panel, so that rows of c and of the residual are
// read and written one whole line after the other. With `planes`, that is where the columns come from: whole tiles read
// them there and leave them as columns for the blocks that follow. `t` is the first tile, `pixels` wide.
static void mk_multiply_block(
  const mk_kernels *kernels, mk_int rows, mk_int pixels, const float *planes, float *columns, mk_tile t) {
  mk_int wide = kernels->panels * MK_PANEL;
  for (mk_int j = 0; j < pixels; j += wide) {
    t.columns = mk_min(pixels - j, wide);
    if (planes && t.columns == wide) {
      t.b = planes + j, t.b_panel = MK_PANEL;
      t.copy = columns + j * t.k;
      kernels->tiles[MK_PLANES][kernels->panels - 1][rows - 1](&t);
    } else {
      t.b = columns + j * t.k, t.b_panel = MK_PANEL * t.k;
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
  float *row = c->scratch + worker * (mk_int)MK_CONV_WORKER_FLOATS, *columns = row + MK_MAX_PIXELS + MK_PANEL;
  mk_int blocks = mk_ceil_div(channels, kernels->rows), wide = kernels->panels * MK_PANEL;
  mk_int block0 = mk_part(blocks, c->parts.row_groups, place.row_group0);
  mk_int block1 = mk_part(blocks, c->parts.row_groups, place.row_group1);
  for (mk_int part = 0; part < c->depth_parts; part++) {
    mk_int depth0 = mk_first_depth(c->depth, part), depth = mk_first_depth(c->depth, part + 1) - depth0;
    int32_t last = part == c->depth_parts - 1;
    const float *planes = mk_is_direct(s) ? x + depth0 * plane + pixel0 : NULL;
    mk_int read = planes ? pixels / wide * wide : 0; // by the first block
    mk_make_columns(c, x, depth0, depth, pixel0 + read, pixel0 + pixels, row, columns + read * depth);
    for (mk_int block = block0; block < block1; block++) {
      mk_int first = mk_part(channels, blocks, block), rows = mk_part(channels, blocks, block + 1) - first;
      mk_int at = (place.image * s->out_channels + place.group * channels + first) * plane + pixel0;
      mk_tile t = {
        .a = weights + depth0 * channels + first * depth,
        .b_stride = plane,
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
      mk_multiply_block(kernels, rows, pixels, block == block0 ? planes : NULL, columns, t);
      if (last && c->activation > MK_ACT_RELU) kernels->activate(c->activation, rows, pixels, c->y + at, plane);
    }
  }
}

void mk_conv(
  mk_pool *pool, mk_weights type, const mk_conv_shape *shape, const float *x, const void *packed, const float *bias,
  mk_activation activation, const float *residual, float *y, void *scratch) {
  if (mk_conv_weights(type, shape) == MK_WEIGHTS_INT8) {
    mk_conv_int8(pool, shape, x, packed, bias, activation, residual, y, scratch);
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
    .depth = depth, .depth_parts = parts};
  c.parts = mk_share_conv(pool, shape, mk_round_up(mk_ceil_div(depth, parts), MK_CHUNK));
  if (shape->batch <= 0 || shape->out_channels <= 0 || c.parts.pixels <= 0) return;
  mk_int products = shape->batch * shape->out_channels * c.parts.pixels * depth;
  mk_pool *chosen = mk_pool_for(pool, products, MK_PARALLEL_PRODUCTS);
  mk_parallel(chosen, mk_conv_tasks(shape, &c.parts), mk_conv_task, &c);
}
