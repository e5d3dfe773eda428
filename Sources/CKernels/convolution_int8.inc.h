// Pixels of planes to columns of integers. Several rows of channels go by at a time: they lie far apart in memory.

enum { MK_ROWS_TOGETHER = 8 };

// Pixels of one channel, zeros behind the last of n. `whole`, a constant: there is a whole vector of them.
MK_INLINE vf mk_load_pixels(const int whole, const float *x, mk_int n) {
  return whole ? vf_load(x) : n >= MK_WIDTH ? vf_load(x) : n > 0 ? vf_load_part(x, n) : (vf)0;
}

// The largest magnitude of each pixel so far and in MK_ROWS_TOGETHER more channels, as bits: compared so, an infinity
// or NaN is larger than any number.
MK_INLINE vi mk_largest_bits(
  const int whole, const float *x, const mk_int at[MK_ROWS_TOGETHER], mk_int n, vi largest) {
#pragma clang loop unroll(full)
  for (int r = 0; r < MK_ROWS_TOGETHER; r++) {
    vi bits = (vi)vf_abs(mk_load_pixels(whole, x + at[r], n));
    vi larger = bits > largest;
    largest = (bits & larger) | (largest & ~larger);
  }
  return largest;
}

// The integers nearest to a vector of four channels, to two of pairs, in the order that mk_pair_units has.
MK_INLINE void mk_pixel_pairs(
  const int whole, const float *x, const mk_int at[4], mk_int n, vf inverse, uint32_t *out) {
  const vf magic = 0x1.8p23f;
  vu bits[4]; // the lower 16 are those of the integer
#pragma clang loop unroll(full)
  for (int r = 0; r < 4; r++) {
    vf scaled = mk_load_pixels(whole, x + at[r], n) * inverse;
    bits[r] = (vu)(scaled + magic);
  }
  vu_store(out, (bits[0] & 0xffff) | bits[2] << 16);
  vu_store(out + MK_PANEL, (bits[1] & 0xffff) | bits[3] << 16);
}

// Quantises `pixels` <= MK_QUANTISED_PIXELS pixels of `channels` planes, `plane` apart: scale = largest magnitude /
// levels, x = scale round(x (1 / scale)). Writes their scales, and their panels, `panel` units apart: [quad of
// channels][2][16], pairs of the first and third channel and of the second and fourth. Zeros are behind the last pixel;
// behind the last channel its own integers, which meet weights of zero. Integers need not be held to the levels: no
// quotient exceeds them by as much as a half.
static void mk_quantise_pixels(
  mk_int channels, mk_int pixels, const float *x, mk_int plane, float levels, float *scales, uint32_t *out,
  mk_int panel) {
  int32_t largest[MK_QUANTISED_PIXELS] = {0};
  float inverses[MK_QUANTISED_PIXELS];
  mk_int end = (pixels + MK_PANEL - 1) / MK_PANEL * MK_PANEL;
  for (mk_int c = 0; c < channels; c += MK_ROWS_TOGETHER) {
    mk_int at[MK_ROWS_TOGETHER];
    for (mk_int r = 0; r < MK_ROWS_TOGETHER; r++) at[r] = (c + r < channels ? c + r : channels - 1) * plane;
    for (mk_int i = 0; i < end; i += MK_WIDTH) {
      vi so_far = (vi)vu_load(largest + i);
      vi more = pixels - i >= MK_WIDTH ? mk_largest_bits(1, x + i, at, 0, so_far)
                                       : mk_largest_bits(0, x + i, at, pixels - i, so_far);
      vu_store(largest + i, (vu)more);
    }
  }
  for (mk_int i = 0; i < end; i += MK_WIDTH) {
    vi bits = (vi)vu_load(largest + i);
    vf scale = (vf)bits / levels;
    scale = vf_select(scale < MK_LEAST_SCALE, (vf)0.0f, scale);
    vf_store(scales + i, vf_select(bits < 0x7f800000, scale, (vf)__builtin_nanf("")));
    vf_store(inverses + i, vf_select(scale > 0, 1 / scale, (vf)0.0f));
  }
  for (mk_int c = 0; c < channels; c += 4) {
    mk_int at[4];
    for (mk_int r = 0; r < 4; r++) at[r] = (c + r < channels ? c + r : channels - 1) * plane;
    uint32_t *to = out + c / 2 * MK_PANEL;
    for (mk_int i = 0; i < end; i += MK_WIDTH) {
      vf inverse = vf_load(inverses + i);
      uint32_t *o = to + i / MK_PANEL * panel + i % MK_PANEL;
      if (pixels - i >= MK_WIDTH) {
        mk_pixel_pairs(1, x + i, at, 0, inverse, o);
      } else {
        mk_pixel_pairs(0, x + i, at, pixels - i, inverse, o);
      }
    }
  }
}
