// Linear products of all weight formats against double precision, on every instruction set there is here: run with the
// emulated kernels too, which need no processor that has them (Makefile).
#include "mue_kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state = 1;
static uint32_t bits(void) {
  state += 0x9E3779B97F4A7C15;
  uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return (uint32_t)(z >> 33);
}
static long within(long low, long high) { return low + (long)(bits() % (uint32_t)(high - low + 1)); }
static float uniform(void) { return (float)(bits() >> 7) / 8388608 - 1; }

static char *memory(size_t bytes) {
  char *p = aligned_alloc(64, (bytes + 127) / 64 * 64);
  if (!p) abort();
  memset(p, 0xFF, bytes + 64);
  return p;
}
static int intact(const char *p, size_t bytes) {
  for (int i = 0; i < 64; i++) {
    if (p[bytes + i] != (char)0xFF) return 0;
  }
  return 1;
}

// The operand of one row as the kernel may see it: a quantised row is exact again as scale * integers.
static void quantised(long k, const float *x, double *out, double *slack) {
  float low = 0, high = 0;
  for (long p = 0; p < k; p++) {
    low = fminf(low, x[p]);
    high = fmaxf(high, x[p]);
  }
  float above = high / 255, below = low / 255;
  float scale = above - below, inverse = 1 / scale, zero = rintf(-low * inverse);
  for (long p = 0; p < k; p++) {
    float scaled = x[p] * inverse;
    out[p] = (double)scale * (fmin(fmax((double)rintf(scaled) + zero, 0), 255) - zero);
  }
  *slack = scale;
}

static double worst[3];
static int failures;

static void check(int isa, mk_weights type, long m, long k, long n, mk_pool *pool) {
  int transposed = (int)(bits() & 1), in_place = (int)(bits() & 1), relu = (int)(bits() & 1);
  long ldx = k + within(0, 3), ldy = n + within(0, 3), ldw = (transposed ? k : n) + within(0, 2);
  float *x = malloc((size_t)(m * ldx + 1) * 4), *w = malloc((size_t)((transposed ? n : k) * ldw + 1) * 4);
  float *y = malloc((size_t)(m * ldy + 1) * 4), *before = malloc((size_t)(m * ldy + 1) * 4), *bias = malloc((size_t)n * 4);
  float *errors = malloc((size_t)n * 4);
  for (long i = 0; i < m * ldx; i++) x[i] = uniform();
  for (long i = 0; i < (transposed ? n : k) * ldw; i++) w[i] = uniform();
  for (long i = 0; i < m * ldy; i++) before[i] = y[i] = uniform();
  for (long i = 0; i < n; i++) bias[i] = uniform();
  size_t packed_bytes = mk_linear_packed_bytes(type, k, n), scratch_bytes = mk_linear_scratch(pool, type, m, k, n);
  char *packed = memory(packed_bytes), *scratch = memory(scratch_bytes);
  mk_linear_pack(pool, type, w, ldw, transposed, k, n, packed);
  mk_linear_errors(pool, type, w, ldw, transposed, k, n, packed, errors);
  mk_linear(
    pool, type, m, k, n, x, ldx, packed, bias, relu ? MK_ACT_RELU : MK_ACT_NONE, in_place ? y : before, ldy, y, ldy, scratch);

  const float *scales = (const float *)(const void *)packed;
  int exact = type == MK_WEIGHTS_INT8 && m > MK_NARROW_ROWS && k <= MK_QUANTISED_DEPTH;
  double *rows = malloc((size_t)k * 8), *weights = malloc((size_t)(k * n + 1) * 8), most = 0;
  for (long j = 0; j < n; j++) {
    double norm = 0;
    for (long p = 0; p < k; p++) {
      float v = transposed ? w[j * ldw + p] : w[p * ldw + j];
      double stored = v;
      if (type == MK_WEIGHTS_INT8) {
        float scaled = v * (1 / scales[j]);
        stored = (double)scales[j] * rintf(scaled);
      } else if (type == MK_WEIGHTS_BF16) {
        uint32_t b;
        memcpy(&b, &v, 4);
        b = (b + 0x7fff + ((b >> 16) & 1)) & 0xffff0000;
        float rounded;
        memcpy(&rounded, &b, 4);
        stored = rounded;
      }
      weights[p * n + j] = stored;
      norm += (v - stored) * (v - stored);
    }
    if (errors[j] < sqrt(norm) || errors[j] > sqrt(norm) * (1 + 1e-6)) most = INFINITY;
  }
  for (long i = 0; i < m; i++) {
    double slack = 0;
    for (long p = 0; p < k; p++) rows[p] = x[i * ldx + p];
    if (exact) quantised(k, x + i * ldx, rows, &slack);
    for (long j = 0; j < n; j++) {
      double sum = 0, magnitude = 0;
      for (long p = 0; p < k; p++) {
        sum += rows[p] * weights[p * n + j];
        magnitude += fabs(rows[p] * weights[p * n + j]);
      }
      double product = sum;
      sum += (double)bias[j] + before[i * ldy + j];
      double expected = relu && sum < 0 ? 0 : sum;
      double rest = fabs((double)bias[j]) + fabs((double)before[i * ldy + j]);
      double bound = exact ? 0x1p-24 * (6 * fabs(product) + 4 * rest) : (double)(k + 8) * 0x1p-24 * (magnitude + rest);
      // vdpbf16ps wants x rounded as well, to 8 significant bits.
      if (type == MK_WEIGHTS_BF16 && m > MK_NARROW_ROWS && isa == MK_ISA_AVX512_BF16) bound += 0x1p-8 * magnitude;
      double error = fabs(y[i * ldy + j] - expected);
      if (!(error <= bound + 1e-30)) most = INFINITY;
      most = fmax(most, error / (bound + 1e-30));
    }
    for (long j = n; j < ldy; j++) {
      if (y[i * ldy + j] != before[i * ldy + j]) most = INFINITY;
    }
  }
  if (!intact(packed, packed_bytes) || !intact(scratch, scratch_bytes)) most = INFINITY;
  if (!(most <= 1)) {
    failures++;
    printf("FAILED: isa %d (%s) weights %d m %ld k %ld n %ld transposed %d in place %d\n", isa, mk_isa_name(), type, m, k, n,
      transposed, in_place);
  }
  worst[type] = fmax(worst[type], most);
  free(x), free(w), free(y), free(before), free(bias), free(errors), free(packed), free(scratch), free(rows), free(weights);
}

int main(void) {
  mk_pool *pool = mk_pool_create(2);
  for (int isa = 0; isa < 16; isa++) {
    if (!mk_isa_force(isa)) continue;
    worst[0] = worst[1] = worst[2] = 0;
    for (int type = 0; type < 3; type++) {
      for (long m = 1; m <= 70; m++) check(isa, type, m, within(1, 140), within(1, 70), NULL);
      long edges[] = {1, 2, 3, 4, 5, 15, 16, 17, 31, 32, 33, 34, 47, 48, 49, 63, 64, 65, 66, 127, 128, 129, 130};
      for (size_t e = 0; e < sizeof edges / sizeof *edges; e++) {
        check(isa, type, within(1, 14), edges[e], within(1, 70), NULL);
        check(isa, type, within(13, 30), edges[e], within(1, 70), NULL);
        check(isa, type, within(1, 14), within(1, 140), edges[e], NULL);
        check(isa, type, within(13, 30), within(1, 140), edges[e], NULL);
      }
      check(isa, type, 1, 777, 333, pool);
      check(isa, type, 5, 1601, 131, pool);
      check(isa, type, 13, 1601, 35, NULL);
      check(isa, type, 203, 1605, 19, NULL);
      check(isa, type, 397, 33, 267, pool);
      check(isa, type, 14, 66000, 3, NULL);
      check(isa, type, 15, 65536, 3, NULL);
    }
    printf("%-20s error / bound: float32 %.2f, bf16 %.2f, int8 %.2f\n", mk_isa_name(), worst[0], worst[1], worst[2]);
  }
  mk_pool_destroy(pool);
  return failures > 0;
}
