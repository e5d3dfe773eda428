// Keys and values that are packed as the weights of mk_linear are, once for all queries they will meet: in runs of keys,
// each of them a product of its own. What a run's memory holds, for each head: keys, then values.
#pragma once
#include "attention_few.h"

enum { MK_PACKED_KEYS = 1024 }; // most keys of a run

// Runs of whole panels, but for the last key, of almost equal length.
static inline mk_int mk_packed_runs(mk_int tk) { return mk_max(mk_ceil_div(tk, MK_PACKED_KEYS), 1); }
static inline mk_int mk_packed_first(mk_int tk, mk_int run) {
  return mk_min(mk_part(mk_ceil_div(tk, MK_PANEL), mk_packed_runs(tk), run) * MK_PANEL, tk);
}

// Bytes of scratch that one thread takes for the products below.
size_t mk_packed_scratch(const mk_attention_args *a);

// What the kernels few_scores and few_sums do, for one head and a run; `scratch` is the thread's.
void mk_packed_scores(const mk_attention_args *a, const mk_few_rows *rows, mk_int batch, mk_int head, mk_int run, void *scratch);
void mk_packed_sums(const mk_attention_args *a, const mk_few_rows *rows, mk_int batch, mk_int head, mk_int run, void *scratch);
