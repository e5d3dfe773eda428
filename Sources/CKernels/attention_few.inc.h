// Few queries with rows of keys or values: each row is read from memory once, for all queries, while those that follow
// are on their way.

enum {
  MK_SCORE_ROWS = 4, // keys whose scores are summed at once
  MK_SUM_ROWS = 8,   // values that are added up before the sum goes back to memory
};

// Scores of four keys and one or two queries; the first of them fetch the keys `ahead` floats further on.
MK_INLINE void mk_few_dots(
  const int queries, const int fetches, mk_int d, const float *q, mk_int q_row, const float *k, mk_int k_row,
  mk_int ahead, float scale, float *y, mk_int y_row) {
  vf s[2][MK_SCORE_ROWS];
#pragma clang loop unroll(full)
  for (int i = 0; i < queries; i++) s[i][0] = s[i][1] = s[i][2] = s[i][3] = 0;
  mk_int p = 0;
  for (; p + MK_WIDTH <= d; p += MK_WIDTH) {
    vf u[2] = {vf_load(q + p), vf_load(q + (queries - 1) * q_row + p)};
#pragma clang loop unroll(full)
    for (int j = 0; j < MK_SCORE_ROWS; j++) {
      vf key = vf_load(k + j * k_row + p);
      if (fetches) __builtin_prefetch(k + j * k_row + p + ahead);
#pragma clang loop unroll(full)
      for (int i = 0; i < queries; i++) s[i][j] += u[i] * key;
    }
  }
  if (p < d) {
    vf u[2] = {vf_load_part(q + p, d - p), vf_load_part(q + (queries - 1) * q_row + p, d - p)};
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
    __builtin_memcpy(y + i * y_row, &sum, sizeof sum);
  }
}

static void mk_few_scores(const mk_few_rows *r) {
  mk_int j = 0, ldq = r->x_query, ldy = r->y_query;
  for (; j + MK_SCORE_ROWS <= r->rows; j += MK_SCORE_ROWS) {
    mk_int ahead = j + 2 * MK_SCORE_ROWS <= r->rows ? MK_SCORE_ROWS * r->row : 0; // what follows is another task's
    for (mk_int h = 0; h < r->heads; h++) {
      const float *k = r->p + h * r->head + j * r->row, *q = r->x + h * r->x_head;
      float *y = r->y + h * r->y_head + j;
      if (r->queries == 1) {
        mk_few_dots(1, 1, r->depth, q, 0, k, r->row, ahead, r->scale, y, 0);
        continue;
      }
      mk_few_dots(2, 1, r->depth, q, ldq, k, r->row, ahead, r->scale, y, ldy);
      mk_int i = 2;
      for (; i + 2 <= r->queries; i += 2) {
        mk_few_dots(2, 0, r->depth, q + i * ldq, ldq, k, r->row, 0, r->scale, y + i * ldy, ldy);
      }
      if (i < r->queries) mk_few_dots(1, 0, r->depth, q + i * ldq, 0, k, r->row, 0, r->scale, y + i * ldy, 0);
    }
  }
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

// y = or += sum_j w[j] v[j] over `rows` rows, `vectors` vectors at a time.
MK_INLINE void mk_few_columns(
  const int vectors, mk_int rows, const float *w, const float *v, mk_int v_row, mk_int ahead, int32_t adds, float *y) {
  vf acc[8];
#pragma clang loop unroll(full)
  for (int i = 0; i < vectors; i++) acc[i] = adds ? vf_load(y + i * MK_WIDTH) : (vf)0;
  for (mk_int j = 0; j < rows; j++) {
    vf weight = w[j];
#pragma clang loop unroll(full)
    for (int i = 0; i < vectors; i++) {
      const float *p = v + j * v_row + i * MK_WIDTH;
      if (i * MK_WIDTH % MK_PANEL == 0) __builtin_prefetch(p + ahead);
      acc[i] += weight * vf_load(p);
    }
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < vectors; i++) vf_store(y + i * MK_WIDTH, acc[i]);
}

static void mk_few_sums(const mk_few_rows *r) {
  // At least once: without rows the sums are zero.
  for (mk_int j = 0; j == 0 || j < r->rows; j += MK_SUM_ROWS) {
    mk_int rows = mk_min(r->rows - j, MK_SUM_ROWS), d = r->depth, ldv = r->row;
    mk_int ahead = j + 2 * MK_SUM_ROWS <= r->rows ? MK_SUM_ROWS * ldv : 0;
    for (mk_int h = 0; h < r->heads; h++) {
      const float *v = r->p + h * r->head + j * ldv;
      for (mk_int i = 0; i < r->queries; i++) {
        const float *w = r->x + h * r->x_head + i * r->x_query + j;
        float *y = r->y + h * r->y_head + i * r->y_query;
        mk_int c = 0;
        for (; c + 8 * MK_WIDTH <= d; c += 8 * MK_WIDTH) mk_few_columns(8, rows, w, v + c, ldv, ahead, j > 0, y + c);
        for (; c + 4 * MK_WIDTH <= d; c += 4 * MK_WIDTH) mk_few_columns(4, rows, w, v + c, ldv, ahead, j > 0, y + c);
        for (; c + MK_WIDTH <= d; c += MK_WIDTH) mk_few_columns(1, rows, w, v + c, ldv, ahead, j > 0, y + c);
        if (c < d) {
          vf acc = j > 0 ? vf_load_part(y + c, d - c) : (vf)0;
          for (mk_int n = 0; n < rows; n++) acc += w[n] * vf_load_part(v + n * ldv + c, d - c);
          vf_store_part(y + c, d - c, acc);
        }
      }
    }
  }
}
