// The transforms of Winograd's F(n x n, 3 x 3), one tile per lane; n, the side of a tile of outputs, is 2 or 4 and a
// constant at each use. Y = A^T ((G g G^T) * (B^T d B)) A for a patch d of n + 2 by n + 2 inputs and nine taps g.
// Source: Lavin and Gray, CVPR 2016.

#if MK_WIDTH == 16
#define MK_EVEN 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define MK_ODD 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#define MK_LOW 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define MK_HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif MK_WIDTH == 8
#define MK_EVEN 0, 2, 4, 6, 8, 10, 12, 14
#define MK_ODD 1, 3, 5, 7, 9, 11, 13, 15
#define MK_LOW 0, 8, 1, 9, 2, 10, 3, 11
#define MK_HIGH 4, 12, 5, 13, 6, 14, 7, 15
#else
#define MK_EVEN 0, 2, 4, 6
#define MK_ODD 1, 3, 5, 7
#define MK_LOW 0, 4, 1, 5
#define MK_HIGH 2, 6, 3, 7
#endif

// Side 2 evaluates polynomials at 0, 1, -1 and infinity, side 4 at 0, P, -P, Q, -Q and infinity. With these P and Q the
// errors are less than half of those with the usual 1 and 2, and all factors in A and B are exact.
#define MK_P 0.625f
#define MK_Q 1.5f
#define MK_P2 (MK_P * MK_P)
#define MK_Q2 (MK_Q * MK_Q)
// Of G: 1 over the product of a point's differences from the others.
#define MK_AT_P (1 / (2 * MK_P2 * (MK_P2 - MK_Q2)))
#define MK_AT_Q (1 / (2 * MK_Q2 * (MK_Q2 - MK_P2)))

// G, row by row.
static const float mk_winograd_g2[4][3] = {{1, 0, 0}, {0.5f, 0.5f, 0.5f}, {0.5f, -0.5f, 0.5f}, {0, 0, 1}};
static const float mk_winograd_g4[6][3] = {
  {1 / (MK_P2 * MK_Q2), 0, 0},
  {MK_AT_P, MK_P * MK_AT_P, MK_P2 * MK_AT_P},
  {MK_AT_P, -MK_P * MK_AT_P, MK_P2 * MK_AT_P},
  {MK_AT_Q, MK_Q * MK_AT_Q, MK_Q2 * MK_AT_Q},
  {MK_AT_Q, -MK_Q * MK_AT_Q, MK_Q2 * MK_AT_Q},
  {0, 0, 1},
};

// u = G g of one row.
MK_INLINE void mk_winograd_weight_line(const int side, const vf g[3], vf u[6]) {
  const float(*matrix)[3] = side == 2 ? mk_winograd_g2 : mk_winograd_g4;
  u[0] = g[0] * matrix[0][0];
#pragma clang loop unroll(full)
  for (int p = 1; p < side + 1; p += 2) {
    vf even = g[0] * matrix[p][0] + g[2] * matrix[p][2];
    u[p] = even + g[1] * matrix[p][1];
    u[p + 1] = even - g[1] * matrix[p][1];
  }
  u[side + 1] = g[2];
}

// Two rows of positions u, from `row` on, of `groups` groups of 16 pairs of channels.
MK_INLINE void mk_winograd_weights(
  const int side, int row, mk_int groups, const float *g, float *u, mk_int position) {
  const float(*factors)[3] = side == 2 ? mk_winograd_g2 + row : mk_winograd_g4 + row;
  for (mk_int group = 0; group < groups; group++, g += 9 * MK_PANEL, u += MK_PANEL) {
#pragma clang loop unroll(full)
    for (int i = 0; i < MK_PANEL; i += MK_WIDTH) {
      vf taps[9];
#pragma clang loop unroll(full)
      for (int t = 0; t < 9; t++) taps[t] = vf_load(g + t * MK_PANEL + i);
#pragma clang loop unroll(full)
      for (int r = 0; r < 2; r++) {
        vf columns[3], line[6];
#pragma clang loop unroll(full)
        for (int c = 0; c < 3; c++) {
          columns[c] = taps[c] * factors[r][0] + taps[3 + c] * factors[r][1] + taps[6 + c] * factors[r][2];
        }
        mk_winograd_weight_line(side, columns, line);
#pragma clang loop unroll(full)
        for (int c = 0; c < side + 2; c++) vf_store(u + (r * (side + 2) + c) * position + i, line[c]);
      }
    }
  }
}

// v = B^T d of one row or column.
MK_INLINE void mk_winograd_input_line(const int side, const vf d[6], vf v[6]) {
  if (side == 2) {
    v[0] = d[0] - d[2];
    v[1] = d[1] + d[2];
    v[2] = d[2] - d[1];
    v[3] = d[1] - d[3];
    return;
  }
  vf even = d[4] - d[2] * MK_Q2, odd = d[3] - d[1] * MK_Q2;
  v[1] = even + odd * MK_P;
  v[2] = even - odd * MK_P;
  even = d[4] - d[2] * MK_P2, odd = d[3] - d[1] * MK_P2;
  v[3] = even + odd * MK_Q;
  v[4] = even - odd * MK_Q;
  v[0] = d[0] * (MK_P2 * MK_Q2) + (d[4] - d[2] * (MK_P2 + MK_Q2));
  v[5] = d[1] * (MK_P2 * MK_Q2) + (d[5] - d[3] * (MK_P2 + MK_Q2));
}

// y = A^T m of one row or column.
MK_INLINE void mk_winograd_output_line(const int side, const vf m[6], vf y[4]) {
  vf even = m[1] + m[2], odd = m[1] - m[2];
  if (side == 2) {
    y[0] = m[0] + even;
    y[1] = odd - m[3];
    return;
  }
  vf even_q = m[3] + m[4], odd_q = m[3] - m[4];
  y[0] = m[0] + (even + even_q);
  y[1] = odd * MK_P + odd_q * MK_Q;
  y[2] = even * MK_P2 + even_q * MK_Q2;
  y[3] = odd * (MK_P2 * MK_P) + (odd_q * (MK_Q2 * MK_Q) + m[5]);
}

MK_INLINE void mk_winograd_input_rows(
  const int side, mk_int n, const float *const x[], mk_int ahead, float *out, mk_int row) {
  for (mk_int i = 0; i < n; i += MK_WIDTH) {
    vf d[6], v[6];
    if (i + MK_WIDTH <= n) {
#pragma clang loop unroll(full)
      for (int r = 0; r < side + 2; r++) d[r] = vf_load(x[r] + i);
    } else {
#pragma clang loop unroll(full)
      for (int r = 0; r < side + 2; r++) d[r] = vf_load_part(x[r] + i, n - i);
    }
    mk_winograd_input_line(side, d, v);
#pragma clang loop unroll(full)
    for (int r = 0; r < side + 2; r++) {
      vf_store(out + r * row + i, v[r]);
      __builtin_prefetch(x[r] + i + ahead, 0, 3);
    }
  }
}

// Every `side`-th element from p, p + 1, ... on.
MK_INLINE void mk_winograd_split(const int side, const float *p, vf x[4]) {
  vf a = vf_load(p), b = vf_load(p + MK_WIDTH);
  vf even = __builtin_shufflevector(a, b, MK_EVEN), odd = __builtin_shufflevector(a, b, MK_ODD);
  if (side == 2) {
    x[0] = even;
    x[1] = odd;
    return;
  }
  vf c = vf_load(p + 2 * MK_WIDTH), d = vf_load(p + 3 * MK_WIDTH);
  vf next_even = __builtin_shufflevector(c, d, MK_EVEN), next_odd = __builtin_shufflevector(c, d, MK_ODD);
  x[0] = __builtin_shufflevector(even, next_even, MK_EVEN);
  x[1] = __builtin_shufflevector(odd, next_odd, MK_EVEN);
  x[2] = __builtin_shufflevector(even, next_even, MK_ODD);
  x[3] = __builtin_shufflevector(odd, next_odd, MK_ODD);
}

MK_INLINE void mk_winograd_input_columns(
  const int side, mk_int tiles, const float *x, mk_int row, float *out, mk_int position) {
  for (mk_int i = 0; i < tiles; i += MK_WIDTH) {
    for (int r = 0; r < side + 2; r++) {
      vf d[8], v[6];
      mk_winograd_split(side, x + r * row + side * i, d);
      mk_winograd_split(side, x + r * row + side * i + side, d + side);
      mk_winograd_input_line(side, d, v);
#pragma clang loop unroll(full)
      for (int c = 0; c < side + 2; c++) vf_store(out + (r * (side + 2) + c) * position + i, v[c]);
    }
  }
}

MK_INLINE void mk_winograd_output(
  const int side, mk_int tiles, const float *m, mk_int position, float bias, int32_t relu, float *out, mk_int row) {
  for (mk_int i = 0; i < tiles; i += MK_WIDTH) {
    vf rows[4][6], y[4];
#pragma clang loop unroll(full)
    for (int c = 0; c < side + 2; c++) {
      vf column[6];
#pragma clang loop unroll(full)
      for (int r = 0; r < side + 2; r++) column[r] = vf_load(m + (r * (side + 2) + c) * position + i);
      mk_winograd_output_line(side, column, y);
#pragma clang loop unroll(full)
      for (int r = 0; r < side; r++) rows[r][c] = y[r];
    }
#pragma clang loop unroll(full)
    for (int r = 0; r < side; r++) {
      mk_winograd_output_line(side, rows[r], y);
#pragma clang loop unroll(full)
      for (int c = 0; c < side; c++) {
        y[c] += bias;
        if (relu) y[c] = vf_relu(y[c]);
      }
      // Tiles side by side again.
      float *to = out + r * row + side * i;
      if (side == 4) {
        vf even[2] = {__builtin_shufflevector(y[0], y[2], MK_LOW), __builtin_shufflevector(y[0], y[2], MK_HIGH)};
        vf odd[2] = {__builtin_shufflevector(y[1], y[3], MK_LOW), __builtin_shufflevector(y[1], y[3], MK_HIGH)};
        vf_store(to + 2 * MK_WIDTH, __builtin_shufflevector(even[1], odd[1], MK_LOW));
        vf_store(to + 3 * MK_WIDTH, __builtin_shufflevector(even[1], odd[1], MK_HIGH));
        y[0] = even[0];
        y[1] = odd[0];
      }
      vf_store(to, __builtin_shufflevector(y[0], y[1], MK_LOW));
      vf_store(to + MK_WIDTH, __builtin_shufflevector(y[0], y[1], MK_HIGH));
    }
  }
}

#define MK_WINOGRAD_FUNCTIONS(side)                                                                                    \
  static void mk_winograd_weights_##side(int row, mk_int groups, const float *g, float *u, mk_int position) {          \
    mk_winograd_weights(side, row, groups, g, u, position);                                                            \
  }                                                                                                                    \
  static void mk_winograd_input_rows_##side(mk_int n, const float *const x[], mk_int ahead, float *out, mk_int row) {  \
    mk_winograd_input_rows(side, n, x, ahead, out, row);                                                               \
  }                                                                                                                    \
  static void mk_winograd_input_columns_##side(                                                                        \
    mk_int tiles, const float *x, mk_int row, float *out, mk_int position) {                                           \
    mk_winograd_input_columns(side, tiles, x, row, out, position);                                                     \
  }                                                                                                                    \
  static void mk_winograd_output_##side(                                                                               \
    mk_int tiles, const float *m, mk_int position, float bias, int32_t relu, float *out, mk_int row) {                 \
    mk_winograd_output(side, tiles, m, position, bias, relu, out, row);                                                \
  }
MK_WINOGRAD_FUNCTIONS(2)
MK_WINOGRAD_FUNCTIONS(4)

#define MK_WINOGRAD(side)                                                                                \
  {                                                                                                      \
    side, mk_winograd_weights_##side, mk_winograd_input_rows_##side, mk_winograd_input_columns_##side, \
      mk_winograd_output_##side                                                                          \
  }
