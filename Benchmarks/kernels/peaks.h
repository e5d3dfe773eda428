// What the processor can do at most, measured: the limits in roofline.cpp.
#pragma once
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

// A loop of `rounds` steps of independent multiply-adds in registers, with the vectors of one instruction set.
typedef struct {
  void (*run)(long rounds);
  double operations; // of one step: a multiplication and an addition count two
} peak_loop;

// For products of float32, bf16, pairs of int16 and bytes with the instructions of this set ("avx2", ...): the best that it
// has for exact sums. run is NULL for an unknown name.
peak_loop peak_float32(const char *isa);
peak_loop peak_bf16(const char *isa);
peak_loop peak_int16(const char *isa);
peak_loop peak_int8(const char *isa);

// Reads `bytes` (a multiple of 1024) at four places at once.
void peak_read(const void *memory, size_t bytes);

#ifdef __cplusplus
}
#endif
