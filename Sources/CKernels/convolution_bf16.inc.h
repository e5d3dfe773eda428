// Pixels of planes to columns of pairs of bf16, two channels of a pixel in one unit.

enum { MK_PAIRS_TOGETHER = 4 }; // whose rows of channels go by at a time: they lie far apart in memory

// Rounds `pixels` <= MK_PIXELS_TOGETHER pixels of `channels` planes, `plane` apart, to panels, `panel` units apart: whole
// quads of channels, [pair of channels][16][2]. Zeros are behind the last pixel and the last channel.
static void mk_round_pixels_bf16(
  mk_int channels, mk_int pixels, const float *x, mk_int plane, float *scales, int32_t *zeros, uint32_t *out,
  mk_int panel) {
  (void)scales, (void)zeros;
  mk_int whole = pixels / MK_PANEL * MK_PANEL, rest = pixels - whole;
  mk_int pairs = (channels + 3) / 4 * 2;
  for (mk_int pair = 0; pair < pairs; pair += MK_PAIRS_TOGETHER) {
    mk_int c = 2 * pair, here = channels - c;
    // The next channels: short rows of many planes are nothing that the processor foresees.
    for (mk_int r = 2 * MK_PAIRS_TOGETHER; r < mk_min(here, 4 * MK_PAIRS_TOGETHER); r++) {
      for (mk_int i = 0; i < pixels; i += MK_PANEL) __builtin_prefetch(x + (c + r) * plane + i, 0, 2);
    }
    uint32_t *to = out + pair * MK_PANEL;
    if (here < 2 * MK_PAIRS_TOGETHER) {
      for (mk_int p = 0; p < mk_min(pairs - pair, MK_PAIRS_TOGETHER); p++) {
        const float *first = x + (c + 2 * p) * plane, *second = first + plane;
        for (mk_int i = 0; i < pixels; i += MK_PANEL) {
          mk_int n = mk_min(pixels - i, MK_PANEL);
          vf a = 2 * p < here ? mk_load_pixels(0, first + i, n) : (vf)0;
          vf b = 2 * p + 1 < here ? mk_load_pixels(0, second + i, n) : (vf)0;
          vu_store(to + i / MK_PANEL * panel + p * MK_PANEL, mk_pair_bf16(a, b));
        }
      }
      break;
    }
    for (mk_int i = 0; i < whole; i += MK_PANEL) {
#pragma clang loop unroll(full)
      for (mk_int p = 0; p < MK_PAIRS_TOGETHER; p++) {
        const float *first = x + (c + 2 * p) * plane + i;
        vu_store(to + i / MK_PANEL * panel + p * MK_PANEL, mk_pair_bf16(vf_load(first), vf_load(first + plane)));
      }
    }
    for (mk_int p = 0; rest > 0 && p < MK_PAIRS_TOGETHER; p++) {
      const float *first = x + (c + 2 * p) * plane + whole;
      vu_store(
        to + whole / MK_PANEL * panel + p * MK_PANEL,
        mk_pair_bf16(vf_load_part(first, rest), vf_load_part(first + plane, rest)));
    }
  }
}
