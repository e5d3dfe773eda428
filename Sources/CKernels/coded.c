// Coding panels (coded.h), and decoding them where they meet many rows.
#include "coded.h"

void mk_count_exponents(mk_int depth, mk_int columns, const uint32_t *units, uint32_t counts[MK_UPPER_EXPONENTS]) {
  for (mk_int p = 0; p < depth; p++) {
    for (mk_int j = 0; j < columns; j++) counts[units[p / 2 * MK_PANEL + j] >> (8 + p % 2 * 16) & 127]++;
  }
}

int32_t mk_begin_coded_panel(mk_int k, const uint32_t counts[MK_UPPER_EXPONENTS], mk_coded_head *head) {
  memset(head, 0, (size_t)mk_coded_head_bytes(k));
  uint32_t left[MK_UPPER_EXPONENTS], all = 0;
  memcpy(left, counts, sizeof left);
  left[0] = 0;
  head->uppers[8] = 0x80;
  for (int code = 1; code < 8; code++) {
    int most = 0;
    for (int e = 1; e < MK_UPPER_EXPONENTS; e++) most = left[e] > left[most] ? e : most;
    head->uppers[code] = (uint8_t)most;
    head->uppers[8 + code] = (uint8_t)(0x80 | most);
    left[most] = 0;
  }
  for (int e = 1; e < MK_UPPER_EXPONENTS; e++) all += left[e];
  return k < 1 << 27 && all <= mk_coded_room(k) && counts[MK_UPPER_EXPONENTS - 1] == 0;
}

void mk_code_depths(
  mk_int depth0, mk_int depth, const uint32_t *units, const uint32_t *lower, mk_coded_head *head, void *panel) {
  enum { MK_STRAY = 16 };
  uint8_t codes[256];
  memset(codes, MK_STRAY, sizeof codes);
  for (int code = 15; code >= 0; code--) codes[head->uppers[code]] = (uint8_t)code;
  mk_int group_bytes = mk_coded_lines(lower ? MK_WEIGHTS_F32_CODED : MK_WEIGHTS_BF16_CODED) * MK_CODED_LINE;
  char *group = (char *)panel + depth0 / MK_CODED_DEPTHS * group_bytes;
  for (mk_int first = 0; first < depth; first += MK_CODED_DEPTHS, group += group_bytes) {
    memset(group, 0, (size_t)group_bytes);
    uint16_t *places = (uint16_t *)(void *)group;
    for (mk_int u = 0; u < MK_CODED_UNITS && first + 2 * u < depth; u++) {
      mk_int p = first + 2 * u;
      uint8_t *seconds = (uint8_t *)group + (1 + u / 2) * MK_CODED_LINE + u % 2;
      uint16_t *rest = (uint16_t *)(void *)(group + (3 + u) * MK_CODED_LINE);
      for (int j = 0; j < MK_PANEL; j++) {
        for (int i = 0; i < 2; i++) {
          uint32_t bits = units[p / 2 * MK_PANEL + j] >> (16 * i) & 0xffff;
          uint32_t low = lower ? lower[p / 2 * MK_PANEL + j] >> (16 * i) & 0xffff : 0;
          uint8_t code = codes[bits >> 8];
          if (code == MK_STRAY) {
            mk_stray *stray = &head->strays[head->count++];
            stray->place = (uint32_t)((depth0 + p + i) * MK_PANEL + j);
            bits = bits << 16 | low;
            memcpy(&stray->value, &bits, sizeof bits);
            continue;
          }
          places[2 * j + i] |= (uint16_t)(code << (u % 2 * 8 + u / 2 * 4));
          seconds[2 * (2 * j + i)] = (uint8_t)bits;
          if (lower) rest[2 * j + i] = (uint16_t)low;
        }
      }
    }
  }
}

int32_t mk_strays_are_sound(mk_int k, mk_int columns, const mk_coded_head *head) {
  if (head->count > mk_coded_room(k)) return 0;
  for (uint32_t i = 0; i < head->count; i++) {
    uint32_t place = head->strays[i].place;
    if (place / MK_PANEL >= k || place % MK_PANEL >= columns) return 0;
  }
  return 1;
}

void mk_decode_units(
  const mk_kernels *kernels, mk_weights type, const mk_coded_head *head, const void *panel, mk_int first, mk_int count,
  uint32_t *out) {
  const char *groups = (const char *)panel + first / MK_CODED_UNITS * mk_coded_lines(type) * MK_CODED_LINE;
  int32_t is_float = type == MK_WEIGHTS_F32_CODED;
  (is_float ? kernels->decode_f32 : kernels->decode_bf16)(
    mk_ceil_div(count, MK_CODED_UNITS), head->uppers, groups, out);
  for (uint32_t i = 0; i < head->count; i++) {
    mk_int depth = head->strays[i].place / MK_PANEL - 2 * first, j = head->strays[i].place % MK_PANEL;
    if (depth < 0 || depth >= 2 * count) continue;
    uint32_t bits;
    memcpy(&bits, &head->strays[i].value, sizeof bits);
    // In its place is zero.
    if (is_float) {
      out[depth * MK_PANEL + j] = bits;
    } else {
      out[depth / 2 * MK_PANEL + j] |= depth % 2 == 0 ? bits >> 16 : bits;
    }
  }
}
