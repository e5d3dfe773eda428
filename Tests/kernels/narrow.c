// Products with weights packed as bf16 and int8: against the arithmetic on what is packed, in double precision.
#include "check.h"

typedef struct {
  mk_weights type;
  mk_int m, k, n;
  mk_pool *pool;
  uint64_t seed;
} narrow_case;

// What is packed of one weight; scales: of the columns, int8 only.
static double stored(mk_weights type, float value, float scale) {
  if (type == MK_WEIGHTS_INT8) {
    if (scale == 0) return 0;
    float scaled = value * (1 / scale);
    return (double)scale * fmin(fmax(rintf(scaled), -127), 127);
  }
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  bits = (bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000;
  memcpy(&value, &bits, sizeof value);
  return value;
}

// A row of x as 8 bits hold it.
static void quantise(mk_int k, const float *x, double *out) {
  float low = 0, high = 0;
  for (mk_int p = 0; p < k; p++) {
    low = fminf(low, x[p]);
    high = fmaxf(high, x[p]);
  }
  float above = high / 255, below = low / 255;
  float scale = above - below, inverse = 1 / scale, zero = rintf(-low * inverse);
  for (mk_int p = 0; p < k; p++) {
    float scaled = x[p] * inverse;
    out[p] = scale == 0 ? 0 : (double)scale * fmin(fmax(rintf(scaled), -zero), 255 - zero);
  }
}

static void one_narrow(narrow_case c) {
  check_random r = check_seed(c.seed * 2 + (uint64_t)c.type);
  int transposed = (int)check_int(&r, 0, 1), kind = (int)check_int(&r, 0, 2); // of the residual
  mk_activation activation = check_activations[check_int(&r, 0, 6)];
  mk_int ldx = c.k + check_int(&r, 0, 5), ldy = c.n + check_int(&r, 0, 5), ldw = (transposed ? c.k : c.n) + check_int(&r, 0, 3);
  mk_int w_count = ((transposed ? c.n : c.k) - 1) * ldw + (transposed ? c.k : c.n), y_count = (c.m - 1) * ldy + c.n;
  float *x = check_randoms(&r, (c.m - 1) * ldx + c.k, -1, 2), *w = check_randoms(&r, w_count, -1, 1);
  float *bias = check_int(&r, 0, 2) ? check_randoms(&r, c.n, -1, 1) : NULL, *errors = check_floats(c.n);
  float *y = check_randoms(&r, y_count, -1, 1), *before = check_copy(y, y_count);
  float *residual = kind == 1 ? check_randoms(&r, y_count, -1, 1) : kind == 2 ? y : NULL;
  void *packed = check_bytes(mk_linear_packed_bytes(c.type, c.k, c.n));
  void *scratch = check_bytes(mk_linear_scratch(c.pool, c.type, c.m, c.k, c.n));
  mk_linear_pack(c.pool, c.type, w, ldw, transposed, c.k, c.n, packed);
  mk_linear_errors(c.pool, c.type, w, ldw, transposed, c.k, c.n, packed, errors);
  mk_linear(c.pool, c.type, c.m, c.k, c.n, x, ldx, packed, bias, activation, residual, ldy, y, ldy, scratch);

  int many = c.m > MK_NARROW_ROWS, exact = c.type == MK_WEIGHTS_INT8 && many && c.k <= MK_QUANTISED_DEPTH;
  int rounded = c.type == MK_WEIGHTS_BF16 && many && strcmp(check_isa, "avx512-vnni-bf16") == 0;
  double *weights = calloc((size_t)(c.k * c.n), sizeof *weights), *row = calloc((size_t)c.k, sizeof *row), worst = 0;
  for (mk_int j = 0; j < c.n; j++) {
    double squares = 0;
    for (mk_int p = 0; p < c.k; p++) {
      float value = transposed ? w[j * ldw + p] : w[p * ldw + j];
      double kept = stored(c.type, value, ((const float *)packed)[j]), lost = value - kept;
      weights[j * c.k + p] = kept;
      squares += lost * lost;
    }
    if (!(errors[j] >= sqrt(squares) && errors[j] <= sqrt(squares) * (1 + 1e-6))) worst = INFINITY;
  }
  for (mk_int i = 0; i < c.m; i++) {
    for (mk_int p = 0; p < c.k; p++) row[p] = x[i * ldx + p];
    if (exact) quantise(c.k, x + i * ldx, row);
    for (mk_int j = 0; j < c.n; j++) {
      double product = 0, magnitude = 0, added = bias ? bias[j] : 0, rest = fabs(added);
      if (kind) {
        double add = (kind == 1 ? residual : before)[i * ldy + j];
        added += add, rest += fabs(add);
      }
      for (mk_int p = 0; p < c.k; p++) {
        double term = row[p] * weights[j * c.k + p];
        product += term, magnitude += fabs(term);
      }
      double bound = exact ? 0x1p-24 * (6 * fabs(product) + 4 * rest) + 1e-30 : check_product_bound(c.k + 2, magnitude + rest);
      if (rounded) bound += 0x1p-8 * magnitude;
      bound *= 1.13; // the steepest activation
      if (activation != MK_ACT_NONE) bound += 5e-7 * fmax(1, magnitude + rest);
      worst = check_error(worst, y[i * ldy + j], check_activated(activation, product + added), bound);
    }
    for (mk_int j = c.n; j < ldy && i < c.m - 1; j++) {
      if (y[i * ldy + j] != before[i * ldy + j]) worst = INFINITY;
    }
  }
  free(weights), free(row);
  check_case(
    worst, "weights %d, %td x %td x %td transposed %d activation %d residual %d", (int)c.type, c.m, c.k, c.n, transposed,
    (int)activation, kind);
}

void check_narrow(void) {
  static const mk_int edges[] = {1, 2, 3, 4, 5, 15, 16, 17, 31, 32, 33, 34, 47, 48, 49, 63, 64, 65, 66, 127, 128, 129, 130};
  static const struct { mk_int m, k, n; int threads; } large[] = {
    {1, 777, 333, 1}, {5, 1601, 131, 1}, {13, 1601, 35, 0}, {203, 1605, 19, 0}, {397, 33, 267, 1},
    {14, MK_QUANTISED_DEPTH, 3, 0}, {14, MK_QUANTISED_DEPTH + 1, 3, 0}};
  check_random r = check_seed(9);
  for (mk_weights type = MK_WEIGHTS_BF16; type <= MK_WEIGHTS_INT8; type++) {
    for (mk_int m = 1; m <= 70; m++) {
      one_narrow((narrow_case){type, m, check_int(&r, 1, 140), check_int(&r, 1, 70), m % 4 ? NULL : check_pool, (uint64_t)m});
    }
    for (size_t e = 0; e < sizeof edges / sizeof *edges; e++) {
      uint64_t seed = 100 * (e + 1);
      one_narrow((narrow_case){type, check_int(&r, 1, 12), edges[e], check_int(&r, 1, 70), NULL, seed});
      one_narrow((narrow_case){type, check_int(&r, 13, 30), edges[e], check_int(&r, 1, 70), NULL, seed + 1});
      one_narrow((narrow_case){type, check_int(&r, 1, 12), check_int(&r, 1, 140), edges[e], NULL, seed + 2});
      one_narrow((narrow_case){type, check_int(&r, 13, 30), check_int(&r, 1, 140), edges[e], NULL, seed + 3});
    }
    for (size_t i = 0; i < sizeof large / sizeof *large; i++) {
      one_narrow((narrow_case){type, large[i].m, large[i].k, large[i].n, large[i].threads ? check_pool : NULL, 9000 + i});
    }
  }
}
