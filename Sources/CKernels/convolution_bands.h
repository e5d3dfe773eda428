// Convolutions of integers whose kernel is larger than 1 x 1 (convolution_narrow.c): the input as units, from which tasks
// make the columns of their pixels.
//
// A band is a run of output rows. The input rows that it sees are quantised together, with one scale and zero for all their
// channels: an output has one scale, and its sum over the whole depth is an integer. Rows that several bands see are
// quantised in each. Bands depend on the sizes of the convolution alone, so results do not depend on the number of threads.
#pragma once
#include "convolution_narrow.h"

typedef struct {
  const mk_kernels *kernels;
  const mk_conv_shape *s;
  int32_t bytes;
  mk_int height; // output rows of a band
  mk_int count;  // bands of an image
  mk_int rows;   // of the input that a band sees, padding included
  // A row of four channels is lines, each of every stride-th column with its padding: [halves][stride_w][line]. `halves`: a
  // quad of channels is one unit of bytes or two of pairs of int16.
  mk_int halves, line, row;
  mk_int band;     // units of a band, [quad of channels][rows][row], and room behind them
  mk_int together; // images that are quantised before tasks read them
  // In scratch, in units: offsets of the depths of a column, scales and zeros of the bands, the bands; and a worker's row.
  mk_int offsets_at, scales_at, zeros_at, bands_at, all, worker;
} mk_band_plan;
// `units` of each column.
mk_band_plan mk_plan_bands(const mk_kernels *kernels, const mk_conv_shape *s, mk_int units);

// Quantises `images` images from x on. `workers`: `worker_step` units for each thread.
void mk_quantise_bands(
  mk_pool *pool, const mk_band_plan *plan, mk_int images, const float *x, float *shared, float *workers,
  mk_int worker_step);

// Scales and zeros of the pixels first..<first + pixels of one of these images, and their columns, panels [units][16].
void mk_make_band_columns(
  const mk_band_plan *plan, const float *shared, mk_int image, mk_int first, mk_int pixels, mk_int units, float *scales,
  int32_t *zeros, float *columns);
