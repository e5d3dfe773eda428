// Maximum and average pooling, NCHW.
#include "kernels.h"

#include <math.h>

typedef struct {
  const mk_conv_shape *shape;
  const float *x;
  float *y;
  int32_t average;
  int32_t count_padding;
} mk_pool2d;

// The kernel positions first..<last of one output position that lie inside an axis of `size` elements.
static inline void mk_inside(mk_int origin, mk_int dilation, mk_int kernel, mk_int size, mk_int *first, mk_int *last) {
  *first = origin < 0 ? (-origin + dilation - 1) / dilation : 0;
  mk_int end = size > origin ? (size - origin + dilation - 1) / dilation : 0;
  *last = end < kernel ? end : kernel;
}

enum { MK_POOL_WIDTH = 2048 }; // longest row whose maxima are taken a row at a time

// Maxima of whole rows: first down the kernel, then along it. Any kernel with neither dilation nor empty windows, and steps of
// 1 or 2 along a row.
static void mk_max_plane(void *context, mk_int plane, int32_t worker) {
  (void)worker;
  const mk_pool2d *p = context;
  const mk_conv_shape *s = p->shape;
  const mk_kernels *kernels = mk_current_kernels();
  const float *x = p->x + plane * s->height * s->width;
  float *y = p->y + plane * s->out_height * s->out_width;
  // Padding never wins: -inf on both sides of the row.
  float row[MK_POOL_WIDTH], columns[MK_POOL_WIDTH];
  for (mk_int j = 0; j < MK_POOL_WIDTH; j++) row[j] = -INFINITY;
  for (mk_int i = 0; i < s->out_height; i++, y += s->out_width) {
    mk_int top = i * s->stride_h - s->pad_top, u0, u1;
    mk_inside(top, 1, s->kernel_h, s->height, &u0, &u1);
    float *inside = row + s->pad_left;
    memcpy(inside, x + (top + u0) * s->width, (size_t)s->width * sizeof(float));
    for (mk_int u = u0 + 1; u < u1; u++) {
      kernels->binary(MK_MAX, s->width, inside, 1, x + (top + u) * s->width, 1, inside);
    }
    for (mk_int t = 0; t < s->kernel_w; t++) {
      const float *from = row + t;
      if (s->stride_w == 2) {
        kernels->every_second(s->out_width, row + t, columns);
        from = columns;
      }
      if (t == 0) {
        memcpy(y, from, (size_t)s->out_width * sizeof(float));
      } else {
        kernels->binary(MK_MAX, s->out_width, y, 1, from, 1, y);
      }
    }
  }
}

// Whether every window of the shape holds an element, and its padded rows fit.
static int32_t mk_suits_rows(const mk_conv_shape *s) {
  mk_int last_top = (s->out_height - 1) * s->stride_h - s->pad_top, reach = (s->out_width - 1) * s->stride_w + s->kernel_w;
  return s->dilation_h == 1 && s->dilation_w == 1 && s->stride_w <= 2 && s->pad_top < s->kernel_h &&
    last_top < s->height && s->out_height > 0 && s->out_width > 0 && s->height > 0 && s->width > 0 &&
    s->pad_left + s->width <= MK_POOL_WIDTH && reach <= MK_POOL_WIDTH;
}

static void mk_pool2d_plane(void *context, mk_int plane, int32_t worker) {
  (void)worker;
  const mk_pool2d *p = context;
  const mk_conv_shape *s = p->shape;
  const float *x = p->x + plane * s->height * s->width;
  float *y = p->y + plane * s->out_height * s->out_width;
  for (mk_int i = 0; i < s->out_height; i++) {
    mk_int top = i * s->stride_h - s->pad_top, u0, u1;
    mk_inside(top, s->dilation_h, s->kernel_h, s->height, &u0, &u1);
    for (mk_int j = 0; j < s->out_width; j++) {
      mk_int left = j * s->stride_w - s->pad_left, t0, t1;
      mk_inside(left, s->dilation_w, s->kernel_w, s->width, &t0, &t1);
      float best = -INFINITY, sum = 0;
      for (mk_int u = u0; u < u1; u++) {
        const float *row = x + (top + u * s->dilation_h) * s->width + left;
        for (mk_int t = t0; t < t1; t++) {
          float v = row[t * s->dilation_w];
          sum += v;
          best = v > best || v != v ? v : best; // NaN stays: nothing compares greater
        }
      }
      mk_int inside = u1 > u0 && t1 > t0 ? (u1 - u0) * (t1 - t0) : 0;
      mk_int count = p->count_padding ? s->kernel_h * s->kernel_w : inside;
      *y++ = p->average ? (count > 0 ? sum / (float)count : 0) : best;
    }
  }
}

void mk_max_pool(mk_pool *pool, const mk_conv_shape *shape, const float *x, float *y) {
  mk_pool2d p = {shape, x, y, 0, 0};
  mk_parallel(pool, shape->batch * shape->channels, mk_suits_rows(shape) ? mk_max_plane : mk_pool2d_plane, &p);
}

void mk_average_pool(mk_pool *pool, const mk_conv_shape *shape, int32_t count_padding, const float *x, float *y) {
  mk_pool2d p = {shape, x, y, 1, count_padding};
  mk_parallel(pool, shape->batch * shape->channels, mk_pool2d_plane, &p);
}
