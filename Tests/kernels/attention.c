// Attention, keys and values per batch item as in a cache, with biases, masks and ragged lengths.
#include "check.h"

typedef struct {
  mk_int batch, heads, tq, tk, dqk, dv;
  // A sum of: 1 one row for all queries, 2 a full one, 4 (instead of 2) a full one in panels, 8 one from a table; `hidden`: every so many keys are masked by -inf, causal: -1.
  int bias, hidden, ragged;
  mk_pool *pool;
  uint64_t seed;
  int poisoned; // a key of the first head is not a number
  mk_weights products;
} attention_case;

static double as_met(int rounds, float value) { return rounds ? check_rounded_bf16(value) : value; }

static int is_hidden(const attention_case *c, int full, mk_int i, mk_int j) {
  if (c->hidden == 0) return 0;
  if (c->hidden < 0) return full && j > i;
  return full ? (i + j) % c->hidden == 0 || i % 5 == 3 : j % c->hidden == 1;
}

static void one_attention(attention_case c) {
  check_random r = check_seed(c.seed);
  mk_int q_row = c.dqk + check_int(&r, 0, 3), k_row = c.dqk + check_int(&r, 0, 3), v_row = c.dv + check_int(&r, 0, 3);
  int by_key = c.seed % 2; // the heads of a key follow each other, or the keys of a head
  mk_int out_row = c.dv + check_int(&r, 0, 3), out_count = c.batch * c.tq * c.heads * out_row;
  float *q = check_randoms(&r, c.batch * c.tq * c.heads * q_row, -2, 2), *out = check_floats(out_count);
  const float *k[3], *v[3];
  mk_int lengths[3];
  for (mk_int b = 0; b < c.batch; b++) {
    // The last key and value end with their last element.
    float *keys = check_randoms(&r, (c.heads * c.tk - 1) * k_row + c.dqk, -2, 2);
    if (c.poisoned && b == 0) keys[c.tk / 2 * (by_key ? c.heads : 1) * k_row] = NAN;
    k[b] = keys;
    v[b] = check_randoms(&r, (c.heads * c.tk - 1) * v_row + c.dv, -1, 1);
    lengths[b] = c.ragged && c.tk > 3 * b ? c.tk - 3 * b : c.tk;
  }
  mk_attention_args a = {
    .batch = c.batch, .heads = c.heads, .tq = c.tq, .tk = c.tk, .dqk = c.dqk, .dv = c.dv, .scale = 0.31f, .q = q,
    .q_batch = c.tq * c.heads * q_row, .q_head = q_row, .q_row = c.heads * q_row, .k = k,
    .k_head = by_key ? k_row : c.tk * k_row, .k_row = by_key ? c.heads * k_row : k_row, .v = v,
    .v_head = by_key ? v_row : c.tk * v_row, .v_row = by_key ? c.heads * v_row : v_row, .tk_per_batch = c.ragged ? lengths : NULL,
    .out = out, .out_batch = c.tq * c.heads * out_row, .out_head = out_row, .out_row = c.heads * out_row,
    .products = c.products};
  int rounds = c.products != MK_WEIGHTS_F32 && c.tq >= MK_PAIRED_QUERIES && check_has_bf16_pairs();
  int biases = 0;
  if (c.bias & 1) {
    float *p = check_randoms(&r, c.batch * c.tk, -1, 1);
    for (mk_int j = 0; j < c.batch * c.tk; j++) p[j] = is_hidden(&c, 0, 0, j % c.tk) ? -INFINITY : p[j];
    a.bias[biases++] = (mk_attention_bias){p, c.tk, 0, 0};
  }
  if (c.bias & 2) {
    mk_int row = c.tk + check_int(&r, 0, 3), count = (c.heads * c.tq - 1) * row + c.tk;
    float *p = check_randoms(&r, count, -1, 1);
    for (mk_int i = 0; i < c.heads * c.tq; i++) {
      for (mk_int j = 0; j < c.tk; j++) {
        if (is_hidden(&c, 1, i % c.tq, j)) p[i * row + j] = -INFINITY;
      }
    }
    a.bias[biases++] = (mk_attention_bias){p, 0, c.tq * row, row};
  }
  // What is added in the other layouts, per head, query and key.
  float *more = check_floats(c.heads * c.tq * c.tk);
  mk_int matrix = c.tq * c.tk, panels = (c.tq + 15) / 16 * c.tk * 16, extent = c.tq + c.tk + 3;
  for (mk_int at = 0; at < c.heads * matrix; at++) more[at] = 0;
  if (c.bias & 4) {
    for (mk_int at = 0; at < c.heads * matrix; at++) {
      mk_int i = at / c.tk % c.tq, j = at % c.tk;
      more[at] = is_hidden(&c, 1, i, j) ? -INFINITY : (float)check_int(&r, -1000, 1000) / 1000;
    }
    float *laid_out = check_floats(c.heads * panels);
    mk_attention_panels(c.pool, c.heads, c.tq, c.tk, more, laid_out);
    if (biases) a.bias[1] = a.bias[0]; // panels come first
    a.bias[0] = (mk_attention_bias){laid_out, 0, panels, 0};
    a.bias_in_panels = 1;
  }
  if (c.bias & 8) {
    float *table = check_randoms(&r, c.heads * extent, -1, 1);
    int32_t *index = check_bytes((size_t)matrix * sizeof *index), *laid_out = check_bytes((size_t)panels * sizeof *index);
    for (mk_int at = 0; at < matrix; at++) {
      // Half of them run along with the queries.
      mk_int i = at / c.tk, j = at % c.tk;
      index[at] = (int32_t)(j % 2 ? check_int(&r, 0, extent - 1) : i + c.tk - j);
      for (mk_int h = 0; h < c.heads; h++) more[h * matrix + at] += table[h * extent + index[at]];
    }
    mk_attention_panels(c.pool, 1, c.tq, c.tk, index, laid_out);
    a.table = table, a.table_head = extent, a.table_index = laid_out;
  }
  // As one thread does it, and as several do.
  mk_pool *other = c.pool ? NULL : check_pool;
  mk_attention(other, &a, check_bytes(mk_attention_scratch(other, &a)));
  float *same = check_copy(out, out_count);
  mk_attention(c.pool, &a, check_bytes(mk_attention_scratch(c.pool, &a)));

  double worst = memcmp(same, out, (size_t)out_count * sizeof *out) ? INFINITY : 0, *scores = malloc((size_t)c.tk * sizeof *scores);
  for (mk_int row = 0; row < c.batch * c.heads * c.tq; row++) {
    mk_int i = row % c.tq, h = row / c.tq % c.heads, b = row / c.tq / c.heads;
    const float *query = q + ((b * c.tq + i) * c.heads + h) * q_row;
    double top = -INFINITY, total = 0;
    for (mk_int j = 0; j < lengths[b]; j++) {
      scores[j] = 0;
      for (mk_int p = 0; p < c.dqk; p++) {
        double key = as_met(rounds, k[b][h * a.k_head + j * a.k_row + p]);
        scores[j] += (rounds ? (double)check_rounded_bf16(query[p] * a.scale) : (double)query[p] * (double)a.scale) * key;
      }
      scores[j] += (double)more[h * matrix + i * c.tk + j];
      for (int n = a.bias_in_panels; n < biases + a.bias_in_panels; n++) {
        scores[j] += a.bias[n].p[b * a.bias[n].batch + h * a.bias[n].head + i * a.bias[n].row + j];
      }
      top = fmax(top, scores[j]);
    }
    for (mk_int j = 0; j < lengths[b]; j++) total += scores[j] = top == -INFINITY ? 0 : exp(scores[j] - top);
    const float *got = out + ((b * c.tq + i) * c.heads + h) * out_row;
    for (mk_int p = 0; p < c.dv; p++) {
      double expected = 0, spread = 0;
      const float *values = v[b] + h * a.v_head + p;
      for (mk_int j = 0; j < lengths[b]; j++) {
        if (scores[j] > 0) expected += scores[j] / total * as_met(rounds, values[j * a.v_row]);
      }
      for (mk_int j = 0; j < lengths[b]; j++) {
        if (scores[j] > 0) spread += scores[j] / total * fabs(as_met(rounds, values[j * a.v_row]) - expected);
      }
      double rounding = rounds ? (0x1p-8 + 0x1p-13) * spread : 0;
      worst = check_error(worst, got[p], expected, rounding + 4e-6 + (double)(c.dqk + c.tk) * 4e-7);
    }
    for (mk_int p = c.dv; p < out_row; p++) {
      if (!isnan(got[p])) worst = INFINITY;
    }
  }
  free(scores);
  check_case(
    worst, "attention batch %td heads %td %td x %td dims %td %td bias %d hidden %d ragged %d rounds %d", c.batch, c.heads,
    c.tq, c.tk, c.dqk, c.dv, c.bias, c.hidden, c.ragged, rounds);
}

void check_attention(void) {
  check_random r = check_seed(900);
  for (mk_int tq = 1; tq <= 40; tq++) {
    one_attention((attention_case){
      check_int(&r, 1, 3), check_int(&r, 1, 3), tq, check_int(&r, 1, 40), check_int(&r, 1, 40), check_int(&r, 1, 40),
      (int)(tq % 4), tq % 3 == 0 ? 4 : 0, tq % 4 == 0, tq % 2 ? NULL : check_pool, (uint64_t)tq, 0, MK_WEIGHTS_F32});
  }
  for (mk_int tq = 1; tq <= 70; tq += tq < 18 ? 1 : 13) {
    for (int bias = 4; bias < 14; bias += bias == 9 ? 3 : 1) { // 4, 5, 8, 9, 12, 13 with and without a row for all
      if (bias == 6 || bias == 7) continue;
      one_attention((attention_case){
        check_int(&r, 1, 2), check_int(&r, 1, 3), tq, check_int(&r, 1, 40), check_int(&r, 1, 20), check_int(&r, 1, 20), bias,
        tq % 3 == 0 ? 4 : 0, tq % 4 == 0, tq % 2 ? NULL : check_pool, (uint64_t)(tq * 16 + bias), 0, MK_WEIGHTS_F32});
    }
  }
  // Few queries and several runs of keys, some of which a query does not see.
  for (mk_int tq = 1; tq <= 9; tq++) {
    for (int i = 0; i < 3; i++) {
      one_attention((attention_case){
        check_int(&r, 1, 3), check_int(&r, 1, 13), tq, check_int(&r, 60, 700), check_int(&r, 1, 140), check_int(&r, 1, 140), i,
        i == 1 ? 2 : i == 2 ? -1 : 0, tq % 2, i ? check_pool : NULL, (uint64_t)(tq * 4 + i), 0, MK_WEIGHTS_F32});
    }
  }
  one_attention((attention_case){2, 3, 2, 200, 64, 64, 3, 1, 0, check_pool, 57, 0, MK_WEIGHTS_F32});
  // One run, several runs, blocks: what is not a number stays in its head.
  for (mk_int tq = 1; tq <= 20; tq += 6) {
    for (mk_int tk = 20; tk <= 420; tk += 200) {
      one_attention((attention_case){2, 3, tq, tk, 24, 20, 0, 0, 0, check_pool, (uint64_t)(tq + tk), 1, MK_WEIGHTS_F32});
    }
  }
  // Several blocks of keys, some of which a query does not see.
  one_attention((attention_case){1, 2, 150, 403, 16, 32, 13, -1, 0, check_pool, 55, 0, MK_WEIGHTS_F32});
  one_attention((attention_case){1, 2, 150, 403, 16, 32, 3, -1, 0, check_pool, 56, 0, MK_WEIGHTS_F32});
  one_attention((attention_case){1, 2, 49, 49, 32, 32, 3, 0, 0, NULL, 50, 0, MK_WEIGHTS_F32});
  one_attention((attention_case){1, 1, 70, 300, 16, 48, 2, 7, 0, check_pool, 51, 0, MK_WEIGHTS_F32});
  one_attention((attention_case){2, 1, 1, 523, 64, 64, 1, 3, 0, NULL, 52, 0, MK_WEIGHTS_F32});
  one_attention((attention_case){1, 1, 3, 37, 64, 128, 3, 0, 0, NULL, 53, 0, MK_WEIGHTS_F32});
  one_attention((attention_case){1, 3, 33, 33, 24, 17, 2, -1, 0, NULL, 54, 0, MK_WEIGHTS_F32});
  // Pairs of bf16: odd numbers of keys and channels, one to several blocks of keys and of queries.
  for (mk_int tq = 44; tq <= 120; tq += check_int(&r, 1, 7)) {
    for (int i = 0; i < 4; i++) {
      static const int biases[] = {0, 1, 2, 3, 4, 5, 8, 9, 12, 13};
      one_attention((attention_case){
        check_int(&r, 1, 3), check_int(&r, 1, 3), tq, i ? check_int(&r, 1, 60) : check_int(&r, 61, 700), check_int(&r, 1, 70),
        check_int(&r, 1, 70), biases[check_int(&r, 0, 9)], i == 1 ? 4 : i == 2 ? -1 : 0, i == 3, tq % 2 ? NULL : check_pool,
        (uint64_t)(tq * 8 + i), i == 3 && tq % 4 == 0, i % 2 ? MK_WEIGHTS_BF16 : MK_WEIGHTS_INT8});
    }
  }
}
