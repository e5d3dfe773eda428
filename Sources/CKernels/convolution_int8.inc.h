// Pixels of planes to columns of integers. Several rows of channels go by at a time: they lie far apart in memory.

enum { MK_ROWS_TOGETHER = 8 };

// Pixels of one channel, zeros behind the last of n. `whole`, a constant: there is a whole vector of them.
MK_INLINE vf mk_load_pixels(const int whole, const float *x, mk_int n) {
  return whole ? vf_load(x) : n >= MK_WIDTH ? vf_load(x) : n > 0 ? vf_load_part(x, n) : (vf)0;
}

// The largest and the smallest element of each pixel so far and in MK_ROWS_TOGETHER more channels, zero included, as
// bits: among signed integers positive numbers are the largest, among unsigned ones negative numbers, and an infinity or
// NaN of either sign is larger than any number of its sign.
MK_INLINE void mk_pixel_range(
  const int whole, const float *x, const mk_int at[MK_ROWS_TOGETHER], mk_int n, uint32_t *high, uint32_t *low) {
  vi above = (vi)vu_load(high);
  vu below = vu_load(low);
#pragma clang loop unroll(full)
  for (int r = 0; r < MK_ROWS_TOGETHER; r++) {
    vf values = mk_load_pixels(whole, x + at[r], n);
    above = __builtin_elementwise_max(above, (vi)values);
    below = __builtin_elementwise_max(below, (vu)values);
  }
  vu_store(high, (vu)above);
  vu_store(low, below);
}

// Scale, 1 / scale and zero of the largest and smallest elements that mk_pixel_range found.
MK_INLINE void mk_pixel_scales(vi above, vu below, vf *scale, vf *inverse, vi *zero) {
  vi finite = (above < 0x7f800000) & (below < 0xff800000);
  vf largest = vf_select(finite, (vf)above, (vf)0.0f);
  vf smallest = vf_select(finite & ((vi)below < 0), (vf)below, (vf)0.0f); // no negative one: bits of a positive number
  vf part = smallest / 254;
  vf step = largest / 254 - part;
  step = vf_select(step < MK_LEAST_SCALE, (vf)0.0f, step);
  *inverse = vf_select(step > 0, 1 / step, (vf)0.0f);
  vf steps = smallest * *inverse;
  *scale = vf_select(finite, step, (vf)__builtin_nanf(""));
  *zero = -vf_round_between(steps, -255, 0);
}

// The integers of a vector of four channels: bytes of a unit, or pairs of int16 in the order that mk_pair_units has, those of
// the second and fourth channel `half` behind.
MK_INLINE void mk_pixel_units(
  const int bytes, const int whole, const float *x, const mk_int at[4], mk_int n, vf inverse, vi zero, uint32_t *out,
  mk_int half) {
  const vf magic = 0x1.8p23f;
  vf origin = magic + __builtin_convertvector(zero, vf);
  vu q[4];
#pragma clang loop unroll(full)
  for (int r = 0; r < 4; r++) {
    vf scaled = mk_load_pixels(whole, x + at[r], n) * inverse;
    vf shifted = scaled + origin;
    q[r] = (vu)shifted - (vu)magic;
  }
  if (bytes) {
    vu_store(out, q[0] | q[1] << 8 | q[2] << 16 | q[3] << 24);
  } else {
#pragma clang loop unroll(full)
    for (int r = 0; r < 4; r++) q[r] -= (vu)zero;
    vu_store(out, (q[0] & 0xffff) | q[2] << 16);
    vu_store(out + half, (q[1] & 0xffff) | q[3] << 16);
  }
}

// Quantises `pixels` <= MK_PIXELS_TOGETHER pixels of `channels` planes, `plane` apart, to 8 bits: h and l the largest and
// smallest element, 0 included, scale = h / 254 - l / 254, zero = round(-l (1 / scale)), u = round(x (1 / scale) + zero),
// which is in 0...255 without a limit: zero is at most a half from -l / scale. Writes scales and zeros of the pixels, and
// their panels, `panel` units apart: bytes u, [quad of channels][16][4]; otherwise int16 u - zero, [quad of channels][2][16][2],
// pairs of the first and third channel and of the second and fourth. Zeros are behind the last pixel; behind the last
// channel its own integers, which meet weights of zero.
MK_INLINE void mk_quantise_pixels(
  const int bytes, mk_int channels, mk_int pixels, const float *x, mk_int plane, float *scales, int32_t *zeros,
  uint32_t *out, mk_int panel) {
  uint32_t high[MK_PIXELS_TOGETHER] = {0}, low[MK_PIXELS_TOGETHER] = {0};
  float inverses[MK_PIXELS_TOGETHER];
  mk_int end = (pixels + MK_PANEL - 1) / MK_PANEL * MK_PANEL;
  for (mk_int c = 0; c < channels; c += MK_ROWS_TOGETHER) {
    mk_int at[MK_ROWS_TOGETHER];
    for (mk_int r = 0; r < MK_ROWS_TOGETHER; r++) at[r] = (c + r < channels ? c + r : channels - 1) * plane;
    // The next channels: short rows of many planes are nothing that the processor foresees.
    const float *next = x + (c + MK_ROWS_TOGETHER) * plane;
    mk_int fetched = mk_min(MK_ROWS_TOGETHER, channels - c - MK_ROWS_TOGETHER);
    for (mk_int i = 0; i < end; i += MK_WIDTH) {
      for (mk_int r = 0; r < fetched && i % MK_PANEL == 0; r++) __builtin_prefetch(next + r * plane + i, 0, 2);
      if (pixels - i >= MK_WIDTH) {
        mk_pixel_range(1, x + i, at, 0, high + i, low + i);
      } else {
        mk_pixel_range(0, x + i, at, pixels - i, high + i, low + i);
      }
    }
  }
  for (mk_int i = 0; i < end; i += MK_WIDTH) {
    vf scale, inverse;
    vi zero;
    mk_pixel_scales((vi)vu_load(high + i), vu_load(low + i), &scale, &inverse, &zero);
    vf_store(scales + i, scale);
    vf_store(inverses + i, inverse);
    vu_store(zeros + i, (vu)zero);
  }
  for (mk_int c = 0; c < channels; c += 4) {
    mk_int at[4];
    for (mk_int r = 0; r < 4; r++) at[r] = (c + r < channels ? c + r : channels - 1) * plane;
    uint32_t *to = out + c / 4 * (bytes ? MK_PANEL : 2 * MK_PANEL);
    for (mk_int i = 0; i < end; i += MK_WIDTH) {
      vf inverse = vf_load(inverses + i);
      vi zero = (vi)vu_load(zeros + i);
      uint32_t *o = to + i / MK_PANEL * panel + i % MK_PANEL;
      if (pixels - i >= MK_WIDTH) {
        mk_pixel_units(bytes, 1, x + i, at, 0, inverse, zero, o, MK_PANEL);
      } else {
        mk_pixel_units(bytes, 0, x + i, at, pixels - i, inverse, zero, o, MK_PANEL);
      }
    }
  }
}

#define MK_QUANTISE_PIXELS(name, bytes)                                                                                 \
  __attribute__((unused)) static void name(                                                                             \
    mk_int channels, mk_int pixels, const float *x, mk_int plane, float *scales, int32_t *zeros, uint32_t *out,         \
    mk_int panel) {                                                                                                     \
    mk_quantise_pixels(bytes, channels, pixels, x, plane, scales, zeros, out, panel);                                   \
  }
MK_QUANTISE_PIXELS(mk_quantise_pixels_int16, 0)
MK_QUANTISE_PIXELS(mk_quantise_pixels_uint8, 1)
