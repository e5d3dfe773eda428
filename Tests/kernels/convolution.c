// Convolutions by columns, in float32 and bf16, depthwise, and by Winograd's method.
#include "convolution.h"

// `count` numbers rounded to bf16.
static float *rounded_copy(const float *from, mk_int count) {
  float *to = check_floats(count);
  for (mk_int i = 0; i < count; i++) to[i] = check_rounded_bf16(from[i]);
  return to;
}

// `tiled`: an output's error is bounded by the norms of the weights and of the patches that its tile of 4 x 4 sees, and
// errors are small beside the sums' terms on the whole (docs/kernels.md). A tile of 2 x 2 sees less.
static void one_convolution_as(mk_weights type, const char *name, conv_case c, int tiled) {
  mk_conv_shape s = c.s;
  if (s.out_height == 0 || s.out_width == 0) return;
  check_random r = check_seed(c.seed);
  mk_int in = s.channels / s.groups, out = s.out_channels / s.groups, kernel = s.kernel_h * s.kernel_w;
  mk_int plane = s.height * s.width, count = s.batch * s.out_channels * s.out_height * s.out_width;
  float *x = check_randoms(&r, s.batch * s.channels * plane, -1, 1);
  float *w = check_randoms(&r, s.out_channels * in * kernel, -1, 1);
  float *bias = c.bias ? check_randoms(&r, s.out_channels, -1, 1) : NULL;
  float *y = check_randoms(&r, count, -1, 1), *before = check_copy(y, count);
  float *residual = c.residual == 1 ? check_randoms(&r, count, -1, 1) : c.residual == 2 ? y : NULL;
  void *packed = check_bytes(mk_conv_packed_bytes(type, &s)), *scratch = check_bytes(mk_conv_scratch(c.pool, type, &s));
  mk_conv_pack(c.pool, type, &s, w, packed);
  mk_conv(c.pool, type, &s, x, packed, bias, c.activation, residual, y, scratch);
  double worst = 0, squared_errors = 0, squared_terms = 1e-30;
  if (tiled) {
    // How tiles are shared out changes with the number of threads, but no bit of what they come to.
    mk_pool *other = c.pool ? NULL : check_pool;
    float *same = check_copy(before, count);
    mk_conv(
      other, type, &s, x, packed, bias, c.activation, c.residual == 2 ? same : residual, same,
      check_bytes(mk_conv_scratch(other, type, &s)));
    if (memcmp(same, y, (size_t)count * sizeof *y)) worst = INFINITY;
  }
  if (mk_conv_weights(type, &s) == MK_WEIGHTS_BF16) {
    x = rounded_copy(x, s.batch * s.channels * plane);
    w = rounded_copy(w, s.out_channels * in * kernel);
  }
  mk_int at = 0;
  for (mk_int plane_out = 0; plane_out < s.batch * s.out_channels; plane_out++) {
    mk_int o = plane_out % s.out_channels, b = plane_out / s.out_channels;
    for (mk_int i = 0; i < s.out_height; i++) {
      for (mk_int j = 0; j < s.out_width; j++, at++) {
        double sum = (bias ? (double)bias[o] : 0) + (c.residual ? (double)(c.residual == 1 ? residual : before)[at] : 0);
        double magnitude = fabs(sum) + 2, patch = 0, taps = 0;
        squared_terms += sum * sum;
        for (mk_int ch = 0; ch < in; ch++) {
          const float *from = x + (b * s.channels + o / out * in + ch) * plane, *weights = w + (o * in + ch) * kernel;
          for (mk_int u = 0; u < s.kernel_h; u++) {
            for (mk_int t = 0; t < s.kernel_w; t++) {
              double weight = weights[u * s.kernel_w + t], product = seen(&s, from, i, j, u, t) * weight;
              sum += product, taps += weight * weight, squared_terms += product * product;
              if (!tiled) magnitude += fabs(product);
            }
          }
          for (mk_int p = 0; tiled && p < 36; p++) {
            double value = seen(&s, from, i / 4 * 4, j / 4 * 4, p / 6, p % 6);
            patch += value * value;
          }
        }
        double bound = tiled ? check_product_bound(in + 22, magnitude + 94 * sqrt(patch * taps))
                             : 1.13 * check_product_bound(in * kernel, magnitude) + 5e-7 * magnitude;
        double expected = check_activated(c.activation, sum), error = y[at] - expected;
        squared_errors += error * error;
        worst = check_error(worst, y[at], expected, bound);
      }
    }
  }
  double spread = 2 * 0x1p-24 * (sqrt((double)in) + 2);
  if (tiled) worst = check_error(worst, sqrt(squared_errors / squared_terms), 0, spread);
  check_case(
    worst, "%s %td x %td x %td x %td to %td, kernel %td x %td, stride %td %td, dilation %td %td, pads %td %td, groups %td, "
    "activation %d residual %d", name, s.batch, s.channels, s.height, s.width, s.out_channels, s.kernel_h, s.kernel_w,
    s.stride_h, s.stride_w, s.dilation_h, s.dilation_w, s.pad_top, s.pad_left, s.groups, c.activation, c.residual);
}

static void one_convolution(const char *name, conv_case c, int tiled) {
  one_convolution_as(MK_WEIGHTS_F32, name, c, tiled);
}

void check_convolution(void) {
  check_random r = check_seed(33);
  for (int round = 0; round < 120; round++) {
    int pointwise = round % 5 == 0, plain = round % 10 == 0;
    mk_int groups = round % 4 == 0 ? check_int(&r, 2, 4) : 1, channels = groups * check_int(&r, 1, 6);
    mk_conv_shape s = {
      .batch = check_int(&r, 1, 2), .channels = channels, .height = check_int(&r, 1, 20), .width = check_int(&r, 1, 40),
      .out_channels = groups * check_int(&r, 1, round % 3 == 0 ? 30 : 9), .kernel_h = pointwise ? 1 : check_int(&r, 1, 4),
      .kernel_w = pointwise ? 1 : check_int(&r, 1, 4), .stride_h = plain ? 1 : check_int(&r, 1, 3),
      .stride_w = plain ? 1 : check_int(&r, 1, 3), .dilation_h = round % 7 == 0 ? check_int(&r, 1, 3) : 1,
      .dilation_w = round % 7 == 0 ? check_int(&r, 1, 3) : 1, .pad_top = plain ? 0 : check_int(&r, 0, 3),
      .pad_left = plain ? 0 : check_int(&r, 0, 3), .groups = groups};
    s = shaped(s, plain ? 0 : check_int(&r, 0, 3), plain ? 0 : check_int(&r, 0, 3));
    one_convolution("convolution", (conv_case){
      s, check_activations[round % 7], round % 2, round % 3, round % 4 < 2 ? check_pool : NULL, (uint64_t)round}, 0);
  }
  // Several groups of output channels, shared out among threads or not.
  mk_conv_shape broad = {1, 20, 9, 7, 205, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 1}, pairs = {2, 6, 11, 5, 402, 0, 0, 2, 2, 1, 1, 1, 1, 0, 0, 2};
  one_convolution("convolution", (conv_case){shaped(broad, 0, 0), MK_ACT_RELU, 1, 1, NULL, 5}, 0);
  one_convolution("convolution", (conv_case){shaped(broad, 0, 0), MK_ACT_SILU, 1, 2, check_pool, 6}, 0);
  one_convolution("convolution", (conv_case){shaped(pairs, 0, 0), MK_ACT_NONE, 1, 0, check_pool, 7}, 0);
  // Depth in two blocks; the stem of a residual network, thinner.
  mk_conv_shape deep = {1, 45, 9, 9, 14, 0, 0, 3, 3, 1, 1, 1, 1, 1, 1, 1}, stem = {1, 3, 40, 40, 16, 0, 0, 7, 7, 2, 2, 1, 1, 3, 3, 1};
  one_convolution("convolution", (conv_case){shaped(deep, 1, 1), MK_ACT_RELU, 1, 2, NULL, 1}, 0);
  one_convolution("convolution", (conv_case){shaped(stem, 3, 3), MK_ACT_RELU, 1, 0, check_pool, 3}, 0);
  // Rows of several tiles, lines of each stride and shared by taps or not; lines that would take too much room; planes in
  // two parts of the depth; more channels than a depth part begins and ends with.
  for (int round = 0; round < 12; round++) {
    mk_int stride = round % 3 + 1, taps = round % 4 + 1;
    mk_conv_shape wide = {
      1, 3, 7, 150 + 17 * round, 13, 0, 0, 3, taps, stride, stride, round % 5 == 4 ? 2 : 1, round % 7 == 6 ? 2 : 1, 1, 1, 1};
    one_convolution("convolution", (conv_case){
      shaped(wide, 1, 1), MK_ACT_RELU, 1, round % 3, round % 2 ? check_pool : NULL, (uint64_t)round}, 0);
  }
  mk_conv_shape long_rows = {1, 45, 6, 1200, 5, 0, 0, 3, 3, 2, 2, 1, 1, 1, 1, 1}, short_rows = {1, 90, 12, 11, 9, 0, 0, 3, 3, 2, 2, 1, 1, 1, 1, 1};
  mk_conv_shape planes = {2, 410, 5, 33, 21, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 1};
  one_convolution("convolution", (conv_case){shaped(long_rows, 1, 1), MK_ACT_RELU, 1, 1, check_pool, 8}, 0);
  one_convolution("convolution", (conv_case){shaped(short_rows, 1, 1), MK_ACT_SILU, 1, 2, check_pool, 9}, 0);
  one_convolution("convolution", (conv_case){shaped(planes, 0, 0), MK_ACT_TANH, 1, 1, NULL, 10}, 0);
}

void check_depthwise(void) {
  check_random r = check_seed(44);
  for (int round = 0; round < 200; round++) {
    static const mk_int kernels[] = {3, 5, 7, 3, 1, 2, 4, 9};
    mk_int kernel = kernels[round % 8], channels = check_int(&r, 2, 5), square = round % 3;
    mk_int stride = round % 5 == 4 ? 3 : round % 2 + 1;
    mk_conv_shape s = {
      .batch = check_int(&r, 1, 3), .channels = channels, .height = check_int(&r, 1, 25), .width = check_int(&r, 1, 75),
      .out_channels = channels, .kernel_h = kernel, .kernel_w = square ? kernel : check_int(&r, 1, 5), .stride_h = stride,
      .stride_w = square ? stride : check_int(&r, 1, 4), .dilation_h = round % 11 == 0 ? check_int(&r, 1, 3) : 1,
      .dilation_w = round % 11 == 0 ? check_int(&r, 1, 3) : 1, .pad_top = check_int(&r, 0, kernel),
      .pad_left = check_int(&r, 0, kernel), .groups = channels};
    s = shaped(s, check_int(&r, 0, kernel), check_int(&r, 0, kernel));
    one_convolution("depthwise", (conv_case){
      s, check_activations[round % 7], round % 2, round % 3, round % 4 < 2 ? check_pool : NULL, (uint64_t)round}, 0);
  }
  // Planes larger than what is in scratch at a time, wide and high.
  mk_conv_shape wide = {2, 2, 9, 3001, 2, 0, 0, 3, 3, 1, 1, 1, 1, 1, 1, 2}, high = {1, 3, 700, 130, 3, 0, 0, 5, 5, 2, 2, 1, 1, 2, 2, 3};
  one_convolution("depthwise", (conv_case){shaped(wide, 1, 1), MK_ACT_RELU, 1, 1, NULL, 1}, 0);
  one_convolution("depthwise", (conv_case){shaped(high, 2, 2), MK_ACT_SILU, 1, 2, check_pool, 2}, 0);
}

void check_winograd(void) {
  check_random r = check_seed(77);
  // Images of all sizes around one and two tiles, tiles of both sizes.
  for (int round = 0; round < 24; round++) {
    mk_int most = round % 4 == 3 ? 8 : 27;
    mk_conv_shape s = {
      .batch = check_int(&r, 1, 2), .channels = check_int(&r, 32, 50), .height = check_int(&r, 1, most),
      .width = check_int(&r, 1, most), .out_channels = check_int(&r, 32, 50), .kernel_h = 3, .kernel_w = 3, .stride_h = 1,
      .stride_w = 1, .dilation_h = 1, .dilation_w = 1, .pad_top = check_int(&r, 0, 3), .pad_left = check_int(&r, 0, 3),
      .groups = 1};
    s = shaped(s, check_int(&r, 0, 3), check_int(&r, 0, 3));
    one_convolution("winograd", (conv_case){
      s, round % 2 ? check_activations[round % 7] : MK_ACT_RELU, round % 3 != 0, round % 3,
      round % 4 < 2 ? check_pool : NULL, (uint64_t)round}, 1);
  }
  // Tiles of a row in several tasks.
  mk_conv_shape wide = {1, 33, 5, 301, 32, 0, 0, 3, 3, 1, 1, 1, 1, 1, 1, 1};
  one_convolution("winograd", (conv_case){shaped(wide, 1, 1), MK_ACT_RELU, 1, 0, check_pool, 20}, 1);
  // Several bands, several groups of output channels, and more input channels than one transform takes at its largest.
  mk_conv_shape large = {1, 32, 122, 121, 32, 0, 0, 3, 3, 1, 1, 1, 1, 1, 1, 1}, broad = {1, 40, 13, 14, 131, 0, 0, 3, 3, 1, 1, 1, 1, 1, 1, 1};
  mk_conv_shape small = {2, 37, 7, 7, 131, 0, 0, 3, 3, 1, 1, 1, 1, 1, 1, 1}, deep = {1, 301, 9, 15, 37, 0, 0, 3, 3, 1, 1, 1, 1, 1, 1, 1};
  one_convolution("winograd", (conv_case){shaped(large, 1, 1), MK_ACT_NONE, 1, 1, check_pool, 21}, 1);
  one_convolution("winograd", (conv_case){shaped(broad, 1, 1), MK_ACT_RELU, 1, 2, NULL, 22}, 1);
  one_convolution("winograd", (conv_case){shaped(broad, 1, 1), MK_ACT_SILU, 0, 1, check_pool, 23}, 1);
  one_convolution("winograd", (conv_case){shaped(small, 1, 1), MK_ACT_RELU, 1, 2, check_pool, 24}, 1);
  one_convolution("winograd", (conv_case){shaped(deep, 1, 1), MK_ACT_NONE, 1, 0, NULL, 25}, 1);
}

// An infinity or NaN in a pixel is in all outputs of this pixel and no other, whatever is behind the last channel.
static void one_special_bf16(mk_conv_shape s) {
  check_random r = check_seed(7);
  mk_int pixels = s.height * s.width, in = s.channels, out = s.out_channels;
  float *x = check_randoms(&r, in * pixels, -1, 1), *w = check_randoms(&r, out * in, 0.5, 1), *y = check_floats(out * pixels);
  x[(in - 1) * pixels + 1] = INFINITY, x[check_int(&r, 0, in - 1) * pixels + pixels - 1] = NAN;
  mk_weights type = MK_WEIGHTS_BF16;
  void *packed = check_bytes(mk_conv_packed_bytes(type, &s)), *scratch = check_bytes(mk_conv_scratch(NULL, type, &s));
  mk_conv_pack(NULL, type, &s, w, packed);
  mk_conv(NULL, type, &s, x, packed, NULL, MK_ACT_NONE, NULL, y, scratch);
  int right = 1;
  for (mk_int o = 0; o < out; o++) {
    for (mk_int i = 0; i < pixels; i++) {
      float value = y[o * pixels + i];
      right &= i == 1 ? value == INFINITY : i == pixels - 1 ? isnan(value) : isfinite(value);
    }
  }
  check_case(right ? 0 : INFINITY, "bf16 convolution of %td channels with an infinity and a NaN", in);
}

// Asked for in bf16: products of rounded numbers where the instruction set has them, else float32.
void check_bf16_convolution(void) {
  check_random r = check_seed(101);
  for (int round = 0; round < 40; round++) {
    mk_int kernel_h = round % 2 ? 1 : check_int(&r, 1, 4), kernel_w = round % 2 ? 1 : check_int(&r, 1, 4), plain = round % 4 == 1;
    mk_conv_shape s = {
      .batch = check_int(&r, 1, 2), .channels = check_int(&r, round % 2 ? 22 : 5, 90), .height = check_int(&r, 1, 15),
      .width = check_int(&r, 1, 31), .out_channels = check_int(&r, 22, 90), .kernel_h = kernel_h, .kernel_w = kernel_w,
      .stride_h = plain ? 1 : check_int(&r, 1, 3), .stride_w = plain ? 1 : check_int(&r, 1, 3),
      .dilation_h = round % 3 == 0 ? check_int(&r, 1, 3) : 1, .dilation_w = round % 3 == 0 ? check_int(&r, 1, 3) : 1,
      .pad_top = plain ? 0 : check_int(&r, 0, 3), .pad_left = plain ? 0 : check_int(&r, 0, 3), .groups = 1};
    s = shaped(s, plain ? 0 : check_int(&r, 0, 3), plain ? 0 : check_int(&r, 0, 3));
    if (kernel_h == 3 && kernel_w == 3 && s.stride_h == 1 && s.stride_w == 1) continue; // Winograd's, with its own bound
    one_convolution_as(MK_WEIGHTS_BF16, "bf16 convolution", (conv_case){
      s, check_activations[round % 7], round % 5 != 0, round % 3, round % 4 < 2 ? check_pool : NULL, (uint64_t)round}, 0);
  }
  // A single pixel; several parts of the depth, the last of one unit; more pixels than one task takes; a residual network's
  // stem and its 3 x 3 with stride 2, smaller.
  mk_conv_shape shapes[] = {
    pointwise(1, 65, 1, 1, 64), pointwise(2, 771, 9, 5, 109), pointwise(1, 1601, 2, 33, 67), pointwise(1, 64, 29, 41, 205),
    shaped((mk_conv_shape){1, 3, 60, 61, 64, 0, 0, 7, 7, 2, 2, 1, 1, 3, 3, 1}, 3, 3),
    shaped((mk_conv_shape){1, 128, 21, 20, 65, 0, 0, 3, 3, 2, 2, 1, 1, 1, 1, 1}, 1, 1)};
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    for (int kind = 0; kind < 3; kind++) {
      one_convolution_as(MK_WEIGHTS_BF16, "bf16 convolution", (conv_case){
        shapes[i], kind ? MK_ACT_RELU : MK_ACT_SILU, 1, kind, kind % 2 ? check_pool : NULL, 50 + i}, 0);
    }
  }
  one_special_bf16(pointwise(1, 67, 3, 11, 37));
  one_special_bf16(pointwise(1, 801, 3, 5, 64));
}
