// Attention over row blocks: scores live in scratch for a few queries at a time and never form a matrix in memory.
//
// Many queries: blocks of 16 queries stand side by side in the lanes. Scores are computed transposed, [keys][16], from
// the keys as they lie in memory (left operand, strided) and the packed queries (right operand); the softmax runs down
// the keys; the weights are then the left operand (column layout) of a product with the values as they lie in memory.
// Few queries (decoding): dot products and a weighted sum, one query at a time.
#include "kernels.h"

enum {
  MK_FEW_QUERIES = 3,
  MK_QUERY_PANELS = 4,         // at most 64 queries together
  MK_SCORE_FLOATS = 64 * 1024, // aim: scores of one task fit into the second cache
  MK_VALUE_ROWS = 256,         // values that stay in the first cache while all queries of a task use them
};

static mk_int mk_query_panels(const mk_attention_args *a) {
  mk_int fit = MK_SCORE_FLOATS / (mk_max(a->tk, 1) * MK_PANEL);
  // Two at least: the widest tiles take two panels.
  return mk_min(mk_max(mk_min(fit, MK_QUERY_PANELS), 2), mk_ceil_div(a->tq, MK_PANEL));
}

static mk_int mk_attention_worker_floats(const mk_attention_args *a) {
  if (a->tq <= MK_FEW_QUERIES) return mk_round_up(a->tk, MK_PANEL) + MK_PANEL;
  // queries, scores and sums of each panel; a padded copy of the last columns of v
  return mk_query_panels(a) * MK_PANEL * (a->dqk + a->tk + 1) + a->tk * MK_PANEL;
}

size_t mk_attention_scratch(const mk_pool *pool, const mk_attention_args *args) {
  return (size_t)mk_attention_worker_floats(args) * (size_t)mk_pool_threads(pool) * sizeof(float) + 64;
}

typedef struct {
  const mk_kernels *kernels;
  const mk_attention_args *a;
  float *scratch;
  mk_int worker_floats;
  mk_int query_panels, query_blocks;
} mk_attention_call;

static inline mk_int mk_keys(const mk_attention_args *a, mk_int batch) {
  return a->tk_per_batch ? mk_max(mk_min(a->tk_per_batch[batch], a->tk), 0) : a->tk;
}

static inline const float *mk_bias_row(const mk_attention_bias *bias, mk_int batch, mk_int head, mk_int query) {
  return bias->p + batch * bias->batch + head * bias->head + query * bias->row;
}

static void mk_attention_query(void *context, mk_int task, int32_t worker) {
  const mk_attention_call *c = context;
  const mk_attention_args *a = c->a;
  mk_int query = task % a->tq, head = task / a->tq % a->heads, batch = task / a->tq / a->heads;
  mk_int keys = mk_keys(a, batch);
  float *scores = c->scratch + worker * c->worker_floats;
  const float *q = a->q + batch * a->q_batch + head * a->q_head + query * a->q_row;
  c->kernels->dot_rows(keys, a->dqk, q, a->scale, a->k[batch] + head * a->k_head, a->k_row, scores);
  for (int i = 0; i < 2; i++) {
    if (a->bias[i].p) {
      c->kernels->binary(MK_ADD, keys, scores, 1, mk_bias_row(&a->bias[i], batch, head, query), 1, scores);
    }
  }
  float sum = c->kernels->softmax_row(keys, scores);
  c->kernels->combine_rows(
    keys, a->dv, scores, sum == 0 ? 0 : 1 / sum, a->v[batch] + head * a->v_head, a->v_row,
    a->out + batch * a->out_batch + head * a->out_head + query * a->out_row);
}

// Scores of all panels of a task, biases included.
static void mk_attention_scores(
  const mk_attention_call *c, mk_int batch, mk_int head, mk_int query0, mk_int queries, mk_int keys,
  const float *packed_q, float *scores) {
  const mk_attention_args *a = c->a;
  const mk_kernels *kernels = c->kernels;
  const float *k = a->k[batch] + head * a->k_head;
  mk_int panels = mk_ceil_div(queries, MK_PANEL), score_panel = a->tk * MK_PANEL, query_panel = a->dqk * MK_PANEL;
  // A bias that is the same for all queries (padding mask) is a number per row of the transposed scores.
  int same = a->bias[0].p && a->bias[0].row == 0 ? 0 : a->bias[1].p && a->bias[1].row == 0 ? 1 : -1;
  const float *key_bias = same >= 0 ? mk_bias_row(&a->bias[same], batch, head, 0) : NULL;
  mk_int parts = mk_ceil_div(keys, kernels->rows);
  for (mk_int i = 0; i < parts; i++) {
    mk_int key = mk_part(keys, parts, i), height = mk_part(keys, parts, i + 1) - key;
    for (mk_int panel = 0; panel < panels;) {
      int32_t together = panel + kernels->panels <= panels ? kernels->panels : 1;
      mk_tile t = {
        .a = k + key * a->k_row,
        .row_stride = a->k_row,
        .b = packed_q + panel * query_panel,
        .b_stride = MK_PANEL,
        .b_panel = query_panel,
        .k = a->dqk,
        .c = scores + panel * score_panel + key * MK_PANEL,
        .ldc = MK_PANEL,
        .c_panel = score_panel,
        .columns = together * MK_PANEL,
        .row_bias = key_bias ? key_bias + key : NULL,
      };
      kernels->tiles[MK_STRIDED][together - 1][height - 1](&t);
      panel += together;
    }
  }
  for (int i = 0; i < 2; i++) {
    if (!a->bias[i].p || i == same) continue;
    for (mk_int panel = 0; panel < panels; panel++) {
      mk_int rows = mk_min(queries - panel * MK_PANEL, MK_PANEL);
      const float *bias = mk_bias_row(&a->bias[i], batch, head, query0 + panel * MK_PANEL);
      kernels->transpose_panel(rows, keys, bias, a->bias[i].row, 1, scores + panel * score_panel, 1);
    }
  }
}

static void mk_attention_block(void *context, mk_int task, int32_t worker) {
  const mk_attention_call *c = context;
  const mk_attention_args *a = c->a;
  const mk_kernels *kernels = c->kernels;
  mk_int block = task % c->query_blocks, head = task / c->query_blocks % a->heads;
  mk_int batch = task / c->query_blocks / a->heads;
  mk_int query0 = block * c->query_panels * MK_PANEL, queries = mk_min(a->tq - query0, c->query_panels * MK_PANEL);
  mk_int keys = mk_keys(a, batch), panels = mk_ceil_div(queries, MK_PANEL), score_panel = a->tk * MK_PANEL;

  float *packed_q = c->scratch + worker * c->worker_floats;
  float *scores = packed_q + c->query_panels * MK_PANEL * a->dqk;
  float *sums = scores + c->query_panels * score_panel;
  float *last_v = sums + c->query_panels * MK_PANEL;
  const float *q = a->q + batch * a->q_batch + head * a->q_head + query0 * a->q_row;
  for (mk_int panel = 0; panel < panels; panel++) {
    mk_int rows = mk_min(queries - panel * MK_PANEL, MK_PANEL);
    kernels->transpose_panel(
      rows, a->dqk, q + panel * MK_PANEL * a->q_row, a->q_row, a->scale, packed_q + panel * MK_PANEL * a->dqk, 0);
  }
  mk_attention_scores(c, batch, head, query0, queries, keys, packed_q, scores);
  for (mk_int panel = 0; panel < panels; panel++) {
    kernels->softmax_panel(keys, scores + panel * score_panel, sums + panel * MK_PANEL);
  }

  const float *v = a->v[batch] + head * a->v_head;
  mk_int whole = a->dv / MK_PANEL * MK_PANEL, rest = a->dv - whole;
  if (rest > 0) {
    // Tiles read whole panels, and what lies behind the last value may not be ours.
    for (mk_int j = 0; j < keys; j++) {
      memcpy(last_v + j * MK_PANEL, v + j * a->v_row + whole, (size_t)rest * sizeof(float));
      memset(last_v + j * MK_PANEL + rest, 0, (size_t)(MK_PANEL - rest) * sizeof(float));
    }
  }
  float *out = a->out + batch * a->out_batch + head * a->out_head + query0 * a->out_row;
  mk_int key = 0;
  do { // at least once: without keys the output is zero
    mk_int rows = mk_min(keys - key, MK_VALUE_ROWS);
    for (mk_int column = 0; column < a->dv;) {
      int32_t together = column + kernels->panels * MK_PANEL <= whole ? kernels->panels : 1;
      int32_t copied = column >= whole;
      for (mk_int panel = 0; panel < panels; panel++) {
        mk_tile t = {
          .a = scores + panel * score_panel + key * MK_PANEL,
          .b = copied ? last_v + key * MK_PANEL : v + key * a->v_row + column,
          .b_stride = copied ? MK_PANEL : a->v_row,
          .b_panel = MK_PANEL,
          .k = rows,
          .c = out + panel * MK_PANEL * a->out_row + column,
          .ldc = a->out_row,
          .c_panel = MK_PANEL,
          .columns = mk_min(a->dv - column, together * MK_PANEL),
          .accumulate = key > 0,
        };
        mk_run_tiles(kernels, MK_COLUMN, together, mk_min(queries - panel * MK_PANEL, MK_PANEL), &t);
      }
      column += together * MK_PANEL;
    }
    key += MK_VALUE_ROWS;
  } while (key < keys);
  for (mk_int i = 0; i < queries; i++) {
    float sum = sums[i];
    kernels->affine(a->dv, out + i * a->out_row, sum == 0 ? 0 : 1 / sum, 0, out + i * a->out_row);
  }
}

void mk_attention(mk_pool *pool, const mk_attention_args *args, void *scratch) {
  if (args->batch <= 0 || args->heads <= 0 || args->tq <= 0 || args->dv <= 0) return;
  mk_attention_call call = {
    mk_current_kernels(), args, scratch, mk_attention_worker_floats(args), mk_query_panels(args), 0};
  call.query_blocks = mk_ceil_div(args->tq, call.query_panels * MK_PANEL);
  mk_pool *chosen = mk_pool_for(
    pool, args->batch * args->heads * args->tq * args->tk * (args->dqk + args->dv), MK_PARALLEL_PRODUCTS);
  if (args->tq <= MK_FEW_QUERIES) {
    mk_parallel(chosen, args->batch * args->heads * args->tq, mk_attention_query, &call);
  } else {
    mk_parallel(chosen, args->batch * args->heads * call.query_blocks, mk_attention_block, &call);
  }
}
