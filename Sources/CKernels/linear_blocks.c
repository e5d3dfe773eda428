// Products of many rows. Both operands are read as units of 4 bytes: one depth of float32, two of bf16 or int16, four of 8
// bits, whichever the instruction set multiplies best for a format of the weights; the register tiles and the blocking are
// the same for all of them.
//
// A slab of rows is packed by all threads, [depth part][group of rows][block of rows][unit][height], and then multiplied:
// a task is a group of rows, whose part stays in the second cache, times a few panels, each of whose parts stays in the
// first. A panel that the tiles cannot read as it is gets widened into scratch. Integer sums of one depth part wait for the
// next in scratch too.
#include "linear.h"

enum {
  MK_SLAB_ROWS = 576,
  MK_SLAB_BYTES = 8 << 20, // of a packed slab, in which there are fewer rows when they are longer
  MK_GROUP_ROWS = 192,
  MK_GROUP_PAIRS = 3,  // pairs of panels of one task
  MK_GROUP_SHARES = 4, // tasks that pack a group
};

// How a product is cut into tasks, and where things are in scratch; for the same sizes and pool the same on every
// instruction set.
typedef struct {
  mk_int slabs, column_parts;
  mk_int rows, group_rows;                 // of the largest slab and group
  mk_int zeros, x, workers;                // offsets in bytes; scales come first
  mk_int decoded, partials, worker_bytes;  // of a worker: widened panels come first
} mk_blocks_plan;

static mk_int mk_group_count(mk_int rows) { return mk_max(mk_ceil_div(rows, MK_GROUP_ROWS), 1); }

static mk_blocks_plan mk_plan_blocks(const mk_pool *pool, mk_weights type, mk_int m, mk_int k, mk_int n) {
  int32_t quantised = type == MK_WEIGHTS_INT8 && k <= MK_QUANTISED_DEPTH;
  // Units of one row in the widest form that any instruction set gives them.
  mk_int line = 64, row_bytes = (quantised ? 2 * mk_ceil_div(k, 4) : mk_round_up(k, 2)) * 4;
  mk_int most = mk_max(mk_min(MK_SLAB_ROWS, MK_SLAB_BYTES / mk_max(row_bytes, 1)), MK_BLOCK_ROWS);
  mk_blocks_plan plan = {.slabs = mk_max(mk_ceil_div(m, most), 1)};
  plan.rows = mk_ceil_div(m, plan.slabs);
  mk_int groups = mk_group_count(plan.rows), pairs = mk_max(mk_ceil_div(n, 2 * MK_PANEL), 1);
  plan.group_rows = mk_ceil_div(plan.rows, groups);
  // A few tasks for each thread, so that a slow one does not hold up the others.
  mk_int wanted = mk_ceil_div(mk_pool_threads(pool) * 4, groups);
  plan.column_parts = mk_max(mk_ceil_div(pairs, MK_GROUP_PAIRS), mk_min(wanted, pairs));
  plan.zeros = quantised ? mk_round_up(plan.rows * 4, line) : 0;
  plan.x = 2 * plan.zeros;
  plan.workers = mk_round_up(plan.x + plan.rows * row_bytes, line);
  if (type != MK_WEIGHTS_F32) {
    plan.decoded = 2 * MK_MAX_DEPTH * MK_ROW_BYTES;
    plan.partials = (mk_is_coded(type) ? 2 : 1) * plan.decoded;
    mk_int columns = MK_GROUP_PAIRS * 2 * MK_PANEL;
    plan.worker_bytes = plan.partials + (quantised ? plan.group_rows * columns * (mk_int)sizeof(int32_t) : 0);
  }
  return plan;
}

size_t mk_blocks_scratch(const mk_pool *pool, mk_weights type, mk_int m, mk_int k, mk_int n) {
  mk_blocks_plan plan = mk_plan_blocks(pool, type, m, k, n);
  return (size_t)plan.workers + (size_t)plan.worker_bytes * (size_t)mk_pool_threads(pool) + 64;
}

typedef struct {
  const mk_linear_args *p;
  const mk_kernels *kernels;
  const mk_blocks *form;
  mk_weights type;
  mk_blocks_plan plan;
  mk_packed weights;
  mk_int units, chunks, depth_parts;
  mk_int row_units; // units of one row of a packed panel: one depth, pair or quad
  mk_int row0, rows, groups; // of this slab
  char *scratch;
} mk_blocks_call;

// Part `part` of the depth, in units.
static mk_int mk_first_unit(const mk_blocks_call *c, mk_int part) {
  return mk_min(mk_part(c->chunks, c->depth_parts, part) * MK_CHUNK, c->units);
}

// Finds the scales of some rows of this slab.
static void mk_quantise_rows(const mk_blocks_call *c, mk_int first, mk_int last, float *inverses) {
  float *scales = (float *)(void *)c->scratch;
  int32_t *zeros = (int32_t *)(void *)(c->scratch + c->plan.zeros);
  for (mk_int r = first; r < last; r++) {
    const float *row = c->p->x + (c->row0 + r) * c->p->ldx;
    scales[r] = mk_quantise_row(c->kernels, c->p->k, row, &inverses[r - first], &zeros[r]);
  }
}

// Packs a share of the blocks of a group.
static void mk_pack_task(void *context, mk_int task, int32_t worker) {
  const mk_blocks_call *c = context;
  const mk_linear_args *p = c->p;
  const mk_blocks *form = c->form;
  mk_int group = task / MK_GROUP_SHARES, share = task % MK_GROUP_SHARES;
  mk_int group0 = mk_part(c->rows, c->groups, group), rows = mk_part(c->rows, c->groups, group + 1) - group0;
  mk_int blocks = mk_ceil_div(rows, c->kernels->rows);
  mk_int block1 = mk_part(blocks, MK_GROUP_SHARES, share + 1);
  (void)worker;
  for (mk_int b = mk_part(blocks, MK_GROUP_SHARES, share); b < block1; b++) {
    mk_int first = group0 + mk_part(rows, blocks, b), height = group0 + mk_part(rows, blocks, b + 1) - first;
    const int32_t *zeros = (const int32_t *)(void *)(c->scratch + c->plan.zeros) + first;
    float inverses[MK_BLOCK_ROWS] = {0};
    if (form->integer) mk_quantise_rows(c, first, first + height, inverses);
    for (mk_int part = 0; part < c->depth_parts; part++) {
      mk_int unit0 = mk_first_unit(c, part), units = mk_first_unit(c, part + 1) - unit0;
      float *to = (float *)(void *)(c->scratch + c->plan.x) + unit0 * c->rows + first * units;
      const float *x = p->x + (c->row0 + first) * p->ldx + unit0 * form->depths;
      if (!form->pack_row) {
        mk_interleave(height, units, x, p->ldx, to);
        continue;
      }
      // What fills up the last unit of weights is multiplied with zeros.
      mk_int depth = mk_min(units * form->depths, p->k - unit0 * form->depths);
      float rowwise[MK_BLOCK_ROWS * MK_MAX_DEPTH];
      for (mk_int r = 0; r < height; r++) {
        int32_t zero = form->integer ? zeros[r] : 0;
        form->pack_row(depth, x + r * p->ldx, inverses[r], zero, rowwise + r * MK_MAX_DEPTH);
      }
      mk_interleave(height, units, rowwise, MK_MAX_DEPTH, to);
    }
  }
}

typedef struct {
  mk_int row0, rows; // in this slab
  mk_int part, unit0, units;
} mk_group;

// All rows of a group times one or two panels over one depth part; `next` is what comes after it.
static void mk_multiply_panels(
  const mk_blocks_call *c, const mk_group *g, mk_int column, mk_int columns, const float *b, mk_int b_panel,
  const char *next, mk_int lines, int32_t *partials) {
  const mk_linear_args *p = c->p;
  int32_t last = g->part == c->depth_parts - 1, integer = c->form->integer;
  float *y = p->y + (c->row0 + g->row0) * p->ldy + column;
  mk_tile t = {
    .a = (const float *)(void *)(c->scratch + c->plan.x) + g->unit0 * c->rows + g->row0 * g->units,
    .b = b,
    .b_panel = b_panel,
    .k = g->units,
    .c = y,
    .ldc = p->ldy,
    .c_panel = MK_PANEL,
    .columns = columns,
    .accumulate = p->add_to_y || (g->part > 0 && !integer),
    .last = last,
    .next = next,
    .next_lines = lines,
  };
  if (integer) {
    t.partials = partials;
    t.partials_panel = g->rows * MK_PANEL;
    t.add_partials = g->part > 0;
    t.row_scales = (const float *)(void *)c->scratch + g->row0;
    t.row_zeros = (const int32_t *)(void *)(c->scratch + c->plan.zeros) + g->row0;
    t.column_scales = c->weights.scales + column;
    t.column_sums = c->weights.sums + column;
  }
  if (last) {
    if (p->bias) t.bias = p->bias + column;
    if (p->residual) t.residual = p->residual + (c->row0 + g->row0) * p->ldr + column;
    t.ldr = p->ldr;
    t.relu = p->activation == MK_ACT_RELU;
  }
  mk_run_tiles(c->form->tiles[columns > MK_PANEL], c->kernels->rows, g->units, g->rows, &t);
  if (last && p->activation > MK_ACT_RELU) c->kernels->activate(p->activation, g->rows, columns, y, p->ldy);
}

// Units first..<first + count of the coded panels from `column` on, MK_MAX_DEPTH rows of units apart in `out`, which is returned.
static const char *mk_decode_panels(
  const mk_blocks_call *c, mk_int column, mk_int columns, mk_int first, mk_int count, char *out) {
  for (mk_int i = 0; i * MK_PANEL < columns; i++) {
    mk_int panel = column / MK_PANEL + i;
    const char *groups = c->weights.panels + panel * c->weights.panel_bytes;
    uint32_t *units = (uint32_t *)(void *)(out + i * MK_MAX_DEPTH * MK_ROW_BYTES);
    mk_decode_units(c->kernels, c->type, mk_head_of_panel(&c->weights, panel), groups, first, count, units);
  }
  return out;
}

static void mk_blocks_task(void *context, mk_int task, int32_t worker) {
  const mk_blocks_call *c = context;
  // Tasks that follow each other share columns: the weights that one thread fetches are near for the next.
  mk_int group = task % c->groups, column_part = task / c->groups;
  mk_group g = {.row0 = mk_part(c->rows, c->groups, group)};
  g.rows = mk_part(c->rows, c->groups, group + 1) - g.row0;
  mk_int pairs = mk_ceil_div(c->p->n, 2 * MK_PANEL);
  mk_int column0 = mk_part(pairs, c->plan.column_parts, column_part) * 2 * MK_PANEL;
  mk_int column1 = mk_min(mk_part(pairs, c->plan.column_parts, column_part + 1) * 2 * MK_PANEL, c->p->n);
  char *widened = c->scratch + c->plan.workers + worker * c->plan.worker_bytes;
  int32_t *partials = (int32_t *)(void *)(widened + c->plan.partials);
  mk_int wide = c->kernels->panels * MK_PANEL;
  for (g.part = 0; g.part < c->depth_parts; g.part++) {
    g.unit0 = mk_first_unit(c, g.part);
    g.units = mk_first_unit(c, g.part + 1) - g.unit0;
    mk_int count = mk_ceil_div(g.units, c->row_units); // rows of the packed panel
    for (mk_int column = column0; column < column1; column += wide) {
      mk_int columns = mk_min(column1 - column, wide);
      mk_int b_bytes = c->weights.panel_bytes, lines = count;
      const char *first = c->weights.panels + column / MK_PANEL * b_bytes;
      const char *next = first + wide / MK_PANEL * b_bytes, *b;
      if (mk_is_coded(c->type)) {
        b = mk_decode_panels(c, column, columns, g.unit0 / c->row_units, count, widened + c->plan.decoded);
        mk_int group_lines = mk_coded_lines(c->type);
        next += g.unit0 / c->row_units / MK_CODED_UNITS * group_lines * MK_CODED_LINE;
        lines = mk_ceil_div(count, MK_CODED_UNITS) * group_lines;
        b_bytes = MK_MAX_DEPTH * MK_ROW_BYTES;
      } else {
        b = first + g.unit0 / c->row_units * MK_ROW_BYTES;
        next += g.unit0 / c->row_units * MK_ROW_BYTES;
      }
      if (c->form->widen) {
        mk_int wide_bytes = count * c->row_units * MK_ROW_BYTES;
        for (mk_int i = 0; i * MK_PANEL < columns; i++) {
          const float *scales = c->weights.scales ? c->weights.scales + column + i * MK_PANEL : NULL;
          c->form->widen(count, b + i * b_bytes, scales, widened + i * wide_bytes);
        }
        b = widened, b_bytes = wide_bytes;
      }
      mk_multiply_panels(
        c, &g, column, columns, (const float *)(const void *)b, b_bytes / (mk_int)sizeof(float), next,
        column + wide < column1 ? lines : 0, partials + (column - column0) * g.rows);
    }
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
    .type = type,
  };
  int32_t quantised = type == MK_WEIGHTS_INT8 && args->k <= MK_QUANTISED_DEPTH;
  mk_int stored = mk_stored_depths(type);
  int32_t is_float = type == MK_WEIGHTS_F32 || type == MK_WEIGHTS_F32_CODED;
  call.form = is_float ? &kernels->f32
    : stored == 2      ? &kernels->bf16
    : quantised        ? &kernels->int8
                       : &kernels->wide_int8;
  call.row_units = stored / call.form->depths;
  call.units = call.form->depths == 1 ? args->k : mk_ceil_div(args->k, stored) * call.row_units;
  call.chunks = mk_ceil_div(call.units, MK_CHUNK);
  call.depth_parts = mk_max(mk_ceil_div(call.units, kernels->depth), 1);
  pool = mk_pool_for(pool, args->m * args->k * args->n, MK_PARALLEL_PRODUCTS);
  for (mk_int slab = 0; slab < call.plan.slabs; slab++) {
    call.row0 = mk_part(args->m, call.plan.slabs, slab);
    call.rows = mk_part(args->m, call.plan.slabs, slab + 1) - call.row0;
    call.groups = mk_group_count(call.rows);
    mk_parallel(pool, call.groups * MK_GROUP_SHARES, mk_pack_task, &call);
    mk_parallel(pool, call.groups * call.plan.column_parts, mk_blocks_task, &call);
  }
}
