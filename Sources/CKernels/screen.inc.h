// Screening of rows of approximate products, and exact products of the few that remain. Included once per instruction set.

enum { MK_SCREEN_BLOCK = 64 };

// Ascending, every i whose y[i] + norm bounds[i] + 2^-21 abs(y[i]) reaches `floor`, NaN included; returns their number, and
// most + 1 for more than `most`.
static mk_int mk_reaching_row(
  mk_int n, const float *y, const float *bounds, float norm, float floor, mk_int most, mk_int *indices) {
  float upper[MK_SCREEN_BLOCK];
  mk_int found = 0;
  for (mk_int first = 0; first < n; first += MK_SCREEN_BLOCK) {
    mk_int count = mk_min(n - first, MK_SCREEN_BLOCK);
    vi hits = 0;
    for (mk_int i = 0; i < count; i += MK_WIDTH) {
      int whole = count - i >= MK_WIDTH;
      vf value = whole ? vf_load(y + first + i) : vf_load_part(y + first + i, count - i);
      vf bound = whole ? vf_load(bounds + first + i) : vf_load_part(bounds + first + i, count - i);
      vf u = value + (bound * norm + vf_abs(value) * 0x1p-21f);
      vf_store(upper + i, u);
      hits |= ~(u < (vf)floor);
    }
    if (!__builtin_reduce_or(hits)) continue;
    for (mk_int i = 0; i < count; i++) {
      if (upper[i] < floor) continue;
      if (found == most) return most + 1;
      indices[found++] = first + i;
    }
  }
  return found;
}

typedef float vf_half __attribute__((ext_vector_type(MK_WIDTH / 2)));
typedef double vd __attribute__((ext_vector_type(MK_WIDTH / 2)));

MK_INLINE vd vd_load_floats(const float *p) {
  vf_half v;
  __builtin_memcpy(&v, p, sizeof v);
  return __builtin_convertvector(v, vd);
}

// x . w in double precision; meanwhile the row at `next` is on its way to the cache.
static double mk_dot_row(mk_int k, const float *x, const float *w, const float *next) {
  enum { SUMS = 4 };
  vd sums[SUMS] = {0, 0, 0, 0};
  mk_int p = 0;
  for (; p + SUMS * MK_WIDTH / 2 <= k; p += SUMS * MK_WIDTH / 2) {
    for (int i = 0; i < SUMS * MK_WIDTH / 2; i += 64 / (int)sizeof(float)) __builtin_prefetch(next + p + i);
#pragma clang loop unroll(full)
    for (int s = 0; s < SUMS; s++) {
      mk_int at = p + s * MK_WIDTH / 2;
      sums[s] += vd_load_floats(x + at) * vd_load_floats(w + at);
    }
  }
  vd all = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  double total = 0;
  for (int i = 0; i < MK_WIDTH / 2; i++) total += all[i];
  for (; p < k; p++) total += (double)mk_load1(x + p) * (double)mk_load1(w + p);
  return total;
}
