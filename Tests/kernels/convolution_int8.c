// Convolutions asked for in int8: of 1 x 1, whose pixels are quantised each, and of larger kernels, where bands of rows are.
#include "convolution.h"

// The weights of an output channel as bytes: integers times a scale with which no two that share 16 bits, those of a kernel
// position and channels 2c and 2c + 1, exceed 128 together.
static void rounded_channel(mk_int in, mk_int kernel, const float *w, double *row) {
  float largest = 0;
  int finite = 1;
  for (mk_int p = 0; p < in * kernel; p++) {
    finite &= isfinite(w[p]);
    if (p / kernel % 2) continue;
    largest = fmaxf(largest, 0.5f * fabsf(w[p]) + (p / kernel + 1 < in ? 0.5f * fabsf(w[p + kernel]) : 0));
  }
  float scale = largest / 63.5f, inverse = 1 / scale;
  for (mk_int p = 0; p < in * kernel; p++) {
    float scaled = w[p] * inverse;
    row[p] = finite ? (double)scale * rintf(scaled) : NAN;
  }
}

// k numbers as bytes, less their zero, in place: the channels of a pixel, or all that a band has. NaN where one is not finite.
static void quantise_together(mk_int k, double *x) {
  float low = 0, high = 0;
  double whole = 0; // NaN where one is or where an element is infinite
  for (mk_int p = 0; p < k; p++) {
    low = fminf(low, (float)x[p]);
    high = fmaxf(high, (float)x[p]);
    whole += 0 * x[p];
  }
  float above = high / 254, below = low / 254;
  float scale = above - below, inverse = 1 / scale;
  double zero = rintf(-low * inverse);
  for (mk_int p = 0; p < k; p++) {
    float scaled = (float)x[p] * inverse;
    x[p] = isnan(whole) ? NAN : scale < 0x1p-126f ? 0 : (double)scale * (rint((double)scaled + zero) - zero);
  }
}

// The patches of all outputs as bytes, [image][output][channel][kernel position]. 1 x 1: a pixel by itself. Otherwise what a
// band of output rows sees of the input, in whole rows.
static double *quantised_patches(const mk_conv_shape *s, const float *x) {
  mk_int kernel = s->kernel_h * s->kernel_w, plane = s->height * s->width, outputs = s->out_height * s->out_width;
  mk_int depth = s->channels * kernel, in = s->channels;
  double *patches = malloc((size_t)(s->batch * outputs * depth) * sizeof *patches);
  double *band = malloc((size_t)(in * plane + 1) * sizeof *band);
  mk_int overlap = 4 * (s->kernel_h - s->stride_h), bands = s->out_height * s->stride_h;
  bands = (bands + (overlap > 8 ? overlap : 8) - 1) / (overlap > 8 ? overlap : 8);
  mk_int height = (s->out_height + bands - 1) / bands;
  for (mk_int i = 0; i < s->batch * outputs; i++) {
    mk_int row = i % outputs / s->out_width, column = i % s->out_width;
    const float *image = x + i / outputs * in * plane;
    double *patch = patches + i * depth;
    if (kernel == 1) {
      for (mk_int ch = 0; ch < in; ch++) patch[ch] = seen(s, image + ch * plane, row, column, 0, 0);
      quantise_together(in, patch);
      continue;
    }
    mk_int end = row / height * height + height - 1;
    if (end >= s->out_height) end = s->out_height - 1;
    mk_int top = row / height * height * s->stride_h - s->pad_top, bottom = end * s->stride_h - s->pad_top + s->kernel_h;
    if (top < 0) top = 0;
    if (bottom > s->height) bottom = s->height;
    mk_int rows = bottom > top ? bottom - top : 0;
    if (column == 0 && row % height == 0) {
      for (mk_int ch = 0; ch < in; ch++) {
        for (mk_int j = 0; j < rows * s->width; j++) band[ch * rows * s->width + j] = image[ch * plane + top * s->width + j];
      }
      quantise_together(in * rows * s->width, band);
    }
    double special = 0 * (rows > 0 ? band[0] : 0); // NaN is in all of a band
    for (mk_int p = 0; p < depth; p++) {
      mk_int y = row * s->stride_h - s->pad_top + p % kernel / s->kernel_w;
      mk_int at = column * s->stride_w - s->pad_left + p % s->kernel_w;
      int inside = y >= 0 && y < s->height && at >= 0 && at < s->width;
      patch[p] = inside ? band[(p / kernel * rows + y - top) * s->width + at] : special;
    }
  }
  free(band);
  return patches;
}

// With int8 asked for: the integers' products are exact. `special`: a pixel with a NaN, another with an infinity, one of zeros
// and one of numbers that are next to nothing, and a channel with a NaN among its weights.
// `signs`: 1 makes inputs not negative, as behind a ReLU; 2 makes all weights and inputs of the largest magnitude, which
// would saturate sums of 16 bits if their scale allowed it; 3 makes all inputs next to nothing.
static void one_int8_convolution(conv_case c, int special, int signs) {
  mk_conv_shape s = c.s;
  check_random r = check_seed(c.seed);
  mk_int batch = s.batch, in = s.channels, out = s.out_channels, pixels = s.height * s.width;
  mk_int kernel = s.kernel_h * s.kernel_w, depth = in * kernel;
  mk_int seen_pixels = s.out_height * s.out_width, count = batch * out * seen_pixels;
  if (seen_pixels == 0) return;
  float *x = check_randoms(&r, batch * in * pixels, -1, 1), *w = check_randoms(&r, out * depth, -1, 1);
  float *bias = c.bias ? check_randoms(&r, out, -1, 1) : NULL;
  float *y = check_randoms(&r, count, -1, 1), *before = check_copy(y, count);
  float *residual = c.residual == 1 ? check_randoms(&r, count, -1, 1) : c.residual == 2 ? y : NULL;
  for (mk_int i = 0; signs && i < batch * in * pixels; i++) x[i] = signs == 3 ? x[i] * 0x1p-127f : signs == 2 ? 1 : fabsf(x[i]);
  for (mk_int i = 0; signs == 2 && i < out * depth; i++) w[i] = i / kernel % 3 && i / depth % 2 ? -0.5f : 0.5f;
  mk_int bad_pixel = check_int(&r, 0, pixels - 1), bad_channel = check_int(&r, 0, out - 1);
  mk_int at = check_int(&r, 0, in - 1);
  if (special) {
    x[at * pixels + bad_pixel] = NAN;
    x[((batch - 1) * in + at) * pixels + (bad_pixel + 1) % pixels] = -INFINITY;
    for (mk_int ch = 0; ch < in; ch++) {
      x[ch * pixels + (bad_pixel + 2) % pixels] = 0;
      x[ch * pixels + (bad_pixel + 3) % pixels] *= 0x1p-127f;
    }
    w[bad_channel * depth + at * kernel] = NAN;
  }
  mk_weights type = MK_WEIGHTS_INT8;
  void *packed = check_bytes(mk_conv_packed_bytes(type, &s)), *scratch = check_bytes(mk_conv_scratch(c.pool, type, &s));
  mk_conv_pack(c.pool, type, &s, w, packed);
  mk_conv(c.pool, type, &s, x, packed, bias, c.activation, residual, y, scratch);
  double *patches = quantised_patches(&s, x), *weights = malloc((size_t)(out * depth) * sizeof *weights);
  for (mk_int o = 0; o < out; o++) rounded_channel(in, kernel, w + o * depth, weights + o * depth);
  double worst = mk_conv_weights(type, &s) == type ? 0 : INFINITY;
  for (mk_int b = 0; b < batch; b++) {
    for (mk_int i = 0; i < seen_pixels; i++) {
      const double *patch = patches + (b * seen_pixels + i) * depth;
      for (mk_int o = 0; o < out; o++) {
        mk_int to = (b * out + o) * seen_pixels + i;
        double product = 0, rest = 0, magnitude = 0;
        for (mk_int p = 0; p < depth; p++) product += patch[p] * weights[o * depth + p];
        if (isnan(product)) {
          if (!isnan(y[to])) worst = INFINITY;
          continue;
        }
        if (bias) rest += bias[o], magnitude += fabs((double)bias[o]);
        double before_it = c.residual ? (double)(c.residual == 1 ? residual : before)[to] : 0;
        rest += before_it, magnitude += fabs(before_it);
        double bound = 0x1p-24 * (6 * fabs(product) + 4 * magnitude) + 1e-30;
        if (c.activation > MK_ACT_RELU) bound = 1.13 * bound + 5e-7 * (2 + fabs(product) + magnitude);
        worst = check_error(worst, y[to], check_activated(c.activation, product + rest), bound);
      }
    }
  }
  free(patches);
  free(weights);
  check_case(
    worst,
    "int8 convolution %td x %td x %td x %td to %td, kernel %td x %td, stride %td %td, pads %td %td, activation %d "
    "residual %d special %d", batch, in, s.height, s.width, out, s.kernel_h, s.kernel_w, s.stride_h, s.stride_w, s.pad_top,
    s.pad_left, c.activation, c.residual, special);
}

void check_int8_convolution(void) {
  check_random r = check_seed(99);
  for (int round = 0; round < 40; round++) {
    mk_conv_shape s = pointwise(
      check_int(&r, 1, 3), check_int(&r, 64, 110), check_int(&r, 1, 9), check_int(&r, 1, 21), check_int(&r, 64, 110));
    one_int8_convolution((conv_case){
      s, round % 3 ? MK_ACT_RELU : check_activations[round % 7], round % 4 != 0, round / 2 % 3,
      round % 2 ? check_pool : NULL, (uint64_t)round}, 0, round / 3 % 2);
  }
  for (int round = 0; round < 6; round++) {
    mk_conv_shape s = pointwise(2, check_int(&r, 64, 70), 3, check_int(&r, 3, 9), check_int(&r, 64, 70));
    one_int8_convolution((conv_case){s, MK_ACT_NONE, 1, round % 3, round % 2 ? check_pool : NULL, (uint64_t)round}, 1, round / 3 % 2);
  }
  for (int round = 0; round < 20; round++) {
    mk_conv_shape s = pointwise(
      check_int(&r, 1, 2), check_int(&r, 64, 90), check_int(&r, 1, 19), check_int(&r, 1, 37), check_int(&r, 64, 90));
    s.stride_h = check_int(&r, 1, 3), s.stride_w = check_int(&r, 1, 3);
    s.pad_top = check_int(&r, 0, 2), s.pad_left = check_int(&r, 0, 2);
    s = shaped(s, check_int(&r, 0, 2), check_int(&r, 0, 2));
    one_int8_convolution((conv_case){s, MK_ACT_RELU, 1, round % 3, round % 2 ? check_pool : NULL, (uint64_t)round}, 0, round / 3 % 2);
  }
  // A single pixel; row groups; several parts of the depth; more pixels than one task takes.
  mk_conv_shape shapes[] = {
    pointwise(1, 64, 1, 1, 64), pointwise(1, 67, 5, 7, 205), pointwise(1, 775, 9, 5, 109), pointwise(1, 1601, 2, 33, 67),
    pointwise(1, 4096, 3, 6, 64), pointwise(1, 64, 29, 41, 64)};
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    one_int8_convolution((conv_case){shapes[i], MK_ACT_RELU, 1, 1, check_pool, 50 + i}, 0, 1);
    one_int8_convolution((conv_case){shapes[i], MK_ACT_RELU, 1, 2, NULL, 60 + i}, 0, 2);
  }
  // What has no such form is computed in float32.
  mk_conv_shape others[] = {
    pointwise(1, 63, 4, 4, 64), pointwise(1, 64, 4, 4, 63), pointwise(1, MK_QUANTISED_DEPTH + 1, 1, 1, 64),
    {1, 128, 4, 4, 128, 4, 4, 1, 1, 1, 1, 1, 1, 0, 0, 2}, {1, 2, 9, 9, 64, 2, 2, 8, 8, 1, 1, 1, 1, 0, 0, 1},
    {1, 64, 9, 9, 64, 5, 5, 3, 3, 1, 1, 2, 2, 0, 0, 1}, {1, 64, 9, 9, 64, 3, 7, 3, 3, 4, 1, 1, 1, 0, 0, 1}};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    int right = mk_conv_weights(MK_WEIGHTS_INT8, &others[i]) == MK_WEIGHTS_F32;
    check_case(right ? 0 : INFINITY, "shape %zu has no int8 form", i);
  }
}

// A kernel larger than 1 x 1: bytes where the instruction set multiplies them (NEON does not, pairs of int16 elsewhere), by
// Winograd's method where it has no single instruction for four.
static void one_int8_window(conv_case c, int special, int signs) {
  mk_conv_shape *s = &c.s;
  int winograd = s->kernel_h == 3 && s->kernel_w == 3 && s->stride_h == 1 && s->stride_w == 1 && s->channels >= 32;
  int is_float = strcmp(check_isa, "neon") == 0 || (winograd && !strstr(check_isa, "vnni"));
  if (!is_float) {
    one_int8_convolution(c, special, signs);
    return;
  }
  check_case(
    mk_conv_weights(MK_WEIGHTS_INT8, s) == MK_WEIGHTS_F32 ? 0 : INFINITY, "int8 window of %td x %td, stride %td %td, in float32",
    s->kernel_h, s->kernel_w, s->stride_h, s->stride_w);
}

void check_int8_windows(void) {
  check_random r = check_seed(103);
  for (int round = 0; round < 60; round++) {
    // A third are 3 x 3 with stride 1, a third 3 x 3 with stride 2; rows shorter than a panel, too.
    int any = round % 3 == 2;
    mk_int kernel_h = any ? check_int(&r, 1, 5) : 3, kernel_w = any ? check_int(&r, 2, 5) : 3, step = round % 3 + 1;
    mk_conv_shape s = {
      .batch = check_int(&r, 1, 2), .channels = any ? check_int(&r, 33, 70) : check_int(&r, 64, 70),
      .height = check_int(&r, 1, 23), .width = check_int(&r, 1, round % 2 ? 12 : 50), .out_channels = check_int(&r, 64, 80),
      .kernel_h = kernel_h, .kernel_w = kernel_w, .stride_h = any ? check_int(&r, 1, kernel_h) : step,
      .stride_w = any ? check_int(&r, 1, kernel_w) : step, .dilation_h = 1, .dilation_w = 1, .pad_top = check_int(&r, 0, 3),
      .pad_left = check_int(&r, 0, 3), .groups = 1};
    s = shaped(s, check_int(&r, 0, 3), check_int(&r, 0, 3));
    one_int8_window((conv_case){
      s, round % 4 ? MK_ACT_RELU : check_activations[round % 7], round % 5 != 0, round / 3 % 3, round % 2 ? check_pool : NULL,
      (uint64_t)round}, round % 7 == 3, round / 3 % 4);
  }
  // More padding than image; a residual network's stem, smaller; a patch of 16 x 16; several parts of the depth and shares of
  // output channels; rows of several hundred pixels; more images than are quantised together.
  mk_conv_shape shapes[] = {
    shaped((mk_conv_shape){2, 64, 2, 1, 64, 0, 0, 3, 3, 1, 1, 1, 1, 9, 17, 1}, 8, 5),
    shaped((mk_conv_shape){1, 3, 61, 60, 64, 0, 0, 7, 7, 2, 2, 1, 1, 3, 3, 1}, 3, 3),
    shaped((mk_conv_shape){1, 3, 50, 64, 96, 0, 0, 16, 16, 16, 16, 1, 1, 0, 0, 1}, 0, 0),
    shaped((mk_conv_shape){1, 271, 9, 15, 131, 0, 0, 3, 3, 1, 1, 1, 1, 1, 1, 1}, 1, 1),
    shaped((mk_conv_shape){1, 385, 5, 9, 64, 0, 0, 3, 3, 2, 2, 1, 1, 1, 1, 1}, 1, 1),
    shaped((mk_conv_shape){1, 64, 3, 801, 64, 0, 0, 3, 3, 1, 1, 1, 1, 1, 1, 1}, 1, 1),
    shaped((mk_conv_shape){1, 64, 1, 1205, 64, 0, 0, 1, 3, 1, 2, 1, 1, 0, 1, 1}, 0, 1),
    shaped((mk_conv_shape){3, 3, 500, 700, 64, 0, 0, 5, 5, 5, 5, 1, 1, 0, 0, 1}, 0, 0)};
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    one_int8_window((conv_case){shapes[i], MK_ACT_RELU, 1, (int)i % 3, check_pool, 50 + i}, 0, 0);
    if (i < 5) one_int8_window((conv_case){shapes[i], MK_ACT_NONE, 1, 2, NULL, 60 + i}, 0, 2);
  }
}
