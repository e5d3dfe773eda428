// Few queries: a task is a run of keys with their values and all heads of an item, read as they lie in memory, where the
// heads of a key follow each other. What the runs come to is put together at the end, as blocks of keys are in attention.c.
// Runs depend on the number of keys alone, so that results are the same for every number of threads. Where keys and values
// are packed, each head of a run was packed by itself (attention_packed.c), and a task is some of these that follow each other.
#include "attention_packed.h"

enum {
  MK_RUN_KEYS = 64,        // most keys of a run
  MK_RUNS = 4,             // their number is a multiple of it once it is larger, so that threads get as many
  MK_PACKED_TASKS = 2,     // of each thread where runs are packed: what is fetched ahead is then its own
  MK_PARALLEL_FEW = 8000, // products from which on threads share them: memory takes longer than they do
};

// How an attention is cut, and how many floats of scratch its pieces take.
typedef struct {
  mk_int runs;   // of keys
  mk_int groups; // of heads
  mk_int tasks;  // of some runs and groups each
  mk_int keys;   // most of a run
  mk_int part;   // sums of the values of a run, [head][query][dv]; a single one's go to the output
  mk_int tops;   // the largest score of every run, [batch][head][query][run], and as many sums of weights
  mk_int worker; // scores of a run, [head][query][keys], and what packed keys and values take
} mk_few_plan;

static mk_few_plan mk_plan_few(const mk_pool *pool, const mk_attention_args *a) {
  mk_few_plan plan = {.runs = mk_max(mk_ceil_div(a->tk, MK_RUN_KEYS), 1), .keys = MK_RUN_KEYS};
  mk_int rows = a->heads * a->tq;
  if (a->packed) {
    plan.runs = mk_packed_runs(a->tk);
    plan.groups = a->heads;
    plan.keys = mk_packed_first(a->tk, 1);
    plan.worker = mk_round_up(a->tq * plan.keys, MK_PANEL) + (mk_int)(mk_packed_scratch(a) / sizeof(float));
  } else {
    if (plan.runs > MK_RUNS) plan.runs = mk_round_up(plan.runs, MK_RUNS);
    mk_int wanted = mk_ceil_div((mk_int)mk_pool_threads(pool) * 4, mk_max(a->batch * plan.runs, 1));
    plan.groups = mk_pool_threads(pool) > 1 ? mk_max(mk_min(wanted, a->heads), 1) : 1;
    plan.worker = rows * plan.keys;
  }
  plan.tasks = a->batch * plan.runs * plan.groups;
  if (a->packed) plan.tasks = mk_min(plan.tasks, (mk_int)mk_pool_threads(pool) * MK_PACKED_TASKS);
  plan.part = plan.runs > 1 ? mk_round_up(rows * a->dv, MK_PANEL) : 0;
  plan.tops = mk_round_up(a->batch * rows * plan.runs, MK_PANEL);
  return plan;
}

size_t mk_attention_few_scratch(const mk_pool *pool, const mk_attention_args *args) {
  mk_few_plan plan = mk_plan_few(pool, args);
  mk_int floats = 2 * plan.tops + args->batch * plan.runs * plan.part + plan.worker * mk_pool_threads(pool);
  return (size_t)floats * sizeof(float) + 64;
}

typedef struct {
  const mk_kernels *kernels;
  const mk_attention_args *a;
  mk_few_plan plan;
  float *tops, *totals, *parts, *workers;
} mk_few_call;

// Weighted values of a query to their mean; zero where no key is seen.
static void mk_divide(const mk_few_call *c, float *out, float total) {
  c->kernels->affine(c->a->dv, out, total == 0 ? 0 : 1 / total, 0, out);
}

// The first of a run's keys, of `all`.
static mk_int mk_first_key(const mk_few_call *c, mk_int all, mk_int run) {
  return c->a->packed ? mk_packed_first(all, run) : mk_part(all, c->plan.runs, run);
}

// A run of keys for some heads of an item.
static void mk_attend_run(const mk_few_call *c, mk_int batch, mk_int run, mk_int group, int32_t worker) {
  const mk_attention_args *a = c->a;
  mk_int head = mk_part(a->heads, c->plan.groups, group);
  mk_int all = a->packed ? a->tk : mk_keys(a, batch), key = mk_first_key(c, all, run);
  float *scores = c->workers + worker * c->plan.worker, *scratch = scores + mk_round_up(a->tq * c->plan.keys, MK_PANEL);
  mk_few_rows rows = {
    .heads = mk_part(a->heads, c->plan.groups, group + 1) - head,
    .queries = a->tq,
    .rows = mk_first_key(c, all, run + 1) - key,
    .depth = a->dqk,
    .head = a->k_head,
    .row = a->k_row,
    .x = a->q + batch * a->q_batch + head * a->q_head,
    .x_head = a->q_head,
    .x_query = a->q_row,
    .scale = a->scale,
    .y = scores,
    .y_head = a->tq * c->plan.keys,
    .y_query = c->plan.keys,
  };
  if (a->packed) {
    mk_packed_scores(a, &rows, batch, head, run, scratch);
  } else {
    rows.p = a->k[batch] + head * a->k_head + key * a->k_row;
    c->kernels->few_scores(&rows);
  }
  for (mk_int h = 0; h < rows.heads; h++) {
    for (mk_int query = 0; query < a->tq; query++) {
      const float *biases[2];
      int32_t count = 0;
      for (int i = 0; i < 2; i++) {
        if (a->bias[i].p) biases[count++] = mk_bias_row(&a->bias[i], batch, head + h, query) + key;
      }
      float *row = scores + (h * a->tq + query) * c->plan.keys;
      mk_int at = ((batch * a->heads + head + h) * a->tq + query) * c->plan.runs + run;
      c->totals[at] = c->kernels->softmax_row(rows.rows, row, count, biases, &c->tops[at]);
    }
  }
  rows.depth = a->dv;
  rows.head = a->v_head;
  rows.row = a->v_row;
  rows.x = scores;
  rows.x_head = a->tq * c->plan.keys;
  rows.x_query = c->plan.keys;
  rows.y = c->parts + (batch * c->plan.runs + run) * c->plan.part + head * a->tq * a->dv;
  rows.y_head = a->tq * a->dv;
  rows.y_query = a->dv;
  if (c->plan.runs == 1) {
    rows.y = a->out + batch * a->out_batch + head * a->out_head;
    rows.y_head = a->out_head;
    rows.y_query = a->out_row;
  }
  if (a->packed) {
    mk_packed_sums(a, &rows, batch, head, run, scratch);
  } else {
    rows.p = a->v[batch] + head * a->v_head + key * a->v_row;
    c->kernels->few_sums(&rows);
  }
  for (mk_int row = 0; c->plan.runs == 1 && row < rows.heads * a->tq; row++) {
    float total = c->totals[(batch * a->heads + head) * a->tq + row];
    mk_divide(c, rows.y + row / a->tq * rows.y_head + row % a->tq * rows.y_query, total);
  }
}

static void mk_attend_runs(void *context, mk_int task, int32_t worker) {
  const mk_few_call *c = context;
  mk_int runs = c->plan.runs, groups = c->plan.groups, pieces = c->a->batch * runs * groups;
  mk_int end = mk_part(pieces, c->plan.tasks, task + 1);
  for (mk_int i = mk_part(pieces, c->plan.tasks, task); i < end; i++) {
    // As they follow each other in memory: packed runs head by head, heads otherwise key by key.
    mk_int batch = i / (runs * groups), piece = i % (runs * groups);
    if (c->a->packed) {
      mk_attend_run(c, batch, piece % runs, piece / runs, worker);
    } else {
      mk_attend_run(c, batch, piece / groups, piece % groups, worker);
    }
  }
}

// The queries of one head: a run counts by how far its largest score is below the largest of all.
static void mk_join_runs(void *context, mk_int task, int32_t worker) {
  const mk_few_call *c = context;
  const mk_attention_args *a = c->a;
  mk_int batch = task / a->heads, head = task % a->heads, runs = c->plan.runs;
  (void)worker;
  for (mk_int query = 0; query < a->tq; query++) {
    mk_int at = (task * a->tq + query) * runs;
    float *factors = c->tops + at, top, total = 0;
    c->kernels->softmax_row(runs, factors, 0, NULL, &top);
    for (mk_int run = 0; run < runs; run++) total += factors[run] * c->totals[at + run];
    mk_few_rows sums = {
      .heads = 1,
      .queries = 1,
      .rows = runs,
      .depth = a->dv,
      .p = c->parts + batch * runs * c->plan.part + (head * a->tq + query) * a->dv,
      .row = c->plan.part,
      .x = factors,
      .y = a->out + batch * a->out_batch + head * a->out_head + query * a->out_row,
    };
    c->kernels->few_sums(&sums);
    mk_divide(c, sums.y, total);
  }
}

void mk_attention_few(mk_pool *pool, const mk_attention_args *args, void *scratch) {
  mk_few_call call = {mk_current_kernels(), args, mk_plan_few(pool, args), scratch, NULL, NULL, NULL};
  const mk_few_plan *plan = &call.plan;
  call.totals = call.tops + plan->tops;
  call.parts = call.totals + plan->tops;
  call.workers = call.parts + args->batch * plan->runs * plan->part;
  mk_int rows = args->batch * args->heads * args->tq;
  mk_parallel(
    mk_pool_for(pool, rows * args->tk * (args->dqk + args->dv), MK_PARALLEL_FEW),
    plan->tasks, mk_attend_runs, &call);
  if (plan->runs == 1) return;
  mk_parallel(
    mk_pool_for(pool, rows * plan->runs * args->dv, MK_PARALLEL_PRODUCTS), args->batch * args->heads, mk_join_runs, &call);
}
