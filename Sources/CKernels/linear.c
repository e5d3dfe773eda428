// Products with a constant right operand, packed once: y = activation(x w + bias + residual).
//
// Packed w: panels of 16 columns, [n / 16][k][16], the last one filled with zeros. x is packed block by block into
// scratch, [k / 16][rows][16] with at most 12 rows, so that a tile reads both operands forwards.
#include "linear.h"

enum { MK_LINEAR_ROWS = 192 }; // rows of x that are packed together: they stay in the second cache

void mk_run_tile_list(const mk_tile_fn *tiles, mk_int most, mk_int step, mk_int rows, const mk_tile *tile) {
  mk_int parts = mk_ceil_div(rows, most);
  mk_tile t = *tile;
  for (mk_int i = 0, start = 0; i < parts; i++) {
    mk_int end = mk_part(rows, parts, i + 1), height = end - start;
    tiles[height - 1](&t);
    t.a += height * step;
    t.c += height * t.ldc;
    if (t.row_bias) t.row_bias += height;
    if (t.residual) t.residual += height * t.ldr;
    if (t.partials) {
      t.partials += height * MK_PANEL;
      t.row_scales += height;
      t.row_zeros += height;
    }
    start = end;
  }
}

void mk_run_tiles(const mk_kernels *kernels, mk_layout layout, int32_t panels, mk_int rows, const mk_tile *tile) {
  mk_int step = layout == MK_STRIDED ? tile->row_stride : layout == MK_PACKED ? MK_CHUNK : 1;
  mk_run_tile_list(kernels->tiles[layout][panels - 1], kernels->rows, step, rows, tile);
}

// How a product is cut into tasks and depth blocks; the same for the same sizes and pool.
typedef struct {
  mk_int row_parts, column_parts, depth_parts;
  mk_int worker_floats; // scratch of one worker, its tag included
} mk_linear_plan;

enum { MK_TAG_FLOATS = 16 }; // room for the tag, one cache line

static mk_linear_plan mk_plan_linear(const mk_pool *pool, mk_int m, mk_int k, mk_int n, mk_int depth) {
  mk_linear_plan plan = {.row_parts = mk_max(mk_ceil_div(m, MK_LINEAR_ROWS), 1), .column_parts = 1};
  mk_int threads = mk_pool_threads(pool);
  if (threads > 1) {
    // A few tasks for each thread, so that a slow one does not hold up the others.
    plan.column_parts = mk_max(mk_min(mk_ceil_div(threads * 3, plan.row_parts), mk_ceil_div(n, 2 * MK_PANEL)), 1);
  }
  mk_int rows = mk_ceil_div(m, plan.row_parts);
  // A single block of rows passes over w once anyway; more of them want a part of w that stays in the first cache.
  plan.depth_parts = rows <= MK_BLOCK_ROWS ? 1 : mk_max(mk_ceil_div(k, depth), 1);
  mk_int padded = mk_round_up(k, MK_CHUNK);
  plan.worker_floats = rows * (rows <= MK_BLOCK_ROWS ? padded : mk_min(MK_MAX_DEPTH, padded)) + MK_TAG_FLOATS;
  return plan;
}

size_t mk_linear_scratch(const mk_pool *pool, mk_weights type, mk_int m, mk_int k, mk_int n) {
  if (type != MK_WEIGHTS_F32 && m > MK_NARROW_ROWS) return mk_blocks_scratch(pool, type, m, k, n);
  // The plan's floats do not depend on the instruction set, its number of depth blocks does.
  mk_linear_plan plan = mk_plan_linear(pool, m, k, n, MK_MAX_DEPTH);
  return (size_t)plan.worker_floats * (size_t)mk_pool_threads(pool) * sizeof(float) + 64;
}

typedef struct {
  const mk_linear_args *p;
  const mk_kernels *kernels;
  mk_linear_plan plan;
  const mk_tile_fn *tiles[2]; // of one panel and of two
  mk_tile_fn wide_row;
  int32_t panels; // of the widest of `tiles`
  mk_packed weights;
  const char *weights_end;
  float x_factor; // of packed x
  float *scratch;
} mk_linear_call;

// Packs rows x depth of x, times a factor, as blocks of at most 12 rows, one behind the other, each of depth rounded up
// to chunks with zeros.
static void mk_pack_rows(mk_int rows, mk_int depth, const float *x, mk_int ldx, float factor, float *out) {
  mk_int blocks = mk_ceil_div(rows, MK_BLOCK_ROWS), chunks = mk_ceil_div(depth, MK_CHUNK);
  for (mk_int b = 0; b < blocks; b++) {
    mk_int first = mk_part(rows, blocks, b), height = mk_part(rows, blocks, b + 1) - first;
    float *block = out + first * chunks * MK_CHUNK;
    for (mk_int r = 0; r < height; r++) {
      const float *row = x + (first + r) * ldx;
      float *o = block + r * MK_CHUNK;
      mk_int p = 0;
      for (; p + MK_CHUNK <= depth; p += MK_CHUNK, o += height * MK_CHUNK) memcpy(o, row + p, MK_CHUNK * sizeof(float));
      if (p < depth) {
        memset(o, 0, MK_CHUNK * sizeof(float));
        memcpy(o, row + p, (size_t)(depth - p) * sizeof(float));
      }
    }
    if (factor == 1) continue;
    for (mk_int i = 0; i < height * chunks * MK_CHUNK; i++) block[i] *= factor;
  }
}

// Part `index` of `parts` of the lines (64 bytes each) of the next panel, on their way to the second cache.
static inline void mk_prefetch_part(const char *from, const char *end, mk_int lines, mk_int parts, mk_int index) {
  const char *last = from + mk_part(lines, parts, index + 1) * 64;
  if (last > end) return;
  for (const char *p = from + mk_part(lines, parts, index) * 64; p < last; p += 64) __builtin_prefetch(p, 0, 2);
}

static void mk_linear_task(void *context, mk_int task, int32_t worker) {
  const mk_linear_call *c = context;
  const mk_linear_args *p = c->p;
  const mk_kernels *kernels = c->kernels;
  const mk_linear_plan *plan = &c->plan;
  mk_int row_part = task / plan->column_parts, column_part = task % plan->column_parts;
  mk_int row0 = mk_part(p->m, plan->row_parts, row_part);
  mk_int rows = mk_part(p->m, plan->row_parts, row_part + 1) - row0;
  mk_int pairs = mk_ceil_div(p->n, 2 * MK_PANEL);
  mk_int column0 = mk_part(pairs, plan->column_parts, column_part) * 2 * MK_PANEL;
  mk_int column1 = mk_min(mk_part(pairs, plan->column_parts, column_part + 1) * 2 * MK_PANEL, p->n);

  float *worker_scratch = c->scratch + worker * plan->worker_floats;
  // What this worker packed last: tasks of the same rows follow each other.
  mk_int tag;
  memcpy(&tag, worker_scratch, sizeof tag);
  float *packed_x = worker_scratch + MK_TAG_FLOATS;

  mk_int blocks = mk_ceil_div(rows, MK_BLOCK_ROWS), all_chunks = mk_ceil_div(p->k, MK_CHUNK);
  for (mk_int part = 0; part < plan->depth_parts; part++) {
    mk_int depth0 = mk_part(all_chunks, plan->depth_parts, part) * MK_CHUNK;
    mk_int depth = mk_min(mk_part(all_chunks, plan->depth_parts, part + 1) * MK_CHUNK, p->k) - depth0;
    mk_int chunks = mk_ceil_div(depth, MK_CHUNK);
    int32_t last = part == plan->depth_parts - 1;
    const float *a = packed_x;
    if (rows == 1 && c->x_factor == 1 && p->k % 2 == 0) {
      a = p->x + row0 * p->ldx + depth0; // one row is already in this layout
    } else if (tag != row_part * plan->depth_parts + part) {
      mk_pack_rows(rows, depth, p->x + row0 * p->ldx + depth0, p->ldx, c->x_factor, packed_x);
      tag = row_part * plan->depth_parts + part;
    }
    for (mk_int column = column0; column < column1;) {
      int32_t wide = rows == 1 && column1 - column > 3 * MK_PANEL;
      mk_int columns = mk_min(column1 - column, wide ? 4 * MK_PANEL : c->panels * MK_PANEL);
      int32_t panels = columns > MK_PANEL ? 2 : 1;
      const char *panel = c->weights.panels + column / MK_PANEL * c->weights.panel_bytes;
      for (mk_int b = 0; b < blocks; b++) {
        mk_int first = mk_part(rows, blocks, b), height = mk_part(rows, blocks, b + 1) - first;
        float *y = p->y + (row0 + first) * p->ldy + column;
        mk_tile t = {
          .a = a + first * chunks * MK_CHUNK,
          .chunk_stride = height * MK_CHUNK,
          // Only products of float32 have several depth parts.
          .b = (const float *)(const void *)(panel + depth0 * MK_ROW_BYTES),
          .b_stride = MK_PANEL,
          .b_panel = c->weights.panel_bytes / (mk_int)sizeof(float),
          .k = depth,
          .c = y,
          .ldc = p->ldy,
          .c_panel = MK_PANEL,
          .columns = columns,
          .accumulate = p->add_to_y || part > 0,
        };
        if (c->weights.scales) t.column_scales = c->weights.scales + column;
        if (last) {
          if (p->bias) t.bias = p->bias + column;
          if (p->residual) t.residual = p->residual + (row0 + first) * p->ldr + column;
          t.ldr = p->ldr;
          t.relu = p->activation == MK_ACT_RELU;
        }
        if (blocks > 1) {
          const char *next = panel + panels * c->weights.panel_bytes + depth0 * MK_ROW_BYTES;
          mk_prefetch_part(next, c->weights_end, depth * panels, blocks, b);
        }
        if (wide) {
          c->wide_row(&t);
        } else {
          mk_run_tile_list(c->tiles[panels - 1], kernels->rows, MK_CHUNK, height, &t);
        }
        if (last && p->activation > MK_ACT_RELU) kernels->activate(p->activation, height, columns, y, p->ldy);
      }
      column += columns;
    }
  }
  memcpy(worker_scratch, &tag, sizeof tag);
}

void mk_linear(
  mk_pool *pool, mk_weights type, mk_int m, mk_int k, mk_int n, const float *x, mk_int ldx, const void *packed,
  const float *bias, mk_activation activation, const float *residual, mk_int ldr, float *y, mk_int ldy, void *scratch) {
  if (m <= 0 || n <= 0) return;
  // Adding to what is there is the same as a residual in y, and partial sums may then be kept in y.
  int32_t add_to_y = residual == y;
  const mk_linear_args args = {
    m, k, n, x, ldx, packed, bias, activation, add_to_y ? NULL : residual, ldr, y, ldy, add_to_y};
  if (type != MK_WEIGHTS_F32 && m > MK_NARROW_ROWS) {
    mk_linear_blocks(pool, type, &args, scratch);
    return;
  }
  const mk_kernels *kernels = mk_current_kernels();
  mk_linear_call call = {
    .p = &args,
    .kernels = kernels,
    .plan = mk_plan_linear(pool, m, k, n, kernels->depth),
    .tiles = {kernels->tiles[MK_PACKED][0], kernels->tiles[MK_PACKED][1]},
    .wide_row = kernels->wide_row,
    .panels = kernels->panels,
    .weights = mk_packed_view(type, k, n, packed),
    .weights_end = (const char *)packed + mk_linear_packed_bytes(type, k, n),
    .x_factor = 1,
    .scratch = scratch,
  };
  if (type != MK_WEIGHTS_F32) {
    int32_t int8 = type == MK_WEIGHTS_INT8;
    call.panels = 1;
    call.tiles[0] = int8 ? kernels->narrow_int8 : kernels->narrow_bf16;
    call.wide_row = int8 ? kernels->narrow_row_int8 : kernels->narrow_row_bf16;
    if (int8) call.x_factor = 0x1p-24f;
  }
  const mk_int nothing = -1;
  for (int32_t i = 0; i < mk_pool_threads(pool); i++) {
    memcpy(call.scratch + i * call.plan.worker_floats, &nothing, sizeof nothing);
  }
  mk_int tasks = call.plan.row_parts * call.plan.column_parts;
  mk_parallel(mk_pool_for(pool, m * k * n, MK_PARALLEL_PRODUCTS), tasks, mk_linear_task, &call);
}
