// Few rows of x times pairs of rows of w, both as they lie. Included once per instruction set.

enum {
  MK_PRODUCT_ROWS = 6,    // rows of x whose sums stay in registers
  MK_PRODUCT_AHEAD = 512, // floats, of w
};

MK_INLINE void mk_row_pair(
  const int m, mk_int k, const float *x, mk_int ldx, const float *w0, const float *w1, float *y0, float *y1, mk_int ldy) {
  vf s0[MK_PRODUCT_ROWS], s1[MK_PRODUCT_ROWS];
#pragma clang loop unroll(full)
  for (int i = 0; i < m; i++) s0[i] = s1[i] = 0;
  mk_int p = 0;
  for (; p + MK_WIDTH <= k; p += MK_WIDTH) {
    // The processor's own prefetching ends with a page.
    __builtin_prefetch(w0 + MK_PRODUCT_AHEAD + p);
    __builtin_prefetch(w1 + MK_PRODUCT_AHEAD + p);
    vf u = vf_load(w0 + p), v = vf_load(w1 + p);
#pragma clang loop unroll(full)
    for (int i = 0; i < m; i++) {
      vf a = vf_load(x + i * ldx + p);
      s0[i] += a * u;
      s1[i] += a * v;
    }
  }
  if (p < k) {
    vf u = vf_load_part(w0 + p, k - p), v = vf_load_part(w1 + p, k - p);
#pragma clang loop unroll(full)
    for (int i = 0; i < m; i++) {
      vf a = vf_load_part(x + i * ldx + p, k - p);
      s0[i] += a * u;
      s1[i] += a * v;
    }
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < m; i++) {
    y0[i * ldy] = vf_sum(s0[i]);
    y1[i * ldy] = vf_sum(s1[i]);
  }
}

// y[i * ldy + j] = x[i] . w[j] for i < m <= MK_PRODUCT_ROWS and j < rows. Pairs are a row of the first half and one of the
// second: memory gives more when it is read at two places. An odd last row stands in for its partner.
#define MK_ROW_PAIRS(m)                                                                              \
  for (mk_int j = 0; j < rows - rows / 2; j++) {                                                     \
    mk_int other = j < rows / 2 ? rows - rows / 2 : 0;                                               \
    float *target = y + j;                                                                           \
    mk_row_pair(m, k, x, ldx, w + j * ldw, w + (j + other) * ldw, target, target + other, ldy);      \
  }                                                                                                  \
  break;

static void mk_product_rows(
  mk_int m, mk_int k, const float *x, mk_int ldx, mk_int rows, const float *w, mk_int ldw, float *y, mk_int ldy) {
  switch (m) {
    case 1: MK_ROW_PAIRS(1)
    case 2: MK_ROW_PAIRS(2)
    case 3: MK_ROW_PAIRS(3)
    case 4: MK_ROW_PAIRS(4)
    case 5: MK_ROW_PAIRS(5)
    case 6: MK_ROW_PAIRS(6)
    default: break;
  }
}
