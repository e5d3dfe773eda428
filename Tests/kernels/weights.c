// Packed weights in bf16, int8 and int4 (mk_linear): rounded as the header says, multiplied exactly or to the bounds of float32,
// and what mk_linear_errors says of them.
#include "check.h"

static const char *const names[] = {"float32", "bf16", "int8", "int4", "coded bf16", "coded float32"};

// Depths 0..<k of a column, `step` apart, as int4 stores them, to stored[p * n].
static void stored_int4(const float *w, mk_int step, mk_int k, mk_int n, double *stored) {
  for (mk_int group = 0; group < k; group += 128) {
    mk_int end = group + 128 < k ? group + 128 : k;
    float largest = 0;
    for (mk_int p = group; p < end; p++) {
      if (fabsf(w[p * step]) > fabsf(largest)) largest = w[p * step];
    }
    float scale = largest * -0.125f, inverse = scale == 0 ? 0 : 1 / scale;
    for (mk_int p = group; p < end; p++) {
      float scaled = w[p * step] * inverse;
      stored[p * n] = (double)scale * fmin(fmax((double)rintf(scaled), -8), 7);
    }
  }
}

// The columns of w as they are stored, [k][n]; false where the error that is told of one is wrong.
static int stored_weights(
  mk_weights type, const float *w, mk_int ldw, int transposed, mk_int k, mk_int n, const void *packed,
  const float *errors, double *stored) {
  const float *scales = packed;
  int right = 1, bf16 = type == MK_WEIGHTS_BF16 || type == MK_WEIGHTS_BF16_CODED;
  for (mk_int j = 0; j < n; j++) {
    double norm = 0;
    if (type == MK_WEIGHTS_INT4) stored_int4(transposed ? w + j * ldw : w + j, transposed ? 1 : ldw, k, n, stored + j);
    for (mk_int p = 0; p < k; p++) {
      float value = transposed ? w[j * ldw + p] : w[p * ldw + j];
      double rounded;
      if (type == MK_WEIGHTS_INT8) {
        float scaled = value * (1 / scales[j]);
        rounded = (double)scales[j] * rintf(scaled);
      } else {
        rounded = bf16 ? check_rounded_bf16(value) : type == MK_WEIGHTS_F32_CODED ? value : stored[p * n + j];
      }
      stored[p * n + j] = rounded;
      norm += (value - rounded) * (value - rounded);
    }
    right &= errors[j] >= sqrt(norm) && errors[j] <= sqrt(norm) * (1 + 1e-6);
  }
  return right;
}

// A row of x as many rows are quantised: integers times the row's scale.
static void quantised_row(mk_int k, const float *x, double *row) {
  float low = 0, high = 0;
  for (mk_int p = 0; p < k; p++) {
    low = fminf(low, x[p]);
    high = fmaxf(high, x[p]);
  }
  float above = high / 255, below = low / 255;
  float scale = above - below, inverse = 1 / scale, zero = rintf(-low * inverse);
  for (mk_int p = 0; p < k; p++) {
    float scaled = x[p] * inverse;
    row[p] = (double)scale * (fmin(fmax((double)rintf(scaled) + zero, 0), 255) - zero);
  }
}

// extreme: elements of the largest magnitude alone, rows all of one sign. Neighbouring weights of one sign then are as large
// as their scale lets them be: more would saturate sums of 16 bits.
static void one_product_of(
  check_random *r, mk_weights type, mk_int m, mk_int k, mk_int n, mk_pool *pool, int extreme) {
  int transposed = (int)(check_bits(r) & 1), in_place = (int)(check_bits(r) & 1), relu = (int)(check_bits(r) & 1);
  mk_int ldx = k + check_int(r, 0, 3), ldy = n + check_int(r, 0, 3), ldw = (transposed ? k : n) + check_int(r, 0, 2);
  float *x = check_randoms(r, (m - 1) * ldx + k, -1, 1);
  float *w = check_randoms(r, ((transposed ? n : k) - 1) * ldw + (transposed ? k : n), -1, 1);
  for (mk_int i = 0; extreme && i < (m - 1) * ldx + k; i++) x[i] = i / ldx % 2 ? -1 : 1;
  for (mk_int i = 0; extreme && i < ((transposed ? n : k) - 1) * ldw + (transposed ? k : n); i++) w[i] = w[i] < -0.5f ? -1 : 1;
  // Strays among the others: exponents that no code is left for.
  int coded = type == MK_WEIGHTS_BF16_CODED || type == MK_WEIGHTS_F32_CODED;
  for (mk_int i = 0; coded && i < ((transposed ? n : k) - 1) * ldw + (transposed ? k : n); i += 601) {
    w[i] *= i % 2 ? 0x1p-40f : 0x1p+30f;
  }
  float *bias = check_randoms(r, n, -1, 1), *errors = check_floats(n);
  mk_int y_count = (m - 1) * ldy + n;
  float *y = check_randoms(r, y_count, -1, 1), *before = check_copy(y, y_count);
  void *packed = check_bytes(mk_linear_packed_bytes(type, k, n));
  void *scratch = check_bytes(mk_linear_scratch(pool, type, m, k, n));
  int fits = mk_linear_pack(pool, type, w, ldw, transposed, k, n, packed);
  mk_linear_errors(pool, type, w, ldw, transposed, k, n, packed, errors);
  mk_linear(
    pool, type, m, k, n, x, ldx, packed, bias, relu ? MK_ACT_RELU : MK_ACT_NONE, in_place ? y : before, ldy, y, ldy,
    scratch);

  int int4 = type == MK_WEIGHTS_INT4, few = m <= MK_NARROW_ROWS || int4;
  int exact = int4 || (type == MK_WEIGHTS_INT8 && (few || k <= MK_QUANTISED_DEPTH));
  int rounded = (type == MK_WEIGHTS_BF16 || type == MK_WEIGHTS_BF16_CODED) && check_has_bf16_pairs();
  double *row = malloc((size_t)k * sizeof *row), *stored = malloc((size_t)(k * n) * sizeof *stored);
  double worst = fits && stored_weights(type, w, ldw, transposed, k, n, packed, errors, stored) ? 0 : INFINITY;
  for (mk_int i = 0; i < m; i++) {
    for (mk_int p = 0; p < k; p++) row[p] = rounded ? check_rounded_bf16(x[i * ldx + p]) : x[i * ldx + p];
    if (exact && few) check_rounded_row(int4 ? 127 : mk_int8_levels(k), k, x + i * ldx, row);
    if (exact && !few) quantised_row(k, x + i * ldx, row);
    for (mk_int j = 0; j < n; j++) {
      double product = 0, magnitude = 0;
      for (mk_int p = 0; p < k; p++) {
        product += row[p] * stored[p * n + j];
        magnitude += fabs(row[p] * stored[p * n + j]);
      }
      double sum = product + bias[j] + before[i * ldy + j];
      double rest = fabs((double)bias[j]) + fabs((double)before[i * ldy + j]);
      double bound =
        exact ? 0x1p-24 * (6 * fabs(product) + 4 * rest) + 1e-30 : check_product_bound(k + 2, magnitude + rest);
      // Few rows add up a sum for every 4096 depths, of int4 for each scale.
      mk_int depth = int4 ? 128 : 4096;
      if (exact && few && k > depth) bound += 0x1p-24 * (double)(k / depth + 1) * (magnitude + rest);
      worst = check_error(worst, y[i * ldy + j], relu && sum < 0 ? 0 : sum, bound);
    }
    for (mk_int j = n; j < ldy && i < m - 1; j++) {
      if (y[i * ldy + j] != before[i * ldy + j]) worst = INFINITY;
    }
  }
  free(row);
  free(stored);
  check_case(
    worst, "%s %td x %td x %td transposed %d in place %d", names[type], m, k, n, transposed, in_place);
}

static void one_product(check_random *r, mk_weights type, mk_int m, mk_int k, mk_int n, mk_pool *pool) {
  one_product_of(r, type, m, k, n, pool, 0);
}

static void check_weights(mk_weights type) {
  check_random r = check_seed(170 + type);
  for (int round = 0; round < 6; round++) one_product_of(&r, type, 9 + round, 100 + round, 53, NULL, 1);
  for (mk_int m = 1; m <= 70; m++) one_product(&r, type, m, check_int(&r, 1, 140), check_int(&r, 1, 70), NULL);
  static const mk_int edges[] = {1, 2, 3, 4, 5, 15, 16, 17, 31, 32, 33, 34, 47, 48, 49, 63, 64, 65, 66, 127, 128, 129, 130};
  for (size_t e = 0; e < sizeof edges / sizeof *edges; e++) {
    one_product(&r, type, check_int(&r, 1, 14), edges[e], check_int(&r, 1, 70), NULL);
    one_product(&r, type, check_int(&r, 13, 30), edges[e], check_int(&r, 1, 70), NULL);
    one_product(&r, type, check_int(&r, 1, 14), check_int(&r, 1, 140), edges[e], NULL);
    one_product(&r, type, check_int(&r, 13, 30), check_int(&r, 1, 140), edges[e], NULL);
  }
  // Threads; blocks of rows and of depth; the depth from which rows are not quantised.
  one_product(&r, type, 1, 777, 333, check_pool);
  one_product(&r, type, 5, 1601, 131, check_pool);
  one_product(&r, type, 13, 1601, 35, NULL);
  one_product(&r, type, 203, 1605, 19, NULL);
  one_product(&r, type, 397, 33, 267, check_pool);
  one_product(&r, type, 1153, 34, 29, check_pool); // several slabs
  one_product(&r, type, 1, 4096, 70, NULL);
  one_product(&r, type, 1, 777, 1003, NULL); // four runs of panels, of one part of the depth and of two
  one_product(&r, type, 1, 777, 1029, check_pool);
  one_product(&r, type, 1, 5001, 259, NULL);
  one_product(&r, type, 3, 9001, 19, NULL);
  one_product(&r, type, 12, 4099, 33, check_pool);
  one_product(&r, type, 14, MK_QUANTISED_DEPTH + 464, 3, NULL);
  one_product(&r, type, 15, MK_QUANTISED_DEPTH, 3, NULL);
}

void check_bf16(void) { check_weights(MK_WEIGHTS_BF16); }
// What can be coded, and what cannot. `change` is done to random weights.
static void check_fits(const char *what, void (*change)(mk_int count, float *w), int32_t expected) {
  check_random r = check_seed(190);
  mk_int k = 129, n = 35;
  double worst = 0;
  float *w = check_randoms(&r, k * n, -1, 1);
  change(k * n, w);
  for (int i = 0; i < 2; i++) {
    mk_weights type = i == 0 ? MK_WEIGHTS_BF16_CODED : MK_WEIGHTS_F32_CODED;
    int32_t fits = mk_linear_pack(check_pool, type, w, n, 0, k, n, check_bytes(mk_linear_packed_bytes(type, k, n)));
    worst = fits == expected ? worst : INFINITY;
  }
  check_case(worst, "coded weights, %s", what);
}

static void with_zeros(mk_int count, float *w) {
  for (mk_int i = 0; i < count; i++) w[i] = i % 3 ? 0 : w[i];
}
static void of_all_sizes(mk_int count, float *w) {
  for (mk_int i = 0; i < count; i++) w[i] = ldexpf(w[i], -(int)(i % 61));
}
static void with_infinity(mk_int count, float *w) { w[count - 1] = INFINITY; }
static void with_nan(mk_int count, float *w) { w[count / 2] = NAN; }

// Blobs of which somebody else wrote the heads: each of the fields that say where something is.
static void check_sound(void) {
  static const uint32_t heads[][3] = {
    {0, 0, 1}, {1, 33 * 16 + 2, 1}, {1, 34 * 16, 0}, {1, 5 * 16 + 3, 0}, {1, 0xffffffff, 0}, {0xffffffff, 0, 0}};
  mk_int k = 34, n = 19; // the second panel has three columns
  for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
    check_random r = check_seed(191);
    for (int t = 0; t < 2; t++) {
      mk_weights type = t == 0 ? MK_WEIGHTS_BF16_CODED : MK_WEIGHTS_F32_CODED;
      size_t bytes = mk_linear_packed_bytes(type, k, n), second = 128; // the head of the second panel, which follows the first's
      char *packed = check_bytes(bytes);
      int32_t sound = mk_linear_pack(NULL, type, check_randoms(&r, k * n, -1, 1), n, 0, k, n, packed);
      sound &= mk_linear_is_sound(type, k, n, packed);
      memcpy(packed + second + 16, &heads[i][0], 4); // how many strays
      memcpy(packed + second + 24, &heads[i][1], 4); // the place of the first
      int32_t right = mk_linear_is_sound(type, k, n, packed) == (int32_t)heads[i][2];
      check_case(sound && right ? 0 : INFINITY, "soundness of coded weights, head %td type %d", (mk_int)i, (int)type);
    }
  }
}

void check_coded(void) {
  check_sound();
  check_weights(MK_WEIGHTS_BF16_CODED);
  check_weights(MK_WEIGHTS_F32_CODED);
  check_fits("zeros among others", with_zeros, 1);
  check_fits("numbers of all sizes", of_all_sizes, 0);
  check_fits("infinity", with_infinity, 0);
  check_fits("NaN", with_nan, 0);
}
void check_int8(void) { check_weights(MK_WEIGHTS_INT8); }
void check_int4(void) { check_weights(MK_WEIGHTS_INT4); }
