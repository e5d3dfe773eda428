// Half and bfloat16 to and from float: portable forms; dispatched ones are in the kernel tables.
#include "kernels.h"

static inline float mk_float(uint32_t bits) {
  float f;
  memcpy(&f, &bits, 4);
  return f;
}

static inline uint32_t mk_bits(float f) {
  uint32_t bits;
  memcpy(&bits, &f, 4);
  return bits;
}

void mk_f16_to_f32(const uint16_t *x, mk_int n, float *y) {
  const mk_kernels *kernels = mk_current_kernels();
  if (kernels->f16_to_f32) {
    kernels->f16_to_f32(x, n, y);
    return;
  }
  for (mk_int i = 0; i < n; i++) {
    uint32_t sign = (uint32_t)(x[i] & 0x8000) << 16, magnitude = x[i] & 0x7fff;
    // Scaling by 2^112 rebiases the exponent and normalises subnormals; infinity and NaN keep a full exponent.
    uint32_t bits = magnitude == 0x7c00 ? 0x7f800000u
                                        : mk_bits(mk_float(magnitude << 13) * 0x1p112f);
    if (magnitude > 0x7c00) bits = (magnitude << 13) | 0x7fc00000u;
    y[i] = mk_float(bits | sign);
  }
}

void mk_f32_to_f16(const float *x, mk_int n, uint16_t *y) {
  const mk_kernels *kernels = mk_current_kernels();
  if (kernels->f32_to_f16) {
    kernels->f32_to_f16(x, n, y);
    return;
  }
  for (mk_int i = 0; i < n; i++) {
    uint32_t bits = mk_bits(x[i]), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff, half;
    if (magnitude > 0x7f800000) {
      half = 0x7e00 | (magnitude >> 13 & 0x3ff);
    } else if (magnitude >= 0x477ff000) { // 65520 and above round to infinity
      half = 0x7c00;
    } else if (magnitude < 0x38800000) { // subnormal: let the adder round at 2^-24
      half = mk_bits(mk_float(magnitude) + 0.5f) - 0x3f000000;
    } else {
      half = (magnitude + 0xfff + (magnitude >> 13 & 1) - 0x38000000) >> 13;
    }
    y[i] = (uint16_t)(half | sign);
  }
}

void mk_bf16_to_f32(const uint16_t *x, mk_int n, float *y) {
  for (mk_int i = 0; i < n; i++) y[i] = mk_float((uint32_t)x[i] << 16);
}

void mk_f32_to_bf16(const float *x, mk_int n, uint16_t *y) {
  for (mk_int i = 0; i < n; i++) {
    uint32_t bits = mk_bits(x[i]);
    uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    y[i] = (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? (bits >> 16 | 0x40) : rounded);
  }
}
