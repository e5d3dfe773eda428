// The transforms of Winograd's F(2 x 2, 3 x 3), one tile per lane. Source: Lavin and Gray, CVPR 2016.

#if MK_WIDTH == 16
#define MK_EVEN 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define MK_ODD 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#define MK_LOW 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define MK_HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif MK_WIDTH == 8
#define MK_EVEN 0, 2, 4, 6, 8, 10, 12, 14
#define MK_ODD 1, 3, 5, 7, 9, 11, 13, 15
#define MK_LOW 0, 8, 1, 9, 2, 10, 3, 11
#define MK_HIGH 4, 12, 5, 13, 6, 14, 7, 15
#else
#define MK_EVEN 0, 2, 4, 6
#define MK_ODD 1, 3, 5, 7
#define MK_LOW 0, 4, 1, 5
#define MK_HIGH 2, 6, 3, 7
#endif

MK_INLINE void mk_winograd_combine(vf a, vf b, vf c, vf out[4]) {
  vf sum = (a + c) * 0.5f, half = b * 0.5f;
  out[0] = a;
  out[1] = sum + half;
  out[2] = sum - half;
  out[3] = c;
}

// u = G g G^T for n (a multiple of 16) pairs of channels.
static void mk_winograd_weight_vectors(mk_int n, const float *g, float *u, mk_int stride) {
  for (mk_int i = 0; i < n; i += MK_WIDTH) {
    vf columns[3][4];
#pragma clang loop unroll(full)
    for (int t = 0; t < 3; t++) {
      mk_winograd_combine(
        vf_load(g + t * stride + i), vf_load(g + (3 + t) * stride + i), vf_load(g + (6 + t) * stride + i), columns[t]);
    }
#pragma clang loop unroll(full)
    for (int r = 0; r < 4; r++) {
      vf row[4];
      mk_winograd_combine(columns[0][r], columns[1][r], columns[2][r], row);
#pragma clang loop unroll(full)
      for (int c = 0; c < 4; c++) vf_store(u + (4 * r + c) * stride + i, row[c]);
    }
  }
}

static void mk_winograd_input_tiles(mk_int tiles, const float *x, mk_int row, float *out, mk_int stride) {
  for (mk_int i = 0; i < tiles; i += MK_WIDTH) {
    vf d[4][4]; // [row][column], columns combined
#pragma clang loop unroll(full)
    for (int r = 0; r < 4; r++) {
      const float *p = x + r * row + 2 * i;
      vf a = vf_load(p), b = vf_load(p + MK_WIDTH), c = vf_load(p + 2), e = vf_load(p + 2 + MK_WIDTH);
      vf x0 = __builtin_shufflevector(a, b, MK_EVEN), x1 = __builtin_shufflevector(a, b, MK_ODD);
      vf x2 = __builtin_shufflevector(c, e, MK_EVEN), x3 = __builtin_shufflevector(c, e, MK_ODD);
      d[r][0] = x0 - x2;
      d[r][1] = x1 + x2;
      d[r][2] = x2 - x1;
      d[r][3] = x1 - x3;
    }
    float *o = out + i;
#pragma clang loop unroll(full)
    for (int c = 0; c < 4; c++) {
      vf_store(o + c * stride, d[0][c] - d[2][c]);
      vf_store(o + (4 + c) * stride, d[1][c] + d[2][c]);
      vf_store(o + (8 + c) * stride, d[2][c] - d[1][c]);
      vf_store(o + (12 + c) * stride, d[1][c] - d[3][c]);
    }
  }
}

static void mk_winograd_output_tiles(
  mk_int tiles, const float *m, mk_int stride, float bias, int32_t relu, float *top, float *bottom) {
  for (mk_int i = 0; i < tiles; i += MK_WIDTH) {
    vf s[4], t[4];
#pragma clang loop unroll(full)
    for (int c = 0; c < 4; c++) {
      const float *p = m + i + c * stride;
      vf a = vf_load(p + 4 * stride), b = vf_load(p + 8 * stride);
      s[c] = vf_load(p) + (a + b);
      t[c] = (a - b) - vf_load(p + 12 * stride);
    }
    vf y00 = s[0] + (s[1] + s[2]) + bias, y01 = (s[1] - s[2]) - s[3] + bias;
    vf y10 = t[0] + (t[1] + t[2]) + bias, y11 = (t[1] - t[2]) - t[3] + bias;
    if (relu) y00 = vf_relu(y00), y01 = vf_relu(y01), y10 = vf_relu(y10), y11 = vf_relu(y11);
    vf_store(top + 2 * i, __builtin_shufflevector(y00, y01, MK_LOW));
    vf_store(top + 2 * i + MK_WIDTH, __builtin_shufflevector(y00, y01, MK_HIGH));
    vf_store(bottom + 2 * i, __builtin_shufflevector(y10, y11, MK_LOW));
    vf_store(bottom + 2 * i + MK_WIDTH, __builtin_shufflevector(y10, y11, MK_HIGH));
  }
}
