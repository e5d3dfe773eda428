// Packs the weights of convolutions of narrow operands. Integers: scales of the output channels, then the sums of their
// integers, both filled up to whole panels. Then as convolution.c has them: [depth part], and in each blocks of output
// channels as tiles read them, [unit][height], a unit being a quad of int8, or a pair of bf16 or, where the instruction set
// has no products of bytes, of int16. Pairs of int16 are those of pack_fine_row. Bytes would have to be widened for them in
// each call.
#include "convolution_narrow.h"

#include "convolution.h"
#include "linear.h"

#include <math.h>

mk_narrow_row mk_narrow_row_of(mk_weights type, const mk_conv_shape *s) {
  const mk_kernels *kernels = mk_current_kernels();
  mk_narrow_row row = {
    .form = type == MK_WEIGHTS_BF16 ? &kernels->bf16_pixels : &kernels->int8_pixels,
    .depth = s->channels * s->kernel_h * s->kernel_w,
  };
  row.units = mk_ceil_div(row.depth, 4) * (4 / row.form->depths);
  row.scales = row.form->integer ? mk_round_up(s->out_channels, MK_PANEL) : 0;
  return row;
}

size_t mk_conv_narrow_packed_bytes(mk_weights type, const mk_conv_shape *s) {
  mk_narrow_row row = mk_narrow_row_of(type, s);
  return (size_t)(2 * row.scales + s->out_channels * row.units) * sizeof(float);
}

typedef struct {
  mk_narrow_row row;
  mk_int channels; // of the output
  const float *weights;
  float *packed;
} mk_conv_narrow_pack_call;

// The scale of one output channel, as mk_linear_pack finds it.
static float mk_channel_scale(mk_int depth, const float *w, float *inverse) {
  uint32_t largest = 0; // as bits, among which an infinity or NaN is larger than any number
  for (mk_int p = 0; p < depth; p += 2) {
    float mean = 0.5f * fabsf(w[p]) + (p + 1 < depth ? 0.5f * fabsf(w[p + 1]) : 0);
    uint32_t bits;
    memcpy(&bits, &mean, sizeof bits);
    if (bits > largest) largest = bits;
  }
  float mean;
  memcpy(&mean, &largest, sizeof mean);
  return mk_weight_scale(mean, inverse);
}

// Packs one block of output channels.
static void mk_pack_conv_block(void *context, mk_int block, int32_t worker) {
  const mk_conv_narrow_pack_call *c = context;
  const mk_narrow_row *row = &c->row;
  mk_int channels = c->channels, depth = row->depth, depths = row->form->depths;
  mk_int blocks = mk_ceil_div(channels, mk_current_kernels()->rows);
  mk_int first = mk_part(channels, blocks, block), height = mk_part(channels, blocks, block + 1) - first;
  const float *weights = c->weights + first * depth;
  int32_t *sums = (int32_t *)(void *)(c->packed + row->scales) + first;
  float inverses[MK_BLOCK_ROWS] = {0}, rows[MK_BLOCK_ROWS * MK_MAX_DEPTH];
  (void)worker;
  for (mk_int r = 0; row->form->integer && r < height; r++) {
    c->packed[first + r] = mk_channel_scale(depth, weights + r * depth, &inverses[r]);
    sums[r] = 0;
  }
  for (mk_int part = 0; part < mk_depth_parts(row->units); part++) {
    mk_int unit0 = mk_first_depth(row->units, part), count = mk_first_depth(row->units, part + 1) - unit0;
    mk_int depth0 = unit0 * depths, these = mk_min(count * depths, depth - depth0);
    for (mk_int r = 0; r < height; r++) {
      float *units = rows + r * MK_MAX_DEPTH;
      row->form->pack_weights(these, weights + r * depth + depth0, inverses[r], INT8_MAX, units);
      const int8_t *bytes = (const int8_t *)units;
      for (mk_int p = 0; depths == 4 && p < these; p++) sums[r] += bytes[p];
    }
    mk_interleave(height, count, rows, MK_MAX_DEPTH, c->packed + 2 * row->scales + unit0 * channels + first * count);
  }
}

void mk_conv_narrow_pack(
  mk_pool *pool, mk_weights type, const mk_conv_shape *s, const float *weights, void *packed) {
  mk_conv_narrow_pack_call call = {mk_narrow_row_of(type, s), s->out_channels, weights, packed};
  memset(packed, 0, (size_t)(2 * call.row.scales) * sizeof(float));
  mk_parallel(pool, mk_ceil_div(s->out_channels, mk_current_kernels()->rows), mk_pack_conv_block, &call);
}
