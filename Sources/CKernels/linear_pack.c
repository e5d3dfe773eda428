// Packs the constant operand of a product, and says what a narrow format lost of it.
#include "linear.h"

#include <math.h>

enum {
  MK_PACK_COLUMNS = 8 * MK_PANEL, // columns of one packing task
  MK_PACK_DEPTH = 64,             // depths of a panel that are converted together
};

size_t mk_linear_packed_bytes(mk_weights type, mk_int k, mk_int n) {
  mk_int panels = mk_ceil_div(n, MK_PANEL);
  size_t head = type == MK_WEIGHTS_INT8 ? (size_t)panels * MK_PANEL * (sizeof(float) + sizeof(int32_t)) : 0;
  return head + (size_t)panels * (size_t)mk_panel_bytes(type, k);
}

mk_packed mk_packed_view(mk_weights type, mk_int k, mk_int n, const void *packed) {
  mk_packed view = {.panels = packed, .panel_bytes = mk_panel_bytes(type, k)};
  if (type == MK_WEIGHTS_INT8) {
    mk_int columns = mk_round_up(n, MK_PANEL);
    view.scales = packed;
    view.sums = (const int32_t *)packed + columns;
    view.panels += 2 * columns * (mk_int)sizeof(float);
  }
  return view;
}

typedef struct {
  const mk_kernels *kernels;
  mk_weights type;
  const float *w;
  mk_int ldw, k, n;
  int32_t transposed;
  char *packed;
  float *errors;
} mk_pack_call;

// Depths depth0..<depth0 + depth of the panel at column `start`, with zeros up to whole units.
static void mk_gather(const mk_pack_call *c, mk_int start, mk_int depth0, mk_int depth, float *panel) {
  mk_int columns = mk_min(c->n - start, MK_PANEL);
  if (c->transposed) {
    c->kernels->transpose_panel(columns, depth, c->w + start * c->ldw + depth0, c->ldw, 1, panel, 0);
  } else {
    for (mk_int p = 0; p < depth; p++) {
      memcpy(panel + p * MK_PANEL, c->w + (depth0 + p) * c->ldw + start, (size_t)columns * sizeof(float));
      for (mk_int j = columns; j < MK_PANEL; j++) panel[p * MK_PANEL + j] = 0;
    }
  }
  mk_int rest = mk_round_up(depth, mk_stored_depths(c->type)) - depth;
  memset(panel + depth * MK_PANEL, 0, (size_t)rest * MK_PANEL * sizeof(float));
}

static void mk_pack_bf16(const mk_pack_call *c, mk_int start, char *out) {
  float panel[MK_PACK_DEPTH * MK_PANEL];
  for (mk_int depth0 = 0; depth0 < c->k; depth0 += MK_PACK_DEPTH) {
    mk_int depth = mk_min(c->k - depth0, MK_PACK_DEPTH);
    mk_gather(c, start, depth0, depth, panel);
    c->kernels->pack_bf16(mk_ceil_div(depth, 2), panel, out + mk_panel_bytes(MK_WEIGHTS_BF16, depth0));
  }
}

static void mk_pack_int8(const mk_pack_call *c, mk_int start, char *out) {
  mk_int columns = mk_round_up(c->n, MK_PANEL);
  float panel[MK_PACK_DEPTH * MK_PANEL], inverse[MK_PANEL], scales[MK_PANEL] = {0};
  int32_t sums[MK_PANEL] = {0};
  for (mk_int depth0 = 0; depth0 < c->k; depth0 += MK_PACK_DEPTH) {
    mk_int depth = mk_min(c->k - depth0, MK_PACK_DEPTH);
    mk_gather(c, start, depth0, depth, panel);
    c->kernels->pair_maxima(mk_ceil_div(depth, 2), panel, scales);
  }
  for (int j = 0; j < MK_PANEL; j++) scales[j] = mk_weight_scale(scales[j], &inverse[j]);
  for (mk_int depth0 = 0; depth0 < c->k; depth0 += MK_PACK_DEPTH) {
    mk_int depth = mk_min(c->k - depth0, MK_PACK_DEPTH);
    mk_gather(c, start, depth0, depth, panel);
    c->kernels->pack_int8(mk_ceil_div(depth, 4), panel, inverse, out + mk_panel_bytes(MK_WEIGHTS_INT8, depth0), sums);
  }
  memcpy(c->packed + start * (mk_int)sizeof(float), scales, sizeof scales);
  memcpy(c->packed + (columns + start) * (mk_int)sizeof(float), sums, sizeof sums);
}

static void mk_pack_int4(const mk_pack_call *c, mk_int start, char *out) {
  float panel[MK_INT4_GROUP * MK_PANEL];
  for (mk_int depth0 = 0; depth0 < c->k; depth0 += MK_INT4_GROUP) {
    mk_int depth = mk_min(c->k - depth0, MK_INT4_GROUP);
    mk_gather(c, start, depth0, depth, panel);
    c->kernels->pack_int4(
      mk_ceil_div(depth, mk_stored_depths(MK_WEIGHTS_INT4)), panel, out + mk_panel_bytes(MK_WEIGHTS_INT4, depth0));
  }
}

static void mk_pack_task(void *context, mk_int task, int32_t worker) {
  const mk_pack_call *c = context;
  mk_int end = mk_min((task + 1) * MK_PACK_COLUMNS, c->n);
  (void)worker;
  mk_packed view = mk_packed_view(c->type, c->k, c->n, c->packed);
  for (mk_int start = task * MK_PACK_COLUMNS; start < end; start += MK_PANEL) {
    char *out = c->packed + (view.panels - c->packed) + start / MK_PANEL * view.panel_bytes;
    switch (c->type) {
    case MK_WEIGHTS_F32: mk_gather(c, start, 0, c->k, (float *)(void *)out); break;
    case MK_WEIGHTS_BF16: mk_pack_bf16(c, start, out); break;
    case MK_WEIGHTS_INT8: mk_pack_int8(c, start, out); break;
    case MK_WEIGHTS_INT4: mk_pack_int4(c, start, out); break;
    }
  }
}

void mk_linear_pack(
  mk_pool *pool, mk_weights type, const float *w, mk_int ldw, int32_t transposed, mk_int k, mk_int n, void *packed) {
  mk_pack_call call = {mk_current_kernels(), type, w, ldw, k, n, transposed, packed, NULL};
  mk_parallel(pool, mk_ceil_div(n, MK_PACK_COLUMNS), mk_pack_task, &call);
}

// What the packed panel at column `start` stands for at depth p: values[16].
static void mk_unpack_depth(const mk_pack_call *c, const mk_packed *view, mk_int start, mk_int p, double *values) {
  const char *panel = view->panels + start / MK_PANEL * view->panel_bytes;
  mk_int depths = mk_stored_depths(c->type), group = c->type == MK_WEIGHTS_INT4 ? p / MK_INT4_GROUP * MK_INT4_GROUP : 0;
  panel += mk_panel_bytes(c->type, group);
  const float *scales = view->scales ? view->scales + start : NULL;
  if (c->type == MK_WEIGHTS_INT4) scales = (const float *)(const void *)panel, panel += MK_ROW_BYTES;
  const uint32_t *units = (const uint32_t *)(const void *)panel + (p - group) / depths * MK_PANEL;
  mk_int i = (p - group) % depths;
  for (int j = 0; j < MK_PANEL; j++) {
    uint32_t bits = i == 0 ? units[j] << 16 : units[j] & 0xffff0000;
    float value;
    switch (c->type) {
    case MK_WEIGHTS_INT8: values[j] = (double)(int8_t)(units[j] >> (8 * i)) * scales[j]; break;
    case MK_WEIGHTS_INT4:
      values[j] = (double)((int32_t)(units[j] >> (i % 4 * 8 + i / 4 * 4) & 15) - 8) * scales[j];
      break;
    default:
      memcpy(&value, &bits, sizeof value);
      values[j] = value;
    }
  }
}

static void mk_errors_task(void *context, mk_int task, int32_t worker) {
  const mk_pack_call *c = context;
  mk_packed view = mk_packed_view(c->type, c->k, c->n, c->packed);
  mk_int end = mk_min((task + 1) * MK_PACK_COLUMNS, c->n);
  float panel[MK_PACK_DEPTH * MK_PANEL];
  (void)worker;
  for (mk_int start = task * MK_PACK_COLUMNS; start < end; start += MK_PANEL) {
    mk_int columns = mk_min(c->n - start, MK_PANEL);
    double sums[MK_PANEL] = {0};
    for (mk_int depth0 = 0; depth0 < c->k; depth0 += MK_PACK_DEPTH) {
      mk_int depth = mk_min(c->k - depth0, MK_PACK_DEPTH);
      mk_gather(c, start, depth0, depth, panel);
      for (mk_int p = 0; p < depth; p++) {
        double packed[MK_PANEL];
        mk_unpack_depth(c, &view, start, depth0 + p, packed);
        for (int j = 0; j < MK_PANEL; j++) {
          double error = panel[p * MK_PANEL + j] - packed[j];
          sums[j] += error * error;
        }
      }
    }
    for (mk_int j = 0; j < columns; j++) {
      // Twice what double precision may have lost; where there is no number, there is no bound.
      double norm = sqrt(sums[j]) * (1 + (double)(c->k + 4) * 0x1p-52);
      c->errors[start + j] = norm == 0 ? 0 : norm == norm ? nextafterf((float)norm, INFINITY) : INFINITY;
    }
  }
}

void mk_linear_errors(
  mk_pool *pool, mk_weights type, const float *w, mk_int ldw, int32_t transposed, mk_int k, mk_int n,
  const void *packed, float *errors) {
  if (type == MK_WEIGHTS_F32) {
    memset(errors, 0, (size_t)mk_max(n, 0) * sizeof(float));
    return;
  }
  mk_pack_call call = {mk_current_kernels(), type, w, ldw, k, n, transposed, (char *)packed, errors};
  mk_parallel(pool, mk_ceil_div(n, MK_PACK_COLUMNS), mk_errors_task, &call);
}
