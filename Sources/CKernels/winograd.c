// Convolution 3 x 3 with stride 1 as Winograd's F(2 x 2, 3 x 3): 16 products for 4 outputs and channel, where a direct sum
// takes 36, and transforms whose factors are only 1, 1/2 and 1/4, so that it is as exact as the sum.
//
// First all threads transform the weights and the inputs of a band of the image into scratch: u[position], in each as tiles
// read left operands, and v[position][panel of 16 output tiles][channel][16]. Then a task is some output channels and a few
// panels: 16 products m = u v, which stay in the second cache, and the transform back.
//
// Packed weights: [tap], in each the blocks that u has.
#include "winograd.h"

enum {
  MK_TAPS = 9,
  MK_POSITIONS = 16,
  MK_BAND_FLOATS = 1 << 20, // transformed inputs: they stay in the last cache
  MK_TASK_PANELS = 4,       // of the products and of one pass of the input transform
  MK_TASK_ROWS = 48,        // output channels of the products
  MK_TASK_CHANNELS = 8,     // input channels of a task that transforms them
  MK_TASK_WEIGHTS = 8192,   // pairs of channels of a task that transforms their weights
  MK_LEAST_CHANNELS = 32,   // with fewer, transforms cost more than the products they spare
  // The vector functions read and write whole vectors.
  MK_LANES = MK_TASK_PANELS * MK_PANEL + MK_PANEL,
  MK_ROW = 2 * MK_LANES + 2 + MK_PANEL,
  MK_SPARE = MK_POSITIONS * MK_LANES + 4 * MK_ROW, // for the inputs of one channel
};

int32_t mk_is_winograd(const mk_conv_shape *s) {
  return s->kernel_h == 3 && s->kernel_w == 3 && s->stride_h == 1 && s->stride_w == 1 && s->dilation_h == 1 &&
    s->dilation_w == 1 && s->groups == 1 && s->channels >= MK_LEAST_CHANNELS && s->out_channels >= MK_LEAST_CHANNELS;
}

// Pairs of channels, in whole vectors.
static mk_int mk_pairs(const mk_conv_shape *s) { return mk_round_up(s->out_channels * s->channels, MK_PANEL); }

size_t mk_winograd_packed_bytes(const mk_conv_shape *s) { return (size_t)MK_TAPS * (size_t)mk_pairs(s) * sizeof(float); }

typedef struct {
  const mk_conv_shape *s;
  const float *weights;
  float *packed;
} mk_winograd_pack_call;

static void mk_pack_winograd_block(void *context, mk_int block, int32_t worker) {
  const mk_winograd_pack_call *call = context;
  const mk_conv_shape *s = call->s;
  mk_int blocks = mk_ceil_div(s->out_channels, mk_current_kernels()->rows), pairs = mk_pairs(s);
  mk_int first = mk_part(s->out_channels, blocks, block), height = mk_part(s->out_channels, blocks, block + 1) - first;
  (void)worker;
  for (mk_int r = 0; r < height; r++) {
    const float *row = call->weights + (first + r) * s->channels * MK_TAPS;
    float *to = call->packed + first * s->channels + r;
    for (mk_int c = 0; c < s->channels; c++) {
      for (int t = 0; t < MK_TAPS; t++) to[t * pairs + c * height] = mk_load1(row + c * MK_TAPS + t);
    }
  }
}

void mk_winograd_pack(mk_pool *pool, const mk_conv_shape *s, const float *weights, void *packed) {
  mk_winograd_pack_call call = {s, weights, packed};
  mk_int used = s->out_channels * s->channels, pairs = mk_pairs(s);
  for (int t = 0; t < MK_TAPS; t++) {
    memset(call.packed + t * pairs + used, 0, (size_t)(pairs - used) * sizeof(float));
  }
  mk_parallel(pool, mk_ceil_div(s->out_channels, mk_current_kernels()->rows), mk_pack_winograd_block, &call);
}

typedef struct {
  const mk_kernels *kernels;
  const mk_conv_shape *s;
  const float *x, *packed, *bias, *residual;
  mk_activation activation;
  float *y;
  mk_int tile_columns, tiles, panels;
  mk_int bands, most_panels;      // of the longest band
  mk_int row_parts, weight_tasks; // of the products; of the transforms
  mk_int worker_floats;
  mk_int image, panel0, band_panels, panel_parts; // of this band
  float *u, *v, *workers;
} mk_winograd_call;

static void mk_plan_winograd(mk_winograd_call *c, const mk_pool *pool, const mk_conv_shape *s) {
  c->s = s;
  c->tile_columns = mk_ceil_div(s->out_width, 2);
  c->tiles = c->tile_columns * mk_ceil_div(s->out_height, 2);
  c->panels = mk_max(mk_ceil_div(c->tiles, MK_PANEL), 1);
  mk_int most = mk_max(MK_BAND_FLOATS / (MK_POSITIONS * MK_PANEL * s->channels), MK_TASK_PANELS);
  c->bands = mk_ceil_div(c->panels, most);
  c->most_panels = mk_ceil_div(c->panels, c->bands);
  c->row_parts = mk_max(mk_ceil_div(s->out_channels, MK_TASK_ROWS), 1);
  mk_int threads = mk_pool_threads(pool);
  if (threads > 1) {
    mk_int wanted = mk_ceil_div(threads * 4, mk_ceil_div(c->most_panels, MK_TASK_PANELS));
    c->row_parts = mk_max(c->row_parts, mk_min(wanted, mk_ceil_div(s->out_channels, MK_BLOCK_ROWS)));
  }
  c->weight_tasks = mk_ceil_div(mk_pairs(s), MK_TASK_WEIGHTS);
  // Results of a task, 16 positions of at most so many rows, and two rows of pixels; or what a transform needs.
  mk_int rows = mk_ceil_div(s->out_channels, c->row_parts) + MK_BLOCK_ROWS;
  c->worker_floats = mk_round_up(mk_max(MK_POSITIONS * rows * MK_TASK_PANELS * MK_PANEL + 4 * MK_LANES, MK_SPARE), MK_PANEL);
}

size_t mk_winograd_scratch(const mk_pool *pool, const mk_conv_shape *s) {
  mk_winograd_call c = {0};
  mk_plan_winograd(&c, pool, s);
  mk_int inputs = c.most_panels * MK_PANEL * s->channels;
  mk_int floats = MK_POSITIONS * (mk_pairs(s) + inputs) + c.worker_floats * mk_pool_threads(pool);
  return (size_t)floats * sizeof(float) + 64;
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

// Writes v of some channels of this band.
static void mk_transform_inputs(const mk_winograd_call *c, mk_int channel0, mk_int channel1, float *spare) {
  const mk_conv_shape *s = c->s;
  float *transformed = spare, *rows = spare + MK_POSITIONS * MK_LANES;
  mk_int position = c->band_panels * s->channels * MK_PANEL;
  memset(spare, 0, MK_SPARE * sizeof(float)); // whole vectors are read
  for (mk_int panel0 = 0; panel0 < c->band_panels; panel0 += MK_TASK_PANELS) {
    mk_int panels = mk_min(c->band_panels - panel0, MK_TASK_PANELS);
    mk_int first = (c->panel0 + panel0) * MK_PANEL, tiles = mk_min(panels * MK_PANEL, c->tiles - first);
    for (mk_int channel = channel0; channel < channel1; channel++) {
      const float *plane = c->x + (c->image * s->channels + channel) * s->height * s->width;
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
            c->v + p * position + ((panel0 + panel) * s->channels + channel) * MK_PANEL,
            transformed + p * MK_LANES + panel * MK_PANEL, MK_PANEL * sizeof(float));
        }
      }
    }
  }
}

// Inputs, and in the first band weights.
static void mk_transform_task(void *context, mk_int task, int32_t worker) {
  const mk_winograd_call *c = context;
  mk_int inputs = mk_ceil_div(c->s->channels, MK_TASK_CHANNELS);
  if (task < inputs) {
    mk_int channel = task * MK_TASK_CHANNELS;
    mk_transform_inputs(
      c, channel, mk_min(channel + MK_TASK_CHANNELS, c->s->channels), c->workers + worker * c->worker_floats);
    return;
  }
  mk_int pairs = mk_pairs(c->s), first = (task - inputs) * MK_TASK_WEIGHTS;
  c->kernels->winograd_weights(mk_min(pairs - first, MK_TASK_WEIGHTS), c->packed + first, c->u + first, pairs);
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
  mk_int part = task % c->panel_parts, row_part = task / c->panel_parts;
  mk_int panel0 = mk_part(c->band_panels, c->panel_parts, part);
  mk_int panels = mk_part(c->band_panels, c->panel_parts, part + 1) - panel0;
  mk_int first = (c->panel0 + panel0) * MK_PANEL, tiles = mk_min(panels * MK_PANEL, c->tiles - first), lanes = panels * MK_PANEL;
  // Some of the blocks that were packed.
  mk_int blocks = mk_ceil_div(s->out_channels, kernels->rows);
  mk_int channel = mk_part(s->out_channels, blocks, mk_part(blocks, c->row_parts, row_part));
  mk_int rows = mk_part(s->out_channels, blocks, mk_part(blocks, c->row_parts, row_part + 1)) - channel;
  float *m = c->workers + worker * c->worker_floats, *top = m + c->worker_floats - 4 * MK_LANES;
  float *bottom = top + 2 * MK_LANES;
  for (int p = 0; p < MK_POSITIONS; p++) {
    mk_int wide = kernels->panels;
    for (mk_int panel = 0; panel < panels; panel += wide) {
      mk_int together = mk_min(wide, panels - panel);
      mk_tile t = {
        .a = c->u + p * mk_pairs(s) + channel * s->channels,
        .b = c->v + (p * c->band_panels + panel0 + panel) * s->channels * MK_PANEL,
        .b_panel = s->channels * MK_PANEL,
        .k = s->channels,
        .c = m + p * rows * lanes + panel * MK_PANEL,
        .ldc = lanes,
        .c_panel = MK_PANEL,
        .columns = together * MK_PANEL,
      };
      mk_run_tiles(kernels->tiles[MK_PACKED][together - 1], kernels->rows, s->channels, rows, &t, NULL, 0);
    }
  }
  for (mk_int r = 0; r < rows; r++) {
    float bias = c->bias ? mk_load1(c->bias + channel + r) : 0;
    int32_t relu = c->activation == MK_ACT_RELU && !c->residual;
    kernels->winograd_output(tiles, m + r * lanes, rows * lanes, bias, relu, top, bottom);
    mk_place_outputs(c, c->image * s->out_channels + channel + r, first, tiles, top, bottom);
  }
}

void mk_winograd(
  mk_pool *pool, const mk_conv_shape *shape, const float *x, const void *packed, const float *bias,
  mk_activation activation, const float *residual, float *y, void *scratch) {
  mk_winograd_call c = {
    .kernels = mk_current_kernels(), .x = x, .packed = packed, .bias = bias, .residual = residual,
    .activation = activation, .y = y};
  mk_plan_winograd(&c, pool, shape);
  if (c.tiles <= 0) return;
  c.u = scratch;
  c.v = c.u + MK_POSITIONS * mk_pairs(shape);
  c.workers = c.v + MK_POSITIONS * c.most_panels * MK_PANEL * shape->channels;
  pool = mk_pool_for(pool, shape->out_channels * c.tiles * MK_POSITIONS * shape->channels, MK_PARALLEL_PRODUCTS);
  for (c.image = 0; c.image < shape->batch; c.image++) {
    for (mk_int band = 0; band < c.bands; band++) {
      c.panel0 = mk_part(c.panels, c.bands, band);
      c.band_panels = mk_part(c.panels, c.bands, band + 1) - c.panel0;
      c.panel_parts = mk_ceil_div(c.band_panels, MK_TASK_PANELS);
      mk_int transforms = mk_ceil_div(shape->channels, MK_TASK_CHANNELS);
      if (c.image == 0 && band == 0) transforms += c.weight_tasks;
      mk_parallel(pool, transforms, mk_transform_task, &c);
      mk_parallel(pool, c.panel_parts * c.row_parts, mk_winograd_task, &c);
    }
  }
}
