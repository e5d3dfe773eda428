// What the checks share: random numbers, buffers that end at memory nobody may touch, and the record of failures.
#pragma once
#include "mue_kernels.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The instruction set under test, its name, and the pool that threaded cases use.
extern mk_pool *check_pool;
extern const char *check_isa;

// SplitMix64.
typedef struct { uint64_t state; } check_random;
check_random check_seed(uint64_t seed);
uint64_t check_bits(check_random *r);
float check_float(check_random *r, float low, float high);
mk_int check_int(check_random *r, mk_int low, mk_int high); // both included

// Buffers live until check_free_all. `check_floats` ends where the process may neither read nor write, so it starts at a
// multiple of 4 and usually of nothing larger; what lies in front of it is watched. Filled with NaN.
float *check_floats(mk_int count);
float *check_randoms(check_random *r, mk_int count, float low, float high);
float *check_copy(const float *from, mk_int count);
// Packed memory and scratch: a multiple of 64, with the same end.
void *check_bytes(size_t bytes);
// Unmaps all buffers; false when something was written in front of one.
int check_free_all(void);

// Counts one case; `worst` is the largest error divided by its bound, so above 1 (or NaN) is a failure.
__attribute__((format(printf, 2, 3))) void check_case(double worst, const char *format, ...);
// The largest of `worst` and the error in units of its bound; NaN where a number is expected is infinite.
double check_error(double worst, double got, double expected, double bound);

// Bound of a sum of `terms` rounded products whose magnitudes add up to `magnitude`.
double check_product_bound(mk_int terms, double magnitude);
double check_activated(mk_activation activation, double x);
// The nearest bf16, ties to even, a NaN as it is; and whether this instruction set multiplies pairs of them, so that x is rounded too.
float check_rounded_bf16(float x);
int check_has_bf16_pairs(void);
// Elements rounded to integers within +-levels times their scale.
void check_rounded_row(mk_int levels, mk_int k, const float *x, double *row);
static const mk_activation check_activations[] = {
  MK_ACT_NONE, MK_ACT_RELU, MK_ACT_GELU_ERF, MK_ACT_GELU_TANH, MK_ACT_SILU, MK_ACT_SIGMOID, MK_ACT_TANH};

// One file each.
void check_linear(void);
void check_bf16(void);
void check_coded(void);
void check_int8(void);
void check_int4(void);
void check_gemm(void);
void check_attention(void);
void check_packed_attention(void);
void check_convolution(void);
void check_depthwise(void);
void check_winograd(void);
void check_int8_convolution(void);
void check_int8_windows(void);
void check_bf16_convolution(void);
void check_rows(void);
void check_elementwise(void);
void check_halves(void);
