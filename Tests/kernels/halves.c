// Half precision and bfloat16: every value, every rounding boundary, against arithmetic on doubles and bits.
#include "check.h"

enum { ALL = 65536 };

static double half_value(unsigned bits) {
  int exponent = (int)(bits >> 10 & 31);
  double magnitude = exponent == 31 ? ((bits & 1023) ? NAN : INFINITY)
    : exponent ? ldexp(1024 + (bits & 1023), exponent - 25) : ldexp(bits & 1023, -24);
  return bits & 0x8000 ? -magnitude : magnitude;
}

// The half next to x, ties to the even one.
static unsigned nearest_half(double x) {
  unsigned sign = signbit(x) ? 0x8000 : 0, low = 0, high = 0x7c00;
  double magnitude = fabs(x);
  if (magnitude >= 65520) return sign | 0x7c00;
  while (high - low > 1) {
    unsigned middle = (low + high) / 2;
    if (half_value(middle) <= magnitude) low = middle; else high = middle;
  }
  double above = high == 0x7c00 ? 65536 : half_value(high);
  double down = magnitude - half_value(low), up = above - magnitude;
  return sign | (up < down || (up == down && (low & 1)) ? high : low);
}

static int is_half_nan(unsigned bits) { return (bits & 0x7fff) > 0x7c00; }

static uint16_t *shorts(mk_int count) { // ending where nothing may be read
  return (uint16_t *)check_floats((count + 1) / 2) + (count & 1);
}

static void to_half(const float *x, mk_int n, const char *what) {
  uint16_t *y = shorts(n);
  mk_f32_to_f16(x, n, y);
  double worst = 0;
  for (mk_int i = 0; i < n; i++) {
    if (isnan(x[i]) ? !is_half_nan(y[i]) : y[i] != nearest_half((double)x[i])) worst = INFINITY;
  }
  check_case(worst, "to half: %s, %td", what, n);
}

// The first n values, `step` apart.
static void to_float(mk_int n, unsigned step) {
  uint16_t *x = shorts(n);
  for (mk_int i = 0; i < n; i++) x[i] = (uint16_t)(i * step);
  float *y = check_floats(n), *z = check_floats(n);
  mk_f16_to_f32(x, n, y);
  mk_bf16_to_f32(x, n, z);
  double worst = 0;
  for (mk_int i = 0; i < n; i++) {
    double expected = half_value(x[i]);
    worst = check_error(worst, y[i], expected, 0);
    if (!isnan(expected) && !signbit(y[i]) != !signbit(expected)) worst = INFINITY;
    uint32_t bits;
    memcpy(&bits, z + i, 4);
    if (bits != (uint32_t)x[i] << 16) worst = INFINITY;
  }
  check_case(worst, "half and bfloat16 to float, %td", n);
}

void check_halves(void) {
  to_float(ALL, 1);
  for (mk_int n = 0; n <= 40; n++) to_float(n, 1657);
  // Half-way between two neighbours, and one float to each side.
  for (int side = -1; side <= 1; side++) {
    float *x = check_floats(ALL);
    for (unsigned bits = 0; bits < ALL; bits++) {
      unsigned next = (bits & 0x7fff) == 0x7fff ? bits : bits + 1;
      float middle = (float)((half_value(bits) + half_value(next)) / 2);
      x[bits] = side ? nextafterf(middle, side < 0 ? -INFINITY : INFINITY) : middle;
    }
    to_half(x, ALL, "boundaries");
  }
  check_random r = check_seed(3);
  for (mk_int n = 1; n <= 20; n++) {
    mk_int count = n == 20 ? 5001 : n;
    float *x = check_floats(count);
    for (mk_int i = 0; i < count; i++) {
      uint32_t bits = (uint32_t)check_bits(&r);
      memcpy(x + i, &bits, 4);
    }
    uint16_t *y = shorts(count);
    mk_f32_to_bf16(x, count, y);
    double worst = 0;
    for (mk_int i = 0; i < count; i++) {
      uint32_t bits;
      memcpy(&bits, x + i, 4);
      uint16_t expected = (uint16_t)(((uint64_t)bits + 0x7fff + (bits >> 16 & 1)) >> 16);
      if (isnan(x[i]) ? (y[i] & 0x7fff) <= 0x7f80 : y[i] != expected) worst = INFINITY;
    }
    check_case(worst, "to bfloat16, %td", count);
  }
  for (mk_int n = 1; n <= 40; n++) {
    float *x = check_randoms(&r, n, -70000, 70000);
    for (mk_int i = 0; i < n; i += 2) x[i] *= 1e-9f;
    to_half(x, n, "random");
  }
}
