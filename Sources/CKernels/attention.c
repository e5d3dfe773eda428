// Attention over row blocks: scores live in scratch for a few queries and keys at a time and never form a matrix in memory.
//
// Many queries: blocks of 16 queries stand side by side in the lanes. Scores are computed transposed, [keys][16], from
// the keys (left operand, rows) and the packed queries (right operand); the softmax runs down the keys, a block of keys
// at a time: what was summed is scaled when a block brings a new maximum (Milakov and Gimelshein 2018; Dao et al. 2022).
// The weights are then the left operand (column layout) of a product with the values. A task is a run of query blocks of
// one head; where that are many, its keys and values are packed first. Where the model is not in float32 and the processor
// multiplies pairs of bf16, all four operands are those.
// Few queries (decoding) are attention_few.c's.
#include "attention_few.h"

enum {
  MK_PACKED_QUERIES = MK_PAIRED_QUERIES, // tasks of at least so many of a head pack its keys and values
  MK_ROWS_AHEAD = 16,                    // rows of keys or values that are fetched ahead
};

// How the queries of one head are shared out.
typedef struct {
  const mk_attention_form *form;
  mk_int panels; // of one head
  mk_int blocks; // of panels that are taken together: which ones are does not depend on the number of threads
  mk_int groups; // tasks that the blocks are cut into
  int32_t packs; // tasks pack the keys and values of their head
  mk_int units;   // of a query: floats, or pairs of them
  mk_int key_row; // units from one packed key to the next
  // Units of a worker's scratch: queries, scores, three numbers per query, keys, values.
  mk_int queries, scores, state, keys, values;
} mk_attention_plan;

static mk_attention_plan mk_plan_attention(const mk_pool *pool, const mk_attention_args *a) {
  const mk_kernels *kernels = mk_current_kernels();
  int32_t pairs = a->products != MK_WEIGHTS_F32 && a->tq >= MK_PAIRED_QUERIES && kernels->paired_attention;
  mk_attention_plan plan = {
    .form = pairs ? kernels->paired_attention : &kernels->attention, .panels = mk_ceil_div(a->tq, MK_PANEL)};
  // A few tasks for each thread, so that a slow one does not hold up the others.
  plan.blocks = mk_ceil_div(plan.panels, plan.form->panels);
  mk_int wanted = mk_ceil_div((mk_int)mk_pool_threads(pool) * 4, mk_max(a->batch * a->heads, 1));
  plan.groups = mk_pool_threads(pool) > 1 ? mk_min(wanted, plan.blocks) : 1;
  // Whatever the number of threads: tiles of what is packed differ, and so do the last places of sums.
  plan.packs = a->tq >= MK_PACKED_QUERIES;
  plan.units = mk_ceil_div(a->dqk, plan.form->depths);
  plan.key_row = pairs ? mk_round_up(plan.units, MK_PANEL) : a->dqk;
  mk_int together = mk_min(plan.panels, plan.form->panels) * MK_PANEL, block = mk_min(a->tk, plan.form->keys);
  plan.queries = together * plan.units;
  // Queries and values wait there to be rounded.
  mk_int rounded = pairs ? mk_round_up(mk_max(a->dqk, block), 2) * MK_PANEL : 0;
  plan.scores = mk_max(together * block, rounded);
  plan.state = 3 * together;
  plan.keys = plan.packs ? mk_round_up(a->tk * plan.key_row, MK_PANEL) : 0;
  // Unpacked values still need a padded copy of their last columns.
  plan.values = mk_ceil_div(a->tk, plan.form->depths) * (plan.packs ? mk_round_up(a->dv, MK_PANEL) : MK_PANEL);
  return plan;
}

static int32_t mk_has_few_queries(const mk_attention_args *a) {
  return a->packed || (a->tq <= MK_FEW_QUERIES && !a->bias_in_panels && !a->table);
}

static mk_int mk_attention_worker_floats(const mk_attention_plan *plan) {
  return plan->queries + plan->scores + plan->state + plan->keys + plan->values;
}

size_t mk_attention_scratch(const mk_pool *pool, const mk_attention_args *args) {
  if (mk_has_few_queries(args)) return mk_attention_few_scratch(pool, args);
  mk_attention_plan plan = mk_plan_attention(pool, args);
  return (size_t)mk_attention_worker_floats(&plan) * (size_t)mk_pool_threads(pool) * sizeof(float) + 64;
}

typedef struct {
  const mk_kernels *kernels;
  const mk_attention_args *a;
  float *scratch;
  mk_attention_plan plan;
  mk_int worker_floats;
} mk_attention_call;

// A block of queries of one head: where its pieces are in scratch, and its keys and values, packed or as they lie.
typedef struct {
  mk_int batch, head, query0, queries, panels;
  float *packed_q, *scores, *top, *sums, *factors;
  const float *k, *v, *last_v;
  mk_int k_row, v_row, v_panel; // v: [panel][unit of keys][16] with the strides v_panel and v_row
  mk_int whole;                 // columns of v in whole panels; the others are in last_v
} mk_query_block;

// A row that is read later. Rows of a head are far apart, which the processor's own prefetchers do not see.
static void mk_prefetch_row(const float *row, mk_int n) {
  for (mk_int i = 0; i < n; i += MK_PANEL) __builtin_prefetch(row + i, 0, 2);
}

// The biases of a panel of the block for keys from key0 on.
static mk_panel_biases mk_biases_of_panel(
  const mk_attention_args *a, const mk_query_block *b, mk_int panel, mk_int key0) {
  mk_panel_biases biases = {NULL, NULL, NULL};
  mk_int at = (b->query0 / MK_PANEL + panel) * a->tk * MK_PANEL + key0 * MK_PANEL;
  if (a->bias[0].p && a->bias_in_panels) {
    biases.bias = a->bias[0].p + b->batch * a->bias[0].batch + b->head * a->bias[0].head + at;
  }
  if (a->table) {
    biases.table = a->table + b->head * a->table_head;
    biases.index = a->table_index + at;
  }
  return biases;
}

// What tile `index` of `tiles` that compute a block's scores fetches of the biases of these keys, which lie in a run of memory
// for each panel and kind of bias. A tile whose share begins in one run stays in it: the first lines of the next are left to the
// processor.
static void mk_fetch_biases(
  const mk_attention_args *a, const mk_query_block *b, mk_int key0, mk_int keys, mk_int tiles, mk_int index, mk_tile *t) {
  int32_t has_bias = a->bias[0].p && a->bias_in_panels, has_table = a->table != NULL;
  mk_int lines = b->panels * (has_bias + has_table) * keys, line = mk_part(lines, tiles, index);
  if (lines == 0) return;
  mk_int run = line / keys;
  mk_panel_biases biases = mk_biases_of_panel(a, b, run % b->panels, key0);
  const void *start = has_bias && run < b->panels ? (const void *)biases.bias : (const void *)biases.index;
  t->next = (const char *)start + line % keys * 64;
  t->next_lines = mk_part(lines, tiles, index + 1) - line;
}

// Scores of keys key0..<key0 + keys, biases that are not in panels included: [panel][key][16].
static void mk_attention_scores(const mk_attention_call *c, const mk_query_block *b, mk_int key0, mk_int keys) {
  const mk_attention_args *a = c->a;
  const mk_kernels *kernels = c->kernels;
  mk_int score_panel = keys * MK_PANEL, query_panel = c->plan.units * MK_PANEL;
  // A bias that is the same for all queries (padding mask) is a number per row of the transposed scores.
  int same = a->bias[0].p && a->bias[0].row == 0 && !a->bias_in_panels ? 0 : a->bias[1].p && a->bias[1].row == 0 ? 1 : -1;
  const float *key_bias = same >= 0 ? mk_bias_row(&a->bias[same], b->batch, b->head, 0) + key0 : NULL;
  mk_int parts = mk_ceil_div(keys, kernels->rows);
  for (mk_int i = 0; i < parts; i++) {
    mk_int key = mk_part(keys, parts, i), height = mk_part(keys, parts, i + 1) - key;
    for (mk_int panel = 0; panel < b->panels;) {
      int32_t together = panel + kernels->panels <= b->panels ? kernels->panels : 1;
      mk_tile t = {
        .a = b->k + (key0 + key) * b->k_row,
        .row_stride = b->k_row,
        .b = b->packed_q + panel * query_panel,
        .b_stride = MK_PANEL,
        .b_panel = query_panel,
        .k = c->plan.units,
        .c = b->scores + panel * score_panel + key * MK_PANEL,
        .ldc = MK_PANEL,
        .c_panel = score_panel,
        .columns = together * MK_PANEL,
        .row_bias = key_bias ? key_bias + key : NULL,
      };
      if (panel == 0) mk_fetch_biases(a, b, key0, keys, parts, i, &t);
      c->plan.form->scores[together - 1][height - 1](&t);
      panel += together;
    }
  }
  for (int i = 0; i < 2; i++) {
    if (!a->bias[i].p || i == same || (i == 0 && a->bias_in_panels)) continue;
    for (mk_int panel = 0; panel < b->panels; panel++) {
      mk_int rows = mk_min(b->queries - panel * MK_PANEL, MK_PANEL);
      const float *bias = mk_bias_row(&a->bias[i], b->batch, b->head, b->query0 + panel * MK_PANEL) + key0;
      kernels->transpose_panel(rows, keys, bias, a->bias[i].row, 1, b->scores + panel * score_panel, 1);
    }
  }
}

// out += weights * values of those keys; the first block writes.
static void mk_attention_sum(const mk_attention_call *c, const mk_query_block *b, mk_int key0, mk_int keys, float *out) {
  const mk_attention_args *a = c->a;
  mk_int unit0 = key0 / c->plan.form->depths;
  for (mk_int column = 0; column < a->dv;) {
    int32_t together = column + c->kernels->panels * MK_PANEL <= b->whole ? c->kernels->panels : 1;
    int32_t copied = column >= b->whole;
    const float *v = copied ? b->last_v + unit0 * MK_PANEL : b->v + column / MK_PANEL * b->v_panel + unit0 * b->v_row;
    for (mk_int panel = 0; panel < b->panels; panel++) {
      mk_tile t = {
        .a = b->scores + panel * keys * MK_PANEL,
        .b = v,
        .b_stride = copied ? MK_PANEL : b->v_row,
        .b_panel = b->v_panel,
        .k = mk_ceil_div(keys, c->plan.form->depths),
        .c = out + panel * MK_PANEL * a->out_row + column,
        .ldc = a->out_row,
        .c_panel = MK_PANEL,
        .columns = mk_min(a->dv - column, together * MK_PANEL),
        .accumulate = key0 > 0,
      };
      mk_int rows = mk_min(b->queries - panel * MK_PANEL, MK_PANEL);
      mk_run_tiles(c->plan.form->sums[together - 1], c->kernels->rows, 1, rows, &t);
    }
    column += together * MK_PANEL;
  }
}

static void mk_scale_rows(const mk_attention_call *c, const mk_query_block *b, const float *factors, float *out) {
  for (mk_int i = 0; i < b->queries; i++, out += c->a->out_row) {
    if (factors[i] != 1) c->kernels->affine(c->a->dv, out, factors[i], 0, out);
  }
}

static void mk_pack_queries(const mk_attention_call *c, const mk_query_block *b) {
  const mk_attention_args *a = c->a;
  const float *q = a->q + b->batch * a->q_batch + b->head * a->q_head + b->query0 * a->q_row;
  int32_t pairs = c->plan.form->depths == 2;
  // The next block's.
  mk_int next = mk_min(a->tq - b->query0 - b->queries, b->queries);
  for (mk_int i = 0; i < next; i++) mk_prefetch_row(q + (b->queries + i) * a->q_row, a->dqk);
  for (mk_int panel = 0; panel < b->panels; panel++) {
    mk_int rows = mk_min(b->queries - panel * MK_PANEL, MK_PANEL);
    float *to = b->packed_q + panel * MK_PANEL * c->plan.units, *floats = pairs ? b->scores : to;
    c->kernels->transpose_panel(rows, a->dqk, q + panel * MK_PANEL * a->q_row, a->q_row, a->scale, floats, 0);
    if (!pairs) continue;
    if (a->dqk % 2) memset(floats + a->dqk * MK_PANEL, 0, MK_PANEL * sizeof(float));
    c->kernels->pack_bf16(c->plan.units, floats, to);
  }
}

static void mk_attend_queries(const mk_attention_call *c, const mk_query_block *b) {
  const mk_attention_args *a = c->a;
  mk_pack_queries(c, b);
  float *out = a->out + b->batch * a->out_batch + b->head * a->out_head + b->query0 * a->out_row;
  for (mk_int i = 0; i < b->panels * MK_PANEL; i++) b->top[i] = -__builtin_inff(), b->sums[i] = 0;
  mk_int keys = mk_keys(a, b->batch), parts = mk_max(mk_ceil_div(keys, c->plan.form->keys), 1);
  mk_int depths = c->plan.form->depths, units = mk_ceil_div(keys, depths);
  for (mk_int part = 0; part < parts; part++) { // at least once: without keys the output is zero
    mk_int key0 = mk_part(units, parts, part) * depths, key1 = mk_min(mk_part(units, parts, part + 1) * depths, keys);
    mk_int count = key1 - key0;
    mk_attention_scores(c, b, key0, count);
    for (mk_int panel = 0; panel < b->panels; panel++) {
      mk_int at = panel * MK_PANEL;
      mk_panel_biases biases = mk_biases_of_panel(a, b, panel, key0);
      c->plan.form->softmax_panel(count, b->scores + at * count, &biases, b->top + at, b->sums + at, b->factors + at);
    }
    if (part > 0) mk_scale_rows(c, b, b->factors, out);
    mk_attention_sum(c, b, key0, count, out);
  }
  for (mk_int i = 0; i < b->queries; i++) b->factors[i] = b->sums[i] == 0 ? 0 : 1 / b->sums[i];
  mk_scale_rows(c, b, b->factors, out);
}

// Keys 0..<keys of the head, and its values on their way meanwhile.
static void mk_pack_keys(const mk_attention_call *c, const mk_query_block *b, mk_int keys, float *to) {
  const mk_attention_args *a = c->a;
  for (mk_int j = 0; j < keys; j++, to += c->plan.key_row) {
    const float *key = b->k + j * b->k_row;
    if (j + MK_ROWS_AHEAD < keys) mk_prefetch_row(key + MK_ROWS_AHEAD * b->k_row, a->dqk);
    mk_prefetch_row(b->v + j * b->v_row, a->dv);
    if (c->plan.form->depths == 2) {
      c->kernels->bf16.pack_row(a->dqk, key, 1, 0, to);
    } else {
      memcpy(to, key, (size_t)a->dqk * sizeof(float));
    }
  }
}

// Values of keys 0..<keys, columns 0..<width, as a panel: zeros behind them.
static void mk_copy_values(mk_int keys, mk_int width, const float *v, mk_int row, float *to) {
  if (width == MK_PANEL) {
    for (mk_int j = 0; j < keys; j++) memcpy(to + j * MK_PANEL, v + j * row, MK_PANEL * sizeof(float));
  } else {
    for (mk_int j = 0; j < keys; j++) {
      memcpy(to + j * MK_PANEL, v + j * row, (size_t)width * sizeof(float));
      memset(to + j * MK_PANEL + width, 0, (size_t)(MK_PANEL - width) * sizeof(float));
    }
  }
}

// The same in pairs of keys, rounded.
static void mk_pair_values(
  const mk_attention_call *c, mk_int keys, mk_int width, const float *v, mk_int row, float *floats, float *to) {
  mk_int most = c->plan.form->keys;
  for (mk_int key = 0; key < keys; key += most) {
    mk_int count = mk_min(keys - key, most);
    mk_copy_values(count, width, v + key * row, row, floats);
    if (count % 2) memset(floats + count * MK_PANEL, 0, MK_PANEL * sizeof(float));
    c->kernels->pack_bf16(mk_ceil_div(count, 2), floats, to + key / 2 * MK_PANEL);
  }
}

static void mk_attention_task(void *context, mk_int task, int32_t worker) {
  const mk_attention_call *c = context;
  const mk_attention_args *a = c->a;
  const mk_attention_plan *plan = &c->plan;
  mk_int group = task % plan->groups, head = task / plan->groups % a->heads;
  mk_query_block b = {.batch = task / plan->groups / a->heads, .head = head};
  mk_int keys = mk_keys(a, b.batch), units = mk_ceil_div(keys, plan->form->depths);
  int32_t pairs = plan->form->depths == 2;
  b.packed_q = c->scratch + worker * c->worker_floats;
  b.scores = b.packed_q + plan->queries;
  b.top = b.scores + plan->scores;
  b.sums = b.top + plan->state / 3;
  b.factors = b.sums + plan->state / 3;
  float *packed_k = b.factors + plan->state / 3, *packed_v = packed_k + plan->keys;
  b.k = a->k[b.batch] + head * a->k_head;
  b.k_row = a->k_row;
  b.v = a->v[b.batch] + head * a->v_head;
  b.v_row = a->v_row;
  b.v_panel = MK_PANEL;
  b.whole = a->dv / MK_PANEL * MK_PANEL;
  if (plan->packs) mk_pack_keys(c, &b, keys, packed_k);
  // Tiles read whole panels, and what lies behind the last value may not be ours: that is copied in any case.
  for (mk_int column = plan->packs ? 0 : b.whole; column < a->dv; column += MK_PANEL) {
    mk_int width = mk_min(a->dv - column, MK_PANEL);
    float *to = packed_v + (plan->packs ? column * units : 0);
    if (pairs) {
      mk_pair_values(c, keys, width, b.v + column, a->v_row, b.scores, to);
    } else {
      mk_copy_values(keys, width, b.v + column, a->v_row, to);
    }
  }
  b.last_v = packed_v;
  if (plan->packs) {
    b.k = packed_k, b.k_row = plan->key_row;
    b.v = packed_v, b.v_row = MK_PANEL, b.v_panel = units * MK_PANEL, b.whole = mk_round_up(a->dv, MK_PANEL);
  }
  mk_int end = mk_part(plan->blocks, plan->groups, group + 1);
  for (mk_int block = mk_part(plan->blocks, plan->groups, group); block < end; block++) {
    mk_int first = mk_part(plan->panels, plan->blocks, block);
    b.panels = mk_part(plan->panels, plan->blocks, block + 1) - first;
    b.query0 = first * MK_PANEL;
    b.queries = mk_min(a->tq - b.query0, b.panels * MK_PANEL);
    mk_attend_queries(c, &b);
  }
}

void mk_attention(mk_pool *pool, const mk_attention_args *args, void *scratch) {
  if (args->batch <= 0 || args->heads <= 0 || args->tq <= 0 || args->dv <= 0) return;
  if (mk_has_few_queries(args)) {
    mk_attention_few(pool, args, scratch);
    return;
  }
  mk_attention_call call = {mk_current_kernels(), args, scratch, mk_plan_attention(pool, args), 0};
  call.worker_floats = mk_attention_worker_floats(&call.plan);
  mk_pool *chosen = mk_pool_for(
    pool, args->batch * args->heads * args->tq * args->tk * (args->dqk + args->dv), MK_PARALLEL_PRODUCTS);
  mk_parallel(chosen, args->batch * args->heads * call.plan.groups, mk_attention_task, &call);
}

typedef struct {
  mk_int tq, tk, panels;
  const uint32_t *x;
  uint32_t *out;
} mk_panels_call;

static void mk_make_panel(void *context, mk_int task, int32_t worker) {
  const mk_panels_call *c = context;
  mk_int first = task % c->panels * MK_PANEL, rows = mk_min(c->tq - first, MK_PANEL);
  const uint32_t *x = c->x + (task / c->panels * c->tq + first) * c->tk;
  uint32_t *out = c->out + task * c->tk * MK_PANEL;
  (void)worker;
  for (mk_int key0 = 0; key0 < c->tk; key0 += MK_PANEL) {
    mk_int key1 = mk_min(key0 + MK_PANEL, c->tk);
    for (mk_int r = 0; r < MK_PANEL; r++) {
      for (mk_int key = key0; key < key1; key++) {
        uint32_t value = 0;
        if (r < rows) memcpy(&value, x + r * c->tk + key, sizeof value);
        out[key * MK_PANEL + r] = value;
      }
    }
  }
}

void mk_attention_panels(mk_pool *pool, mk_int count, mk_int tq, mk_int tk, const void *x, void *panels) {
  mk_panels_call call = {tq, tk, mk_ceil_div(tq, MK_PANEL), x, panels};
  mk_pool *chosen = mk_pool_for(pool, count * tq * tk, MK_PARALLEL_ELEMENTS);
  mk_parallel(chosen, count * call.panels, mk_make_panel, &call);
}
