// Chooses the instruction set: once per process, as MUE_ISA says or else the widest, or as a test wishes.
#include "kernels.h"

#include <stdatomic.h>
#include <stdlib.h>

static _Atomic(const mk_kernels *) mk_chosen;

// What MUE_ISA asks for: an mk_isa, or one of these.
enum { MK_WISH_NONE = MK_ISA_BEST, MK_WISH_UNKNOWN = -2, MK_WISH_UNREAD = -3 };
static _Atomic(int32_t) mk_wish = MK_WISH_UNREAD;

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
#elif defined(__aarch64__)
  if (isa == MK_ISA_NEON) return 1; // every such processor has it
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
#elif defined(__aarch64__)
  case MK_ISA_NEON: return &mk_kernels_neon;
#endif
  default: return &mk_kernels_portable;
  }
}

// The environment is read once: a host that changes it later changes nothing.
static int32_t mk_read_wish(void) {
  int32_t wish = atomic_load(&mk_wish);
  if (wish != MK_WISH_UNREAD) return wish;
  static const char *const names[] = {
    [MK_ISA_PORTABLE] = "portable",
    [MK_ISA_NEON] = "neon",
    [MK_ISA_AVX2] = "avx2",
    [MK_ISA_AVX2_VNNI] = "avx2-vnni",
    [MK_ISA_AVX512] = "avx512",
    [MK_ISA_AVX512_VNNI] = "avx512-vnni",
    [MK_ISA_AVX512_BF16] = "avx512-vnni-bf16",
  };
  const char *value = getenv("MUE_ISA");
  wish = value && *value ? MK_WISH_UNKNOWN : MK_WISH_NONE;
  for (int32_t isa = 0; wish == MK_WISH_UNKNOWN && isa <= MK_ISA_WIDEST; isa++) {
    if (strcmp(value, names[isa]) == 0) wish = isa;
  }
  int32_t expected = MK_WISH_UNREAD;
  return atomic_compare_exchange_strong(&mk_wish, &expected, wish) ? wish : expected;
}

const mk_kernels *mk_current_kernels(void) {
  const mk_kernels *kernels = atomic_load_explicit(&mk_chosen, memory_order_acquire);
  if (kernels) return kernels;
  int32_t isa = mk_read_wish();
  if (isa < 0 || !mk_has(isa)) {
    isa = MK_ISA_WIDEST;
    while (isa > MK_ISA_PORTABLE && !mk_has(isa)) isa--;
  }
  // Threads that race here find the same answer; a choice that a test forced in between stands.
  const mk_kernels *expected = NULL;
  kernels = mk_table(isa);
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

const char *mk_isa_note(void) {
  int32_t wish = mk_read_wish();
  if (wish == MK_WISH_NONE) return "";
  if (wish == MK_WISH_UNKNOWN) return "MUE_ISA names no instruction set";
  if (!mk_has(wish)) return "not MUE_ISA's, which is not available here";
  return mk_current_kernels() == mk_table(wish) ? "by MUE_ISA" : "";
}
