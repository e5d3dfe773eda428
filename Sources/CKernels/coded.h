// Coded weights: the numbers of bf16 in 12 bits, of float32 in 28. The exponents of a panel are few, so that of each weight the
// upper byte, which is the sign and all but the lowest bit of the exponent, is kept as a code of four bits: the sign, and one of
// seven such exponents of the panel's own or 0. Weights with another one, the strays, are zero in their place and stand with the
// bytes of the panel's codes in its head. The heads of all panels come first, for they are mostly empty: what is read and
// fetched from one end to the other is panels alone.
//
// A panel: groups of eight depths, four units of two depths of each column, in lines of 64 bytes:
//   codes [16 columns][2 depths], 16 bits each: from the lowest bits on those of units 0, 2, 1 and 3;
//   second bytes [2 pairs of units][16 columns][2 depths][2 units], 8 bits each;
//   float32 alone: the lower halves [4 units][16 columns][2 depths], 16 bits each.
// Behind the last panel a line may be read.
#pragma once
#include "kernels.h"

enum {
  MK_CODED_DEPTHS = 8, // of a group
  MK_CODED_UNITS = MK_CODED_DEPTHS / 2,
  MK_CODED_LINE = MK_PANEL * 4, // bytes
};

static inline int32_t mk_is_coded(mk_weights type) { return type == MK_WEIGHTS_BF16_CODED || type == MK_WEIGHTS_F32_CODED; }
// Lines of a group.
static inline mk_int mk_coded_lines(mk_weights type) { return type == MK_WEIGHTS_F32_CODED ? 3 + MK_CODED_UNITS : 3; }

typedef struct {
  uint32_t place; // depth * 16 + column
  float value;
} mk_stray;

typedef struct {
  uint8_t uppers[16]; // the upper bytes of the codes; the first is 0, which zero has
  uint32_t count;     // of strays
  uint32_t unused;
  mk_stray strays[];
} mk_coded_head;

// Whole lines with room for one stray in 256 weights.
static inline mk_int mk_coded_head_bytes(mk_int k) { return (1 + mk_ceil_div(k, 128)) * MK_CODED_LINE; }
static inline size_t mk_coded_room(mk_int k) {
  return ((size_t)mk_coded_head_bytes(k) - sizeof(mk_coded_head)) / sizeof(mk_stray);
}
static inline mk_int mk_coded_panel_bytes(mk_weights type, mk_int k) {
  return mk_ceil_div(k, MK_CODED_DEPTHS) * mk_coded_lines(type) * MK_CODED_LINE;
}

enum { MK_UPPER_EXPONENTS = 128 };
// How many of a panel's weights have each exponent but for its lowest bit: adds those of `depth` depths of `columns` columns.
// Units [depth / 2][16] are bf16, or the upper halves of float32.
void mk_count_exponents(mk_int depth, mk_int columns, const uint32_t *units, uint32_t counts[MK_UPPER_EXPONENTS]);
// Begins a panel: chooses its codes. 0: there are too many strays, or numbers of 2^127 and more.
int32_t mk_begin_coded_panel(mk_int k, const uint32_t counts[MK_UPPER_EXPONENTS], mk_coded_head *head);
// Depths depth0..<depth0 + depth, whole groups but for the last. lower: units of the lower halves; NULL: bf16.
void mk_code_depths(
  mk_int depth0, mk_int depth, const uint32_t *units, const uint32_t *lower, mk_coded_head *head, void *panel);
// Whether the strays of a panel of `columns` columns lie where they may.
int32_t mk_strays_are_sound(mk_int k, mk_int columns, const mk_coded_head *head);
// `count` units of two depths of each column from unit `first` on, the beginning of a group, in whole groups: of bf16 to
// out[count][16], of float32 to out[2 * count][16].
void mk_decode_units(
  const mk_kernels *kernels, mk_weights type, const mk_coded_head *head, const void *panel, mk_int first, mk_int count,
  uint32_t *out);
