// Decodes units of coded weights (coded.h), pairs of neighbouring depths of a column: to units of two bf16, which of float32 are
// the upper halves.

typedef uint8_t vu8 __attribute__((ext_vector_type(4 * MK_WIDTH)));
typedef uint8_t vu8_table __attribute__((ext_vector_type(16)));

// The upper bytes of 16 codes, in each 16 bytes where a shuffle looks for them.
#if MK_ISA == 1 || MK_ISA == 2
typedef vu8 mk_uppers;
MK_INLINE mk_uppers mk_load_uppers(const uint8_t *uppers) {
  mk_uppers all;
  for (int i = 0; i < 4 * MK_WIDTH; i += 16) __builtin_memcpy((char *)&all + i, uppers, 16);
  return all;
}
#else
typedef vu8_table mk_uppers;
MK_INLINE mk_uppers mk_load_uppers(const uint8_t *uppers) {
  mk_uppers table;
  __builtin_memcpy(&table, uppers, sizeof table);
  return table;
}
#endif

// Of codes 0...15.
MK_INLINE vu8 mk_find_uppers(mk_uppers uppers, vu8 codes) {
#if MK_ISA == 2
  return (vu8)_mm512_shuffle_epi8((__m512i)uppers, (__m512i)codes);
#elif MK_ISA == 1
  return (vu8)_mm256_shuffle_epi8((__m256i)uppers, (__m256i)codes);
#elif MK_ISA == 3
  return (vu8)vqtbl1q_u8((uint8x16_t)uppers, (uint8x16_t)codes);
#else
  vu8 bytes;
  for (int i = 0; i < 4 * MK_WIDTH; i++) bytes[i] = uppers[codes[i]];
  return bytes;
#endif
}

// The upper bytes of vector v of a group's units: of 0 and 2 in the lower bytes of words, of 1 and 3 in the upper ones.
typedef struct {
  v16 first, second; // units 0 and 1, 2 and 3
} mk_group_uppers;

MK_INLINE mk_group_uppers mk_load_codes(const float *group, int v, mk_uppers uppers) {
  vu8 codes;
  __builtin_memcpy(&codes, group + v * MK_WIDTH, sizeof codes);
  return (mk_group_uppers){(v16)mk_find_uppers(uppers, codes & 15), (v16)mk_find_uppers(uppers, codes >> 4)};
}

// Vector v of unit q. Of odd units the second bytes are read a byte further on, where they lie in the lower bytes of words.
MK_INLINE vu mk_coded_unit(const float *group, int q, int v, mk_group_uppers uppers) {
  v16 upper = q < 2 ? uppers.first : uppers.second, seconds;
  const char *from = (const char *)(group + (1 + q / 2) * MK_PANEL + v * MK_WIDTH) + q % 2;
  __builtin_memcpy(&seconds, from, sizeof seconds);
  return (vu)((q % 2 == 0 ? upper << 8 : upper & (int16_t)0xff00) | (seconds & 0xff));
}

// The lower halves of vector v of unit q of a group.
MK_INLINE vu mk_lower_halves(const float *group, int q, int v) {
  return vu_load((const uint32_t *)(const void *)group + (3 + q) * MK_PANEL + v * MK_WIDTH);
}

// The first or second depth of a unit of upper halves and of lower ones.
MK_INLINE vu mk_join_halves(vu upper, vu lower, int i) {
  return i == 0 ? upper << 16 | (lower & 0xffff) : (upper & 0xffff0000) | lower >> 16;
}

// groups to out[4 * groups][16] or, with lower halves, out[8 * groups][16].
MK_INLINE void mk_decode_groups(
  const int lines, mk_int groups, const uint8_t *uppers, const void *coded, uint32_t *out) {
  mk_uppers table = mk_load_uppers(uppers);
  const float *group = coded;
  for (mk_int g = 0; g < groups; g++, group += lines * MK_PANEL) {
    for (int v = 0; v < MK_VECTORS; v++) {
      mk_group_uppers codes = mk_load_codes(group, v, table);
#pragma clang loop unroll(full)
      for (int q = 0; q < MK_CODED_UNITS; q++) {
        vu upper = mk_coded_unit(group, q, v, codes);
        uint32_t *o = out + g * MK_CODED_UNITS * MK_PANEL + v * MK_WIDTH;
        if (lines == 3) {
          vu_store(o + q * MK_PANEL, upper);
        } else {
          vu lower = mk_lower_halves(group, q, v);
          o += (g * MK_CODED_UNITS + 2 * q) * MK_PANEL;
          vu_store(o, mk_join_halves(upper, lower, 0));
          vu_store(o + MK_PANEL, mk_join_halves(upper, lower, 1));
        }
      }
    }
  }
}

static void mk_decode_bf16(mk_int groups, const uint8_t *uppers, const void *coded, uint32_t *out) {
  mk_decode_groups(3, groups, uppers, coded, out);
}
static void mk_decode_f32(mk_int groups, const uint8_t *uppers, const void *coded, uint32_t *out) {
  mk_decode_groups(3 + MK_CODED_UNITS, groups, uppers, coded, out);
}
