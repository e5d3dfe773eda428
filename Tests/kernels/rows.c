// Norms, softmax, reductions, similarity over rows of every length around vectors and blocks of sums.
#include "check.h"

static void norms(mk_int n) {
  check_random r = check_seed((uint64_t)n);
  mk_int rows = n > 2000 ? 13 : check_int(&r, 1, 4), count = rows * n;
  float offset = n % 3 == 0 ? 10 : 0, eps = 1e-5f;
  for (int rms = 0; rms < 2; rms++) {
    float *x = check_randoms(&r, count, offset - 1, offset + 1);
    float *residual = n % 2 ? NULL : check_randoms(&r, count, -1, 1), *sum = n % 4 < 2 ? check_floats(count) : NULL;
    float *gamma = n % 5 == 0 ? NULL : check_randoms(&r, n, -1, 1), *y = check_floats(count);
    float *beta = rms || n % 7 == 0 ? NULL : check_randoms(&r, n, -1, 1);
    if (rms) mk_rms_norm(check_pool, rows, n, x, residual, gamma, eps, sum, y);
    else mk_layer_norm(check_pool, rows, n, x, residual, gamma, beta, eps, sum, y);
    double worst = 0;
    for (mk_int row = 0; row < rows; row++) {
      const float *a = x + row * n, *b = residual ? residual + row * n : NULL;
      double mean = 0, variance = 0;
#define S(i) ((double)(b ? a[i] + b[i] : a[i]))
      for (mk_int i = 0; i < n && !rms; i++) mean += S(i) / (double)n;
      for (mk_int i = 0; i < n; i++) variance += (S(i) - mean) * (S(i) - mean) / (double)n;
      double scale = 1 / sqrt(variance + (double)eps);
      for (mk_int i = 0; i < n; i++) {
        double g = gamma ? gamma[i] : 1, expected = (S(i) - mean) * scale * g + (beta ? (double)beta[i] : 0);
        double bound = 1e-6 * (1 + fabs(expected) + (fabs(mean) + 1) * scale * fabs(g) * 0.25);
        worst = check_error(worst, y[row * n + i], expected, bound);
        if (sum) worst = check_error(worst, sum[row * n + i], S(i), 0);
      }
#undef S
    }
    check_case(worst, "%s norm, %td rows of %td", rms ? "RMS" : "layer", rows, n);
  }
}

static void softmax(mk_int n) {
  for (int log_form = 0; log_form < 2; log_form++) {
    check_random r = check_seed((uint64_t)n + 5000);
    float *x = check_randoms(&r, 3 * n, -20, 20), *y = check_floats(3 * n);
    for (mk_int i = 0; i < n; i++) {
      x[n + i] += 1000;
      if (i % 3 == 1) x[2 * n + i] = -INFINITY;
    }
    mk_softmax(NULL, 3, n, x, log_form, y);
    double worst = 0;
    for (mk_int row = 0; row < 3; row++) {
      const float *s = x + row * n;
      double top = -INFINITY, sum = 0;
      for (mk_int i = 0; i < n; i++) top = fmax(top, (double)s[i]);
      for (mk_int i = 0; i < n; i++) sum += exp((double)s[i] - top);
      double all = top + log(sum);
      worst = check_error(worst, mk_logsumexp(s, n), all, 1e-6 * fmax(1, fabs(all)));
      for (mk_int i = 0; i < n; i++) {
        double score = s[i], expected = log_form ? score - all : exp(score - all);
        double bound = log_form ? 1e-6 * fmax(1, fabs(all) + fabs(expected))
                                : (8e-7 + (top - score) * 6e-8) * expected + 1e-37;
        worst = check_error(worst, y[row * n + i], expected, expected == 0 ? 0 : bound);
      }
    }
    check_case(worst, "%ssoftmax of %td", log_form ? "log-" : "", n);
  }
}

static void special_softmax(mk_int n) {
  for (int kind = 0; kind < 3; kind++) { // all hidden; hidden and a NaN; ones and a NaN
    float *x = check_floats(n), *y = check_floats(n);
    for (mk_int i = 0; i < n; i++) x[i] = kind == 2 ? 1 : -INFINITY;
    if (kind) x[n / 2] = NAN;
    mk_softmax(NULL, 1, n, x, 0, y);
    double worst = check_error(0, mk_logsumexp(x, n), kind ? NAN : -INFINITY, 0);
    for (mk_int i = 0; i < n; i++) worst = check_error(worst, y[i], kind ? NAN : 0, 0);
    check_case(worst, "softmax of special values %d, %td", kind, n);
  }
}

static void reductions(mk_int n) {
  check_random r = check_seed((uint64_t)n + 9000);
  float *x = check_randoms(&r, 2 * n, -1, 1), *y = check_floats(2);
  double worst = 0;
  for (int op = MK_REDUCE_SUM; op <= MK_REDUCE_MAX; op++) {
    mk_reduce_rows(NULL, op, 2, n, x, y);
    for (mk_int row = 0; row < 2; row++) {
      double sum = 0, squares = 0, low = INFINITY, high = -INFINITY;
      for (mk_int i = 0; i < n; i++) {
        double v = x[row * n + i];
        sum += v, squares += v * v, low = fmin(low, v), high = fmax(high, v);
      }
      double expected[] = {sum, sum / (double)n, squares, low, high};
      double bounds[] = {1e-6 * (double)n, 1e-6, 1e-6 * (double)n, 0, 0};
      worst = check_error(worst, y[row], expected[op], bounds[op]);
    }
  }
  x[check_int(&r, 0, n - 1)] = NAN;
  for (int op = MK_REDUCE_MIN; op <= MK_REDUCE_MAX; op++) {
    mk_reduce_rows(NULL, op, 2, n, x, y);
    if (!isnan(y[0]) || isnan(y[1])) worst = INFINITY;
  }
  check_case(worst, "reductions of %td", n);
}

static void similarity(mk_int n) {
  check_random r = check_seed((uint64_t)n + 13000);
  float *a = check_randoms(&r, n, -1, 1), *b = check_randoms(&r, n, -1, 1);
  double dot = 0, aa = 0, bb = 0;
  for (mk_int i = 0; i < n; i++) {
    b[i] = a[i] + 0.1f * b[i];
    dot += (double)a[i] * (double)b[i], aa += (double)a[i] * (double)a[i], bb += (double)b[i] * (double)b[i];
  }
  double worst = check_error(0, mk_similarity(a, b, n), dot / sqrt(aa * bb), 5e-7);
  check_case(check_error(worst, mk_similarity(a, a, n), 1, 5e-7), "similarity of %td", n);
}

static void largest(mk_int n) {
  check_random r = check_seed((uint64_t)n + 17000);
  float *x = check_floats(n), *values = check_floats(n);
  for (mk_int i = 0; i < n; i++) x[i] = check_int(&r, 0, 9) ? (float)check_int(&r, 0, 20) : NAN; // ties and NaN
  mk_int indices[70], k = n < 5 ? n : 5, wrong = 0;
  mk_topk(x, n, k, values, indices);
  wrong += mk_argmax(x, n) != indices[0];
  for (mk_int i = 0; i < k; i++) {
    wrong += !(values[i] == x[indices[i]] || (isnan(values[i]) && isnan(x[indices[i]])));
    for (mk_int j = 0; j < n; j++) { // nothing comes before it but those that were given before
      int before = isnan(x[indices[i]]) ? !isnan(x[j]) || j < indices[i]
        : x[j] > x[indices[i]] || (x[j] == x[indices[i]] && j < indices[i]);
      for (mk_int p = 0; p < i; p++) before &= indices[p] != j;
      wrong += before;
    }
  }
  check_case(wrong ? INFINITY : 0, "largest of %td", n);
}

// Rows by all threads: what each is by itself.
static void ranking(mk_int n) {
  check_random r = check_seed((uint64_t)n + 19000);
  mk_int rows = check_int(&r, 1, 7), ldx = n + check_int(&r, 0, 3), k = n < 10 ? n : 10, wrong = 0;
  float *x = check_randoms(&r, rows * ldx, -1, 1), *values = check_floats(rows * k), *sums = check_floats(rows);
  mk_int indices[70], row_indices[10];
  float row_values[10];
  mk_rank_rows(check_pool, rows, n, x, ldx, k, values, indices, sums);
  for (mk_int row = 0; row < rows; row++) {
    mk_topk(x + row * ldx, n, k, row_values, row_indices);
    wrong += memcmp(row_values, values + row * k, (size_t)k * sizeof *values) != 0;
    wrong += memcmp(row_indices, indices + row * k, (size_t)k * sizeof *indices) != 0;
    wrong += sums[row] != mk_logsumexp(x + row * ldx, n);
  }
  check_case(wrong ? INFINITY : 0, "ranking of %td rows of %td", rows, n);
}

void check_rows(void) {
  static const mk_int more[] = {127, 128, 129, 511, 512, 513, 1023, 1025, 2049, 3001};
  for (mk_int i = 1; i <= 80; i++) {
    mk_int n = i <= 70 ? i : more[i - 71];
    norms(n);
    softmax(n);
    special_softmax(n);
    reductions(n);
    similarity(n);
    if (n <= 70) largest(n);
    ranking(n);
  }
  ranking(20000);
}
