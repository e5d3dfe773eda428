// The table of one instruction set: everything above, in the order of mk_kernels. Instructions for narrow products, which
// not every processor of an instruction set has, differ between tables of one file.

#if MK_ISA == 1 || MK_ISA == 2
static void mk_f16_to_f32_rows(const uint16_t *x, mk_int n, float *y) {
  mk_int i = 0;
  for (; i + 8 <= n; i += 8) {
    __m256 v = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(x + i)));
    _mm256_storeu_ps(y + i, v);
  }
  if (i < n) {
    uint16_t half[8] = {0};
    float full[8];
    __builtin_memcpy(half, x + i, (size_t)(n - i) * sizeof *x);
    _mm256_storeu_ps(full, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)half)));
    __builtin_memcpy(y + i, full, (size_t)(n - i) * sizeof *y);
  }
}

static void mk_f32_to_f16_rows(const float *x, mk_int n, uint16_t *y) {
  mk_int i = 0;
  for (; i + 8 <= n; i += 8) {
    __m128i v = _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128((__m128i *)(void *)(y + i), v);
  }
  if (i < n) {
    uint16_t half[8];
    float full[8] = {0};
    __builtin_memcpy(full, x + i, (size_t)(n - i) * sizeof *x);
    _mm_storeu_si128((__m128i *)(void *)half, _mm256_cvtps_ph(_mm256_loadu_ps(full), _MM_FROUND_TO_NEAREST_INT));
    __builtin_memcpy(y + i, half, (size_t)(n - i) * sizeof *y);
  }
}
#elif MK_ISA == 3
static void mk_f16_to_f32_rows(const uint16_t *x, mk_int n, float *y) {
  mk_int i = 0;
  for (; i + 4 <= n; i += 4) vst1q_f32(y + i, vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(x + i))));
  if (i < n) {
    uint16_t half[4] = {0};
    __builtin_memcpy(half, x + i, (size_t)(n - i) * sizeof *x);
    vf_store_part(y + i, n - i, vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(half))));
  }
}

static void mk_f32_to_f16_rows(const float *x, mk_int n, uint16_t *y) {
  mk_int i = 0;
  for (; i + 4 <= n; i += 4) vst1_u16(y + i, vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(x + i))));
  if (i < n) {
    uint16_t half[4];
    vst1_u16(half, vreinterpret_u16_f16(vcvt_f16_f32(vf_load_part(x + i, n - i))));
    __builtin_memcpy(y + i, half, (size_t)(n - i) * sizeof *y);
  }
}
#else
#define mk_f16_to_f32_rows NULL
#define mk_f32_to_f16_rows NULL
#endif

// Decoding has been measured with vectors of 8 and 16.
#define MK_PREFERS_CODED (MK_ISA == 1 || MK_ISA == 2)

static const mk_tile_fn mk_float_tiles[2][MK_BLOCK_ROWS] = MK_TILE_TABLE(MK_PACKED);
#define mk_float_1_4 mk_tile_1_4_MK_PACKED

// Products of few rows, x in units of so many depths, with tiles of up to so many rows; name: of the tiles, and of that of one
// row and four panels.
#define MK_FEW_TILES(unit, height, name, ...) \
  {.depths = unit, .panels = MK_TILE_PANELS, .rows = height, .tiles = name##_tiles, .wide_row = name##_1_4, __VA_ARGS__}
#define MK_FEW_INT8(name) MK_FEW_TILES(2, MK_TILE_ROWS, name, .pack_row = mk_pack_fine_row)
#define MK_FEW_DIGITS(name) \
  MK_FEW_TILES(2, 6, name, .pack_row = mk_pack_digits_row, .zero = 128)
#define MK_FEW_INT4(name, unit, pack) \
  MK_FEW_TILES(unit, MK_TILE_ROWS, name, .pack_row = pack, .zero = MK_INT4_ZERO)

// How products with bf16 and int8 weights are formed. Of many rows, of few, and of pixels; x in the units that come first.
#define MK_BF16_WIDENED \
  .bf16 = {1, 0, NULL, mk_widen_bf16, mk_float_tiles}, \
  .few_bf16 = MK_FEW_TILES(1, MK_TILE_ROWS, mk_narrow_bf16), \
  .few_coded_bf16 = MK_FEW_TILES(1, MK_TILE_ROWS, mk_narrow_coded_bf16)
#define MK_BF16_PAIRS \
  .bf16 = {2, 0, mk_pack_bf16_row, NULL, mk_bf16_tiles}, \
  .few_bf16 = MK_FEW_TILES(2, MK_TILE_ROWS, mk_bf16, .pack_row = mk_pack_bf16_row), \
  .few_coded_bf16 = MK_FEW_TILES(2, MK_TILE_ROWS, mk_narrow_coded_pairs, .pack_row = mk_pack_bf16_row), \
  .paired_attention = &mk_pairs_attention, \
  .bf16_pixels = {2, 0, mk_pack_bf16_row, mk_round_pixels_bf16, mk_bf16_tiles, NULL, MK_DIRECT_WINDOWS}
#define MK_INT8_PAIRS(allowed) \
  .int8 = {2, 1, mk_pack_int16_row, mk_widen_int16, mk_int16_tiles}, \
  .few_int8 = MK_FEW_INT8(mk_narrow_int8), \
  .few_int4 = MK_FEW_INT4(mk_narrow_int4, 2, mk_pack_fine_row), \
  .int8_pixels = {2, 1, mk_pack_fine_row, mk_quantise_pixels_int16, mk_int16_tiles, mk_quantise_band_int16, allowed}
#define MK_INT8_BYTES \
  .int8 = {4, 1, mk_pack_uint8_row, NULL, mk_quads_tiles}, \
  .few_int8 = MK_FEW_INT8(mk_narrow_int8), \
  .few_int4 = MK_FEW_INT4(mk_narrow_int4, 4, mk_pack_int8_row), \
  .int8_pixels = {4, 1, mk_pack_int8_row, mk_quantise_pixels_uint8, mk_pixels_tiles, mk_quantise_band_uint8, \
    MK_DIRECT_WINDOWS}
#define MK_INT8_VNNI(few) \
  .int8 = {4, 1, mk_pack_uint8_row, NULL, mk_quads_vnni_tiles}, \
  .few_int8 = few, \
  .few_int4 = MK_FEW_INT4(mk_narrow_int4_vnni, 4, mk_pack_int8_row), \
  .int8_pixels = {4, 1, mk_pack_int8_row, mk_quantise_pixels_uint8, mk_pixels_vnni_tiles, mk_quantise_band_uint8, \
    MK_ALL_WINDOWS}

#define MK_TABLE(table, label, ...) \
  const mk_kernels table = { \
    .name = label, \
    .panels = MK_TILE_PANELS, \
    .rows = MK_TILE_ROWS, \
    .depth = MK_DEPTH, \
    .tiles = {MK_TILE_TABLE(MK_PACKED), MK_TILE_TABLE(MK_STRIDED), MK_TILE_TABLE(MK_COLUMN), MK_TILE_TABLE(MK_PLANES)}, \
    .f32 = {1, 0, NULL, NULL, mk_float_tiles}, \
    __VA_ARGS__, \
    .wide_int8 = {1, 0, NULL, mk_widen_int8, mk_float_tiles}, \
    .prefers_coded = MK_PREFERS_CODED, \
    .few_coded_f32 = MK_FEW_TILES(1, MK_TILE_ROWS, mk_narrow_coded_f32), \
    .few_f32 = MK_FEW_TILES(1, MK_TILE_ROWS, mk_float), \
    .pack_bf16 = mk_pack_bf16_panel, \
    .pair_maxima = mk_pair_maxima, \
    .pack_int8 = mk_pack_int8_panel, \
    .pack_int4 = mk_pack_int4_panel, \
    .decode_bf16 = mk_decode_bf16, \
    .decode_f32 = mk_decode_f32, \
    .activate = mk_activate, \
    .transpose_panel = mk_transpose_panel, \
    .attention = {1, MK_QUERY_PANELS, MK_KEY_BLOCK, table.tiles[MK_STRIDED], table.tiles[MK_COLUMN], mk_softmax_panel}, \
    .few_scores = mk_few_scores, \
    .few_sums = mk_few_sums, \
    .product_rows = mk_product_rows, \
    .reaching = mk_reaching_row, \
    .dot = mk_dot_row, \
    .softmax_row = mk_softmax_weights, \
    .layer_norm = mk_layer_norm_row, \
    .rms_norm = mk_rms_norm_row, \
    .softmax = mk_softmax_row, \
    .logsumexp = mk_logsumexp_row, \
    .maximum = mk_maximum_row, \
    .similarity = mk_similarity_row, \
    .sum = mk_sum_row, \
    .extremes = mk_extremes_row, \
    .unary = mk_unary_rows, \
    .affine = mk_affine_rows, \
    .binary = mk_binary_rows, \
    .every_second = mk_every_second, \
    .join_panel = mk_join_panel, \
    .make_lines = mk_make_lines, \
    .depthwise = mk_depthwise_rows, \
    .winograd2 = MK_WINOGRAD(2), \
    .winograd4 = MK_WINOGRAD(4), \
    .f16_to_f32 = mk_f16_to_f32_rows, \
    .f32_to_f16 = mk_f32_to_f16_rows, \
  }
