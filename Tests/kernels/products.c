// Products: packed weights (mk_linear) and two activations (mk_gemm_batched).
#include "check.h"

typedef struct {
  mk_int m, k, n;
  int transposed, bias, residual; // residual: 0 none, 1 of its own, 2 what is in y
  mk_activation activation;
  mk_pool *pool;
  uint64_t seed;
} linear_case;

static void one_linear(linear_case c) {
  check_random r = check_seed(c.seed);
  mk_int ldx = c.k + check_int(&r, 0, 5), ldy = c.n + check_int(&r, 0, 5);
  mk_int ldw = (c.transposed ? c.k : c.n) + check_int(&r, 0, 3);
  // The last row ends with its last element.
  mk_int w_count = ((c.transposed ? c.n : c.k) - 1) * ldw + (c.transposed ? c.k : c.n);
  float *x = check_randoms(&r, (c.m - 1) * ldx + c.k, -1, 1), *w = check_randoms(&r, w_count, -1, 1);
  float *bias = c.bias ? check_randoms(&r, c.n, -1, 1) : NULL;
  mk_int y_count = (c.m - 1) * ldy + c.n;
  float *y = check_randoms(&r, y_count, -1, 1), *before = check_copy(y, y_count);
  float *residual = c.residual == 1 ? check_randoms(&r, y_count, -1, 1) : c.residual == 2 ? y : NULL;
  void *packed = check_bytes(mk_linear_packed_bytes(MK_WEIGHTS_F32, c.k, c.n));
  void *scratch = check_bytes(mk_linear_scratch(c.pool, MK_WEIGHTS_F32, c.m, c.k, c.n));
  mk_linear_pack(c.pool, MK_WEIGHTS_F32, w, ldw, c.transposed, c.k, c.n, packed);
  mk_linear(
    c.pool, MK_WEIGHTS_F32, c.m, c.k, c.n, x, ldx, packed, bias, c.activation, residual, ldy, y, ldy, scratch);
  double worst = 0;
  for (mk_int i = 0; i < c.m; i++) {
    for (mk_int j = 0; j < c.n; j++) {
      double sum = bias ? bias[j] : 0, magnitude = fabs(sum);
      if (c.residual) {
        double add = (c.residual == 1 ? residual : before)[i * ldy + j];
        sum += add, magnitude += fabs(add);
      }
      for (mk_int p = 0; p < c.k; p++) {
        double product = (double)x[i * ldx + p] * (double)(c.transposed ? w[j * ldw + p] : w[p * ldw + j]);
        sum += product, magnitude += fabs(product);
      }
      double bound = 1.13 * check_product_bound(c.k, magnitude);
      if (c.activation != MK_ACT_NONE) bound += 5e-7 * fmax(1, magnitude);
      worst = check_error(worst, y[i * ldy + j], check_activated(c.activation, sum), bound);
    }
    for (mk_int j = c.n; j < ldy && i < c.m - 1; j++) {
      if (y[i * ldy + j] != before[i * ldy + j]) worst = INFINITY;
    }
  }
  check_case(
    worst, "linear %td x %td x %td transposed %d activation %d residual %d", c.m, c.k, c.n, c.transposed, c.activation,
    c.residual);
}

void check_linear(void) {
  check_random r = check_seed(7);
  for (mk_int m = 1; m <= 70; m++) {
    one_linear((linear_case){
      m, check_int(&r, 1, 70), check_int(&r, 1, 70), m % 2 == 0, m % 3 != 0, (int)(m % 5 % 3), check_activations[m % 7],
      m % 4 == 0 ? check_pool : NULL, (uint64_t)m});
  }
  static const mk_int edges[] = {1, 2, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65};
  for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
    one_linear((linear_case){check_int(&r, 1, 14), edges[i], check_int(&r, 1, 70), i % 2, 1, 0, MK_ACT_NONE, NULL, 100 + i});
    one_linear((linear_case){check_int(&r, 1, 14), check_int(&r, 1, 70), edges[i], i % 2, 0, 1, MK_ACT_GELU_ERF, NULL, 200 + i});
  }
  // Blocks of rows and of depth; slabs of many rows and of long ones; rows by themselves over wide weights; threads.
  one_linear((linear_case){1153, 35, 20, 0, 1, 2, MK_ACT_GELU_ERF, check_pool, 7});
  one_linear((linear_case){40, 60001, 5, 1, 1, 1, MK_ACT_NONE, NULL, 8});
  one_linear((linear_case){13, 801, 35, 0, 1, 2, MK_ACT_NONE, NULL, 1});
  one_linear((linear_case){203, 405, 19, 1, 1, 2, MK_ACT_SILU, NULL, 2});
  one_linear((linear_case){197, 33, 67, 0, 1, 1, MK_ACT_RELU, check_pool, 3});
  one_linear((linear_case){1, 777, 333, 1, 1, 0, MK_ACT_NONE, check_pool, 4});
  one_linear((linear_case){5, 513, 131, 0, 0, 2, MK_ACT_TANH, check_pool, 5});
  one_linear((linear_case){1, 64, 259, 0, 1, 1, MK_ACT_SIGMOID, NULL, 6});
  // A single row that reads four runs of panels, and what is left of them.
  one_linear((linear_case){1, 300, 1003, 0, 1, 1, MK_ACT_GELU_ERF, NULL, 9});
  one_linear((linear_case){1, 301, 1029, 1, 1, 2, MK_ACT_NONE, check_pool, 10});
  one_linear((linear_case){1, 302, 1040, 0, 0, 0, MK_ACT_RELU, check_pool, 11});
}

static void one_gemm(check_random *r, int round) {
  int big = round % 10 == 9, trans_a = round & 1, trans_b = round >> 1 & 1, by_offset = round % 3 == 0;
  mk_int m = check_int(r, 1, big ? 110 : 40), n = check_int(r, 1, big ? 280 : 40), k = check_int(r, 1, big ? 280 : 40);
  mk_int batch = big ? 1 : check_int(r, 1, 4);
  mk_int lda = (trans_a ? m : k) + check_int(r, 0, 3), ldb = (trans_b ? k : n) + check_int(r, 0, 3);
  mk_int ldc = n + check_int(r, 0, 3), size_a = (trans_a ? k : m) * lda, size_b = (trans_b ? n : k) * ldb;
  float alpha = round % 4 == 0 ? 1 : 0.37f;
  float *a = check_randoms(r, batch * size_a, -1, 1), *b = check_randoms(r, batch * size_b, -1, 1);
  float *c = check_floats(batch * m * ldc);
  mk_int offsets[4];
  for (mk_int z = 0; z < batch; z++) offsets[z] = (batch - 1 - z) * size_a;
  mk_gemm_args g = {
    .batch = batch, .m = m, .n = n, .k = k, .alpha = alpha, .a = a, .lda = lda, .stride_a = size_a,
    .offsets_a = by_offset ? offsets : NULL, .trans_a = trans_a, .b = b, .ldb = ldb, .stride_b = size_b,
    .trans_b = trans_b, .c = c, .ldc = ldc, .stride_c = m * ldc};
  mk_pool *pool = round % 2 ? check_pool : NULL;
  mk_gemm_batched(pool, &g, check_bytes(mk_gemm_batched_scratch(pool, &g)));
  double worst = 0;
  for (mk_int z = 0; z < batch; z++) {
    const float *az = a + (by_offset ? offsets[z] : z * size_a), *bz = b + z * size_b, *cz = c + z * m * ldc;
    for (mk_int i = 0; i < m; i++) {
      for (mk_int j = 0; j < n; j++) {
        double sum = 0, magnitude = 0;
        for (mk_int p = 0; p < k; p++) {
          double product = (double)az[trans_a ? p * lda + i : i * lda + p] * (double)bz[trans_b ? j * ldb + p : p * ldb + j];
          sum += product, magnitude += fabs(product);
        }
        worst = check_error(worst, cz[i * ldc + j], (double)alpha * sum, check_product_bound(k, magnitude));
      }
      for (mk_int j = n; j < ldc; j++) {
        if (!isnan(cz[i * ldc + j])) worst = INFINITY;
      }
    }
  }
  check_case(worst, "gemm %td of %td x %td x %td transposed %d %d", batch, m, k, n, trans_a, trans_b);
}

void check_gemm(void) {
  check_random r = check_seed(70);
  for (int round = 0; round < 60; round++) one_gemm(&r, round);
}
