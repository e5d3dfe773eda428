// Attention of few queries (decoding), which waits for keys and values to come from memory. The same function as
// mk_attention has in mue_kernels.h, for at most MK_FEW_QUERIES queries without biases in panels or from a table.
#pragma once
#include "kernels.h"

enum { MK_FEW_QUERIES = 8 };

size_t mk_attention_few_scratch(const mk_pool *pool, const mk_attention_args *args);
void mk_attention_few(mk_pool *pool, const mk_attention_args *args, void *scratch);

// Keys of an item, at most its own number.
static inline mk_int mk_keys(const mk_attention_args *a, mk_int batch) {
  return a->tk_per_batch ? mk_max(mk_min(a->tk_per_batch[batch], a->tk), 0) : a->tk;
}

static inline const float *mk_bias_row(const mk_attention_bias *bias, mk_int batch, mk_int head, mk_int query) {
  return bias->p + batch * bias->batch + head * bias->head + query * bias->row;
}

// Rows of keys or values that follow each other, `depth` elements of each head, and what they are multiplied with.
struct mk_few_rows {
  mk_int heads, queries, rows, depth;
  const float *p; // p[h * head + j * row + channel]
  mk_int head, row;
  // Queries, x[h * x_head + i * x_query + channel], or weights, x[... + j].
  const float *x;
  mk_int x_head, x_query;
  float scale; // of scores
  // Scores, y[h * y_head + i * y_query + j], or sums of values, y[... + channel].
  float *y;
  mk_int y_head, y_query;
};
