// Products with a constant right operand, packed once: y = activation(x w + bias + residual).
//
// Packed w: panels of 16 columns, [n / 16][k][16], the last one filled with zeros. x is packed block by block into
// scratch, [k / 16][rows][16] with at most 12 rows, so that a tile reads both operands forwards.
#include "kernels.h"

enum { MK_LINEAR_ROWS = 192 }; // rows of x that are packed together: they stay in the second cache

size_t mk_linear_packed_bytes(mk_int k, mk_int n) {
  return (size_t)mk_round_up(n, MK_PANEL) * (size_t)k * sizeof(float);
}

enum { MK_PACK_COLUMNS = 8 * MK_PANEL }; // columns of one packing task

typedef struct {
  const mk_kernels *kernels;
  const float *w;
  mk_int ldw, k, n;
  int32_t transposed;
  float *packed;
} mk_pack_call;

static void mk_pack_panels(void *context, mk_int task, int32_t worker) {
  const mk_pack_call *c = context;
  mk_int k = c->k, end = mk_min((task + 1) * MK_PACK_COLUMNS, c->n);
  (void)worker;
  for (mk_int start = task * MK_PACK_COLUMNS; start < end; start += MK_PANEL) {
    mk_int columns = mk_min(c->n - start, MK_PANEL);
    float *panel = c->packed + start * k;
    if (c->transposed) {
      c->kernels->transpose_panel(columns, k, c->w + start * c->ldw, c->ldw, 1, panel, 0);
    } else {
      for (mk_int p = 0; p < k; p++) {
        memcpy(panel + p * MK_PANEL, c->w + p * c->ldw + start, (size_t)columns * sizeof(float));
        for (mk_int j = columns; j < MK_PANEL; j++) panel[p * MK_PANEL + j] = 0;
      }
    }
  }
}

void mk_linear_pack(
  mk_pool *pool, const float *w, mk_int ldw, int32_t transposed, mk_int k, mk_int n, void *packed) {
  mk_pack_call call = {mk_current_kernels(), w, ldw, k, n, transposed, packed};
  mk_parallel(pool, mk_ceil_div(n, MK_PACK_COLUMNS), mk_pack_panels, &call);
}

void mk_run_tiles(const mk_kernels *kernels, mk_layout layout, int32_t panels, mk_int rows, const mk_tile *tile) {
  mk_int parts = mk_ceil_div(rows, kernels->rows);
  mk_tile t = *tile;
  mk_int step = layout == MK_STRIDED ? t.row_stride : layout == MK_PACKED ? MK_CHUNK : 1;
  for (mk_int i = 0, start = 0; i < parts; i++) {
    mk_int end = mk_part(rows, parts, i + 1), height = end - start;
    kernels->tiles[layout][panels - 1][height - 1](&t);
    t.a += height * step;
    t.c += height * t.ldc;
    if (t.row_bias) t.row_bias += height;
    if (t.residual) t.residual += height * t.ldr;
    start = end;
  }
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

size_t mk_linear_scratch(const mk_pool *pool, mk_int m, mk_int k, mk_int n) {
  // The plan's floats do not depend on the instruction set, its number of depth blocks does.
  mk_linear_plan plan = mk_plan_linear(pool, m, k, n, MK_MAX_DEPTH);
  return (size_t)plan.worker_floats * (size_t)mk_pool_threads(pool) * sizeof(float) + 64;
}

typedef struct {
  const mk_kernels *kernels;
  mk_linear_plan plan;
  mk_int m, k, n;
  const float *x;
  mk_int ldx;
  const float *packed, *packed_end, *bias;
  mk_activation activation;
  const float *residual;
  mk_int ldr;
  float *y;
  mk_int ldy;
  float *scratch;
  int32_t add_to_y;
} mk_linear_call;

// Packs rows x depth of x as blocks of at most 12 rows, one behind the other, each of depth rounded up to chunks.
static void mk_pack_rows(mk_int rows, mk_int depth, const float *x, mk_int ldx, float *out) {
  mk_int blocks = mk_ceil_div(rows, MK_BLOCK_ROWS), chunks = mk_ceil_div(depth, MK_CHUNK);
  for (mk_int b = 0; b < blocks; b++) {
    mk_int first = mk_part(rows, blocks, b), height = mk_part(rows, blocks, b + 1) - first;
    float *block = out + first * chunks * MK_CHUNK;
    for (mk_int r = 0; r < height; r++) {
      const float *row = x + (first + r) * ldx;
      float *o = block + r * MK_CHUNK;
      mk_int p = 0;
      for (; p + MK_CHUNK <= depth; p += MK_CHUNK, o += height * MK_CHUNK) memcpy(o, row + p, MK_CHUNK * sizeof(float));
      if (p < depth) memcpy(o, row + p, (size_t)(depth - p) * sizeof(float));
    }
  }
}

// Part `index` of `parts` of the lines (64 bytes each) of the next panel, on their way to the second cache.
static inline void mk_prefetch_part(const float *from, const float *end, mk_int lines, mk_int parts, mk_int index) {
  const float *last = from + mk_part(lines, parts, index + 1) * 16;
  if (last > end) return;
  for (const float *p = from + mk_part(lines, parts, index) * 16; p < last; p += 16) __builtin_prefetch(p, 0, 2);
}

static void mk_linear_task(void *context, mk_int task, int32_t worker) {
  const mk_linear_call *c = context;
  const mk_kernels *kernels = c->kernels;
  const mk_linear_plan *plan = &c->plan;
  mk_int row_part = task / plan->column_parts, column_part = task % plan->column_parts;
  mk_int row0 = mk_part(c->m, plan->row_parts, row_part);
  mk_int rows = mk_part(c->m, plan->row_parts, row_part + 1) - row0;
  mk_int pairs = mk_ceil_div(c->n, 2 * MK_PANEL);
  mk_int column0 = mk_part(pairs, plan->column_parts, column_part) * 2 * MK_PANEL;
  mk_int column1 = mk_min(mk_part(pairs, plan->column_parts, column_part + 1) * 2 * MK_PANEL, c->n);

  float *worker_scratch = c->scratch + worker * plan->worker_floats;
  // What this worker packed last: tasks of the same rows follow each other.
  mk_int tag;
  memcpy(&tag, worker_scratch, sizeof tag);
  float *packed_x = worker_scratch + MK_TAG_FLOATS;

  mk_int blocks = mk_ceil_div(rows, MK_BLOCK_ROWS), all_chunks = mk_ceil_div(c->k, MK_CHUNK);
  for (mk_int part = 0; part < plan->depth_parts; part++) {
    mk_int depth0 = mk_part(all_chunks, plan->depth_parts, part) * MK_CHUNK;
    mk_int depth = mk_min(mk_part(all_chunks, plan->depth_parts, part + 1) * MK_CHUNK, c->k) - depth0;
    mk_int chunks = mk_ceil_div(depth, MK_CHUNK);
    int32_t last = part == plan->depth_parts - 1;
    const float *a = packed_x;
    if (rows == 1) {
      a = c->x + row0 * c->ldx + depth0; // one row is already in this layout
    } else if (tag != row_part * plan->depth_parts + part) {
      mk_pack_rows(rows, depth, c->x + row0 * c->ldx + depth0, c->ldx, packed_x);
      tag = row_part * plan->depth_parts + part;
    }
    for (mk_int column = column0; column < column1;) {
      int32_t wide = rows == 1 && column1 - column > 3 * MK_PANEL;
      mk_int columns = mk_min(column1 - column, wide ? 4 * MK_PANEL : kernels->panels * MK_PANEL);
      int32_t panels = columns > MK_PANEL ? 2 : 1;
      for (mk_int b = 0; b < blocks; b++) {
        mk_int first = mk_part(rows, blocks, b), height = mk_part(rows, blocks, b + 1) - first;
        float *y = c->y + (row0 + first) * c->ldy + column;
        mk_tile t = {
          .a = a + first * chunks * MK_CHUNK,
          .chunk_stride = height * MK_CHUNK,
          .b = c->packed + column * c->k + depth0 * MK_PANEL,
          .b_stride = MK_PANEL,
          .b_panel = c->k * MK_PANEL,
          .k = depth,
          .c = y,
          .ldc = c->ldy,
          .c_panel = MK_PANEL,
          .columns = columns,
          .accumulate = c->add_to_y || part > 0,
        };
        if (last) {
          if (c->bias) t.bias = c->bias + column;
          if (c->residual) t.residual = c->residual + (row0 + first) * c->ldr + column;
          t.ldr = c->ldr;
          t.relu = c->activation == MK_ACT_RELU;
        }
        if (blocks > 1) mk_prefetch_part(t.b + columns * c->k, c->packed_end, depth * panels, blocks, b);
        if (wide) {
          kernels->wide_row(&t);
        } else {
          mk_run_tiles(kernels, MK_PACKED, panels, height, &t);
        }
        if (last && c->activation > MK_ACT_RELU) kernels->activate(c->activation, height, columns, y, c->ldy);
      }
      column += columns;
    }
  }
  memcpy(worker_scratch, &tag, sizeof tag);
}

void mk_linear(
  mk_pool *pool, mk_int m, mk_int k, mk_int n, const float *x, mk_int ldx, const void *packed, const float *bias,
  mk_activation activation, const float *residual, mk_int ldr, float *y, mk_int ldy, void *scratch) {
  if (m <= 0 || n <= 0) return;
  const mk_kernels *kernels = mk_current_kernels();
  const float *packed_end = (const float *)packed + mk_round_up(n, MK_PANEL) * k;
  mk_linear_call call = {
    kernels, mk_plan_linear(pool, m, k, n, kernels->depth), m, k, n, x, ldx, packed, packed_end, bias, activation,
    residual, ldr, y, ldy, scratch, 0};
  if (residual == y) {
    // Adding to what is there is the same, and partial sums may then be kept in y.
    call.add_to_y = residual != NULL;
    call.residual = NULL;
  }
  const mk_int nothing = -1;
  for (int32_t i = 0; i < mk_pool_threads(pool); i++) {
    memcpy(call.scratch + i * call.plan.worker_floats, &nothing, sizeof nothing);
  }
  mk_int tasks = call.plan.row_parts * call.plan.column_parts;
  mk_parallel(mk_pool_for(pool, m * k * n, MK_PARALLEL_PRODUCTS), tasks, mk_linear_task, &call);
}
