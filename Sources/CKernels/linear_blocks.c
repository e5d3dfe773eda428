// Products of many rows with weights in a narrow format. Both operands are read as units of 4 bytes: one depth of
// float32, two of bf16 or int16, four of 8 bits, whichever the instruction set multiplies best; the register tiles and
// the blocking are the same for all of them.
//
// x is packed once for a group of rows at full depth, [depth part][block of rows][unit / 16][rows][16]. Depth parts are
// outermost, so that the part of x in use stays in the second cache. A panel that the tiles cannot read as it is gets
// widened into scratch, a depth part at a time. Integer sums of one depth part wait for the next in scratch too, which is
// why integer products walk over the columns in groups.
#include "linear.h"

enum {
  MK_GROUP_ROWS = 192,       // rows of x that are packed together,
  MK_GROUP_BYTES = 3 << 20,  // fewer when they would be more than this
  MK_GROUP_COLUMNS = 128,    // columns whose integer sums are kept
  MK_TILE_PANELS_MOST = 2,
};

// How a product is cut into tasks, and where things are in the scratch of a worker; for the same sizes and pool the same
// on every instruction set.
typedef struct {
  mk_int row_parts, column_parts;
  mk_int rows;                           // of the largest group
  mk_int widened, partials, scales, x;   // offsets in bytes
  mk_int worker_bytes;
} mk_blocks_plan;

static mk_blocks_plan mk_plan_blocks(const mk_pool *pool, mk_weights type, mk_int m, mk_int k, mk_int n) {
  int32_t quantised = type == MK_WEIGHTS_INT8 && k <= MK_QUANTISED_DEPTH;
  // Units of one row in the widest form that any instruction set gives them.
  mk_int units = quantised ? 2 * mk_ceil_div(k, 4) : k;
  mk_int row_bytes = mk_round_up(units, MK_CHUNK) * (mk_int)sizeof(float);
  mk_int rows = mk_max(mk_min(MK_GROUP_ROWS, MK_GROUP_BYTES / mk_max(row_bytes, 1)), MK_BLOCK_ROWS);
  mk_blocks_plan plan = {.row_parts = mk_max(mk_ceil_div(m, rows), 1), .column_parts = 1};
  mk_int threads = mk_pool_threads(pool);
  if (threads > 1) {
    // A few tasks for each thread, so that a slow one does not hold up the others.
    plan.column_parts = mk_max(mk_min(mk_ceil_div(threads * 3, plan.row_parts), mk_ceil_div(n, 2 * MK_PANEL)), 1);
  }
  plan.rows = mk_ceil_div(m, plan.row_parts);
  mk_int line = 64;
  plan.widened = line; // behind the tag
  plan.partials = plan.widened + MK_TILE_PANELS_MOST * MK_MAX_DEPTH * MK_PANEL * (mk_int)sizeof(float);
  plan.scales = plan.partials + (quantised ? plan.rows * MK_GROUP_COLUMNS * (mk_int)sizeof(int32_t) : 0);
  plan.x = plan.scales + (quantised ? mk_round_up(plan.rows * 8, line) : 0);
  plan.worker_bytes = plan.x + plan.rows * row_bytes;
  return plan;
}

size_t mk_blocks_scratch(const mk_pool *pool, mk_weights type, mk_int m, mk_int k, mk_int n) {
  return (size_t)mk_plan_blocks(pool, type, m, k, n).worker_bytes * (size_t)mk_pool_threads(pool) + 64;
}

typedef struct {
  const mk_linear_args *p;
  const mk_kernels *kernels;
  const mk_blocks *form;
  mk_blocks_plan plan;
  mk_packed weights;
  mk_int units, chunks, depth_parts;
  mk_int row_units; // units of one row of a packed panel: one depth, pair or quad
  char *scratch;
} mk_blocks_call;

static mk_int mk_first_chunk(const mk_blocks_call *c, mk_int part) { return mk_part(c->chunks, c->depth_parts, part); }

// Packs a group of rows, and finds the scales of each where they are quantised.
static void mk_pack_group(const mk_blocks_call *c, mk_int row0, mk_int rows, float *scales, int32_t *zeros, char *out) {
  const mk_linear_args *p = c->p;
  mk_int blocks = mk_ceil_div(rows, MK_BLOCK_ROWS), chunk_bytes = MK_CHUNK * (mk_int)sizeof(float);
  for (mk_int b = 0; b < blocks; b++) {
    mk_int first = mk_part(rows, blocks, b), height = mk_part(rows, blocks, b + 1) - first;
    for (mk_int r = 0; r < height; r++) {
      const float *row = p->x + (row0 + first + r) * p->ldx;
      float inverse = 1;
      int32_t zero = 0;
      if (c->form->integer) {
        scales[first + r] = mk_quantise_row(c->kernels, p->k, row, &inverse, &zero);
        zeros[first + r] = zero;
      }
      for (mk_int part = 0; part < c->depth_parts; part++) {
        mk_int chunk0 = mk_first_chunk(c, part), chunks = mk_first_chunk(c, part + 1) - chunk0;
        mk_int depth0 = chunk0 * MK_CHUNK * c->form->depths;
        mk_int depth = mk_min(chunks * MK_CHUNK * c->form->depths, p->k - depth0);
        char *to = out + ((chunk0 * rows + first * chunks) + r) * chunk_bytes;
        c->form->pack_row(depth, row + depth0, inverse, zero, height * chunk_bytes, to);
      }
    }
  }
}

typedef struct {
  mk_int row0, rows, part;
  const char *x; // the depth part of the packed rows
  const float *scales;
  const int32_t *zeros;
} mk_group;

// All rows of a group times one or two panels over one depth part.
static void mk_multiply_panels(
  const mk_blocks_call *c, const mk_group *g, mk_int column, mk_int columns, const float *b, mk_int b_panel,
  int32_t *partials) {
  const mk_linear_args *p = c->p;
  mk_int chunk0 = mk_first_chunk(c, g->part), chunks = mk_first_chunk(c, g->part + 1) - chunk0;
  mk_int units = mk_min(chunks * MK_CHUNK, c->units - chunk0 * MK_CHUNK);
  int32_t last = g->part == c->depth_parts - 1, integer = c->form->integer;
  mk_int blocks = mk_ceil_div(g->rows, MK_BLOCK_ROWS);
  for (mk_int i = 0; i < blocks; i++) {
    mk_int first = mk_part(g->rows, blocks, i), height = mk_part(g->rows, blocks, i + 1) - first;
    mk_int row = g->row0 + first;
    float *y = p->y + row * p->ldy + column;
    mk_tile t = {
      .a = (const float *)(const void *)g->x + first * chunks * MK_CHUNK,
      .chunk_stride = height * MK_CHUNK,
      .b = b,
      .b_stride = MK_PANEL,
      .b_panel = b_panel,
      .k = units,
      .c = y,
      .ldc = p->ldy,
      .c_panel = MK_PANEL,
      .columns = columns,
      .accumulate = p->add_to_y || (g->part > 0 && !integer),
      .last = last,
    };
    if (integer) {
      t.partials = partials + first * MK_PANEL;
      t.partials_panel = g->rows * MK_PANEL;
      t.add_partials = g->part > 0;
      t.row_scales = g->scales + first;
      t.row_zeros = g->zeros + first;
      t.column_scales = c->weights.scales + column;
      t.column_sums = c->weights.sums + column;
    }
    if (last) {
      if (p->bias) t.bias = p->bias + column;
      if (p->residual) t.residual = p->residual + row * p->ldr + column;
      t.ldr = p->ldr;
      t.relu = p->activation == MK_ACT_RELU;
    }
    mk_run_tile_list(c->form->tiles[columns > MK_PANEL], c->kernels->rows, MK_CHUNK, height, &t);
    if (last && p->activation > MK_ACT_RELU) c->kernels->activate(p->activation, height, columns, y, p->ldy);
  }
}

// One group of rows times the columns column0..<column1.
static void mk_multiply_group(
  const mk_blocks_call *c, mk_group *g, mk_int column0, mk_int column1, char *widened, int32_t *partials) {
  mk_int wide = c->kernels->panels * MK_PANEL;
  for (g->part = 0; g->part < c->depth_parts; g->part++) {
    mk_int chunk0 = mk_first_chunk(c, g->part), chunks = mk_first_chunk(c, g->part + 1) - chunk0;
    const char *x = g->x;
    g->x += chunk0 * g->rows * MK_CHUNK * (mk_int)sizeof(float);
    for (mk_int column = column0; column < column1; column += wide) {
      mk_int columns = mk_min(column1 - column, wide);
      // In rows of the packed panel.
      mk_int row = chunk0 * MK_CHUNK / c->row_units;
      mk_int depth = mk_min(chunks * MK_CHUNK, c->units - chunk0 * MK_CHUNK);
      mk_int count = mk_ceil_div(depth, c->row_units);
      const char *panel = c->weights.panels + column / MK_PANEL * c->weights.panel_bytes + row * MK_ROW_BYTES;
      const char *b = panel;
      mk_int b_bytes = c->weights.panel_bytes;
      if (c->form->widen) {
        b = widened;
        b_bytes = count * c->row_units * MK_ROW_BYTES;
        for (mk_int i = 0; i * MK_PANEL < columns; i++) {
          const float *scales = c->weights.scales ? c->weights.scales + column + i * MK_PANEL : NULL;
          c->form->widen(count, panel + i * c->weights.panel_bytes, scales, widened + i * b_bytes);
        }
      }
      mk_multiply_panels(
        c, g, column, columns, (const float *)(const void *)b, b_bytes / (mk_int)sizeof(float),
        partials + (column - column0) * g->rows);
    }
    g->x = x;
  }
}

static void mk_blocks_task(void *context, mk_int task, int32_t worker) {
  const mk_blocks_call *c = context;
  const mk_blocks_plan *plan = &c->plan;
  mk_int row_part = task / plan->column_parts, column_part = task % plan->column_parts;
  mk_int pairs = mk_ceil_div(c->p->n, 2 * MK_PANEL);
  mk_int column0 = mk_part(pairs, plan->column_parts, column_part) * 2 * MK_PANEL;
  mk_int column1 = mk_min(mk_part(pairs, plan->column_parts, column_part + 1) * 2 * MK_PANEL, c->p->n);

  char *scratch = c->scratch + worker * plan->worker_bytes;
  float *scales = (float *)(void *)(scratch + plan->scales);
  int32_t *zeros = (int32_t *)(void *)(scales + plan->rows);
  mk_group g = {.row0 = mk_part(c->p->m, plan->row_parts, row_part), .x = scratch + plan->x, scales, zeros};
  g.rows = mk_part(c->p->m, plan->row_parts, row_part + 1) - g.row0;
  // What this worker packed last: tasks of the same rows follow each other.
  mk_int tag;
  memcpy(&tag, scratch, sizeof tag);
  if (tag != row_part) mk_pack_group(c, g.row0, g.rows, scales, zeros, scratch + plan->x);
  memcpy(scratch, &row_part, sizeof row_part);

  mk_int step = c->form->integer ? MK_GROUP_COLUMNS : column1 - column0;
  for (mk_int column = column0; column < column1; column += step) {
    mk_multiply_group(
      c, &g, column, mk_min(column + step, column1), scratch + plan->widened,
      (int32_t *)(void *)(scratch + plan->partials));
  }
}

void mk_linear_blocks(mk_pool *pool, mk_weights type, const mk_linear_args *args, void *scratch) {
  const mk_kernels *kernels = mk_current_kernels();
  mk_blocks_call call = {
    .p = args,
    .kernels = kernels,
    .plan = mk_plan_blocks(pool, type, args->m, args->k, args->n),
    .weights = mk_packed_view(type, args->k, args->n, args->packed),
    .scratch = scratch,
  };
  int32_t quantised = type == MK_WEIGHTS_INT8 && args->k <= MK_QUANTISED_DEPTH;
  call.form = type == MK_WEIGHTS_BF16 ? &kernels->bf16 : quantised ? &kernels->int8 : &kernels->wide_int8;
  mk_int stored = type == MK_WEIGHTS_BF16 ? 2 : 4;
  call.row_units = stored / call.form->depths;
  call.units = call.form->depths == 1 ? args->k : mk_ceil_div(args->k, stored) * call.row_units;
  call.chunks = mk_ceil_div(call.units, MK_CHUNK);
  call.depth_parts = mk_max(mk_ceil_div(call.units, kernels->depth), 1);
  const mk_int nothing = -1;
  for (int32_t i = 0; i < mk_pool_threads(pool); i++) {
    memcpy(call.scratch + i * call.plan.worker_bytes, &nothing, sizeof nothing);
  }
  mk_parallel(
    mk_pool_for(pool, args->m * args->k * args->n, MK_PARALLEL_PRODUCTS), call.plan.row_parts * call.plan.column_parts,
    mk_blocks_task, &call);
}
