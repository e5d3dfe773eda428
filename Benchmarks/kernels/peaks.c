#include "peaks.h"

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#define IN_REGISTER(v) __asm__ volatile("" : "+v"(v))
#define IN_NARROW_REGISTER(v) __asm__ volatile("" : "+x"(v))
#else
#define IN_NARROW_REGISTER(v) __asm__ volatile("" : "+w"(v))
#endif

typedef float f4 __attribute__((vector_size(16)));
typedef float f8 __attribute__((vector_size(32)));
typedef float f16 __attribute__((vector_size(64)));
typedef int32_t i8 __attribute__((vector_size(32)));
typedef int32_t i16 __attribute__((vector_size(64)));

// 12 sums of `vector`, each changed by `statement` (s is the sum, a and b factors) in one step.
#define LOOP(name, attribute, vector, keep, statement)                   \
  attribute static void name(long rounds) {                              \
    vector sums[12] = {0}, a = {0}, b = {0};                             \
    keep(a);                                                             \
    keep(b);                                                             \
    for (long i = 0; i < rounds; i++) {                                  \
      _Pragma("clang loop unroll(full)") for (int j = 0; j < 12; j++) {  \
        keep(a); /* or the product would be made once */                 \
        vector s = sums[j];                                              \
        statement;                                                       \
        keep(s);                                                         \
        sums[j] = s;                                                     \
      }                                                                  \
    }                                                                    \
  }

LOOP(portable, , f4, IN_NARROW_REGISTER, s += a * b)
#if defined(__x86_64__)
typedef int32_t i4 __attribute__((vector_size(16)));
LOOP(portable_pairs, , i4, IN_NARROW_REGISTER, s += (i4)_mm_madd_epi16((__m128i)a, (__m128i)b))
LOOP(avx2, __attribute__((target("avx2,fma"))), f8, IN_NARROW_REGISTER, s += a * b)
LOOP(avx2_pairs, __attribute__((target("avx2"))), i8, IN_NARROW_REGISTER, s += (i8)_mm256_madd_epi16((__m256i)a, (__m256i)b))
LOOP(avx2_bytes, __attribute__((target("avx2"))), i8, IN_NARROW_REGISTER,
  s += (i8)_mm256_madd_epi16(_mm256_maddubs_epi16((__m256i)a, (__m256i)b), _mm256_set1_epi16(1)))
LOOP(avx2_quads, __attribute__((target("avx2,avxvnni"))), i8, IN_NARROW_REGISTER,
  s = (i8)_mm256_dpbusd_avx_epi32((__m256i)s, (__m256i)a, (__m256i)b))
LOOP(avx2_pairs_vnni, __attribute__((target("avx2,avxvnni"))), i8, IN_NARROW_REGISTER,
  __asm__("%{vex%} vpdpwssd %2, %1, %0" : "+x"(s) : "x"(a), "x"(b)))
LOOP(avx512, __attribute__((target("avx512f"))), f16, IN_REGISTER, s += a * b)
LOOP(avx512_pairs, __attribute__((target("avx512f,avx512bw"))), i16, IN_REGISTER,
  s += (i16)_mm512_madd_epi16((__m512i)a, (__m512i)b))
LOOP(avx512_pairs_vnni, __attribute__((target("avx512f,avx512vnni"))), i16, IN_REGISTER,
  __asm__("vpdpwssd %2, %1, %0" : "+v"(s) : "v"(a), "v"(b))) // the compiler makes two instructions of the intrinsic
LOOP(avx512_bytes, __attribute__((target("avx512f,avx512bw"))), i16, IN_REGISTER,
  s += (i16)_mm512_madd_epi16(_mm512_maddubs_epi16((__m512i)a, (__m512i)b), _mm512_set1_epi16(1)))
LOOP(avx512_quads, __attribute__((target("avx512f,avx512vnni"))), i16, IN_REGISTER,
  s = (i16)_mm512_dpbusd_epi32((__m512i)s, (__m512i)a, (__m512i)b))
LOOP(avx512_bf16, __attribute__((target("avx512f,avx512bf16"))), f16, IN_REGISTER,
  s = (f16)_mm512_dpbf16_ps((__m512)s, (__m512bh)a, (__m512bh)b))
#endif

static int starts(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }

peak_loop peak_float32(const char *isa) {
#if defined(__x86_64__)
  if (starts(isa, "avx512")) return (peak_loop){avx512, 12 * 16 * 2};
  if (starts(isa, "avx2")) return (peak_loop){avx2, 12 * 8 * 2};
#endif
  if (starts(isa, "portable")) return (peak_loop){portable, 12 * 4 * 2};
  return (peak_loop){NULL, 0};
}

peak_loop peak_bf16(const char *isa) {
#if defined(__x86_64__)
  if (starts(isa, "avx512") && strstr(isa, "bf16")) return (peak_loop){avx512_bf16, 12 * 32 * 2};
#endif
  return peak_float32(isa);
}

peak_loop peak_int16(const char *isa) {
#if defined(__x86_64__)
  int vnni = strstr(isa, "vnni") != NULL;
  if (starts(isa, "avx512")) return (peak_loop){vnni ? avx512_pairs_vnni : avx512_pairs, 12 * 32 * 2};
  if (starts(isa, "avx2")) return (peak_loop){vnni ? avx2_pairs_vnni : avx2_pairs, 12 * 16 * 2};
  if (starts(isa, "portable")) return (peak_loop){portable_pairs, 12 * 8 * 2};
#endif
  return peak_float32(isa);
}

peak_loop peak_int8(const char *isa) {
#if defined(__x86_64__)
  int vnni = strstr(isa, "vnni") != NULL;
  if (starts(isa, "avx512")) return (peak_loop){vnni ? avx512_quads : avx512_bytes, 12 * 64 * 2};
  if (starts(isa, "avx2")) return (peak_loop){vnni ? avx2_quads : avx2_bytes, 12 * 32 * 2};
#endif
  return peak_int16(isa);
}

#if defined(__x86_64__)
__attribute__((target("avx2")))
#endif
void peak_read(const void *memory, size_t bytes) {
  i8 sums[4] = {0};
  size_t quarter = bytes / 4;
  for (int s = 0; s < 4; s++) IN_NARROW_REGISTER(sums[s]);
  for (size_t i = 0; i + 64 <= quarter; i += 64) {
#pragma clang loop unroll(full)
    for (int s = 0; s < 4; s++) {
      i8 v, w;
      const char *p = (const char *)memory + s * quarter + i;
      memcpy(&v, p, sizeof v);
      memcpy(&w, p + 32, sizeof w);
      sums[s] ^= v | w;
    }
  }
  for (int s = 0; s < 4; s++) IN_NARROW_REGISTER(sums[s]);
}
