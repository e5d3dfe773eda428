// Convolution 3 x 3 with stride 1 as Winograd's F(2 x 2, 3 x 3): 16 products for 4 outputs and channel, where a direct sum
// takes 36, and transforms whose factors are only 1, 1/2 and 1/4, so that it is as exact as the sum.
//
// A task is some panels of 16 output tiles of 2 x 2. Their inputs are transformed once for all output channels, in scratch:
// v[position][panel][channel][16]. Then, 12 output channels at a time, 16 products m = u v and the transform back.
//
// Packed weights, per block of at most 12 output channels: [9][channels / 16][out channels][16]. Each task transforms a
// block to the left operands of its 16 products as it comes to it: a twelfth of the time, for 7 / 9 less memory.
#include "winograd.h"

enum {
  MK_TAPS = 9,
  MK_POSITIONS = 16,
  MK_MAX_TILE_PANELS = 4,
  MK_TILE_FLOATS = 128 * 1024, // transformed inputs of one task: they stay in the second cache
  MK_LEAST_CHANNELS = 32,      // with fewer, transforms cost more than the products they spare
  // The vector functions read and write whole vectors.
  MK_LANES = MK_MAX_TILE_PANELS * MK_PANEL + MK_PANEL,
  MK_ROW = 2 * MK_LANES + 2 + MK_PANEL,
};

int32_t mk_is_winograd(const mk_conv_shape *s) {
  return s->kernel_h == 3 && s->kernel_w == 3 && s->stride_h == 1 && s->stride_w == 1 && s->dilation_h == 1 &&
    s->dilation_w == 1 && s->groups == 1 && s->channels >= MK_LEAST_CHANNELS && s->out_channels >= MK_LEAST_CHANNELS;
}

size_t mk_winograd_packed_bytes(const mk_conv_shape *s) {
  return (size_t)MK_TAPS * (size_t)(s->out_channels * mk_round_up(s->channels, MK_CHUNK)) * sizeof(float);
}

typedef struct {
  const mk_conv_shape *s;
  const float *weights;
  float *packed;
  mk_int blocks;
} mk_winograd_pack_call;

static void mk_pack_winograd_block(void *context, mk_int block, int32_t worker) {
  const mk_winograd_pack_call *call = context;
  const mk_conv_shape *s = call->s;
  mk_int depth = mk_round_up(s->channels, MK_CHUNK), first = mk_part(s->out_channels, call->blocks, block);
  mk_int height = mk_part(s->out_channels, call->blocks, block + 1) - first;
  float *base = call->packed + MK_TAPS * first * depth;
  (void)worker;
  for (mk_int r = 0; r < height; r++) {
    const float *row = call->weights + (first + r) * s->channels * MK_TAPS;
    for (mk_int c = 0; c < depth; c++) {
      float *to = base + (c / MK_CHUNK * height + r) * MK_CHUNK + c % MK_CHUNK;
      for (int t = 0; t < MK_TAPS; t++) to[t * height * depth] = c < s->channels ? mk_load1(row + c * MK_TAPS + t) : 0;
    }
  }
}

void mk_winograd_pack(mk_pool *pool, const mk_conv_shape *s, const float *weights, void *packed) {
  mk_winograd_pack_call call = {s, weights, packed, mk_ceil_div(s->out_channels, MK_BLOCK_ROWS)};
  mk_parallel(pool, call.blocks, mk_pack_winograd_block, &call);
}

typedef struct {
  const mk_kernels *kernels;
  const mk_conv_shape *s;
  const float *x, *packed, *bias, *residual;
  mk_activation activation;
  float *y, *scratch;
  mk_int tile_columns, tiles, panels, parts, blocks, block_parts;
  mk_int lanes; // tiles of the longest task, in whole panels
} mk_winograd_call;

static void mk_plan_winograd(mk_winograd_call *c, const mk_pool *pool, const mk_conv_shape *s) {
  c->s = s;
  c->tile_columns = mk_ceil_div(s->out_width, 2);
  c->tiles = c->tile_columns * mk_ceil_div(s->out_height, 2);
  c->panels = mk_max(mk_ceil_div(c->tiles, MK_PANEL), 1);
  mk_int together = MK_TILE_FLOATS / (MK_POSITIONS * MK_PANEL * s->channels);
  // Two at least: the widest tiles take two panels.
  together = mk_min(mk_max(together, 2), MK_MAX_TILE_PANELS);
  mk_int threads = mk_pool_threads(pool);
  c->parts = mk_ceil_div(c->panels, together);
  if (threads > 1) c->parts = mk_max(c->parts, mk_min(mk_ceil_div(threads * 3, mk_max(s->batch, 1)), c->panels));
  c->lanes = mk_ceil_div(c->panels, c->parts) * MK_PANEL;
  c->blocks = mk_max(mk_ceil_div(s->out_channels, MK_BLOCK_ROWS), 1);
  mk_int tasks = s->batch * c->parts;
  // Sharing the output channels out as well transforms the input more than once, so only where there are few tasks.
  c->block_parts = threads > 1 && tasks < 2 * threads ? mk_min(c->blocks, mk_ceil_div(2 * threads, mk_max(tasks, 1))) : 1;
}

static mk_int mk_winograd_worker_floats(const mk_winograd_call *c) {
  mk_int weights = MK_BLOCK_ROWS * mk_round_up(c->s->channels, MK_CHUNK);
  return MK_POSITIONS * (weights + c->lanes * (c->s->channels + MK_BLOCK_ROWS) + MK_LANES) + 4 * MK_ROW + 4 * MK_LANES;
}

size_t mk_winograd_scratch(const mk_pool *pool, const mk_conv_shape *s) {
  mk_winograd_call c = {0};
  mk_plan_winograd(&c, pool, s);
  return (size_t)mk_winograd_worker_floats(&c) * (size_t)mk_pool_threads(pool) * sizeof(float) + 64;
}

// Four rows of a plane, from row `top` and column `left` on, `count` elements each, zeros in the padding.
static void mk_copy_rows(const mk_conv_shape *s, const float *plane, mk_int top, mk_int left, mk_int count, float *rows) {
  mk_int from = mk_min(mk_max(-left, 0), count), to = mk_max(mk_min(s->width - left, count), from);
  for (int r = 0; r < 4; r++, rows += MK_ROW) {
    mk_int row = top + r;
    if (row < 0 || row >= s->height) {
      memset(rows, 0, (size_t)count * sizeof(float));
      continue;
    }
    memset(rows, 0, (size_t)from * sizeof(float));
    if (to > from) memcpy(rows + from, plane + row * s->width + left + from, (size_t)(to - from) * sizeof(float));
    memset(rows + to, 0, (size_t)(count - to) * sizeof(float));
  }
}

// Writes v of `tiles` tiles from `first` on; `spare` is for one channel of them and for four rows of input.
static void mk_transform_inputs(
  const mk_winograd_call *c, mk_int image, mk_int first, mk_int tiles, mk_int panels, float *v, float *spare) {
  const mk_conv_shape *s = c->s;
  float *transformed = spare, *rows = spare + MK_POSITIONS * MK_LANES;
  const float *plane = c->x + image * s->channels * s->height * s->width;
  mk_int position = panels * s->channels * MK_PANEL;
  memset(transformed, 0, (MK_POSITIONS * MK_LANES + 4 * MK_ROW) * sizeof(float)); // whole vectors are read
  for (mk_int channel = 0; channel < s->channels; channel++, plane += s->height * s->width) {
    for (mk_int tile = first; tile < first + tiles;) {
      mk_int i = tile / c->tile_columns, j = tile % c->tile_columns;
      mk_int n = mk_min(c->tile_columns - j, first + tiles - tile);
      mk_copy_rows(s, plane, 2 * i - s->pad_top, 2 * j - s->pad_left, 2 * n + 2, rows);
      c->kernels->winograd_input(n, rows, MK_ROW, transformed + (tile - first), MK_LANES);
      tile += n;
    }
    for (int p = 0; p < MK_POSITIONS; p++) {
      for (mk_int panel = 0; panel < panels; panel++) {
        memcpy(
          v + p * position + (panel * s->channels + channel) * MK_PANEL, transformed + p * MK_LANES + panel * MK_PANEL,
          MK_PANEL * sizeof(float));
      }
    }
  }
}

// Two rows of `2 * tiles` pixels, from tile `first` on, to where they belong in plane y.
static void mk_place_outputs(
  const mk_winograd_call *c, mk_int plane, mk_int first, mk_int tiles, const float *top, const float *bottom) {
  const mk_conv_shape *s = c->s;
  for (mk_int tile = first; tile < first + tiles;) {
    mk_int i = tile / c->tile_columns, j = tile % c->tile_columns;
    mk_int n = mk_min(c->tile_columns - j, first + tiles - tile), count = mk_min(2 * n, s->out_width - 2 * j);
    for (int r = 0; r < 2 && 2 * i + r < s->out_height; r++) {
      const float *from = (r ? bottom : top) + 2 * (tile - first);
      mk_int at = (plane * s->out_height + 2 * i + r) * s->out_width + 2 * j;
      if (c->residual) {
        c->kernels->binary(MK_ADD, count, from, 1, c->residual + at, 1, c->y + at);
      } else {
        memcpy(c->y + at, from, (size_t)count * sizeof(float));
      }
      if (c->activation > MK_ACT_RELU || (c->residual && c->activation != MK_ACT_NONE)) {
        c->kernels->activate(c->activation, 1, count, c->y + at, count);
      }
    }
    tile += n;
  }
}

static void mk_winograd_task(void *context, mk_int task, int32_t worker) {
  const mk_winograd_call *c = context;
  const mk_conv_shape *s = c->s;
  const mk_kernels *kernels = c->kernels;
  mk_int block_part = task % c->block_parts, part = task / c->block_parts % c->parts;
  mk_int image = task / c->block_parts / c->parts;
  mk_int panel0 = mk_part(c->panels, c->parts, part), panels = mk_part(c->panels, c->parts, part + 1) - panel0;
  mk_int first = panel0 * MK_PANEL, tiles = mk_min(panels * MK_PANEL, c->tiles - first);
  mk_int depth = mk_round_up(s->channels, MK_CHUNK), lanes = panels * MK_PANEL, block_floats = MK_BLOCK_ROWS * lanes;
  float *u = c->scratch + worker * mk_winograd_worker_floats(c), *v = u + MK_POSITIONS * MK_BLOCK_ROWS * depth;
  float *m = v + MK_POSITIONS * c->lanes * s->channels;
  float *spare = m + MK_POSITIONS * MK_BLOCK_ROWS * c->lanes;
  float *top = spare + MK_POSITIONS * MK_LANES + 4 * MK_ROW, *bottom = top + 2 * MK_LANES;
  mk_transform_inputs(c, image, first, tiles, panels, v, spare);
  mk_int block1 = mk_part(c->blocks, c->block_parts, block_part + 1);
  for (mk_int b = mk_part(c->blocks, c->block_parts, block_part); b < block1; b++) {
    mk_int channel = mk_part(s->out_channels, c->blocks, b);
    mk_int height = mk_part(s->out_channels, c->blocks, b + 1) - channel;
    kernels->winograd_weights(height * depth, c->packed + MK_TAPS * channel * depth, u);
    for (int p = 0; p < MK_POSITIONS; p++) {
      for (mk_int panel = 0; panel < panels;) {
        mk_int together = mk_min(kernels->panels, panels - panel);
        mk_tile t = {
          .a = u + p * height * depth,
          .chunk_stride = height * MK_CHUNK,
          .b = v + (p * panels + panel) * s->channels * MK_PANEL,
          .b_stride = MK_PANEL,
          .b_panel = s->channels * MK_PANEL,
          .k = s->channels,
          .c = m + p * block_floats + panel * MK_PANEL,
          .ldc = lanes,
          .c_panel = MK_PANEL,
          .columns = together * MK_PANEL,
        };
        mk_run_tiles(kernels, MK_PACKED, (int32_t)together, height, &t);
        panel += together;
      }
    }
    for (mk_int r = 0; r < height; r++) {
      float bias = c->bias ? mk_load1(c->bias + channel + r) : 0;
      int32_t relu = c->activation == MK_ACT_RELU && !c->residual;
      kernels->winograd_output(tiles, m + r * lanes, block_floats, bias, relu, top, bottom);
      mk_place_outputs(c, image * s->out_channels + channel + r, first, tiles, top, bottom);
    }
  }
}

void mk_winograd(
  mk_pool *pool, const mk_conv_shape *shape, const float *x, const void *packed, const float *bias,
  mk_activation activation, const float *residual, float *y, void *scratch) {
  mk_winograd_call c = {
    .kernels = mk_current_kernels(), .x = x, .packed = packed, .bias = bias, .residual = residual,
    .activation = activation, .y = y, .scratch = scratch};
  mk_plan_winograd(&c, pool, shape);
  if (shape->batch <= 0 || c.tiles <= 0) return;
  mk_int products = shape->batch * shape->out_channels * c.tiles * MK_POSITIONS * shape->channels;
  mk_parallel(
    mk_pool_for(pool, products, MK_PARALLEL_PRODUCTS), shape->batch * c.parts * c.block_parts, mk_winograd_task, &c);
}
