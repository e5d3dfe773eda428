#include "attention_packed.h"

typedef struct {
  mk_int keys;                // of the longest run
  size_t key_bytes, run_bytes; // of the keys of a run, and with its values
} mk_packed_layout;

static mk_packed_layout mk_lay_out(mk_weights type, mk_int tk, mk_int dqk, mk_int dv) {
  mk_packed_layout layout = {.keys = mk_packed_first(tk, 1)};
  layout.key_bytes = mk_linear_packed_bytes(type, dqk, layout.keys);
  layout.run_bytes = layout.key_bytes + mk_linear_packed_bytes(type, layout.keys, dv);
  return layout;
}

size_t mk_attention_packed_bytes(mk_weights type, mk_int heads, mk_int tk, mk_int dqk, mk_int dv) {
  return (size_t)(heads * mk_packed_runs(tk)) * mk_lay_out(type, tk, dqk, dv).run_bytes;
}

// ---- Packing ----------------------------------------------------------------------------------------------------

typedef struct {
  mk_weights type;
  const mk_attention_args *a;
  mk_packed_layout layout;
  char *packed;
  float *scratch;
} mk_pack_call;

static mk_int mk_pack_floats(const mk_attention_args *a) {
  return mk_round_up((mk_packed_first(a->tk, 1) + 1) * a->dqk, MK_PANEL);
}

size_t mk_attention_pack_scratch(const mk_pool *pool, mk_weights type, const mk_attention_args *args) {
  return type == MK_WEIGHTS_INT8 ? (size_t)(mk_pack_floats(args) * mk_pool_threads(pool)) * sizeof(float) : 0;
}

// What all keys of a head have in common adds the same to all scores of a query, which softmax does not see: without it
// fewer steps of a byte are lost to it.
static void mk_mean_key(const mk_attention_args *a, const float *k, float *mean) {
  for (mk_int p = 0; p < a->dqk; p++) mean[p] = 0;
  for (mk_int j = 0; j < a->tk; j++) {
    for (mk_int p = 0; p < a->dqk; p++) mean[p] += k[j * a->k_row + p];
  }
  for (mk_int p = 0; p < a->dqk; p++) mean[p] /= (float)a->tk;
}

static void mk_pack_head(void *context, mk_int head, int32_t worker) {
  const mk_pack_call *c = context;
  const mk_attention_args *a = c->a;
  const float *k = a->k[0] + head * a->k_head, *v = a->v[0] + head * a->v_head;
  int32_t centres = c->type == MK_WEIGHTS_INT8;
  float *mean = c->scratch + (centres ? worker * mk_pack_floats(a) : 0), *centred = mean + a->dqk;
  if (centres) mk_mean_key(a, k, mean);
  mk_int runs = mk_packed_runs(a->tk);
  for (mk_int run = 0; run < runs; run++) {
    mk_int first = mk_packed_first(a->tk, run), keys = mk_packed_first(a->tk, run + 1) - first;
    char *to = c->packed + (size_t)(head * runs + run) * c->layout.run_bytes;
    const float *from = k + first * a->k_row;
    mk_int row = a->k_row;
    if (centres) {
      for (mk_int j = 0; j < keys; j++) {
        for (mk_int p = 0; p < a->dqk; p++) centred[j * a->dqk + p] = from[j * a->k_row + p] - mean[p];
      }
      from = centred, row = a->dqk;
    }
    mk_linear_pack(NULL, c->type, from, row, 1, a->dqk, keys, to);
    mk_linear_pack(NULL, c->type, v + first * a->v_row, a->v_row, 0, keys, a->dv, to + c->layout.key_bytes);
  }
}

void mk_attention_pack(
  mk_pool *pool, mk_weights type, const mk_attention_args *args, void *packed, void *scratch) {
  mk_pack_call call = {type, args, mk_lay_out(type, args->tk, args->dqk, args->dv), packed, scratch};
  mk_parallel(pool, args->heads, mk_pack_head, &call);
}

// ---- Products ---------------------------------------------------------------------------------------------------

static mk_int mk_together(const mk_attention_args *a) { return mk_min(a->tq, MK_NARROW_ROWS); }

static mk_int mk_scaled_floats(const mk_attention_args *a) { return mk_round_up(mk_together(a) * a->dqk, MK_PANEL); }

size_t mk_packed_scratch(const mk_attention_args *a) {
  mk_int keys = mk_packed_first(a->tk, 1), queries = mk_together(a);
  size_t scores = mk_linear_scratch(NULL, a->packed_type, queries, a->dqk, keys);
  size_t sums = mk_linear_scratch(NULL, a->packed_type, queries, keys, a->dv);
  size_t bytes = (size_t)mk_scaled_floats(a) * sizeof(float) + (scores > sums ? scores : sums);
  return (bytes + 63) / 64 * 64;
}

static const char *mk_packed_run(
  const mk_attention_args *a, const mk_packed_layout *layout, mk_int batch, mk_int head, mk_int run) {
  return (const char *)a->packed[batch] + (size_t)(head * mk_packed_runs(a->tk) + run) * layout->run_bytes;
}

void mk_packed_scores(
  const mk_attention_args *a, const mk_few_rows *rows, mk_int batch, mk_int head, mk_int run, void *scratch) {
  mk_packed_layout layout = mk_lay_out(a->packed_type, a->tk, a->dqk, a->dv);
  const void *keys = mk_packed_run(a, &layout, batch, head, run);
  float *scaled = scratch;
  // More rows than these would be rounded more coarsely.
  for (mk_int first = 0; first < rows->queries; first += MK_NARROW_ROWS) {
    mk_int queries = mk_min(rows->queries - first, MK_NARROW_ROWS);
    for (mk_int i = 0; i < queries; i++) {
      const float *q = rows->x + (first + i) * rows->x_query;
      mk_current_kernels()->affine(rows->depth, q, rows->scale, 0, scaled + i * rows->depth);
    }
    mk_linear(
      NULL, a->packed_type, queries, rows->depth, rows->rows, scaled, rows->depth, keys, NULL, MK_ACT_NONE, NULL, 0,
      rows->y + first * rows->y_query, rows->y_query, scaled + mk_scaled_floats(a));
  }
}

void mk_packed_sums(
  const mk_attention_args *a, const mk_few_rows *rows, mk_int batch, mk_int head, mk_int run, void *scratch) {
  mk_packed_layout layout = mk_lay_out(a->packed_type, a->tk, a->dqk, a->dv);
  const char *values = mk_packed_run(a, &layout, batch, head, run) + layout.key_bytes;
  for (mk_int first = 0; first < rows->queries; first += MK_NARROW_ROWS) {
    mk_int queries = mk_min(rows->queries - first, MK_NARROW_ROWS);
    mk_linear(
      NULL, a->packed_type, queries, rows->rows, rows->depth, rows->x + first * rows->x_query, rows->x_query, values,
      NULL, MK_ACT_NONE, NULL, 0, rows->y + first * rows->y_query, rows->y_query, scratch);
  }
}
