#include "mue_kernels.h"

#include <stdatomic.h>
#include <stdlib.h>

struct mk_flag {
    atomic_int value;
};

mk_flag *mk_flag_create(void) { return calloc(1, sizeof(mk_flag)); }

void mk_flag_destroy(mk_flag *flag) { free(flag); }

void mk_flag_set(mk_flag *flag) { atomic_store_explicit(&flag->value, 1, memory_order_relaxed); }

int32_t mk_flag_get(const mk_flag *flag) { return atomic_load_explicit(&flag->value, memory_order_relaxed); }
