// Chooses the instruction set: once per process, or as a test wishes.
#include "kernels.h"

#include <stdatomic.h>

static _Atomic(const mk_kernels *) mk_chosen;

static int32_t mk_has(int32_t isa) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  int32_t avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  int32_t avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                   __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  switch (isa) {
  case MK_ISA_AVX2: return avx2;
  case MK_ISA_AVX2_VNNI: return avx2 && __builtin_cpu_supports("avxvnni");
  case MK_ISA_AVX512: return avx512;
  case MK_ISA_AVX512_VNNI: return avx512 && __builtin_cpu_supports("avx512vnni");
  case MK_ISA_AVX512_BF16:
    return avx512 && __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bf16");
  default: break;
  }
#endif
  return isa == MK_ISA_PORTABLE;
}

static const mk_kernels *mk_table(int32_t isa) {
  switch (isa) {
#if defined(__x86_64__)
  case MK_ISA_AVX2: return &mk_kernels_avx2;
  case MK_ISA_AVX2_VNNI: return &mk_kernels_avx2_vnni;
  case MK_ISA_AVX512: return &mk_kernels_avx512;
  case MK_ISA_AVX512_VNNI: return &mk_kernels_avx512_vnni;
  case MK_ISA_AVX512_BF16: return &mk_kernels_avx512_bf16;
#endif
  default: return &mk_kernels_portable;
  }
}

// Best first.
static const int32_t mk_preferred[] = {
  MK_ISA_AVX512_BF16, MK_ISA_AVX512_VNNI, MK_ISA_AVX512, MK_ISA_AVX2_VNNI, MK_ISA_AVX2, MK_ISA_PORTABLE};

const mk_kernels *mk_current_kernels(void) {
  const mk_kernels *kernels = atomic_load_explicit(&mk_chosen, memory_order_acquire);
  if (kernels) return kernels;
  const int32_t *isa = mk_preferred;
  while (!mk_has(*isa)) isa++; // everything has the last one
  // Threads that race here find the same answer; a choice that a test forced in between stands.
  const mk_kernels *expected = NULL;
  kernels = mk_table(*isa);
  return atomic_compare_exchange_strong(&mk_chosen, &expected, kernels) ? kernels : expected;
}

int32_t mk_isa_force(int32_t isa) {
  if (isa == MK_ISA_BEST) {
    atomic_store(&mk_chosen, NULL);
    return 1;
  }
  if (!mk_has(isa)) return 0;
  atomic_store(&mk_chosen, mk_table(isa));
  return 1;
}

const char *mk_isa_name(void) { return mk_current_kernels()->name; }
