#define _GNU_SOURCE
#include "mue_kernels.h"

#include <sched.h>

int32_t mk_usable_cores(void) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  int32_t count = CPU_COUNT(&set);
  return count < 1 ? 1 : count;
}
