// Convolution 3 x 3 with stride 1 as Winograd's F(n x n, 3 x 3): (n + 2)^2 products for n^2 outputs and channel, where
// a direct sum takes 9 n^2. Tiles of n = 4 take 36 for 144; tiles of n = 2, 16 for 36, suit images of about 8 x 8 and
// less, of which larger tiles would leave most lanes of a panel empty.
//
// A task is a few panels of 16 tiles. It transforms their inputs into scratch of its own, v[position][panel][channel][16],
// and takes some output channels after the other: for two rows of positions at a time it transforms their weights to
// u[row][column][blocks as tiles read left operands] and multiplies them. All products, m[position][channel][tile], stay in the
// near caches, as u does, until they are transformed back. Tasks of other panels make the same u again: that takes less
// than u of all channels, four times the weights, would take in memory and on its way to there.
//
// Where there are too few panels for all threads, these share the output channels as well: first all of them transform the
// inputs of a band of the image, then a task is some output channels of a few panels. Then v moves between their caches.
//
// Packed weights: [16 pairs of channels][tap][16], the pairs in the order of the blocks that u has.
#include "winograd.h"

enum {
  MK_TAPS = 9,
  MK_MOST_SIDE = 4,
  MK_MOST_PATCH = MK_MOST_SIDE + 2,
  MK_MOST_POSITIONS = MK_MOST_PATCH * MK_MOST_PATCH,
  MK_BAND_FLOATS = 1 << 20, // transformed inputs: they stay in the last cache
  MK_TASK_PANELS = 8,       // of the products
  MK_LEAST_PANELS = 2,      // with fewer, transforming all weights takes longer than waiting for inputs of other threads
  MK_TASK_ROWS = 24,        // output channels of the products
  MK_TASK_CHANNELS = 8,     // input channels of a task that transforms them
  MK_LEAST_CHANNELS = 32,   // with fewer, transforms cost more than the products they spare
  // Room of a worker that transforms a panel of inputs, [position][channel of the task][16], and the rows of pixels of
  // one channel that lie under it. The vector functions read and write whole vectors.
  MK_INPUT_POSITION = (MK_TASK_CHANNELS + 1) * MK_PANEL,
  MK_INPUT_ROW = MK_MOST_SIDE * (2 * MK_PANEL + 1),
  MK_INPUT_FLOATS = MK_MOST_POSITIONS * MK_INPUT_POSITION + (MK_MOST_PATCH + 1) * MK_INPUT_ROW,
  // A row of pixels of the outputs of a task.
  MK_OUTPUT_ROW = MK_MOST_SIDE * (MK_TASK_PANELS + 1) * MK_PANEL,
};

int32_t mk_is_winograd(const mk_conv_shape *s) {
  return s->kernel_h == 3 && s->kernel_w == 3 && s->stride_h == 1 && s->stride_w == 1 && s->dilation_h == 1 &&
    s->dilation_w == 1 && s->groups == 1 && s->channels >= MK_LEAST_CHANNELS && s->out_channels >= MK_LEAST_CHANNELS;
}

// Pairs of channels, in whole groups.
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
  mk_int blocks = mk_ceil_div(s->out_channels, mk_current_kernels()->rows);
  mk_int first = mk_part(s->out_channels, blocks, block), height = mk_part(s->out_channels, blocks, block + 1) - first;
  (void)worker;
  for (mk_int r = 0; r < height; r++) {
    const float *row = call->weights + (first + r) * s->channels * MK_TAPS;
    for (mk_int c = 0; c < s->channels; c++) {
      mk_int pair = first * s->channels + c * height + r;
      float *to = call->packed + pair / MK_PANEL * MK_TAPS * MK_PANEL + pair % MK_PANEL;
      for (int t = 0; t < MK_TAPS; t++) to[t * MK_PANEL] = mk_load1(row + c * MK_TAPS + t);
    }
  }
}

void mk_winograd_pack(mk_pool *pool, const mk_conv_shape *s, const float *weights, void *packed) {
  mk_winograd_pack_call call = {s, weights, packed};
  mk_int groups = mk_pairs(s) / MK_PANEL; // the last may not be full
  if (groups > 0) memset(call.packed + (groups - 1) * MK_TAPS * MK_PANEL, 0, MK_TAPS * MK_PANEL * sizeof(float));
  mk_parallel(pool, mk_ceil_div(s->out_channels, mk_current_kernels()->rows), mk_pack_winograd_block, &call);
}

typedef struct {
  const mk_kernels *kernels;
  const mk_winograd_transforms *transforms;
  const mk_conv_shape *s;
  const float *x, *packed, *bias, *residual;
  mk_activation activation;
  float *y;
  mk_int side, patch, positions; // of a tile of outputs; of its inputs; patch * patch
  mk_int tile_columns, tiles, panels;
  int32_t shares_inputs; // tasks share the inputs of a band; otherwise a band is all panels, and a task has its own inputs
  mk_int bands, panel_parts, most_panels; // parts of a band; panels of the longest v
  mk_int row_parts;
  mk_int inputs, results, weights, worker_floats; // of one worker: its own v, m, u, all
  mk_int image, panel0, band_panels; // of this band
  float *v, *workers;
} mk_winograd_call;

// Panels of tiles of one image.
static mk_int mk_winograd_panels(const mk_conv_shape *s, mk_int side) {
  return mk_ceil_div(mk_ceil_div(s->out_width, side) * mk_ceil_div(s->out_height, side), MK_PANEL);
}

static void mk_plan_winograd(mk_winograd_call *c, const mk_pool *pool, const mk_conv_shape *s) {
  c->kernels = mk_current_kernels();
  // The fewer products, those of lanes without a tile included.
  int32_t large = 36 * mk_winograd_panels(s, 4) < 16 * mk_winograd_panels(s, 2);
  c->transforms = large ? &c->kernels->winograd4 : &c->kernels->winograd2;
  c->s = s;
  c->side = c->transforms->side, c->patch = c->side + 2, c->positions = c->patch * c->patch;
  c->tile_columns = mk_ceil_div(s->out_width, c->side);
  c->tiles = c->tile_columns * mk_ceil_div(s->out_height, c->side);
  c->panels = mk_max(mk_ceil_div(c->tiles, MK_PANEL), 1);
  mk_int threads = mk_pool_threads(pool), band = MK_BAND_FLOATS / (c->positions * MK_PANEL * s->channels);
  c->row_parts = mk_max(mk_ceil_div(s->out_channels, MK_TASK_ROWS), 1);
  // Tiles of one panel add as those of two do where blocks have more than half of the rows, as those of MK_LEAST_CHANNELS and
  // more have: results do not depend on where panels are cut.
  c->bands = 1;
  c->panel_parts = mk_round_up(mk_ceil_div(c->panels, mk_min(mk_max(band, MK_LEAST_PANELS), MK_TASK_PANELS)), threads);
  c->most_panels = mk_ceil_div(c->panels, c->panel_parts);
  mk_int task_panels = c->most_panels;
  c->shares_inputs = threads > 1 && c->panels < MK_LEAST_PANELS * c->panel_parts;
  if (c->shares_inputs) {
    c->bands = mk_ceil_div(c->panels, mk_max(band, MK_TASK_PANELS));
    c->most_panels = mk_ceil_div(c->panels, c->bands);
    c->panel_parts = mk_ceil_div(c->most_panels, MK_TASK_PANELS);
    task_panels = mk_ceil_div(c->most_panels, c->panel_parts);
    c->row_parts = mk_round_up(mk_max(c->row_parts, mk_ceil_div(threads * 4, c->panel_parts)), threads);
  }
  c->row_parts = mk_min(c->row_parts, mk_ceil_div(s->out_channels, MK_BLOCK_ROWS));
  mk_int rows = mk_ceil_div(s->out_channels, c->row_parts) + MK_BLOCK_ROWS;
  c->inputs = c->shares_inputs ? 0 : c->positions * c->most_panels * MK_PANEL * s->channels;
  c->results = c->positions * (rows * task_panels + 1) * MK_PANEL;
  c->weights = 2 * c->patch * (rows * s->channels + 3 * MK_PANEL);
  mk_int task = c->results + c->weights + c->side * MK_OUTPUT_ROW;
  c->worker_floats = mk_round_up(c->inputs + mk_max(task, MK_INPUT_FLOATS), MK_PANEL);
}

// Floats of the inputs that tasks share.
static mk_int mk_shared_inputs(const mk_winograd_call *c) {
  return c->shares_inputs ? c->positions * c->most_panels * MK_PANEL * c->s->channels : 0;
}

size_t mk_winograd_scratch(const mk_pool *pool, const mk_conv_shape *s) {
  mk_winograd_call c = {0};
  mk_plan_winograd(&c, pool, s);
  return (size_t)(mk_shared_inputs(&c) + c.worker_floats * mk_pool_threads(pool)) * sizeof(float) + 64;
}

// What `tiles` tiles of a row of tiles, the first of them at (i, j), see of a channel, its columns transformed; zeros
// beyond the image.
static void mk_transform_rows(
  const mk_winograd_call *c, mk_int channel, mk_int i, mk_int j, mk_int tiles, const float *zeros, float *rows) {
  const mk_conv_shape *s = c->s;
  const float *plane = c->x + (c->image * s->channels + channel) * s->height * s->width;
  mk_int top = c->side * i - s->pad_top, left = c->side * j - s->pad_left, count = c->side * tiles + 2;
  mk_int from = mk_min(mk_max(-left, 0), count), to = mk_max(mk_min(s->width - left, count), from);
  const float *x[MK_MOST_PATCH];
  for (int r = 0; r < c->patch; r++) {
    x[r] = top + r < 0 || top + r >= s->height ? zeros : plane + (top + r) * s->width + left + from;
  }
  // Short rows of many planes are nothing that the processor foresees: those of the next plane are fetched.
  mk_int ahead = channel + 1 < s->channels ? s->height * s->width : 0;
  if (to > from) c->transforms->input_rows(to - from, x, ahead, rows + from, MK_INPUT_ROW);
  for (int r = 0; r < c->patch && to - from < count; r++, rows += MK_INPUT_ROW) {
    memset(rows, 0, (size_t)from * sizeof(float));
    memset(rows + to, 0, (size_t)(count - to) * sizeof(float));
  }
}

// Writes v of part `part` of the channels and `panels` panels from panel0 on; `transformed` is the room for it.
static void mk_transform_inputs(
  const mk_winograd_call *c, mk_int part, mk_int panel0, mk_int panels, float *transformed, float *v) {
  const mk_conv_shape *s = c->s;
  mk_int channel0 = part * MK_TASK_CHANNELS, channel1 = mk_min(channel0 + MK_TASK_CHANNELS, s->channels);
  float *rows = transformed + MK_MOST_POSITIONS * MK_INPUT_POSITION, *zeros = rows + MK_MOST_PATCH * MK_INPUT_ROW;
  mk_int position = panels * s->channels * MK_PANEL;
  memset(transformed, 0, MK_INPUT_FLOATS * sizeof(float)); // whole vectors are read
  for (mk_int panel = 0; panel < panels; panel++) {
    mk_int first = (panel0 + panel) * MK_PANEL, last = mk_min(first + MK_PANEL, c->tiles);
    // A vector that ends behind a panel is overwritten by the next channel.
    for (mk_int channel = channel0; channel < channel1; channel++) {
      float *out = transformed + (channel - channel0) * MK_PANEL;
      for (mk_int tile = first; tile < last;) {
        mk_int i = tile / c->tile_columns, j = tile % c->tile_columns, n = mk_min(c->tile_columns - j, last - tile);
        mk_transform_rows(c, channel, i, j, n, zeros, rows);
        c->transforms->input_columns(n, rows, MK_INPUT_ROW, out + (tile - first), MK_INPUT_POSITION);
        tile += n;
      }
    }
    for (int p = 0; p < c->positions; p++) {
      memcpy(
        v + p * position + (panel * s->channels + channel0) * MK_PANEL, transformed + p * MK_INPUT_POSITION,
        (size_t)(channel1 - channel0) * MK_PANEL * sizeof(float));
    }
  }
}

// `side` rows of pixels of some tiles, from tile `first` on, to where they belong in plane y.
static void mk_place_outputs(const mk_winograd_call *c, mk_int plane, mk_int first, mk_int tiles, const float *pixels) {
  const mk_conv_shape *s = c->s;
  for (mk_int tile = first; tile < first + tiles;) {
    mk_int i = tile / c->tile_columns, j = tile % c->tile_columns;
    mk_int n = mk_min(c->tile_columns - j, first + tiles - tile);
    mk_int row = c->side * i, column = c->side * j, count = mk_min(c->side * n, s->out_width - column);
    for (mk_int r = 0; r < c->side && row + r < s->out_height; r++) {
      const float *from = pixels + r * MK_OUTPUT_ROW + c->side * (tile - first);
      mk_int at = (plane * s->out_height + row + r) * s->out_width + column;
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

// Part `row_part` of the output channels of some panels from panel0 on; their inputs are at v, `position` apart; `room` is
// that of the worker.
static void mk_winograd_rows(
  const mk_winograd_call *c, mk_int row_part, mk_int panel0, mk_int panels, const float *v, mk_int position, float *room) {
  const mk_conv_shape *s = c->s;
  const mk_kernels *kernels = c->kernels;
  mk_int first = panel0 * MK_PANEL, lanes = panels * MK_PANEL, tiles = mk_min(lanes, c->tiles - first);
  // Some of the blocks that were packed.
  mk_int blocks = mk_ceil_div(s->out_channels, kernels->rows);
  mk_int channel = mk_part(s->out_channels, blocks, mk_part(blocks, c->row_parts, row_part));
  mk_int rows = mk_part(s->out_channels, blocks, mk_part(blocks, c->row_parts, row_part + 1)) - channel;
  float *m = room, *u = m + c->results, *pixels = u + c->weights;
  // A panel more than it needs: multiples of a power of two would share a few sets of the first cache.
  mk_int m_position = rows * lanes + MK_PANEL;
  // Whole groups of pairs of channels, of which this task's may be only the middle.
  mk_int pair = channel * s->channels, group = pair / MK_PANEL;
  mk_int groups = mk_ceil_div(pair + rows * s->channels, MK_PANEL) - group, u_position = (groups + 1) * MK_PANEL;
  mk_int wide = kernels->panels;
  // The weights of the channels that follow come from memory meanwhile, once the first rows have been multiplied.
  const float *next = c->packed + (group + groups) * MK_TAPS * MK_PANEL;
  mk_int lines = MK_TAPS * mk_min(groups, mk_pairs(s) / MK_PANEL - group - groups), late = c->positions - 2 * c->patch;
  for (int p = 0; p < c->positions; p++) {
    if (p % (2 * c->patch) == 0) {
      const float *weights = c->packed + group * MK_TAPS * MK_PANEL;
      c->transforms->weights((int)(p / c->patch), groups, weights, u, u_position);
    }
    mk_int past = p - 2 * c->patch, line = past < 0 ? 0 : mk_part(lines, late, past);
    mk_int count = past < 0 ? 0 : mk_part(lines, late, past + 1) - line;
    for (mk_int panel = 0; panel < panels; panel += wide) {
      mk_int together = mk_min(wide, panels - panel);
      mk_tile t = {
        .a = u + p % (2 * c->patch) * u_position + pair % MK_PANEL,
        .b = v + p * position + panel * s->channels * MK_PANEL,
        .b_panel = s->channels * MK_PANEL,
        .k = s->channels,
        .c = m + p * m_position + panel * MK_PANEL,
        .ldc = lanes,
        .c_panel = MK_PANEL,
        .columns = together * MK_PANEL,
        .next = (const char *)(next + line * MK_PANEL),
        .next_lines = panel == 0 ? count : 0,
      };
      mk_run_tiles(kernels->tiles[MK_PACKED][together - 1], kernels->rows, s->channels, rows, &t);
    }
  }
  for (mk_int r = 0; r < rows; r++) {
    float bias = c->bias ? mk_load1(c->bias + channel + r) : 0;
    int32_t relu = c->activation == MK_ACT_RELU && !c->residual;
    c->transforms->output(tiles, m + r * lanes, m_position, bias, relu, pixels, MK_OUTPUT_ROW);
    mk_place_outputs(c, c->image * s->out_channels + channel + r, first, tiles, pixels);
  }
}

static mk_int mk_channel_parts(const mk_conv_shape *s) { return mk_ceil_div(s->channels, MK_TASK_CHANNELS); }

// Some channels of the inputs of this band, for all tasks.
static void mk_input_task(void *context, mk_int task, int32_t worker) {
  const mk_winograd_call *c = context;
  mk_transform_inputs(c, task, c->panel0, c->band_panels, c->workers + worker * c->worker_floats, c->v);
}

static void mk_winograd_task(void *context, mk_int task, int32_t worker) {
  const mk_winograd_call *c = context;
  mk_int part = task % c->panel_parts, channels = c->s->channels;
  mk_int panel0 = mk_part(c->band_panels, c->panel_parts, part);
  mk_int panels = mk_part(c->band_panels, c->panel_parts, part + 1) - panel0;
  float *own = c->workers + worker * c->worker_floats, *room = own + c->inputs;
  if (c->shares_inputs) {
    const float *v = c->v + panel0 * channels * MK_PANEL;
    mk_winograd_rows(
      c, task / c->panel_parts, c->panel0 + panel0, panels, v, c->band_panels * channels * MK_PANEL, room);
    return;
  }
  for (mk_int i = 0; i < mk_channel_parts(c->s); i++) mk_transform_inputs(c, i, panel0, panels, room, own);
  for (mk_int i = 0; i < c->row_parts; i++) {
    mk_winograd_rows(c, i, panel0, panels, own, panels * channels * MK_PANEL, room);
  }
}

void mk_winograd(
  mk_pool *pool, const mk_conv_shape *shape, const float *x, const void *packed, const float *bias,
  mk_activation activation, const float *residual, float *y, void *scratch) {
  mk_winograd_call c = {
    .x = x, .packed = packed, .bias = bias, .residual = residual, .activation = activation, .y = y, .v = scratch};
  mk_plan_winograd(&c, pool, shape);
  if (c.tiles <= 0) return;
  c.workers = c.v + mk_shared_inputs(&c);
  pool = mk_pool_for(pool, shape->out_channels * c.tiles * c.positions * shape->channels, MK_PARALLEL_PRODUCTS);
  for (c.image = 0; c.image < shape->batch; c.image++) {
    for (mk_int band = 0; band < c.bands; band++) {
      c.panel0 = mk_part(c.panels, c.bands, band);
      c.band_panels = mk_part(c.panels, c.bands, band + 1) - c.panel0;
      if (c.shares_inputs) mk_parallel(pool, mk_channel_parts(shape), mk_input_task, &c);
      mk_parallel(pool, c.shares_inputs ? c.panel_parts * c.row_parts : c.panel_parts, mk_winograd_task, &c);
    }
  }
}
