// Products of two activations: both operands are packed block by block into scratch.
#include "kernels.h"

enum { MK_GEMM_ROWS = 96, MK_GEMM_COLUMNS = 256, MK_GEMM_DEPTH = 256 };

typedef struct {
  const mk_kernels *kernels;
  const mk_gemm_args *g;
  mk_int row_parts, column_parts, depth_parts;
  float *scratch;
  mk_int worker_floats;
} mk_gemm_call;

static mk_gemm_call mk_plan_gemm(const mk_gemm_args *g) {
  mk_gemm_call c = {.g = g};
  c.row_parts = mk_max(mk_ceil_div(g->m, MK_GEMM_ROWS), 1);
  c.column_parts = mk_max(mk_ceil_div(g->n, MK_GEMM_COLUMNS), 1);
  c.depth_parts = mk_max(mk_ceil_div(g->k, MK_GEMM_DEPTH), 1);
  mk_int depth = mk_min(mk_round_up(g->k, MK_CHUNK), MK_GEMM_DEPTH);
  mk_int rows = mk_min(g->m, MK_GEMM_ROWS), columns = mk_min(mk_round_up(g->n, MK_PANEL), MK_GEMM_COLUMNS + MK_PANEL);
  c.worker_floats = (rows + columns) * depth;
  return c;
}

size_t mk_gemm_batched_scratch(const mk_pool *pool, const mk_gemm_args *args) {
  return (size_t)mk_plan_gemm(args).worker_floats * (size_t)mk_pool_threads(pool) * sizeof(float) + 64;
}

// alpha op(a)[row0..., depth0...], as tiles read it.
static void mk_pack_gemm_left(
  const mk_kernels *kernels, const mk_gemm_args *g, const float *a, mk_int row0, mk_int rows, mk_int depth0,
  mk_int depth, float *out) {
  if (!g->trans_a) {
    mk_pack_left(kernels->rows, rows, depth, depth, a + row0 * g->lda + depth0, g->lda, g->alpha, out);
    return;
  }
  mk_int blocks = mk_ceil_div(rows, kernels->rows);
  for (mk_int b = 0; b < blocks; b++) {
    mk_int first = mk_part(rows, blocks, b), height = mk_part(rows, blocks, b + 1) - first;
    const float *from = a + depth0 * g->lda + row0 + first;
    float *block = out + first * depth;
    for (mk_int p = 0; p < depth; p++) {
      for (mk_int r = 0; r < height; r++) block[p * height + r] = g->alpha * mk_load1(from + p * g->lda + r);
    }
  }
}

// op(b)[depth0..., column0...] in panels of [depth][16], the last one filled with zeros.
static void mk_pack_right(
  const mk_kernels *kernels, const mk_gemm_args *g, const float *b, mk_int column0, mk_int columns, mk_int depth0,
  mk_int depth, float *out) {
  for (mk_int j = 0; j < columns; j += MK_PANEL, out += depth * MK_PANEL) {
    mk_int width = mk_min(columns - j, MK_PANEL);
    if (g->trans_b) {
      kernels->transpose_panel(width, depth, b + (column0 + j) * g->ldb + depth0, g->ldb, 1, out, 0);
      continue;
    }
    const float *from = b + depth0 * g->ldb + column0 + j;
    if (width == MK_PANEL) {
      for (mk_int p = 0; p < depth; p++) memcpy(out + p * MK_PANEL, from + p * g->ldb, MK_PANEL * sizeof(float));
    } else {
      for (mk_int p = 0; p < depth; p++) {
        memcpy(out + p * MK_PANEL, from + p * g->ldb, (size_t)width * sizeof(float));
        memset(out + p * MK_PANEL + width, 0, (size_t)(MK_PANEL - width) * sizeof(float));
      }
    }
  }
}

static void mk_gemm_task(void *context, mk_int task, int32_t worker) {
  const mk_gemm_call *c = context;
  const mk_gemm_args *g = c->g;
  mk_int column_part = task % c->column_parts, row_part = task / c->column_parts % c->row_parts;
  mk_int item = task / c->column_parts / c->row_parts;
  mk_int row0 = mk_part(g->m, c->row_parts, row_part), rows = mk_part(g->m, c->row_parts, row_part + 1) - row0;
  mk_int all_panels = mk_ceil_div(g->n, MK_PANEL), all_chunks = mk_ceil_div(g->k, MK_CHUNK);
  mk_int column0 = mk_part(all_panels, c->column_parts, column_part) * MK_PANEL;
  mk_int columns = mk_min(mk_part(all_panels, c->column_parts, column_part + 1) * MK_PANEL, g->n) - column0;
  const float *a = g->a + (g->offsets_a ? g->offsets_a[item] : item * g->stride_a);
  const float *b = g->b + (g->offsets_b ? g->offsets_b[item] : item * g->stride_b);
  float *y = g->c + (g->offsets_c ? g->offsets_c[item] : item * g->stride_c);

  mk_int max_depth = mk_min(mk_round_up(g->k, MK_CHUNK), MK_GEMM_DEPTH);
  float *left = c->scratch + worker * c->worker_floats, *right = left + mk_min(g->m, MK_GEMM_ROWS) * max_depth;
  for (mk_int part = 0; part < c->depth_parts; part++) {
    mk_int depth0 = mk_part(all_chunks, c->depth_parts, part) * MK_CHUNK;
    mk_int depth = mk_min(mk_part(all_chunks, c->depth_parts, part + 1) * MK_CHUNK, g->k) - depth0;
    mk_pack_gemm_left(c->kernels, g, a, row0, rows, depth0, depth, left);
    mk_pack_right(c->kernels, g, b, column0, columns, depth0, depth, right);
    mk_int wide = c->kernels->panels * MK_PANEL;
    for (mk_int j = 0; j < columns; j += wide) {
      mk_int width = mk_min(columns - j, wide);
      mk_tile t = {
        .a = left,
        .b = right + j * depth,
        .b_panel = depth * MK_PANEL,
        .k = depth,
        .c = y + row0 * g->ldc + column0 + j,
        .ldc = g->ldc,
        .c_panel = MK_PANEL,
        .columns = width,
        .accumulate = part > 0,
      };
      mk_run_tiles(c->kernels->tiles[MK_PACKED][width > MK_PANEL], c->kernels->rows, depth, rows, &t);
    }
  }
}

void mk_gemm_batched(mk_pool *pool, const mk_gemm_args *args, void *scratch) {
  if (args->batch <= 0 || args->m <= 0 || args->n <= 0) return;
  mk_gemm_call call = mk_plan_gemm(args);
  call.kernels = mk_current_kernels();
  call.scratch = scratch;
  mk_int work = args->batch * args->m * args->n * args->k;
  mk_parallel(
    mk_pool_for(pool, work, MK_PARALLEL_PRODUCTS), args->batch * call.row_parts * call.column_parts, mk_gemm_task, &call);
}
