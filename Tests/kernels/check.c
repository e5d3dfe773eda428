// Runs every kernel against double precision on every instruction set of this processor, or on those named.
// usage: check [ISA ...]
#define _GNU_SOURCE
#include "check.h"

#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>

mk_pool *check_pool;
const char *check_isa;

static long cases, failures;
static double largest;

check_random check_seed(uint64_t seed) { return (check_random){seed * 0x9E3779B97F4A7C15u + 1}; }

uint64_t check_bits(check_random *r) {
  uint64_t z = r->state += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

float check_float(check_random *r, float low, float high) {
  return low + (high - low) * (float)(check_bits(r) >> 40) / 16777216.0f;
}

mk_int check_int(check_random *r, mk_int low, mk_int high) {
  return low + (mk_int)(check_bits(r) % (uint64_t)(high - low + 1));
}

// ---- Buffers

typedef struct {
  unsigned char *map, *start;
  size_t mapped;
} buffer;
static buffer buffers[64];
static int used;
enum { GUARD = 0xA5 };

static void *new_buffer(size_t bytes) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE), body = (bytes + page) / page * page; // at least a byte of guard in front
  if (used == (int)(sizeof buffers / sizeof *buffers)) abort();
  unsigned char *map = mmap(NULL, body + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED || mprotect(map + body, page, PROT_NONE)) abort();
  memset(map, GUARD, body);
  buffers[used++] = (buffer){map, map + body - bytes, body + page};
  return map + body - bytes;
}

float *check_floats(mk_int count) {
  float *p = new_buffer((size_t)count * sizeof(float));
  for (mk_int i = 0; i < count; i++) p[i] = NAN;
  return p;
}

float *check_randoms(check_random *r, mk_int count, float low, float high) {
  float *p = check_floats(count);
  for (mk_int i = 0; i < count; i++) p[i] = check_float(r, low, high);
  return p;
}

float *check_copy(const float *from, mk_int count) {
  float *p = check_floats(count);
  memcpy(p, from, (size_t)count * sizeof(float));
  return p;
}

void *check_bytes(size_t bytes) {
  void *p = new_buffer((bytes + 63) / 64 * 64);
  memset(p, 0xFF, (bytes + 63) / 64 * 64); // NaN
  return p;
}

int check_free_all(void) {
  int intact = 1;
  while (used > 0) {
    buffer b = buffers[--used];
    for (const unsigned char *p = b.map; p < b.start; p++) intact &= *p == GUARD;
    munmap(b.map, b.mapped);
  }
  return intact;
}

// ---- Record

void check_case(double worst, const char *format, ...) {
  int intact = check_free_all();
  cases++;
  if (worst > largest) largest = worst;
  if (worst <= 1 && intact) return;
  if (failures++ >= 20) return;
  char text[400];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  printf("FAILED %s: %s: %.3g of the bound%s\n", check_isa, text, worst, intact ? "" : ", written in front of a buffer");
}

double check_error(double worst, double got, double expected, double bound) {
  if (isnan(expected)) return isnan(got) ? worst : INFINITY;
  double error = isinf(expected) && got == expected ? 0 : fabs(got - expected);
  if (!(error <= bound)) return INFINITY;
  return error > 0 && error / bound > worst ? error / bound : worst;
}

double check_product_bound(mk_int terms, double magnitude) {
  return (double)(terms + 6) * 0x1p-24 * magnitude + 1e-30;
}

float check_rounded_bf16(float x) {
  if (isnan(x)) return x;
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  bits = (bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000;
  memcpy(&x, &bits, sizeof bits);
  return x;
}

int check_has_bf16_pairs(void) { return strcmp(check_isa, "avx512-vnni-bf16") == 0; }

void check_rounded_row(mk_int levels, mk_int k, const float *x, double *row) {
  float largest = 0, most = (float)levels;
  for (mk_int p = 0; p < k; p++) largest = fmaxf(largest, fabsf(x[p]));
  float scale = largest / most, inverse = 1 / scale;
  for (mk_int p = 0; p < k; p++) {
    float scaled = x[p] * inverse;
    row[p] = scale < 0x1p-126f ? 0 : (double)scale * fmin(fmax(rintf(scaled), -most), most);
  }
}

double check_activated(mk_activation activation, double x) {
  switch (activation) {
  case MK_ACT_RELU: return x > 0 ? x : 0;
  case MK_ACT_GELU_ERF: return 0.5 * x * erfc(-x * M_SQRT1_2);
  case MK_ACT_GELU_TANH: return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
  case MK_ACT_SILU: return x / (1 + exp(-x));
  case MK_ACT_SIGMOID: return 1 / (1 + exp(-x));
  case MK_ACT_TANH: return tanh(x);
  default: return x;
  }
}

int main(int count, char **names) {
  static const struct { const char *name; void (*run)(void); } checks[] = {
    {"linear", check_linear}, {"bf16", check_bf16}, {"coded", check_coded}, {"int8", check_int8}, {"int4", check_int4},
    {"gemm", check_gemm},
    {"attention", check_attention}, {"packed keys", check_packed_attention}, {"convolution", check_convolution},
    {"depthwise", check_depthwise}, {"winograd", check_winograd}, {"int8 conv", check_int8_convolution},
    {"int8 windows", check_int8_windows}, {"bf16 conv", check_bf16_convolution}, {"rows", check_rows}, {"elementwise", check_elementwise},
    {"halves", check_halves}};
  setvbuf(stdout, NULL, _IOLBF, 0);
  check_pool = mk_pool_create(3);
  int tried = 0;
  for (int32_t isa = MK_ISA_PORTABLE; isa <= MK_ISA_WIDEST; isa++) {
    if (!mk_isa_force(isa)) continue;
    check_isa = mk_isa_name();
    int wanted = count < 2;
    for (int i = 1; i < count; i++) wanted |= strcmp(names[i], check_isa) == 0;
    if (!wanted) continue;
    tried++;
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
      long before = cases, failed = failures;
      largest = 0;
      checks[i].run();
      printf(
        "%-16s %-12s %5ld cases, worst %.2f of the bound%s\n", check_isa, checks[i].name, cases - before, largest,
        failures > failed ? ", FAILED" : "");
    }
  }
  mk_pool_destroy(check_pool);
  if (!tried) printf("none of the instruction sets named is available here\n");
  printf("kernel checks: %ld cases on %d instruction sets, %ld failures\n", cases, tried, failures);
  return failures > 0 || !tried;
}
