// Attention with pairs of bf16: weights of softmax that are rounded as they are made. A panel is one vector.

// exp(x) for x <= 0 (or NaN) with a relative error of 7.6e-5 + 1.2e-7 |x|, before it is
// rounded to 8 significant bits.
MK_INLINE vf vf_exp_coarse(vf x) {
  vf t = x * 0x1.715476p+0f;
  vf f = (vf)_mm512_reduce_ps((__m512)t, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); // t - floor(t), 0 for -inf
  vf p = ((f * 0x1.3f96a4p-4f + 0x1.cefc4cp-3f) * f + 0x1.64444cp-1f) * f + 0x1.fff632p-1f;
  return (vf)_mm512_scalef_ps((__m512)p, (__m512)t); // p 2^floor(t)
}

// The sums are those of the rounded weights: what rounding adds to all weights alike cancels, and an output stays a mean of
// values.
static void mk_softmax_pairs(
  mk_int keys, float *scores, const mk_panel_biases *b, float *tops, float *sums, float *factors) {
  vf before = vf_load(tops), top = mk_add_biases(keys, scores, b, 0, before), factor;
  vf_store(tops, top);
  top = mk_subtracted_top(before, top, &factor);
  const vu ones = (vu)0x3f803f80;
  vf total[2] = {0, 0};
  mk_int j = 0;
  for (; j + 4 <= keys; j += 4) {
    for (int i = 0; i < 4; i += 2) {
      const float *s = scores + (j + i) * MK_PANEL;
      vu pair = mk_pair_bf16(vf_exp_coarse(vf_load(s) - top), vf_exp_coarse(vf_load(s + MK_PANEL) - top));
      vu_store(scores + (j + i) / 2 * MK_PANEL, pair);
      total[i / 2] = (vf)_mm512_dpbf16_ps((__m512)total[i / 2], (__m512bh)pair, (__m512bh)ones);
    }
  }
  for (; j < keys; j += 2) {
    const float *s = scores + j * MK_PANEL;
    vf second = j + 1 < keys ? vf_exp_coarse(vf_load(s + MK_PANEL) - top) : (vf)0.0f;
    vu pair = mk_pair_bf16(vf_exp_coarse(vf_load(s) - top), second);
    vu_store(scores + j / 2 * MK_PANEL, pair);
    total[0] = (vf)_mm512_dpbf16_ps((__m512)total[0], (__m512bh)pair, (__m512bh)ones);
  }
  vf_store(sums, vf_load(sums) * factor + (total[0] + total[1]));
  vf_store(factors, factor);
}

static const mk_attention_form mk_pairs_attention = {
  2, MK_QUERY_PANELS, MK_KEY_BLOCK, mk_bf16_strided_tiles, mk_bf16_column_tiles, mk_softmax_pairs};
