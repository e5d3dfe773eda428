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
  mk_int kernel = s->kernel_h * s->kernel_w;
  mk_narrow_row row = {.form = type == MK_WEIGHTS_BF16 ? &kernels->bf16_pixels : &kernels->int8_pixels};
  row.banded = row.form->integer && kernel > 1;
  row.depth = (row.banded ? mk_round_up(s->channels, 4) : s->channels) * kernel;
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
  const mk_conv_shape *s;
  const float *weights;
  float *packed;
} mk_conv_narrow_pack_call;

// Depths depth0..<depth0 + count of an output channel, in the order of its row; of bands both are multiples of 4.
static void mk_order_weights(
  const mk_conv_narrow_pack_call *c, mk_int channel, mk_int depth0, mk_int count, float *ordered) {
  const mk_conv_shape *s = c->s;
  mk_int kernel = s->kernel_h * s->kernel_w, quads = mk_ceil_div(s->channels, 4);
  const float *weights = c->weights + channel * s->channels * kernel;
  if (!c->row.banded) {
    memcpy(ordered, weights + depth0, (size_t)count * sizeof *ordered);
    return;
  }
  mk_int t = depth0 / 4 % s->kernel_w, quad = depth0 / 4 / s->kernel_w % quads, u = depth0 / 4 / s->kernel_w / quads;
  for (mk_int p = 0; p < count; p += 4) {
    for (mk_int i = 0; i < 4; i++) {
      mk_int in = 4 * quad + i;
      ordered[p + i] = in < s->channels ? weights[in * kernel + u * s->kernel_w + t] : 0;
    }
    if (++t < s->kernel_w) continue;
    t = 0;
    if (++quad == quads) quad = 0, u++;
  }
}

// The scale of one output channel, as mk_linear_pack finds it.
static float mk_channel_scale(const mk_conv_narrow_pack_call *c, mk_int channel, float *inverse) {
  uint32_t largest = 0; // as bits, among which an infinity or NaN is larger than any number
  float w[MK_MAX_DEPTH];
  for (mk_int depth0 = 0; depth0 < c->row.depth; depth0 += MK_MAX_DEPTH) {
    mk_int count = mk_min(c->row.depth - depth0, MK_MAX_DEPTH);
    mk_order_weights(c, channel, depth0, count, w);
    for (mk_int p = 0; p < count; p += 2) {
      float mean = 0.5f * fabsf(w[p]) + (p + 1 < count ? 0.5f * fabsf(w[p + 1]) : 0);
      uint32_t bits;
      memcpy(&bits, &mean, sizeof bits);
      if (bits > largest) largest = bits;
    }
  }
  float mean;
  memcpy(&mean, &largest, sizeof mean);
  return mk_weight_scale(mean, inverse);
}

// Packs one block of output channels.
static void mk_pack_conv_block(void *context, mk_int block, int32_t worker) {
  const mk_conv_narrow_pack_call *c = context;
  const mk_narrow_row *row = &c->row;
  mk_int channels = c->s->out_channels, depth = row->depth, depths = row->form->depths;
  mk_int blocks = mk_ceil_div(channels, mk_current_kernels()->rows);
  mk_int first = mk_part(channels, blocks, block), height = mk_part(channels, blocks, block + 1) - first;
  int32_t *sums = (int32_t *)(void *)(c->packed + row->scales) + first;
  float inverses[MK_BLOCK_ROWS] = {0}, rows[MK_BLOCK_ROWS * MK_MAX_DEPTH], weights[4 * MK_MAX_DEPTH];
  (void)worker;
  for (mk_int r = 0; row->form->integer && r < height; r++) {
    c->packed[first + r] = mk_channel_scale(c, first + r, &inverses[r]);
    sums[r] = 0;
  }
  for (mk_int part = 0; part < mk_depth_parts(row->units); part++) {
    mk_int unit0 = mk_first_depth(row->units, part), count = mk_first_depth(row->units, part + 1) - unit0;
    mk_int depth0 = unit0 * depths, these = mk_min(count * depths, depth - depth0);
    for (mk_int r = 0; r < height; r++) {
      float *units = rows + r * MK_MAX_DEPTH;
      mk_order_weights(c, first + r, depth0, these, weights);
      int32_t sum = row->form->pack_weights(these, weights, inverses[r], INT8_MAX, units);
      if (depths == 4) sums[r] += sum;
    }
    mk_interleave(height, count, rows, MK_MAX_DEPTH, c->packed + 2 * row->scales + unit0 * channels + first * count);
  }
}

void mk_conv_narrow_pack(
  mk_pool *pool, mk_weights type, const mk_conv_shape *s, const float *weights, void *packed) {
  mk_conv_narrow_pack_call call = {mk_narrow_row_of(type, s), s, weights, packed};
  memset(packed, 0, (size_t)(2 * call.row.scales) * sizeof(float));
  mk_parallel(pool, mk_ceil_div(s->out_channels, mk_current_kernels()->rows), mk_pack_conv_block, &call);
}
