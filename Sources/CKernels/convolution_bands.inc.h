// Bands of input rows to units, and these to columns (convolution_bands.h).

// The largest and smallest bits of n elements and those so far, as mk_pixel_range finds them.
MK_INLINE void mk_run_range(mk_int n, const float *x, vi *above, vu *below) {
  enum { MK_SETS = 4 };
  vi high[MK_SETS] = {*above, 0, 0, 0};
  vu low[MK_SETS] = {*below, 0, 0, 0};
  mk_int i = 0;
  for (; i + MK_SETS * MK_WIDTH <= n; i += MK_SETS * MK_WIDTH) {
#pragma clang loop unroll(full)
    for (int s = 0; s < MK_SETS; s++) {
      vf values = vf_load(x + i + s * MK_WIDTH);
      high[s] = __builtin_elementwise_max(high[s], (vi)values);
      low[s] = __builtin_elementwise_max(low[s], (vu)values);
    }
  }
  for (; i < n; i += MK_WIDTH) {
    vf values = mk_load_pixels(0, x + i, n - i);
    high[0] = __builtin_elementwise_max(high[0], (vi)values);
    low[0] = __builtin_elementwise_max(low[0], (vu)values);
  }
  high[0] = __builtin_elementwise_max(high[0], high[1]), high[2] = __builtin_elementwise_max(high[2], high[3]);
  low[0] = __builtin_elementwise_max(low[0], low[1]), low[2] = __builtin_elementwise_max(low[2], low[3]);
  *above = __builtin_elementwise_max(high[0], high[2]), *below = __builtin_elementwise_max(low[0], low[2]);
}

// Scale and zero of a band, the same in all lanes; returns 1 / scale.
static vf mk_band_scale(const mk_band *b, vi *zero) {
  vi above = 0;
  vu below = 0;
  mk_int n = b->rows * b->width;
  for (mk_int c = 0; c < b->channels; c++) {
    const float *x = b->x + c * b->plane;
    // The next channel's: short runs in many planes are nothing that the processor foresees.
    for (mk_int i = 0; c + 1 < b->channels && i < n; i += MK_PANEL) __builtin_prefetch(x + b->plane + i, 0, 2);
    mk_run_range(n, x, &above, &below);
  }
  for (int i = 1; i < MK_WIDTH; i++) {
    if (above[i] > above[0]) above[0] = above[i];
    if (below[i] > below[0]) below[0] = below[i];
  }
  vf scale, inverse;
  mk_pixel_scales((vi)above[0], (vu)below[0], &scale, &inverse, zero);
  *b->scale = scale[0];
  *b->zero = (*zero)[0];
  return inverse;
}

// Whole vectors of a unit until `end`.
MK_INLINE void mk_fill_units(float *out, mk_int from, mk_int end, vu unit) {
  for (mk_int i = from; i < end; i += MK_WIDTH) vu_store(out + i, unit);
}

// Quantises a band as mk_quantise_pixels does a pixel. What a vector writes behind the end of a row is written over by what
// follows it.
MK_INLINE void mk_quantise_band(const int bytes, const mk_band *b) {
  const int halves = bytes ? 1 : 2;
  vi zero;
  vf inverse = mk_band_scale(b, &zero);
  vu empty = bytes ? (vu)zero * 0x01010101 : (vu)0;
  mk_int stretch = b->lines * b->line, step = halves * stretch, spread = halves > 1 || b->lines > 1;
  mk_int half = spread ? stretch + MK_PANEL : 0;
  for (mk_int c = 0; c < b->channels; c += 4) {
    mk_int at[4];
    for (mk_int r = 0; r < 4; r++) at[r] = (c + r < b->channels ? c + r : b->channels - 1) * b->plane;
    float *out = b->out + c / 4 * b->quad;
    mk_fill_units(out, 0, b->above * step, empty);
    out += b->above * step;
    for (mk_int r = 0; r < b->rows; r++, out += step) {
      const float *x = b->x + r * b->width;
      float *row = spread ? b->row : out;
      for (int h = 0; h < halves; h++) mk_fill_units(row + h * half, 0, b->left, empty);
      mk_int i = 0;
      for (; i + MK_WIDTH <= b->columns; i += MK_WIDTH) {
        mk_pixel_units(bytes, 1, x + i, at, 0, inverse, zero, (uint32_t *)(void *)(row + b->left + i), half);
      }
      if (i < b->columns) {
        mk_pixel_units(bytes, 0, x + i, at, b->columns - i, inverse, zero, (uint32_t *)(void *)(row + b->left + i), half);
      }
      for (int h = 0; h < halves; h++) mk_fill_units(row + h * half, b->left + b->columns, stretch, empty);
      if (!spread) continue;
      for (mk_int line = 0; line < halves * b->lines; line++) {
        const float *from = row + line / b->lines * half + line % b->lines;
        float *to = out + line * b->line;
        if (b->lines == 1) {
          __builtin_memcpy(to, from, (size_t)b->line * sizeof *to);
        } else if (b->lines == 2) {
          mk_every_second(b->line, from, to);
        } else {
          for (mk_int j = 0; j < b->line; j++) __builtin_memcpy(to + j, from + j * b->lines, sizeof *to);
        }
      }
    }
    mk_fill_units(out, 0, b->below * step, empty);
  }
}

#define MK_QUANTISE_BAND(name, bytes) \
  __attribute__((unused)) static void name(const mk_band *band) { mk_quantise_band(bytes, band); }
MK_QUANTISE_BAND(mk_quantise_band_int16, 0)
MK_QUANTISE_BAND(mk_quantise_band_uint8, 1)

MK_INLINE void mk_join_runs(
  mk_int k, const mk_int *offsets, const int runs, const float *const *from, const int32_t *at, float *out) {
  vi lanes;
  for (int i = 0; i < MK_WIDTH; i++) lanes[i] = i;
  for (mk_int p = 0; p < k; p++, out += MK_PANEL) {
    mk_int offset = offsets[p];
#pragma clang loop unroll(full)
    for (int v = 0; v < MK_PANEL; v += MK_WIDTH) {
      vf units = vf_load(from[0] + offset + v);
      for (int r = 1; r < runs; r++) {
        units = vf_select(lanes + (int32_t)v >= at[r], vf_load(from[r] + offset + v - at[r]), units);
      }
      vf_store(out + v, units);
    }
  }
}

// Copies the units of k depths of 16 pixels, `runs` runs of them, to a panel out[k][16]: what pixel i sees of depth p is
// from[run][offsets[p] + i - at[run]], at[run] being the run's first pixel. from[run] - at[run] is no less than from[0].
static void mk_join_panel(
  mk_int k, const mk_int *offsets, int32_t runs, const float *const *from, const int32_t *at, float *out) {
  switch (runs) {
  case 1: mk_join_runs(k, offsets, 1, from, at, out); break;
  case 2: mk_join_runs(k, offsets, 2, from, at, out); break;
  default: mk_join_runs(k, offsets, runs, from, at, out); break;
  }
}
