// The narrow formats of packed weights: rounding, packing, and widening to float32. A panel in a narrow format is rows
// of 16 units of 4 bytes, one unit per column: two depths of bf16 or four of int8, the first in the lowest bits.

typedef uint32_t vu __attribute__((ext_vector_type(MK_WIDTH)));

MK_INLINE vu vu_load(const void *p) {
  vu v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

MK_INLINE void vu_store(void *p, vu v) { __builtin_memcpy(p, &v, sizeof v); }

// The nearest bf16, ties to even, in the upper half of each lane; the lower half is zero. A NaN stays one.
MK_INLINE vu vf_round_bf16(vf x) {
  vu bits = (vu)x;
  vu rounded = bits + 0x7fff + ((bits >> 16) & 1);
  return (vu)vf_select(x != x, (vf)(bits | 0x400000), (vf)rounded) & 0xffff0000;
}

// The nearest integer, ties to even, not below low or above high (both below 2^22). NaN gives low.
MK_INLINE vi vf_round_between(vf x, float low, float high) {
  vf t = vf_min(vf_max(x, (vf)low), (vf)high);
  const vf magic = 0x1.8p23f;
  vf shifted = t + magic;
  return (vi)shifted - (vi)magic;
}

// panel[2 * pairs][16] to pairs.
static void mk_pack_bf16_panel(mk_int pairs, const float *panel, void *out) {
  for (mk_int p = 0; p < pairs; p++) {
    for (int j = 0; j < MK_PANEL; j += MK_WIDTH) {
      vu low = vf_round_bf16(vf_load(panel + 2 * p * MK_PANEL + j));
      vu high = vf_round_bf16(vf_load(panel + (2 * p + 1) * MK_PANEL + j));
      vu_store((uint32_t *)out + p * MK_PANEL + j, low >> 16 | high);
    }
  }
}

// maxima[16] = the larger of them and the mean magnitudes of pairs of depths, panel[2 * pairs][16]; NaN where one is not
// finite.
static void mk_pair_maxima(mk_int pairs, const float *panel, float *maxima) {
  for (int j = 0; j < MK_PANEL; j += MK_WIDTH) {
    vf largest = vf_load(maxima + j);
    vi finite = largest == largest;
    for (mk_int p = 0; p < pairs; p++) {
      vf first = vf_abs(vf_load(panel + 2 * p * MK_PANEL + j)), second = vf_abs(vf_load(panel + (2 * p + 1) * MK_PANEL + j));
      vf mean = 0.5f * first + 0.5f * second;
      finite &= mean < __builtin_inff();
      largest = vf_max(mean, largest);
    }
    vf_store(maxima + j, vf_select(finite, largest, (vf)__builtin_nanf("")));
  }
}

// round(panel[4 * quads][16] * inverse[16]) within +-127 to quads; adds the integers to sums[16].
static void mk_pack_int8_panel(mk_int quads, const float *panel, const float *inverse, void *out, int32_t *sums) {
  for (int j = 0; j < MK_PANEL; j += MK_WIDTH) {
    vf factor = vf_load(inverse + j);
    vu sum = vu_load(sums + j);
    for (mk_int p = 0; p < quads; p++) {
      vu unit = 0;
      for (int i = 0; i < 4; i++) {
        vf scaled = vf_load(panel + (4 * p + i) * MK_PANEL + j) * factor;
        vu q = (vu)vf_round_between(scaled, -127, 127);
        sum += q;
        unit |= (q & 255) << (8 * i);
      }
      vu_store((uint32_t *)out + p * MK_PANEL + j, unit);
    }
    vu_store(sums + j, sum);
  }
}

// A group, panel[8 * units][16], to the scales of its columns and units of eight depths, of which the first four are in the
// lower halves of the bytes: round(w / scale) + 8 in 0...15, scale = -1/8 of the element of the largest magnitude.
static void mk_pack_int4_panel(mk_int units, const float *panel, void *out) {
  for (int j = 0; j < MK_PANEL; j += MK_WIDTH) {
    vf largest = 0;
    vi finite = ~(vi)0;
    for (mk_int p = 0; p < 8 * units; p++) {
      vf w = vf_load(panel + p * MK_PANEL + j);
      finite &= vf_abs(w) < __builtin_inff();
      largest = vf_select(vf_abs(w) > vf_abs(largest), w, largest);
    }
    vf scale = largest * -0.125f;
    scale = vf_select(vf_abs(scale) < MK_LEAST_SCALE, (vf)0.0f, scale);
    vf inverse = vf_select(scale == 0.0f, (vf)0.0f, 1 / scale);
    vf_store((float *)out + j, vf_select(finite, scale, (vf)__builtin_nanf("")));
    for (mk_int u = 0; u < units; u++) {
      vu unit = 0;
      for (int i = 0; i < 8; i++) {
        vf scaled = vf_load(panel + (8 * u + i) * MK_PANEL + j) * inverse;
        unit |= (vu)(vf_round_between(scaled, -8, 7) + 8) << (i % 4 * 8 + i / 4 * 4);
      }
      vu_store((uint32_t *)out + (u + 1) * MK_PANEL + j, unit);
    }
  }
}

// pairs to out[2 * pairs][16].
static void mk_widen_bf16(mk_int pairs, const void *panel, const float *scales, void *out) {
  (void)scales;
  for (mk_int i = 0; i < pairs * MK_PANEL; i += MK_WIDTH) {
    vu unit = vu_load((const uint32_t *)panel + i);
    float *o = (float *)out + i / MK_PANEL * 2 * MK_PANEL + i % MK_PANEL;
    vf_store(o, (vf)(unit << 16));
    vf_store(o + MK_PANEL, (vf)(unit & 0xffff0000));
  }
}

// quads times their columns' scales to out[4 * quads][16].
static void mk_widen_int8(mk_int quads, const void *panel, const float *scales, void *out) {
  for (int j = 0; j < MK_PANEL; j += MK_WIDTH) {
    vf scale = vf_load(scales + j);
    for (mk_int p = 0; p < quads; p++) {
      vi unit = (vi)vu_load((const uint32_t *)panel + p * MK_PANEL + j);
      float *o = (float *)out + 4 * p * MK_PANEL + j;
      vf_store(o, __builtin_convertvector(unit << 24 >> 24, vf) * scale);
      vf_store(o + MK_PANEL, __builtin_convertvector(unit << 16 >> 24, vf) * scale);
      vf_store(o + 2 * MK_PANEL, __builtin_convertvector(unit << 8 >> 24, vf) * scale);
      vf_store(o + 3 * MK_PANEL, __builtin_convertvector(unit >> 24, vf) * scale);
    }
  }
}

typedef int16_t v16 __attribute__((ext_vector_type(2 * MK_WIDTH)));
typedef int16_t v16_half __attribute__((ext_vector_type(MK_WIDTH)));
typedef uint8_t vu8_quarter __attribute__((ext_vector_type(MK_WIDTH)));

// Quads to two rows of pairs of int16: the first and third depth, then the second and fourth, which are two shifts away.
__attribute__((unused)) static void mk_widen_int16(mk_int quads, const void *panel, const float *scales, void *out) {
  (void)scales;
  for (mk_int i = 0; i < quads * MK_PANEL; i += MK_WIDTH) {
    v16 unit = (v16)vu_load((const uint32_t *)panel + i);
    uint32_t *o = (uint32_t *)out + i / MK_PANEL * 2 * MK_PANEL + i % MK_PANEL;
    vu_store(o, (vu)(unit << 8 >> 8));
    vu_store(o + MK_PANEL, (vu)(unit >> 8));
  }
}

// What follows makes 16 units of a row of x, and returns the sum of their integers, that of some in each lane.

// Pairs of int16 in that order, within low...high.
MK_INLINE vi mk_pair_units(const float *x, float inverse, float low, float high, void *out) {
  vi sum = 0;
  for (int p = 0; p < 2 * MK_CHUNK; p += MK_WIDTH) {
    vf scaled = vf_load(x + p) * inverse;
    vi q = vf_round_between(scaled, low, high);
    sum += q;
#if MK_WIDTH == 16
    q = __builtin_shufflevector(q, q, 0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15);
#elif MK_WIDTH == 8
    q = __builtin_shufflevector(q, q, 0, 2, 1, 3, 4, 6, 5, 7);
#else
    q = __builtin_shufflevector(q, q, 0, 2, 1, 3);
#endif
    v16_half units = __builtin_convertvector(q, v16_half);
    __builtin_memcpy((int16_t *)out + p, &units, sizeof units);
  }
  return sum;
}

// Quantised values less their zero.
MK_INLINE vi mk_int16_units(const float *x, float inverse, int32_t zero, void *out) {
  return mk_pair_units(x, inverse, (float)-zero, (float)(255 - zero), out);
}

// Values of few rows, on both sides of zero.
MK_INLINE vi mk_fine_units(const float *x, float inverse, int32_t levels, void *out) {
  return mk_pair_units(x, inverse, (float)-levels, (float)levels, out);
}

// Quads of bytes within low...high, and `zero` more.
MK_INLINE vi mk_byte_units(const float *x, float inverse, float low, float high, int32_t zero, void *out) {
  vi sum = 0;
  for (int p = 0; p < 4 * MK_CHUNK; p += MK_WIDTH) {
    vf scaled = vf_load(x + p) * inverse;
    vi q = vf_round_between(scaled, low, high) + zero;
    sum += q;
    vu8_quarter units = __builtin_convertvector(q & 255, vu8_quarter);
    __builtin_memcpy((uint8_t *)out + p, &units, sizeof units);
  }
  return sum;
}

// Unsigned ones.
MK_INLINE vi mk_uint8_units(const float *x, float inverse, int32_t zero, void *out) {
  return mk_byte_units(x, inverse, (float)-zero, (float)(255 - zero), zero, out);
}

// On both sides of zero.
MK_INLINE vi mk_int8_units(const float *x, float inverse, int32_t levels, void *out) {
  return mk_byte_units(x, inverse, (float)-levels, (float)levels, 0, out);
}

#define MK_PACK_ROW(name, depths, units)                                                                            \
  __attribute__((unused)) static int32_t name(mk_int k, const float *x, float inverse, int32_t zero, void *out) {   \
    char *o = out;                                                                                                  \
    vi sum = 0;                                                                                                     \
    mk_int p = 0;                                                                                                   \
    for (; p + depths * MK_CHUNK <= k; p += depths * MK_CHUNK, o += 4 * MK_CHUNK) sum += units(x + p, inverse, zero, o); \
    if (p < k) {                                                                                                    \
      float rest[depths * MK_CHUNK] = {0};                                                                          \
      __builtin_memcpy(rest, x + p, (size_t)(k - p) * sizeof *x);                                                   \
      sum += units(rest, inverse, zero, o);                                                                         \
    }                                                                                                               \
    return __builtin_reduce_add(sum);                                                                               \
  }

MK_PACK_ROW(mk_pack_int16_row, 2, mk_int16_units)
MK_PACK_ROW(mk_pack_fine_row, 2, mk_fine_units)
MK_PACK_ROW(mk_pack_uint8_row, 4, mk_uint8_units)
MK_PACK_ROW(mk_pack_int8_row, 4, mk_int8_units)
