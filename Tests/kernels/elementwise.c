// Functions of one and two operands.
#include "check.h"

static double f_relu(double x) { return x > 0 ? x : 0; }
static double f_gelu_erf(double x) { return check_activated(MK_ACT_GELU_ERF, x); }
static double f_gelu_tanh(double x) { return check_activated(MK_ACT_GELU_TANH, x); }
static double f_sigmoid(double x) { return check_activated(MK_ACT_SIGMOID, x); }
static double f_silu(double x) { return check_activated(MK_ACT_SILU, x); }
static double f_reciprocal(double x) { return 1 / x; }
static double f_neg(double x) { return -x; }
static double f_square(double x) { return x * x; }
static double f_sign(double x) { return x > 0 ? 1 : x < 0 ? -1 : x; }
static double f_softplus(double x) { return fmax(x, 0) + log1p(exp(-fabs(x))); }
static double f_mish(double x) { return x * tanh(f_softplus(x)); }
static double f_hard_swish(double x) { return x * fmin(fmax(x / 6 + 0.5, 0), 1); }
static double f_softsign(double x) { return x / (1 + fabs(x)); }

// Where it is tried, and its bound: ulp of the result plus an absolute error.
static const struct {
  const char *name;
  mk_unary_op op;
  float low, high;
  double ulp, absolute, (*exact)(double);
} unaries[] = {
  {"relu", MK_RELU, -9, 9, 0, 0, f_relu}, {"gelu erf", MK_GELU_ERF, -20, 20, 5, 1e-7, f_gelu_erf},
  {"gelu tanh", MK_GELU_TANH, -20, 20, 8, 1e-7, f_gelu_tanh}, {"sigmoid", MK_SIGMOID, -100, 100, 4, 1e-44, f_sigmoid},
  {"tanh", MK_TANH, -12, 12, 4, 0, tanh}, {"exp", MK_EXP, -104, 88.7f, 2, 1.5e-45, exp},
  {"log", MK_LOG, 1e-30f, 1e30f, 1, 0, log}, {"sqrt", MK_SQRT, 0, 1e30f, 0.5, 0, sqrt},
  {"reciprocal", MK_RECIPROCAL, -100, 100, 0.5, 0, f_reciprocal}, {"erf", MK_ERF, -5, 5, 3, 0, erf},
  {"neg", MK_NEG, -9, 9, 0, 0, f_neg}, {"abs", MK_ABS, -9, 9, 0, 0, fabs}, {"silu", MK_SILU, -80, 80, 5, 0, f_silu},
  {"softplus", MK_SOFTPLUS, -80, 80, 3, 0, f_softplus}, {"sin", MK_SIN, -100, 100, 1, 0, sin},
  {"cos", MK_COS, -100, 100, 1, 0, cos}, {"floor", MK_FLOOR, -1e4f, 1e4f, 0, 0, floor},
  {"ceil", MK_CEIL, -1e4f, 1e4f, 0, 0, ceil}, {"round", MK_ROUND, -1e4f, 1e4f, 0, 0, nearbyint},
  {"square", MK_SQUARE, -1e4f, 1e4f, 0.5, 0, f_square}, {"sign", MK_SIGN, -9, 9, 0, 0, f_sign},
  {"mish", MK_MISH, -20, 20, 6, 0, f_mish}, {"hard swish", MK_HARD_SWISH, -9, 9, 3, 3e-7, f_hard_swish},
  {"softsign", MK_SOFTSIGN, -9, 9, 1.5, 0, f_softsign}};

// The last place of a float near `value`.
static double ulp(double value) {
  float size = fabsf((float)value);
  return (double)nextafterf(size, INFINITY) - (double)size;
}

static void unary(size_t f) {
  check_random r = check_seed(17);
  const mk_int n = 6003;
  float *x = check_randoms(&r, n, unaries[f].low, unaries[f].high), *y = check_floats(n);
  for (mk_int i = 0; i < n; i++) { // many small arguments, integers and halves
    float v = i % 8 == 0 ? x[i] * 0.01f : i % 8 == 1 ? x[i] * 1e-6f : i % 8 == 2 ? rintf(x[i] * 2) / 2 : x[i];
    if (v >= unaries[f].low && v <= unaries[f].high) x[i] = v;
  }
  mk_unary(f % 2 ? check_pool : NULL, unaries[f].op, n, x, y);
  double worst = 0;
  for (mk_int i = 0; i < n; i++) {
    double expected = unaries[f].exact((double)x[i]);
    worst = check_error(worst, y[i], expected, unaries[f].ulp * ulp(expected) + unaries[f].absolute);
  }
  float first[48], result[48];
  memcpy(first, x, sizeof first);
  memcpy(result, y, sizeof result);
  check_case(worst, "%s", unaries[f].name);
  for (mk_int m = 1; m <= 40; m++) { // every length, in place
    float *z = check_copy(first, m);
    mk_unary(NULL, unaries[f].op, m, z, z);
    check_case(memcmp(z, result, (size_t)m * sizeof(float)) ? INFINITY : 0, "%s of %td", unaries[f].name, m);
  }
}

// Infinities give limits, NaN gives NaN, wherever they lie.
static void special_values(void) {
  static const struct { mk_unary_op op; double low, high; } limits[] = {
    {MK_RELU, 0, INFINITY}, {MK_GELU_ERF, 0, INFINITY}, {MK_GELU_TANH, 0, INFINITY}, {MK_SIGMOID, 0, 1}, {MK_TANH, -1, 1},
    {MK_EXP, 0, INFINITY}, {MK_ERF, -1, 1}, {MK_SILU, 0, INFINITY}, {MK_NEG, INFINITY, -INFINITY},
    {MK_ABS, INFINITY, INFINITY}, {MK_FLOOR, -INFINITY, INFINITY}, {MK_ROUND, -INFINITY, INFINITY}, {MK_RECIPROCAL, 0, 0}};
  for (size_t f = 0; f < sizeof limits / sizeof *limits; f++) {
    for (mk_int n = 3; n <= 21; n++) {
      float *x = check_floats(n);
      x[n - 1] = -INFINITY, x[n / 2] = INFINITY;
      mk_unary(NULL, limits[f].op, n, x, x);
      double worst = 0;
      for (mk_int i = 0; i < n; i++) {
        worst = check_error(worst, x[i], i == n - 1 ? limits[f].low : i == n / 2 ? limits[f].high : NAN, 0);
      }
      check_case(worst, "special values of function %d, %td", limits[f].op, n);
    }
  }
}

static void parameters(mk_int n) {
  check_random r = check_seed((uint64_t)n);
  for (int op = MK_LEAKY_RELU; op <= MK_AFFINE; op++) {
    float *x = check_randoms(&r, n, -5, 5), *y = check_floats(n);
    mk_unary_param(NULL, op, n, x, 0.25f, 1.5f, y);
    double worst = 0;
    for (mk_int i = 0; i < n; i++) {
      double v = x[i];
      double expected[] = {
        v < 0 ? 0.25 * v : v, v < 0 ? 0.25 * expm1(v) : v, fmin(fmax(0.25 * v + 1.5, 0), 1), fmin(fmax(v, 0.25), 1.5),
        0.25 * v + 1.5};
      worst = check_error(worst, y[i], expected[op], 3e-7);
    }
    check_case(worst, "function %d with parameters, %td", op, n);
  }
}

// Two axes; each operand whole, one row, one column, or one number.
static void binary(int round) {
  check_random r = check_seed((uint64_t)round);
  mk_int shape[2] = {check_int(&r, 1, 5), round % 25 == 24 ? 9001 : check_int(&r, 1, 40)}, strides[2][2];
  float *operands[2];
  for (int i = 0; i < 2; i++) {
    int64_t kind = check_int(&r, 0, 3);
    strides[i][0] = kind & 1 ? 0 : kind & 2 ? 1 : shape[1];
    strides[i][1] = kind & 2 ? 0 : 1;
    operands[i] = check_randoms(
      &r, (shape[0] - 1) * strides[i][0] + (shape[1] - 1) * strides[i][1] + 1, 0.1f, 3);
  }
  mk_binary_op op = (mk_binary_op)(round % 7);
  if (op == MK_MIN || op == MK_MAX) operands[round % 2][0] = NAN;
  float *y = check_floats(shape[0] * shape[1]);
  mk_binary(round % 2 ? check_pool : NULL, op, 2, shape, operands[0], strides[0], operands[1], strides[1], y);
  double worst = 0;
  for (mk_int i = 0; i < shape[0] * shape[1]; i++) {
    float a = operands[0][i / shape[1] * strides[0][0] + i % shape[1] * strides[0][1]];
    float b = operands[1][i / shape[1] * strides[1][0] + i % shape[1] * strides[1][1]];
    float nan = isnan(a) || isnan(b) ? NAN : 0;
    float expected[] = {a + b, a - b, a * b, a / b, fminf(a, b) + nan, fmaxf(a, b) + nan, (float)pow((double)a, (double)b)};
    worst = check_error(worst, y[i], expected[op], op == MK_POW ? 3 * ulp(expected[op]) : 0);
  }
  check_case(worst, "operation %d of %td x %td, strides %td %td and %td %td", op, shape[0], shape[1], strides[0][0],
    strides[0][1], strides[1][0], strides[1][1]);
}

void check_elementwise(void) {
  for (size_t f = 0; f < sizeof unaries / sizeof *unaries; f++) unary(f);
  special_values();
  for (mk_int n = 1; n <= 34; n++) parameters(n);
  for (int round = 0; round < 200; round++) binary(round);
}
