// Tiles of few rows, rounded to integers of two digits, with weights in int8, where one instruction adds four products of
// bytes: it takes weights as they lie in memory, of which pairs of int16 have to be made. One operand of it is unsigned:
// the weights plus 128.

typedef uint32_t vu_quads __attribute__((ext_vector_type(MK_WIDTH / 4)));
typedef uint32_t vu_half __attribute__((ext_vector_type(MK_WIDTH / 2)));

// Of four integers q = 256 high + low the bytes high, then the bytes low, each on both sides of zero.
MK_INLINE vi mk_digit_units(const float *x, float inverse, int32_t levels, void *out) {
  vi sum = 0;
  for (int p = 0; p < 2 * MK_CHUNK; p += MK_WIDTH) {
    vf scaled = vf_load(x + p) * inverse;
    vi q = vf_round_between(scaled, (float)-levels, (float)levels);
    sum += q;
    vu_quads high = (vu_quads)__builtin_convertvector((q + 128) >> 8 & 255, vu8_quarter);
    vu_quads low = (vu_quads)__builtin_convertvector(q & 255, vu8_quarter);
    vu_half units = __builtin_shufflevector(high, low, 0, 4, 1, 5, 2, 6, 3, 7);
    __builtin_memcpy((uint8_t *)out + 2 * p, &units, sizeof units);
  }
  return sum;
}

MK_PACK_ROW(mk_pack_digits_row, 2, mk_digit_units)

#define MK_VNNI 1
#include "quads.inc.h"
#undef MK_VNNI

MK_INLINE void mk_finish_digits(
  const int rows, const int panels, const mk_tile *t, vf acc[MK_BLOCK_ROWS][MK_TILE_VECTORS]) {
#pragma clang loop unroll(full)
  for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
    for (int v = 0; v < panels * MK_VECTORS; v++) acc[r][v] = (vf)((vu)acc[r][v] - (vu)(uint32_t)t->row_zeros[r]);
  mk_finish_int8(rows, panels, t, acc);
}

// Twice as many sums as in other formats, so half as many rows.
#define MK_NARROW mk_narrow_digits
#define MK_NARROW_HEIGHTS MK_SIX_HEIGHTS
#define MK_APART 1
#define MK_WIDENED(unit, i) ((vf)((unit) ^ 0x80808080))
#define MK_DOT(sum, x, w) MK_ADD_QUADS(sum, w, x)
#define MK_SUM(high, low) (vf)(((vu)(high) << 8) + (vu)(low))
#define MK_NARROW_FINISH mk_finish_digits
#include "narrow.inc.h"
