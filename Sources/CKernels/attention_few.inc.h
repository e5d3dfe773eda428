// Few queries with rows of keys or values: each row is read from memory once, for all queries. Rows that are multiplied
// together come from as many places of the run, each of which is read from its start to its end: memory answers faster
// than to rows that follow each other.

enum {
  MK_SCORE_ROWS = 4,    // keys whose scores are summed at once
  MK_SCORE_QUERIES = 3, // most queries that they meet at once
  MK_SUM_ROWS = 8,      // values that are added up before the sum goes back to memory
  MK_FEW_AHEAD = 256,   // floats that a place is fetched ahead
};

// Scores of four keys, `k_row` apart, and one to three queries; the first of them fetch what follows.
MK_INLINE void mk_few_dots(
  const int queries, const int fetches, mk_int d, const float *q, mk_int q_row, const float *k, mk_int k_row,
  float scale, float *y, mk_int y_row, mk_int y_key) {
  vf s[MK_SCORE_QUERIES][MK_SCORE_ROWS];
#pragma clang loop unroll(full)
  for (int i = 0; i < queries; i++) s[i][0] = s[i][1] = s[i][2] = s[i][3] = 0;
  mk_int p = 0;
  for (; p + MK_WIDTH <= d; p += MK_WIDTH) {
    vf u[MK_SCORE_QUERIES];
#pragma clang loop unroll(full)
    for (int i = 0; i < queries; i++) u[i] = vf_load(q + i * q_row + p);
#pragma clang loop unroll(full)
    for (int j = 0; j < MK_SCORE_ROWS; j++) {
      vf key = vf_load(k + j * k_row + p);
      if (fetches && p % MK_PANEL == 0) __builtin_prefetch(k + j * k_row + p + MK_FEW_AHEAD);
#pragma clang loop unroll(full)
      for (int i = 0; i < queries; i++) s[i][j] += u[i] * key;
    }
  }
  if (p < d) {
    vf u[MK_SCORE_QUERIES];
#pragma clang loop unroll(full)
    for (int i = 0; i < queries; i++) u[i] = vf_load_part(q + i * q_row + p, d - p);
#pragma clang loop unroll(full)
    for (int j = 0; j < MK_SCORE_ROWS; j++) {
      vf key = vf_load_part(k + j * k_row + p, d - p);
#pragma clang loop unroll(full)
      for (int i = 0; i < queries; i++) s[i][j] += u[i] * key;
    }
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < queries; i++) {
    vf_4 a = vf_fold(s[i][0]), b = vf_fold(s[i][1]), c = vf_fold(s[i][2]), e = vf_fold(s[i][3]);
    vf_4 ab = __builtin_shufflevector(a, b, 0, 4, 1, 5) + __builtin_shufflevector(a, b, 2, 6, 3, 7);
    vf_4 ce = __builtin_shufflevector(c, e, 0, 4, 1, 5) + __builtin_shufflevector(c, e, 2, 6, 3, 7);
    vf_4 sum = __builtin_shufflevector(ab, ce, 0, 1, 4, 5) + __builtin_shufflevector(ab, ce, 2, 3, 6, 7);
    sum *= scale;
#pragma clang loop unroll(full)
    for (int j = 0; j < MK_SCORE_ROWS; j++) y[i * y_row + j * y_key] = sum[j];
  }
}

// Scores of key j and of those `part` and multiples of it further on, of one head.
MK_INLINE void mk_few_scores_of(const mk_few_rows *r, mk_int h, mk_int j, mk_int part) {
  mk_int ldk = part * r->row, ldq = r->x_query, ldy = r->y_query, d = r->depth, n = r->queries;
  const float *k = r->p + h * r->head + j * r->row, *q = r->x + h * r->x_head;
  float *y = r->y + h * r->y_head + j;
#define MK_DOTS(count, fetches, i) \
  mk_few_dots(count, fetches, d, q + (i) * ldq, ldq, k, ldk, r->scale, y + (i) * ldy, ldy, part)
  // Two and two rather than three and one: what is summed side by side has to hide the latency of additions.
  switch (n) {
    case 1: MK_DOTS(1, 1, 0); return;
    case 2: MK_DOTS(2, 1, 0); return;
    case 4: MK_DOTS(2, 1, 0); MK_DOTS(2, 0, 2); return;
    default: break;
  }
  MK_DOTS(3, 1, 0);
  mk_int i = 3;
  for (; i + 3 <= n; i += 3) MK_DOTS(3, 0, i);
  if (n - i == 2) MK_DOTS(2, 0, i);
  if (n - i == 1) MK_DOTS(1, 0, i);
#undef MK_DOTS
}

static void mk_few_scores(const mk_few_rows *r) {
  mk_int part = r->rows / MK_SCORE_ROWS, j = 0, ldq = r->x_query, ldy = r->y_query;
  for (; j < part; j++) {
    for (mk_int h = 0; h < r->heads; h++) mk_few_scores_of(r, h, j, part);
  }
  j = part * MK_SCORE_ROWS;
  for (; j < r->rows; j++) {
    for (mk_int h = 0; h < r->heads; h++) {
      const float *k = r->p + h * r->head + j * r->row;
      for (mk_int i = 0; i < r->queries; i++) {
        const float *q = r->x + h * r->x_head + i * ldq;
        vf s = 0;
        mk_int p = 0;
        for (; p + MK_WIDTH <= r->depth; p += MK_WIDTH) s += vf_load(q + p) * vf_load(k + p);
        if (p < r->depth) s += vf_load_part(q + p, r->depth - p) * vf_load_part(k + p, r->depth - p);
        r->y[h * r->y_head + i * ldy + j] = vf_sum(s) * r->scale;
      }
    }
  }
}

// y = or += sum_j w[j] v[j] over `rows` rows, `vectors` vectors of one or two queries at a time.
MK_INLINE void mk_few_columns(
  const int queries, const int vectors, const int fetches, mk_int rows, const float *w, mk_int w_query, mk_int w_row,
  const float *v, mk_int v_row, int32_t adds, float *y, mk_int y_query) {
  vf acc[2][8];
#pragma clang loop unroll(full)
  for (int q = 0; q < queries; q++)
#pragma clang loop unroll(full)
    for (int i = 0; i < vectors; i++) acc[q][i] = adds ? vf_load(y + q * y_query + i * MK_WIDTH) : (vf)0;
  for (mk_int j = 0; j < rows; j++) {
    vf weights[2] = {(vf)w[j * w_row], (vf)w[(queries - 1) * w_query + j * w_row]};
#pragma clang loop unroll(full)
    for (int i = 0; i < vectors; i++) {
      const float *p = v + j * v_row + i * MK_WIDTH;
      if (fetches && i * MK_WIDTH % MK_PANEL == 0) __builtin_prefetch(p + MK_FEW_AHEAD);
      vf value = vf_load(p);
#pragma clang loop unroll(full)
      for (int q = 0; q < queries; q++) acc[q][i] += weights[q] * value;
    }
  }
#pragma clang loop unroll(full)
  for (int q = 0; q < queries; q++)
#pragma clang loop unroll(full)
    for (int i = 0; i < vectors; i++) vf_store(y + q * y_query + i * MK_WIDTH, acc[q][i]);
}

// Values j and those `step` and multiples of it further on, `rows` in all, of one head and of queries i and, with two of
// them, i + 1.
MK_INLINE void mk_few_sums_of(
  const int queries, const int fetches, const mk_few_rows *r, mk_int h, mk_int i, mk_int j, mk_int rows, mk_int step,
  int32_t adds) {
  mk_int d = r->depth, ldv = step * r->row, ldw = r->x_query, ldy = r->y_query, c = 0;
  const float *v = r->p + h * r->head + j * r->row, *w = r->x + h * r->x_head + i * ldw + j;
  float *y = r->y + h * r->y_head + i * ldy;
#define MK_COLUMNS(vectors)                                        \
  for (; c + (vectors) * MK_WIDTH <= d; c += (vectors) * MK_WIDTH) \
    mk_few_columns(queries, vectors, fetches, rows, w, ldw, step, v + c, ldv, adds, y + c, ldy);
  if (queries == 1) MK_COLUMNS(8)
  MK_COLUMNS(4)
  MK_COLUMNS(1)
#undef MK_COLUMNS
  for (int q = 0; c < d && q < queries; q++) {
    vf acc = adds ? vf_load_part(y + q * ldy + c, d - c) : (vf)0;
    for (mk_int n = 0; n < rows; n++) acc += w[q * ldw + n * step] * vf_load_part(v + n * ldv + c, d - c);
    vf_store_part(y + q * ldy + c, d - c, acc);
  }
}

static void mk_few_sums(const mk_few_rows *r) {
  mk_int part = r->rows / MK_SUM_ROWS;
  // First what the places have in common, then what is left of the rows; at least once: without rows the sums are zero.
  for (mk_int t = 0; t <= part; t++) {
    int32_t whole = t < part;
    mk_int j = whole ? t : part * MK_SUM_ROWS, rows = whole ? MK_SUM_ROWS : r->rows - j, step = whole ? part : 1;
    if (rows == 0 && t > 0) break;
    for (mk_int h = 0; h < r->heads; h++) {
      mk_int i = 0;
      if (r->queries == 1) {
        mk_few_sums_of(1, 1, r, h, i++, j, rows, step, t > 0);
      } else {
        mk_few_sums_of(2, 1, r, h, i, j, rows, step, t > 0);
        for (i = 2; i + 2 <= r->queries; i += 2) mk_few_sums_of(2, 0, r, h, i, j, rows, step, t > 0);
      }
      if (i < r->queries) mk_few_sums_of(1, 0, r, h, i, j, rows, step, t > 0);
    }
  }
}

// Lanes 0..<n of v; the others are `rest`.
MK_INLINE vf mk_first_lanes(vf v, mk_int n, float rest) {
  vi lanes;
  for (int j = 0; j < MK_WIDTH; j++) lanes[j] = j;
  return vf_select(lanes < (int32_t)n, v, (vf)rest);
}

// The largest of scores and their biases, which are added to them.
MK_INLINE float mk_few_top(const int count, mk_int n, float *x, const float *const biases[2]) {
  vf top = -__builtin_inff();
  mk_int i = 0;
  for (; i + MK_WIDTH <= n; i += MK_WIDTH) {
    vf v = vf_load(x + i);
#pragma clang loop unroll(full)
    for (int b = 0; b < count; b++) v += vf_load(biases[b] + i);
    if (count > 0) vf_store(x + i, v);
    top = vf_max(v, top); // it stays when a score is NaN
  }
  if (i < n) {
    vf v = vf_load_part(x + i, n - i);
#pragma clang loop unroll(full)
    for (int b = 0; b < count; b++) v += vf_load_part(biases[b] + i, n - i);
    if (count > 0) vf_store_part(x + i, n - i, v);
    top = vf_max(mk_first_lanes(v, n - i, -__builtin_inff()), top);
  }
  return __builtin_reduce_max(top);
}

// Scores to weights, exp(score + biases - top), whose sum it returns; all zero where every score is -inf.
static float mk_softmax_weights(mk_int n, float *x, int32_t count, const float *const biases[2], float *top) {
  *top = count == 0 ? mk_few_top(0, n, x, biases) : count == 1 ? mk_few_top(1, n, x, biases) : mk_few_top(2, n, x, biases);
  if (*top == -__builtin_inff()) {
    // Nothing but -inf, or NaN: NaN must not vanish.
    double sum = mk_sum_row(n, x, 0);
    if (sum == sum) {
      __builtin_memset(x, 0, (size_t)n * sizeof(float));
      return 0;
    }
  }
  double total = 0;
  for (mk_int start = 0; start < n; start += MK_SUM_BLOCK) {
    mk_int m = mk_min(n - start, MK_SUM_BLOCK), i = 0;
    float *s = x + start;
    vf sum = 0;
    for (; i + MK_WIDTH <= m; i += MK_WIDTH) {
      vf e = vf_exp_score(vf_load(s + i) - *top);
      vf_store(s + i, e);
      sum += e;
    }
    if (i < m) {
      vf e = vf_exp_score(vf_load_part(s + i, m - i) - *top);
      vf_store_part(s + i, m - i, e);
      sum += mk_first_lanes(e, m - i, 0);
    }
    total += (double)vf_sum(sum);
  }
  return (float)total;
}
