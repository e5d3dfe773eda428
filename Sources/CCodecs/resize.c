// Resizing with the arithmetic of Pillow (src/libImaging/Resample.c and Geometry.c, MIT-CMU licence), so that a model
// sees the very pixels it was trained on: a horizontal and a vertical convolution with antialiasing, coefficients
// rounded to 22 bits, each pass rounded to 8 bits.
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mue_codecs.h"

#define PRECISION_BITS (32 - 8 - 2)

static double box_filter(double x) { return x > -0.5 && x <= 0.5 ? 1.0 : 0.0; }

static double bilinear_filter(double x) {
  x = fabs(x);
  return x < 1.0 ? 1.0 - x : 0.0;
}

static double hamming_filter(double x) {
  x = fabs(x);
  if (x == 0.0) return 1.0;
  if (x >= 1.0) return 0.0;
  x *= M_PI;
  return sin(x) / x * (0.54f + 0.46f * cos(x));
}

// Keys' cubic convolution with a = -0.5.
static double bicubic_filter(double x) {
  const double a = -0.5;
  x = fabs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}

static double sinc(double x) {
  if (x == 0.0) return 1.0;
  x *= M_PI;
  return sin(x) / x;
}

static double lanczos_filter(double x) { return -3.0 <= x && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0; }

// For each output place the first input place, how many there are, and their coefficients.
typedef struct {
  int taps;  // coefficients per output place, the unused ones 0
  int *first;
  int *count;
  int32_t *weights;
} coefficients;

static void release(coefficients *c) {
  free(c->first);
  free(c->count);
  free(c->weights);
}

static int prepare(coefficients *c, int input, int output, int filter) {
  double (*function)(double) = bilinear_filter;
  double support = 1.0;
  switch (filter) {
    case MUE_RESAMPLE_BOX: function = box_filter, support = 0.5; break;
    case MUE_RESAMPLE_HAMMING: function = hamming_filter; break;
    case MUE_RESAMPLE_BICUBIC: function = bicubic_filter, support = 2.0; break;
    case MUE_RESAMPLE_LANCZOS: function = lanczos_filter, support = 3.0; break;
  }
  double scale = (double)input / output;
  double filter_scale = scale < 1.0 ? 1.0 : scale;
  support *= filter_scale;
  c->taps = (int)ceil(support) * 2 + 1;
  c->first = malloc(sizeof(int) * (size_t)output);
  c->count = malloc(sizeof(int) * (size_t)output);
  c->weights = calloc((size_t)output * (size_t)c->taps, sizeof(int32_t));
  double *row = malloc(sizeof(double) * (size_t)c->taps);
  if (!c->first || !c->count || !c->weights || !row) {
    free(row);
    release(c);
    return MUE_CODEC_MEMORY;
  }
  double inverse = 1.0 / filter_scale;
  for (int place = 0; place < output; place++) {
    double center = (place + 0.5) * scale;
    int first = (int)(center - support + 0.5);
    if (first < 0) first = 0;
    int end = (int)(center + support + 0.5);
    if (end > input) end = input;
    int count = end - first;
    double sum = 0.0;
    for (int i = 0; i < count; i++) {
      row[i] = function((i + first - center + 0.5) * inverse);
      sum += row[i];
    }
    int32_t *weights = c->weights + (size_t)place * (size_t)c->taps;
    for (int i = 0; i < count; i++) {
      double weight = sum != 0.0 ? row[i] / sum : row[i];
      weights[i] = (int32_t)((weight < 0 ? -0.5 : 0.5) + weight * (1 << PRECISION_BITS));
    }
    c->first[place] = first;
    c->count[place] = count;
  }
  free(row);
  return MUE_CODEC_OK;
}

#define INLINE static inline __attribute__((always_inline))

INLINE uint8_t clipped(int32_t sum) {
  int32_t value = sum >> PRECISION_BITS;
  return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

typedef int32_t int32x4 __attribute__((vector_size(16)));
typedef uint8_t uint8x4 __attribute__((vector_size(4)));

// Three channels at a time in a vector of four; the fourth reads one byte of the next pixel and is thrown away.
INLINE void horizontal_body(const uint8_t *source, int width, int rows, uint8_t *target, int target_width,
                            const coefficients *c) {
  for (int y = 0; y < rows; y++) {
    const uint8_t *row = source + (size_t)y * (size_t)width * 3;
    uint8_t *out = target + (size_t)y * (size_t)target_width * 3;
    for (int x = 0; x < target_width; x++) {
      const uint8_t *in = row + (size_t)c->first[x] * 3;
      const int32_t *weights = c->weights + (size_t)x * (size_t)c->taps;
      int count = c->count[x];
      const int32_t half = 1 << (PRECISION_BITS - 1);
      int32x4 sum = {half, half, half, half};
      for (int i = 0; i < count; i++) {
        uint8x4 pixel;
        memcpy(&pixel, in + 3 * i, 4);
        int32_t w = weights[i];
        sum += __builtin_convertvector(pixel, int32x4) * (int32x4){w, w, w, w};
      }
      out[3 * x] = clipped(sum[0]);
      out[3 * x + 1] = clipped(sum[1]);
      out[3 * x + 2] = clipped(sum[2]);
    }
  }
}

enum { BLOCK = 256 };

INLINE void vertical_body(const uint8_t *source, size_t row_bytes, uint8_t *target, int target_height,
                          const coefficients *c) {
  for (int y = 0; y < target_height; y++) {
    const uint8_t *rows = source + (size_t)c->first[y] * row_bytes;
    const int32_t *weights = c->weights + (size_t)y * (size_t)c->taps;
    int count = c->count[y];
    uint8_t *out = target + (size_t)y * row_bytes;
    for (size_t start = 0; start < row_bytes; start += BLOCK) {
      size_t length = row_bytes - start < BLOCK ? row_bytes - start : BLOCK;
      int32_t sums[BLOCK];
      for (size_t i = 0; i < length; i++) sums[i] = 1 << (PRECISION_BITS - 1);
      for (int k = 0; k < count; k++) {
        const uint8_t *row = rows + (size_t)k * row_bytes + start;
        int32_t weight = weights[k];
        for (size_t i = 0; i < length; i++) sums[i] += row[i] * weight;
      }
      for (size_t i = 0; i < length; i++) out[start + i] = clipped(sums[i]);
    }
  }
}

static void horizontal(const uint8_t *source, int width, int rows, uint8_t *target, int target_width,
                       const coefficients *c) {
  horizontal_body(source, width, rows, target, target_width, c);
}

static void vertical(const uint8_t *source, size_t row_bytes, uint8_t *target, int target_height,
                     const coefficients *c) {
  vertical_body(source, row_bytes, target, target_height, c);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void horizontal_avx2(const uint8_t *source, int width, int rows,
                                                            uint8_t *target, int target_width, const coefficients *c) {
  horizontal_body(source, width, rows, target, target_width, c);
}

__attribute__((target("avx2"))) static void vertical_avx2(const uint8_t *source, size_t row_bytes, uint8_t *target,
                                                          int target_height, const coefficients *c) {
  vertical_body(source, row_bytes, target, target_height, c);
}
#define DISPATCH(name, ...)                    \
  if (__builtin_cpu_supports("avx2")) {        \
    name##_avx2(__VA_ARGS__);                  \
  } else {                                     \
    name(__VA_ARGS__);                         \
  }
#else
#define DISPATCH(name, ...) name(__VA_ARGS__);
#endif

static int resize_width(const uint8_t *source, int width, int rows, uint8_t *target, int target_width, int filter) {
  coefficients c = {0};
  if (prepare(&c, width, target_width, filter) != MUE_CODEC_OK) return MUE_CODEC_MEMORY;
  DISPATCH(horizontal, source, width, rows, target, target_width, &c)
  release(&c);
  return MUE_CODEC_OK;
}

static int resize_height(const uint8_t *source, int width, int height, uint8_t *target, int target_height,
                         int filter) {
  coefficients c = {0};
  if (prepare(&c, height, target_height, filter) != MUE_CODEC_OK) return MUE_CODEC_MEMORY;
  DISPATCH(vertical, source, (size_t)width * 3, target, target_height, &c)
  release(&c);
  return MUE_CODEC_OK;
}

// Pillow's affine scaling for NEAREST: the input place under the centre of each output pixel, summed up step by step.
static int resize_nearest(const uint8_t *source, int width, int height, uint8_t *target, int target_width,
                          int target_height) {
  int *columns = malloc(sizeof(int) * (size_t)target_width);
  if (!columns) return MUE_CODEC_MEMORY;
  double step = (double)width / target_width;
  double place = step * 0.5;
  for (int x = 0; x < target_width; x++, place += step) {
    int column = (int)place;
    columns[x] = column < width ? column : width - 1;
  }
  step = (double)height / target_height;
  place = step * 0.5;
  for (int y = 0; y < target_height; y++, place += step) {
    int line = (int)place;
    const uint8_t *row = source + (size_t)(line < height ? line : height - 1) * (size_t)width * 3;
    for (int x = 0; x < target_width; x++, target += 3) memcpy(target, row + (size_t)columns[x] * 3, 3);
  }
  free(columns);
  return MUE_CODEC_OK;
}

int mue_resize_rgb(const uint8_t *source, int width, int height, uint8_t *target, int target_width, int target_height,
                   int filter) {
  if (width == target_width && height == target_height) {
    memcpy(target, source, (size_t)width * (size_t)height * 3);
    return MUE_CODEC_OK;
  }
  if (filter == MUE_RESAMPLE_NEAREST) {
    return resize_nearest(source, width, height, target, target_width, target_height);
  }
  if (height == target_height) return resize_width(source, width, height, target, target_width, filter);
  if (width == target_width) return resize_height(source, width, height, target, target_height, filter);
  // The order matters to the last bit. Pillow 13 takes the height first where that leaves less work, by this rule
  // (found by comparing results; earlier versions take the width first except for very tall images).
  int vertical_first = target_height < height && height - target_height > 2 * (width - target_width);
  size_t between = vertical_first ? (size_t)width * (size_t)target_height : (size_t)target_width * (size_t)height;
  uint8_t *middle = mue_codec_allocate(between * 3);
  if (!middle) return MUE_CODEC_MEMORY;
  int status = vertical_first ? resize_height(source, width, height, middle, target_height, filter)
                              : resize_width(source, width, height, middle, target_width, filter);
  if (status == MUE_CODEC_OK) {
    status = vertical_first ? resize_width(middle, width, target_height, target, target_width, filter)
                            : resize_height(middle, target_width, height, target, target_height, filter);
  }
  mue_codec_free(middle);
  return status;
}
