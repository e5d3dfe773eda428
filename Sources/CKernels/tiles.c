// Running over the rows of a product as register tiles, and packing left operands as these read them.
#include "kernels.h"

void mk_run_tiles(const mk_tile_fn *tiles, mk_int most, mk_int step, mk_int rows, const mk_tile *tile) {
  if (rows <= most) {
    tiles[rows - 1](tile);
    return;
  }
  mk_int parts = mk_ceil_div(rows, most);
  mk_tile t = *tile;
  for (mk_int i = 0, start = 0; i < parts; i++) {
    mk_int end = mk_part(rows, parts, i + 1), height = end - start;
    t.next_lines = mk_part(tile->next_lines, parts, i + 1) - mk_part(tile->next_lines, parts, i);
    tiles[height - 1](&t);
    if (t.next) t.next += t.next_lines * 64;
    t.a += height * step;
    t.c += height * t.ldc;
    if (t.row_bias) t.row_bias += height;
    if (t.residual) t.residual += height * t.ldr;
    if (t.partials) t.partials += height * MK_PANEL;
    if (t.row_scales) t.row_scales += height;
    if (t.row_zeros) t.row_zeros += height;
    start = end;
  }
}

void mk_interleave(mk_int height, mk_int depth, const float *x, mk_int ldx, float *out) {
  mk_int r = 0;
  for (; r + 4 <= height; r += 4) {
    const float *row = x + r * ldx;
    float *o = out + r;
    mk_int p = 0;
    for (; p + 4 <= depth; p += 4, o += 4 * height) {
      // The next four rows: a row is too short for the processor to foresee them.
      for (int i = 4; i < 8 && p % MK_PANEL == 0; i++) __builtin_prefetch(row + i * ldx + p, 0, 3);
      mk_four columns[4];
      mk_transpose4(row + p, ldx, columns);
      for (int i = 0; i < 4; i++) memcpy(o + i * height, &columns[i], sizeof columns[i]);
    }
    for (; p < depth; p++, o += height) {
      for (int i = 0; i < 4; i++) o[i] = mk_load1(row + i * ldx + p);
    }
  }
  for (; r + 2 <= height; r += 2) {
    const float *row = x + r * ldx;
    float *o = out + r;
    mk_int p = 0;
    for (; p + 4 <= depth; p += 4, o += 4 * height) {
      mk_four a = mk_load4(row + p), b = mk_load4(row + ldx + p);
      mk_four low = __builtin_shufflevector(a, b, 0, 4, 1, 5), high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
      memcpy(o, &low, 8);
      memcpy(o + height, (const char *)&low + 8, 8);
      memcpy(o + 2 * height, &high, 8);
      memcpy(o + 3 * height, (const char *)&high + 8, 8);
    }
    for (; p < depth; p++, o += height) o[0] = mk_load1(row + p), o[1] = mk_load1(row + ldx + p);
  }
  if (r < height) {
    const float *row = x + r * ldx;
    for (mk_int p = 0; p < depth; p++) out[p * height + r] = mk_load1(row + p);
  }
}

void mk_pack_left(
  mk_int most, mk_int rows, mk_int depth, mk_int padded, const float *x, mk_int ldx, float factor, float *out) {
  mk_int blocks = mk_ceil_div(rows, most);
  for (mk_int b = 0; b < blocks; b++) {
    mk_int first = mk_part(rows, blocks, b), height = mk_part(rows, blocks, b + 1) - first;
    float *block = out + first * padded;
    mk_interleave(height, depth, x + first * ldx, ldx, block);
    if (factor != 1) {
      for (mk_int i = 0; i < height * depth; i++) block[i] *= factor;
    }
    memset(block + height * depth, 0, (size_t)(height * (padded - depth)) * sizeof(float));
  }
}
