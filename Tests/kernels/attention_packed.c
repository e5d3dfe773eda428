// Attention over packed keys and values: stored as the header says, then as exact as the products with them are.
#include "check.h"

typedef struct {
  mk_weights type;
  mk_int batch, heads, tq, tk, dqk, dv;
  int bias, hides;
  mk_pool *pool;
  uint64_t seed;
} packed_case;

enum { RUN = 1024 }; // most keys of a run, which is whole panels of 16

static mk_int first_of(mk_int tk, mk_int run) {
  mk_int runs = (tk + RUN - 1) / RUN, panels = (tk + 15) / 16;
  mk_int first = (panels / runs * run + (run < panels % runs ? run : panels % runs)) * 16;
  return first < tk ? first : tk;
}

// n numbers that share a scale, in bytes.
static void round_int8(mk_int n, const float *x, double *stored) {
  float largest = 0;
  for (mk_int p = 0; p < n; p += 2) {
    largest = fmaxf(largest, 0.5f * fabsf(x[p]) + 0.5f * (p + 1 < n ? fabsf(x[p + 1]) : 0));
  }
  float scale = largest / 63.5f, inverse = 1 / scale;
  for (mk_int p = 0; p < n; p++) {
    float scaled = x[p] * inverse;
    stored[p] = scale < 0x1p-126f ? 0 : (double)scale * fmin(fmax((double)rintf(scaled), -127), 127);
  }
}

// Keys and values [tk][d] of one head as they are stored.
static void store(mk_weights type, mk_int tk, mk_int d, int are_keys, const float *x, mk_int row, double *stored) {
  float *line = malloc((size_t)(tk + d) * sizeof *line), *mean = calloc((size_t)d, sizeof *mean);
  double *rounded = malloc((size_t)(tk + d) * sizeof *rounded);
  for (mk_int j = 0; j < tk; j++) {
    for (mk_int p = 0; p < d; p++) {
      mean[p] += x[j * row + p];
      stored[j * d + p] = type == MK_WEIGHTS_BF16 ? check_rounded_bf16(x[j * row + p]) : x[j * row + p];
    }
  }
  if (type == MK_WEIGHTS_INT8 && are_keys) {
    for (mk_int j = 0; j < tk; j++) {
      for (mk_int p = 0; p < d; p++) line[p] = x[j * row + p] - mean[p] / (float)tk;
      round_int8(d, line, stored + j * d);
    }
  }
  for (mk_int run = 0; type == MK_WEIGHTS_INT8 && !are_keys && first_of(tk, run) < tk; run++) {
    mk_int first = first_of(tk, run), keys = first_of(tk, run + 1) - first;
    for (mk_int p = 0; p < d; p++) {
      for (mk_int j = 0; j < keys; j++) line[j] = x[(first + j) * row + p];
      round_int8(keys, line, rounded);
      for (mk_int j = 0; j < keys; j++) stored[(first + j) * d + p] = rounded[j];
    }
  }
  free(line);
  free(mean);
  free(rounded);
}

static void one_packed(packed_case c) {
  check_random r = check_seed(c.seed);
  mk_int q_row = c.dqk + check_int(&r, 0, 3), k_row = c.dqk + check_int(&r, 0, 3), v_row = c.dv + check_int(&r, 0, 3);
  int by_key = c.seed % 2; // the heads of a key follow each other, or the keys of a head
  mk_int out_row = c.dv + check_int(&r, 0, 3), out_count = c.batch * c.tq * c.heads * out_row;
  float *q = check_randoms(&r, c.batch * c.tq * c.heads * q_row, -2, 2), *out = check_floats(out_count);
  const float *k[3], *v[3];
  const void *packed[3];
  mk_attention_args a = {
    .batch = c.batch, .heads = c.heads, .tq = c.tq, .tk = c.tk, .dqk = c.dqk, .dv = c.dv, .scale = 0.31f, .q = q,
    .q_batch = c.tq * c.heads * q_row, .q_head = q_row, .q_row = c.heads * q_row,
    .k_head = by_key ? k_row : c.tk * k_row, .k_row = by_key ? c.heads * k_row : k_row,
    .v_head = by_key ? v_row : c.tk * v_row, .v_row = by_key ? c.heads * v_row : v_row,
    .out = out, .out_batch = c.tq * c.heads * out_row, .out_head = out_row, .out_row = c.heads * out_row};
  for (mk_int b = 0; b < c.batch; b++) {
    float *keys = check_randoms(&r, (c.heads * c.tk - 1) * k_row + c.dqk, -1, 1);
    // What all keys have in common.
    for (mk_int i = 0; i < (c.heads * c.tk - 1) * k_row + c.dqk; i++) keys[i] += (float)(i % k_row % 5);
    k[b] = keys;
    v[b] = check_randoms(&r, (c.heads * c.tk - 1) * v_row + c.dv, -1, 1);
    void *to = check_bytes(mk_attention_packed_bytes(c.type, c.heads, c.tk, c.dqk, c.dv));
    a.k = k + b, a.v = v + b;
    mk_attention_pack(c.pool, c.type, &a, to, check_bytes(mk_attention_pack_scratch(c.pool, c.type, &a)));
    packed[b] = to;
  }
  a.k = a.v = NULL;
  a.packed = packed, a.packed_type = c.type;
  float *bias = check_randoms(&r, c.batch * c.tq * c.tk, -1, 1);
  for (mk_int i = 0; i < c.batch * c.tq * c.tk; i++) {
    if (c.hides && (i / c.tk + i) % 3 == 0) bias[i] = -INFINITY;
  }
  if (c.bias) a.bias[1] = (mk_attention_bias){bias, c.tq * c.tk, 0, c.tk};
  mk_attention(c.pool, &a, check_bytes(mk_attention_scratch(c.pool, &a)));

  int pairs = c.type == MK_WEIGHTS_BF16 && check_has_bf16_pairs();
  double worst = 0, *scores = malloc((size_t)c.tk * sizeof *scores), *row = malloc((size_t)c.dqk * sizeof *row);
  double *keys = malloc((size_t)(c.tk * c.dqk) * sizeof *keys), *values = malloc((size_t)(c.tk * c.dv) * sizeof *values);
  float *scaled = malloc((size_t)c.dqk * sizeof *scaled);
  for (mk_int head = 0; head < c.batch * c.heads; head++) {
    mk_int h = head % c.heads, b = head / c.heads;
    store(c.type, c.tk, c.dqk, 1, k[b] + h * a.k_head, a.k_row, keys);
    store(c.type, c.tk, c.dv, 0, v[b] + h * a.v_head, a.v_row, values);
    for (mk_int i = 0; i < c.tq; i++) {
      const float *query = q + ((b * c.tq + i) * c.heads + h) * q_row;
      for (mk_int p = 0; p < c.dqk; p++) {
        scaled[p] = query[p] * a.scale;
        row[p] = pairs ? check_rounded_bf16(scaled[p]) : scaled[p];
      }
      if (c.type == MK_WEIGHTS_INT8) check_rounded_row(mk_int8_levels(c.dqk), c.dqk, scaled, row);
      double top = -INFINITY, total = 0;
      for (mk_int j = 0; j < c.tk; j++) {
        scores[j] = c.bias ? (double)bias[(b * c.tq + i) * c.tk + j] : 0;
        for (mk_int p = 0; p < c.dqk; p++) scores[j] += row[p] * keys[j * c.dqk + p];
        top = fmax(top, scores[j]);
      }
      for (mk_int j = 0; j < c.tk; j++) total += scores[j] = top == -INFINITY ? 0 : exp(scores[j] - top);
      const float *got = out + ((b * c.tq + i) * c.heads + h) * out_row;
      for (mk_int p = 0; p < c.dv; p++) {
        double expected = 0, weighted = 0, magnitude = 0;
        for (mk_int j = 0; j < c.tk; j++) {
          if (scores[j] > 0) expected += scores[j] / total * values[j * c.dv + p];
          if (scores[j] > 0) weighted += scores[j] / total * fabs(values[j * c.dv + p]);
          magnitude += fabs(values[j * c.dv + p]);
        }
        // Weights of a run are rounded too: integers beside the largest of them, bf16 by themselves.
        double rounding = c.type == MK_WEIGHTS_INT8 && total > 0 ? 0.51 * magnitude / total / (double)mk_int8_levels(RUN) : 0;
        if (pairs) rounding = 0x1p-9 * weighted;
        worst = check_error(worst, got[p], expected, rounding + 4e-6 + (double)(c.dqk * 5 + c.tk) * 4e-7);
      }
      for (mk_int p = c.dv; p < out_row; p++) {
        if (!isnan(got[p])) worst = INFINITY;
      }
    }
  }
  free(scores), free(row), free(keys), free(values), free(scaled);
  check_case(
    worst, "packed attention type %d batch %td heads %td %td x %td dims %td %td bias %d hidden %d", (int)c.type, c.batch,
    c.heads, c.tq, c.tk, c.dqk, c.dv, c.bias, c.hides);
}

void check_packed_attention(void) {
  check_random r = check_seed(901);
  for (mk_weights type = MK_WEIGHTS_F32; type <= MK_WEIGHTS_INT8; type++) {
    for (mk_int tq = 1; tq <= 30; tq += tq < 14 ? 1 : 7) {
      for (int i = 0; i < 4; i++) {
        mk_int tk = i == 0 ? check_int(&r, 1, 40) : i == 1 ? check_int(&r, 41, 256) : check_int(&r, 257, 900);
        one_packed((packed_case){
          type, check_int(&r, 1, 3), check_int(&r, 1, 3), tq, tk, check_int(&r, 1, 70), check_int(&r, 1, 70), i % 2,
          i == 3, (tq + i) % 2 ? check_pool : NULL, (uint64_t)(tq * 8 + i)});
      }
    }
    one_packed((packed_case){type, 1, 12, 5, 908, 64, 64, 0, 0, check_pool, 77});
    // Runs: two, the first of which has a panel more, and three.
    one_packed((packed_case){type, 2, 2, 5, RUN + 1, 33, 20, 1, 1, check_pool, 78});
    one_packed((packed_case){type, 1, 3, 2, 2 * RUN + 99, 16, 9, 1, 0, NULL, 79});
  }
}
