// Every second element, and the sums of depthwise convolutions over a strip with its padding (depthwise.c).

#if MK_WIDTH == 16
#define MK_LANES_EVEN 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define MK_LANES_ODD 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#elif MK_WIDTH == 8
#define MK_LANES_EVEN 0, 2, 4, 6, 8, 10, 12, 14
#define MK_LANES_ODD 1, 3, 5, 7, 9, 11, 13, 15
#else
#define MK_LANES_EVEN 0, 2, 4, 6
#define MK_LANES_ODD 1, 3, 5, 7
#endif

// y[i] = x[2 i]. Nothing behind x[2 n - 2] is read.
static void mk_every_second(mk_int n, const float *x, float *y) {
  mk_int i = 0;
  for (; i + MK_WIDTH < n; i += MK_WIDTH) {
    vf_store(y + i, __builtin_shufflevector(vf_load(x + 2 * i), vf_load(x + 2 * i + MK_WIDTH), MK_LANES_EVEN));
  }
  if (i >= n) return;
  mk_int seen = 2 * (n - i) - 1; // at most two vectors but for the last element
  vf first = seen >= MK_WIDTH ? vf_load(x + 2 * i) : vf_load_part(x + 2 * i, seen);
  vf second = seen > MK_WIDTH ? vf_load_part(x + 2 * i + MK_WIDTH, seen - MK_WIDTH) : (vf)0;
  vf even = __builtin_shufflevector(first, second, MK_LANES_EVEN);
  if (n - i == MK_WIDTH) vf_store(y + i, even);
  else vf_store_part(y + i, n - i, even);
}

// Zeros from `from` to `to`, in whole vectors.
MK_INLINE void mk_clear(float *out, mk_int from, mk_int to) {
  if (from >= to) return;
  vf_store(out + from, 0);
  for (mk_int i = from + MK_WIDTH; i < to; i += MK_WIDTH) vf_store(out + i, 0);
}

// Elements from..<to of a line are x[0], x[stride], ...; those in front of them and behind, up to `used`, are zero.
typedef struct {
  mk_int start; // column of element `from`
  mk_int from, to;
} mk_line;

static mk_line mk_line_at(mk_int start, mk_int width, mk_int stride, mk_int used) {
  mk_line line = {0};
  line.from = start >= 0 ? 0 : mk_min(mk_ceil_div(-start, stride), used);
  line.to = width > start ? mk_max(mk_min(mk_ceil_div(width - start, stride), used), line.from) : line.from;
  line.start = line.to > line.from ? start + line.from * stride : 0;
  return line;
}

// One line. Up to a vector is written behind it. `stride` is a constant where it is 1 or 2.
MK_INLINE void mk_make_line(const float *x, mk_line l, const mk_int stride, mk_int used, float *out) {
  mk_clear(out, 0, l.from);
  const float *p = x + l.start - l.from * stride;
  mk_int i = l.from;
  if (stride == 1) {
    for (; i + MK_WIDTH <= l.to; i += MK_WIDTH) vf_store(out + i, vf_load(p + i));
    if (i < l.to) {
      vf_store(out + i, vf_load_part(p + i, l.to - i));
      i += MK_WIDTH;
    }
  } else {
    for (; i < l.to; i++) out[i] = mk_load1(p + i * stride);
  }
  mk_clear(out, i, used);
}

// The even and the odd of the first n columns of a row to their lines, from `from_a` and `from_b` on.
MK_INLINE void mk_make_pair(
  const float *x, mk_int n, mk_int used, mk_int from_a, float *a, mk_int from_b, float *b) {
  mk_clear(a, 0, from_a);
  mk_clear(b, 0, from_b);
  a += from_a, b += from_b;
  mk_int i = 0;
  for (; 2 * i < n; i += MK_WIDTH) {
    mk_int rest = n - 2 * i;
    vf u, v = 0;
    if (rest >= 2 * MK_WIDTH) {
      u = vf_load(x + 2 * i), v = vf_load(x + 2 * i + MK_WIDTH);
    } else if (rest > MK_WIDTH) {
      u = vf_load(x + 2 * i), v = vf_load_part(x + 2 * i + MK_WIDTH, rest - MK_WIDTH);
    } else {
      u = rest == MK_WIDTH ? vf_load(x + 2 * i) : vf_load_part(x + 2 * i, rest);
    }
    vf_store(a + i, __builtin_shufflevector(u, v, MK_LANES_EVEN));
    vf_store(b + i, __builtin_shufflevector(u, v, MK_LANES_ODD));
  }
  mk_clear(a, i, used - from_a);
  mk_clear(b, i, used - from_b);
}

// Rows one after the other whose columns are all taken.
static __attribute__((noinline)) void mk_make_every_row(const mk_depthwise_strip *d) {
  const mk_int used = d->plan->line_used, next = d->plan->line_floats, width = d->s->width, height = d->s->height;
  const mk_line l = mk_line_at(-d->s->pad_left, width, 1, used);
  mk_int row = d->first * d->s->stride_h - d->s->pad_top;
  float *out = d->lines;
  for (mk_int end = row + mk_copied_rows(d->plan, d->s, d->rows); row < end; row++, out += next) {
    if (row < 0 || row >= height) mk_clear(out, 0, used);
    else mk_make_line(d->x + row * width, l, 1, used, out);
  }
}

// Rows one after the other whose columns go to two lines in turn; 0 when they are not all alike, and nothing is done.
static __attribute__((noinline)) int mk_make_rows_in_pairs(const mk_depthwise_strip *d) {
  const mk_int used = d->plan->line_used, next = d->plan->line_floats, width = d->s->width, height = d->s->height;
  const mk_line l[2] = {mk_line_at(-d->s->pad_left, width, 2, used), mk_line_at(1 - d->s->pad_left, width, 2, used)};
  const int odd = l[0].start != 0; // the first line has the odd columns
  const mk_line even_line = l[odd], odd_line = l[1 - odd];
  const mk_int evens = even_line.to - even_line.from, odds = odd_line.to - odd_line.from;
  if (evens == 0 || odds == 0) return 0;
  const mk_int n = mk_max(2 * evens - 1, 2 * odds);
  mk_int row = d->first * d->s->stride_h - d->s->pad_top;
  float *out = d->lines;
  for (mk_int end = row + mk_copied_rows(d->plan, d->s, d->rows); row < end; row++, out += 2 * next) {
    if (row < 0 || row >= height) {
      mk_clear(out, 0, next + used);
    } else {
      float *a = out + odd * next, *b = out + (1 - odd) * next;
      mk_make_pair(d->x + row * width, n, used, even_line.from, a, odd_line.from, b);
    }
  }
  return 1;
}

static __attribute__((noinline)) void mk_make_any_rows(const mk_depthwise_strip *d) {
  const mk_conv_shape *s = d->s;
  const mk_depthwise_plan *p = d->plan;
  const mk_int copied = mk_copied_rows(p, s, d->rows), step = p->shared ? 1 : s->dilation_w;
  float *out = d->lines;
  for (mk_int k = 0; k < copied; k++) {
    mk_int row = d->first * s->stride_h - s->pad_top;
    row += p->whole ? k : k / s->kernel_h * s->stride_h + k % s->kernel_h * s->dilation_h;
    for (mk_int line = 0; line < p->lines; line++, out += p->line_floats) {
      if (row < 0 || row >= s->height) {
        mk_clear(out, 0, p->line_used);
      } else {
        mk_line l = mk_line_at(line * step - s->pad_left, s->width, s->stride_w, p->line_used);
        mk_make_line(d->x + row * s->width, l, s->stride_w, p->line_used, out);
      }
    }
  }
}

// Adds the residual, applies relu and writes the sums of output row i from column j on. `tail`: perhaps not all of them;
// a vector may then reach into the next row where that is written later and its residual lies elsewhere.
MK_INLINE void mk_depthwise_finish(
  const mk_depthwise_strip *d, mk_int columns, const int tail, mk_int i, mk_int j, vf sum) {
  float *y = d->y + i * columns + j;
  const float *residual = d->residual ? d->residual + i * columns + j : NULL;
  mk_int n = columns - j;
  if (residual) sum += tail && n < MK_WIDTH ? vf_load_part(residual, n) : vf_load(residual);
  if (d->relu) sum = vf_relu(sum);
  if (!tail || n >= MK_WIDTH || ((i + 1) * columns + MK_WIDTH - n <= d->rows * columns && residual != y)) {
    vf_store(y, sum);
  } else {
    vf_store_part(y, n, sum);
  }
}

// `rows` output rows from i on by `vectors` vectors from column j on. An input vector is loaded once for all rows that
// see it. `rows`, `vectors`, `kernel`, `step` and `tail` are constants at each use.
MK_INLINE void mk_depthwise_tile(
  const int rows, const int vectors, const int kernel, const int step, const int tail, const mk_depthwise_strip *d,
  mk_int columns, mk_int next, const vf *w, const float *lines, mk_int i, mk_int j) {
  vf sum[4][2];
#pragma clang loop unroll(full)
  for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
    for (int v = 0; v < vectors; v++) sum[r][v] = d->bias;
  const float *line = lines + j;
#pragma clang loop unroll(full)
  for (int row = 0; row < (rows - 1) * step + kernel; row++) {
    // Tap t is element t / step of line t % step: one line after the other.
#pragma clang loop unroll(full)
    for (int first = 0; first < step; first++) {
#pragma clang loop unroll(full)
      for (int t = first; t < kernel; t += step) {
        vf in[2];
#pragma clang loop unroll(full)
        for (int v = 0; v < vectors; v++) in[v] = vf_load(line + t / step + v * MK_WIDTH);
#pragma clang loop unroll(full)
        for (int r = 0; r < rows; r++) {
          if (row < r * step || row >= r * step + kernel) continue;
#pragma clang loop unroll(full)
          for (int v = 0; v < vectors; v++) {
            sum[r][v] += w[(row - r * step) * kernel + t] * in[v];
            MK_DONE(sum[r][v]);
          }
        }
      }
      line += next;
      __asm__("" : "+r"(line)); // one address that moves on, not one register for each line
    }
  }
  // The last vector first: what it writes into the next row is then written again.
#pragma clang loop unroll(full)
  for (int v = vectors - 1; v >= 0; v--)
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++) {
      mk_depthwise_finish(d, columns, tail && v == vectors - 1, i + r, j + v * MK_WIDTH, sum[r][v]);
    }
}

// With many weights a pair of vectors shares them; nine stay in registers, beside one vector of each row where there are
// sixteen registers.
#if MK_ISA == 2 || MK_ISA == 3
#define MK_DEPTHWISE_VECTORS(kernel) 2
#else
#define MK_DEPTHWISE_VECTORS(kernel) ((kernel) == 3 ? 1 : 2)
#endif

// From the last columns to the first, for the same reason.
#define MK_DEPTHWISE_FUNCTION(rows, kernel, step)                                                                  \
  static void mk_depthwise_##rows##_##kernel##_##step(const mk_depthwise_strip *strip, mk_int i) {                  \
    const mk_depthwise_strip d = *strip;                                                                           \
    const mk_int next = d.plan->line_floats, columns = d.s->out_width;                                             \
    const float *lines = d.lines + i * (step) * (step) * next;                                                     \
    vf w[(kernel) * (kernel)];                                                                                     \
    for (int n = 0; n < (kernel) * (kernel); n++) w[n] = mk_load1(d.w + n);                                         \
    mk_int j = (mk_ceil_div(columns, MK_WIDTH) - 1) * MK_WIDTH;                                                    \
    mk_depthwise_tile(rows, 1, kernel, step, 1, &d, columns, next, w, lines, i, j);                                \
    if (MK_DEPTHWISE_VECTORS(kernel) == 2) {                                                                       \
      for (j -= 2 * MK_WIDTH; j >= 0; j -= 2 * MK_WIDTH) {                                                         \
        mk_depthwise_tile(rows, 2, kernel, step, 0, &d, columns, next, w, lines, i, j);                            \
      }                                                                                                            \
      j += MK_WIDTH;                                                                                               \
    } else {                                                                                                       \
      j -= MK_WIDTH;                                                                                               \
    }                                                                                                              \
    for (; j >= 0; j -= MK_WIDTH) mk_depthwise_tile(rows, 1, kernel, step, 0, &d, columns, next, w, lines, i, j);   \
  }

#define MK_DEPTHWISE_FUNCTIONS(kernel, step) \
  MK_DEPTHWISE_FUNCTION(4, kernel, step) MK_DEPTHWISE_FUNCTION(2, kernel, step) MK_DEPTHWISE_FUNCTION(1, kernel, step)

MK_DEPTHWISE_FUNCTIONS(3, 1)
MK_DEPTHWISE_FUNCTIONS(3, 2)
MK_DEPTHWISE_FUNCTIONS(5, 1)
MK_DEPTHWISE_FUNCTIONS(5, 2)
MK_DEPTHWISE_FUNCTIONS(7, 1)
MK_DEPTHWISE_FUNCTIONS(7, 2)

// Any kernel: one vector of an output row at a time, with four sums.
static void mk_depthwise_any(const mk_depthwise_strip *d, mk_int i) {
  const mk_int x_row = d->plan->lines * d->plan->line_floats, columns = d->s->out_width;
  const mk_int kernel_h = d->s->kernel_h, kernel_w = d->s->kernel_w;
  for (mk_int j = (mk_ceil_div(columns, MK_WIDTH) - 1) * MK_WIDTH; j >= 0; j -= MK_WIDTH) {
    vf sum[4] = {d->bias, 0, 0, 0};
    for (mk_int u = 0; u < kernel_h; u++) {
      const float *x = d->lines + (i * d->plan->step + u) * x_row + j, *w = d->w + u * kernel_w;
      mk_int t = 0;
      for (; t + 4 <= kernel_w; t += 4) {
#pragma clang loop unroll(full)
        for (int n = 0; n < 4; n++) sum[n] += mk_load1(w + t + n) * vf_load(x + d->taps[t + n]);
      }
      for (; t < kernel_w; t++) sum[t % 4] += mk_load1(w + t) * vf_load(x + d->taps[t]);
    }
    mk_depthwise_finish(d, columns, 1, i, j, (sum[0] + sum[1]) + (sum[2] + sum[3]));
  }
}

// Copies what a strip sees.
static void mk_make_lines(const mk_depthwise_strip *d) {
  const int32_t usual = d->plan->whole && d->plan->shared;
  if (usual && d->s->stride_w == 1) mk_make_every_row(d);
  else if (!usual || d->s->stride_w != 2 || !mk_make_rows_in_pairs(d)) mk_make_any_rows(d);
}

static void mk_depthwise_rows(const mk_depthwise_strip *d) {
  typedef void (*function)(const mk_depthwise_strip *d, mk_int i);
#define MK_HEIGHTS_OF(kernel, step) \
  {mk_depthwise_4_##kernel##_##step, mk_depthwise_2_##kernel##_##step, mk_depthwise_1_##kernel##_##step}
  static const function functions[3][2][3] = { // [kernel 3, 5, 7][step 1, 2][rows 4, 2, 1]
    {MK_HEIGHTS_OF(3, 1), MK_HEIGHTS_OF(3, 2)},
    {MK_HEIGHTS_OF(5, 1), MK_HEIGHTS_OF(5, 2)},
    {MK_HEIGHTS_OF(7, 1), MK_HEIGHTS_OF(7, 2)},
  };
#undef MK_HEIGHTS_OF
  mk_make_lines(d);
  mk_int kernel = d->s->kernel_h, step = d->plan->step, i = 0;
  int32_t plain = d->plan->shared && d->plan->whole && d->s->dilation_w == 1 && d->s->stride_w == step;
  if (plain && kernel == d->s->kernel_w && (kernel == 3 || kernel == 5 || kernel == 7) && step <= 2) {
    const function *f = functions[kernel / 2 - 1][step - 1];
    for (; i + 4 <= d->rows; i += 4) f[0](d, i);
    for (; i + 2 <= d->rows; i += 2) f[1](d, i);
    for (; i < d->rows; i++) f[2](d, i);
  } else {
    for (; i < d->rows; i++) mk_depthwise_any(d, i);
  }
}
