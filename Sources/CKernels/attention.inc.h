// Pieces of attention. Scores of a block of queries are kept transposed, 16 queries side by side, so that the softmax
// runs down the lanes and neither keys nor values need to be rearranged.

static void mk_transpose_panel(
  mk_int rows, mk_int n, const float *x, mk_int row_stride, float scale, float *out, int32_t add) {
  mk_int r0 = 0;
  for (; r0 + 4 <= rows; r0 += 4) {
    const float *p = x + r0 * row_stride;
    float *o = out + r0;
    mk_int i = 0;
    for (; i + 4 <= n; i += 4) {
      mk_four t[4];
      mk_transpose4(p + i, row_stride, t);
      for (int j = 0; j < 4; j++) {
        mk_four v = t[j] * scale;
        if (add) v += mk_load4(o + (i + j) * MK_PANEL);
        __builtin_memcpy(o + (i + j) * MK_PANEL, &v, sizeof v);
      }
    }
    for (; i < n; i++) {
      for (int j = 0; j < 4; j++) {
        float v = mk_load1(p + j * row_stride + i) * scale;
        o[i * MK_PANEL + j] = add ? o[i * MK_PANEL + j] + v : v;
      }
    }
  }
  for (; r0 < MK_PANEL; r0++) {
    if (r0 >= rows && add) break;
    for (mk_int i = 0; i < n; i++) {
      float v = r0 < rows ? mk_load1(x + r0 * row_stride + i) * scale : 0;
      out[i * MK_PANEL + r0] = add ? out[i * MK_PANEL + r0] + v : v;
    }
  }
}

// exp(x) for x <= 0 (or NaN) with a relative error of 3e-7 + 3e-9 |x|; results below 2^-126 are zero. Shorter than
// vf_exp_negative, both in operations and in the longest chain of them.
MK_INLINE vf vf_exp_score(vf x) {
  vf c = vf_select(x < -104.0f, (vf)-104.0f, x);
  const vf magic = 0x1.8p23f;
  vf shifted = c * 0x1.715476p+0f + magic; // the integer nearest x / ln 2, in the low bits
  vi exponent = (vi)shifted - ((vi)magic - 127);
  vf scale = (vf)((exponent & ~(exponent >> 31)) << 23); // 0 where the exponent is too small
  vf r = c - (shifted - magic) * 0x1.62e43p-1f;
  // e^r = 1 + r + r^2 (...): minimax for |r| <= ln 2 / 2, relative error 1.1e-7.
  vf high = r * 0x1.106252p-7f + 0x1.572a66p-5f, low = r * 0x1.5557bp-3f + 0x1.fffdfcp-2f, square = r * r;
  vf p = (high * square + low) * square + r;
  return p * scale + scale; // a NaN stays one
}

MK_INLINE vf mk_look_up(const float *table, const int32_t *index) {
  vi at, steps;
  __builtin_memcpy(&at, index, sizeof at);
  for (int i = 0; i < MK_WIDTH; i++) steps[i] = i;
  // Neighbours are often neighbours in the table too: distances between positions.
  vi differs = at ^ (index[0] + steps);
#if MK_ISA == 2
  __mmask16 second = _mm512_test_epi32_mask((__m512i)differs, (__m512i)differs);
  if (second == 0) return vf_load(table + index[0]);
  // Often two runs of them: the end of a row of positions and the start of the next.
  vi behind = at ^ (index[MK_WIDTH - 1] - (MK_WIDTH - 1) + steps);
  if ((second & _mm512_test_epi32_mask((__m512i)behind, (__m512i)behind)) == 0) {
    __m512 first = _mm512_maskz_loadu_ps((__mmask16)~second, table + index[0]);
    return (vf)_mm512_mask_loadu_ps(first, second, table + index[MK_WIDTH - 1] - (MK_WIDTH - 1));
  }
  return (vf)_mm512_i32gather_ps((__m512i)at, table, 4);
#elif MK_ISA == 1
  if (_mm256_testz_si256((__m256i)differs, (__m256i)differs)) return vf_load(table + index[0]);
  return (vf)_mm256_i32gather_ps(table, (__m256i)at, 4);
#else
  vf found;
  (void)differs;
  for (int i = 0; i < MK_WIDTH; i++) found[i] = mk_load1(table + at[i]);
  return found;
#endif
}

enum { MK_KEYS_AHEAD = 16 }; // keys whose biases are fetched ahead

MK_INLINE vf mk_add_kinds(
  const int adds, const int looks_up, mk_int keys, float *scores, const mk_panel_biases *b, mk_int lane, vf top) {
  for (mk_int at = lane; at < keys * MK_PANEL; at += MK_PANEL) {
#if MK_ISA == 2
    // From the second cache, where they were fetched to before.
    if (adds) __builtin_prefetch(b->bias + at + MK_KEYS_AHEAD * MK_PANEL, 0, 3);
    if (looks_up) __builtin_prefetch(b->index + at + MK_KEYS_AHEAD * MK_PANEL, 0, 3);
#endif
    vf s = vf_load(scores + at);
    if (adds) s += vf_load(b->bias + at);
    if (looks_up) s += mk_look_up(b->table, b->index + at);
    if (adds || looks_up) vf_store(scores + at, s);
    top = vf_max(s, top);
  }
  return top;
}

// Adds the biases to scores [keys][16] and returns the maxima of one vector of queries, `top` included.
MK_INLINE vf mk_add_biases(mk_int keys, float *scores, const mk_panel_biases *b, mk_int lane, vf top) {
  if (b->bias && b->table) return mk_add_kinds(1, 1, keys, scores, b, lane, top);
  if (b->bias) return mk_add_kinds(1, 0, keys, scores, b, lane, top);
  if (b->table) return mk_add_kinds(0, 1, keys, scores, b, lane, top);
  return mk_add_kinds(0, 0, keys, scores, b, lane, top);
}

// What to subtract from scores, `top` being the largest of all so far and `before` of those before: a query that sees
// nothing keeps its -inf, whose exponential is 0; a NaN stays one.
MK_INLINE vf mk_subtracted_top(vf before, vf top, vf *factor) {
  top = vf_select(top == -__builtin_inff(), (vf)0.0f, top);
  *factor = vf_exp_score(before - top);
  return top;
}

static void mk_softmax_panel(
  mk_int keys, float *scores, const mk_panel_biases *b, float *tops, float *sums, float *factors) {
  for (mk_int lane = 0; lane < MK_PANEL; lane += MK_WIDTH) {
    float *s = scores + lane;
    vf before = vf_load(tops + lane), top = mk_add_biases(keys, scores, b, lane, before), factor, total = 0;
    vf_store(tops + lane, top);
    top = mk_subtracted_top(before, top, &factor);
    mk_int j = 0;
    for (; j + 2 <= keys; j += 2) {
      vf e0 = vf_exp_score(vf_load(s + j * MK_PANEL) - top);
      vf e1 = vf_exp_score(vf_load(s + (j + 1) * MK_PANEL) - top);
      vf_store(s + j * MK_PANEL, e0);
      vf_store(s + (j + 1) * MK_PANEL, e1);
      total += e0 + e1;
    }
    for (; j < keys; j++) {
      vf e = vf_exp_score(vf_load(s + j * MK_PANEL) - top);
      vf_store(s + j * MK_PANEL, e);
      total += e;
    }
    vf_store(sums + lane, vf_load(sums + lane) * factor + total);
    vf_store(factors + lane, factor);
  }
}
