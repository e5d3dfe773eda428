// Packs the constant operand of a product, and says what a narrow format lost of it.
#include "linear.h"

#include <math.h>

enum {
  MK_PACK_COLUMNS = 8 * MK_PANEL, // columns of one packing task
  MK_PACK_DEPTH = 64,             // depths of a panel that are converted together
};

size_t mk_linear_packed_bytes(mk_weights type, mk_int k, mk_int n) {
  mk_int panels = mk_ceil_div(n, MK_PANEL);
  size_t head = type == MK_WEIGHTS_INT8 ? MK_PANEL * (sizeof(float) + sizeof(int32_t))
    : mk_is_coded(type)                 ? (size_t)mk_coded_head_bytes(k)
                                        : 0;
  size_t behind = mk_is_coded(type) ? MK_CODED_LINE : 0;
  return (size_t)panels * (head + (size_t)mk_panel_bytes(type, k)) + behind;
}

mk_packed mk_packed_view(mk_weights type, mk_int k, mk_int n, const void *packed) {
  mk_packed view = {.panels = packed, .panel_bytes = mk_panel_bytes(type, k)};
  if (type == MK_WEIGHTS_INT8) {
    mk_int columns = mk_round_up(n, MK_PANEL);
    view.scales = packed;
    view.sums = (const int32_t *)packed + columns;
    view.panels += 2 * columns * (mk_int)sizeof(float);
  } else if (mk_is_coded(type)) {
    view.heads = packed;
    view.head_bytes = mk_coded_head_bytes(k);
    view.panels += mk_ceil_div(n, MK_PANEL) * view.head_bytes;
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
  int32_t *misfits; // set where a panel does not fit in the format
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

// Depths depth0..<depth0 + depth of the panel at column `start`, at most MK_PACK_DEPTH, to units of bf16.
static void mk_gather_bf16(const mk_pack_call *c, mk_int start, mk_int depth0, mk_int depth, uint32_t *units) {
  float panel[MK_PACK_DEPTH * MK_PANEL];
  mk_gather(c, start, depth0, depth, panel);
  c->kernels->pack_bf16(mk_ceil_div(depth, 2), panel, units);
}

static void mk_pack_bf16(const mk_pack_call *c, mk_int start, char *out) {
  for (mk_int depth0 = 0; depth0 < c->k; depth0 += MK_PACK_DEPTH) {
    mk_int depth = mk_min(c->k - depth0, MK_PACK_DEPTH);
    mk_gather_bf16(c, start, depth0, depth, (uint32_t *)(void *)(out + mk_panel_bytes(MK_WEIGHTS_BF16, depth0)));
  }
}

// Depths depth0..<depth0 + depth of the panel at column `start`, at most MK_PACK_DEPTH, for coding: units of bf16, or of the upper
// and of the lower halves of float32.
static void mk_gather_halves(
  const mk_pack_call *c, mk_int start, mk_int depth0, mk_int depth, uint32_t *units, uint32_t *lower) {
  if (c->type == MK_WEIGHTS_BF16_CODED) {
    mk_gather_bf16(c, start, depth0, depth, units);
    return;
  }
  uint32_t panel[MK_PACK_DEPTH * MK_PANEL];
  mk_gather(c, start, depth0, depth, (float *)(void *)panel);
  for (mk_int i = 0; i < mk_ceil_div(depth, 2) * MK_PANEL; i++) {
    uint32_t first = panel[i + i / MK_PANEL * MK_PANEL], second = panel[i + i / MK_PANEL * MK_PANEL + MK_PANEL];
    units[i] = first >> 16 | (second & 0xffff0000);
    lower[i] = (first & 0xffff) | second << 16;
  }
}

static void mk_pack_coded(const mk_pack_call *c, mk_int start, mk_coded_head *head, char *out) {
  uint32_t units[MK_PACK_DEPTH / 2 * MK_PANEL], lower[MK_PACK_DEPTH / 2 * MK_PANEL], counts[MK_UPPER_EXPONENTS] = {0};
  mk_int columns = mk_min(c->n - start, MK_PANEL);
  for (mk_int depth0 = 0; depth0 < c->k; depth0 += MK_PACK_DEPTH) {
    mk_int depth = mk_min(c->k - depth0, MK_PACK_DEPTH);
    mk_gather_halves(c, start, depth0, depth, units, lower);
    mk_count_exponents(depth, columns, units, counts);
  }
  if (!mk_begin_coded_panel(c->k, counts, head)) {
    __atomic_store_n(c->misfits, 1, __ATOMIC_RELAXED);
    return;
  }
  for (mk_int depth0 = 0; depth0 < c->k; depth0 += MK_PACK_DEPTH) {
    mk_int depth = mk_min(c->k - depth0, MK_PACK_DEPTH);
    mk_gather_halves(c, start, depth0, depth, units, lower);
    mk_code_depths(depth0, depth, units, c->type == MK_WEIGHTS_F32_CODED ? lower : NULL, head, out);
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
    case MK_WEIGHTS_BF16_CODED:
    case MK_WEIGHTS_F32_CODED:
      mk_pack_coded(c, start, (void *)(c->packed + start / MK_PANEL * view.head_bytes), out);
      break;
    case MK_WEIGHTS_INT8: mk_pack_int8(c, start, out); break;
    case MK_WEIGHTS_INT4: mk_pack_int4(c, start, out); break;
    }
  }
}

int32_t mk_linear_pack(
  mk_pool *pool, mk_weights type, const float *w, mk_int ldw, int32_t transposed, mk_int k, mk_int n, void *packed) {
  int32_t misfits = 0;
  size_t bytes = mk_linear_packed_bytes(type, k, n);
  if (mk_is_coded(type)) memset((char *)packed + bytes - MK_CODED_LINE, 0, MK_CODED_LINE);
  mk_pack_call call = {mk_current_kernels(), type, w, ldw, k, n, transposed, packed, NULL, &misfits};
  mk_parallel(pool, mk_ceil_div(n, MK_PACK_COLUMNS), mk_pack_task, &call);
  return !misfits;
}

int32_t mk_linear_is_sound(mk_weights type, mk_int k, mk_int n, const void *packed) {
  mk_packed view = mk_packed_view(type, k, n, packed);
  for (mk_int start = 0; mk_is_coded(type) && start < n; start += MK_PANEL) {
    if (!mk_strays_are_sound(k, mk_min(n - start, MK_PANEL), mk_head_of_panel(&view, start / MK_PANEL))) return 0;
  }
  return 1;
}

// What the packed panel at column `start` stands for at depths depth0..<depth0 + depth, at most MK_PACK_DEPTH of which the first
// is a multiple: values[depth][16].
static void mk_unpack_depths(
  const mk_pack_call *c, const mk_packed *view, mk_int start, mk_int depth0, mk_int depth, double *values) {
  const char *panel = view->panels + start / MK_PANEL * view->panel_bytes;
  mk_int depths = mk_stored_depths(c->type), first = 0;
  const float *scales = view->scales ? view->scales + start : NULL;
  const uint32_t *units;
  uint32_t decoded[MK_PACK_DEPTH / 2 * MK_PANEL];
  if (c->type == MK_WEIGHTS_BF16_CODED) {
    const mk_coded_head *head = mk_head_of_panel(view, start / MK_PANEL);
    mk_decode_units(c->kernels, c->type, head, panel, depth0 / 2, mk_ceil_div(depth, 2), decoded);
    units = decoded;
  } else {
    if (c->type == MK_WEIGHTS_INT4) {
      first = depth0 / MK_INT4_GROUP * MK_INT4_GROUP;
      panel += mk_panel_bytes(c->type, first);
      scales = (const float *)(const void *)panel, panel += MK_ROW_BYTES;
    }
    units = (const uint32_t *)(const void *)panel + (depth0 - first) / depths * MK_PANEL;
  }
  for (mk_int p = 0; p < depth; p++) {
    mk_int i = p % depths;
    for (int j = 0; j < MK_PANEL; j++) {
      uint32_t unit = units[p / depths * MK_PANEL + j], bits = i == 0 ? unit << 16 : unit & 0xffff0000;
      float value;
      double *to = &values[p * MK_PANEL + j];
      switch (c->type) {
      case MK_WEIGHTS_INT8: *to = (double)(int8_t)(unit >> (8 * i)) * scales[j]; break;
      case MK_WEIGHTS_INT4: *to = (double)((int32_t)(unit >> (i % 4 * 8 + i / 4 * 4) & 15) - 8) * scales[j]; break;
      default:
        memcpy(&value, &bits, sizeof value);
        *to = value;
      }
    }
  }
}

static void mk_errors_task(void *context, mk_int task, int32_t worker) {
  const mk_pack_call *c = context;
  mk_packed view = mk_packed_view(c->type, c->k, c->n, c->packed);
  mk_int end = mk_min((task + 1) * MK_PACK_COLUMNS, c->n);
  float panel[MK_PACK_DEPTH * MK_PANEL];
  double packed[MK_PACK_DEPTH * MK_PANEL];
  (void)worker;
  for (mk_int start = task * MK_PACK_COLUMNS; start < end; start += MK_PANEL) {
    mk_int columns = mk_min(c->n - start, MK_PANEL);
    double sums[MK_PANEL] = {0};
    for (mk_int depth0 = 0; depth0 < c->k; depth0 += MK_PACK_DEPTH) {
      mk_int depth = mk_min(c->k - depth0, MK_PACK_DEPTH);
      mk_gather(c, start, depth0, depth, panel);
      mk_unpack_depths(c, &view, start, depth0, depth, packed);
      for (mk_int p = 0; p < depth; p++) {
        for (int j = 0; j < MK_PANEL; j++) {
          double error = panel[p * MK_PANEL + j] - packed[p * MK_PANEL + j];
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
  if (type == MK_WEIGHTS_F32 || type == MK_WEIGHTS_F32_CODED) {
    memset(errors, 0, (size_t)mk_max(n, 0) * sizeof(float));
    return;
  }
  mk_pack_call call = {mk_current_kernels(), type, w, ldw, k, n, transposed, (char *)packed, errors, NULL};
  mk_parallel(pool, mk_ceil_div(n, MK_PACK_COLUMNS), mk_errors_task, &call);
}
