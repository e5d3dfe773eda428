// Products with a constant right operand, packed once: y = activation(x w + bias + residual). Few rows of x are here: reading
// w takes their time, so they pass over it once, with x in float32 or, where w is int8, in as many bits as sums of 32 allow;
// where it is int4, in bytes. More of them are linear_blocks.c's.
#include "linear.h"

enum {
  MK_ROW_PANELS = 4,       // panels that a single row reads at once
  MK_LEAST_RUN = 1 << 14,  // bytes of a run of panels from which on it reads them from as many runs,
  MK_MOST_RUNS = 1 << 23,  // and of all four up to which: the vocabulary took up to 5 % longer than in its order
  MK_TASK_BYTES = 1 << 20, // of weights
  MK_LEAST_SHARES = 6,     // tasks for each thread, of several rows; of a single row one is enough
  MK_MOST_SHARES = 8,
  MK_FINE_DEPTH = 4096,    // depth of one integer sum: 12 bits and a sign are left for x
  MK_MOST_LEVELS = 127 * 256 + 127, // what two digits of a byte can be, both with a sign
};

mk_int mk_int8_levels(mk_int k) {
  mk_int depth = mk_round_up(mk_max(mk_min(k, MK_FINE_DEPTH), 1), 4);
  return mk_min(MK_MOST_LEVELS, INT32_MAX / (127 * depth));
}

typedef struct {
  const mk_linear_args *p;
  const mk_kernels *kernels;
  const mk_few *form;
  mk_packed weights;
  char *own;                // an mk_own_rows for each thread, own_bytes apart
  mk_int own_bytes;
  mk_int parts, part_depth; // of the depth; whole units of weights, but for the last part
  mk_int stored;            // depths in a unit of weights
  mk_int column_parts;
  int32_t coded;      // weights are coded
  int32_t levels;     // of rows that are rounded to integers, otherwise 0
  mk_int zeros_depth; // of a group of zeros; 0: the weights have none
} mk_linear_call;

// x as the tiles read it. Each thread packs its own: all of them would wait for one that packs for all, and then for the cache of
// its core.
typedef struct {
  int32_t is_packed;
  float scales[MK_NARROW_ROWS]; // of rows that are rounded to integers
  const float *x;               // [part][block of rows][unit][height]
  int32_t *zeros;               // [group][row], what the zero of the weights adds to the sums
  float memory[];               // of x and zeros
} mk_own_rows;

static mk_int mk_padded_depth(mk_int k) { return mk_round_up(k, 8); } // whole units of every format

// Depths of one integer sum.
static mk_int mk_zeros_depth(mk_weights type) { return type == MK_WEIGHTS_INT4 ? MK_INT4_GROUP : MK_FINE_DEPTH; }

static size_t mk_own_bytes(mk_weights type, mk_int m, mk_int k) {
  mk_int floats = m * (mk_padded_depth(k) + mk_ceil_div(k, mk_zeros_depth(type)));
  // The lines of two threads apart, and those that are fetched with them.
  return (sizeof(mk_own_rows) + (size_t)floats * sizeof(float) + 255) / 128 * 128;
}

size_t mk_linear_scratch(const mk_pool *pool, mk_weights type, mk_int m, mk_int k, mk_int n) {
  if (type == MK_WEIGHTS_INT4) m = mk_min(m, MK_NARROW_ROWS);
  if (m > MK_NARROW_ROWS) return mk_blocks_scratch(pool, type, m, k, n);
  return mk_own_bytes(type, m, k) * (size_t)mk_pool_threads(pool);
}

static mk_own_rows *mk_rows_of(const mk_linear_call *c, int32_t worker) {
  return (void *)(c->own + worker * c->own_bytes);
}

static mk_int mk_depth_before(const mk_linear_call *c, mk_int part) { return mk_min(part * c->part_depth, c->p->k); }

int32_t mk_linear_prefers_coded(void) { return mk_current_kernels()->prefers_coded; }

// Adds what the strays of a panel make of rows of x to those of y.
static void mk_add_strays(const mk_linear_call *c, const mk_own_rows *own, const mk_coded_head *head, float *y) {
  const mk_linear_args *p = c->p;
  mk_int blocks = mk_ceil_div(p->m, c->form->rows), depths = c->form->depths;
  for (mk_int b = 0; b < blocks; b++) {
    mk_int first = mk_part(p->m, blocks, b), height = mk_part(p->m, blocks, b + 1) - first;
    const float *x = own->x + first * (mk_padded_depth(p->k) / depths);
    for (const mk_stray *s = head->strays, *end = s + head->count; s < end; s++) {
      mk_int depth = s->place / MK_PANEL;
      const float *units = x + depth / depths * height;
      float *to = y + first * p->ldy + s->place % MK_PANEL;
      // Of a pair of bf16 one.
      int up = depths == 2 && depth % 2 == 0 ? 16 : 0;
      uint32_t mask = depths == 2 ? 0xffff0000 : 0xffffffff;
#pragma clang loop vectorize(disable)
      for (mk_int r = 0; r < height; r++, to += p->ldy) {
        uint32_t unit;
        memcpy(&unit, units + r, sizeof unit);
        unit = unit << up & mask;
        float factor;
        memcpy(&factor, &unit, sizeof factor);
        *to += s->value * factor;
      }
    }
  }
}

// The strays of the panels from `column` on, `spread` apart. Where y held nothing, other sums are zero then. 0: there are none.
static int32_t mk_begin_with_strays(
  const mk_linear_call *c, const mk_own_rows *own, mk_int column, mk_int columns, mk_int spread) {
  const mk_linear_args *p = c->p;
  mk_int first = column / MK_PANEL, panels = mk_ceil_div(columns, MK_PANEL);
  int32_t any = 0;
  for (mk_int i = 0; i < panels; i++) any |= mk_head_of_panel(&c->weights, first + i * spread)->count > 0;
  for (mk_int i = 0; any && i < panels; i++) {
    float *y = p->y + column + i * spread * MK_PANEL;
    mk_int width = mk_min(columns - i * MK_PANEL, MK_PANEL);
    for (mk_int r = 0; r < p->m && !p->add_to_y; r++) memset(y + r * p->ldy, 0, (size_t)width * sizeof *y);
    mk_add_strays(c, own, mk_head_of_panel(&c->weights, first + i * spread), y);
  }
  return any;
}

// Heads of the panels that come next, with as many strays as most have.
static void mk_prefetch_heads(const mk_linear_call *c, mk_int column, mk_int columns, mk_int spread) {
  mk_int next = column / MK_PANEL + (spread > 1 ? 1 : mk_ceil_div(columns, MK_PANEL));
  for (mk_int i = 0; i * MK_PANEL < columns; i++) {
    const char *head = (const char *)mk_head_of_panel(&c->weights, next + i * spread);
    __builtin_prefetch(head);
    __builtin_prefetch(head + MK_CODED_LINE);
  }
}

// One or more panels, with all of the depth. Those of a wide row are `spread` panels apart, others follow each other.
static void mk_multiply_columns(
  const mk_linear_call *c, const mk_own_rows *own, mk_int column, mk_int columns, int32_t wide_row, mk_int spread) {
  const mk_linear_args *p = c->p;
  const char *panel = c->weights.panels + column / MK_PANEL * c->weights.panel_bytes;
  const uint8_t *uppers = NULL;
  int32_t has_sums = p->add_to_y;
  if (c->coded) {
    uppers = mk_head_of_panel(&c->weights, column / MK_PANEL)->uppers;
    has_sums |= mk_begin_with_strays(c, own, column, columns, spread);
    mk_prefetch_heads(c, column, columns, spread);
  }
  float *y = p->y + column;
  for (mk_int part = 0; part < c->parts; part++) {
    mk_int depth0 = mk_depth_before(c, part), depth = mk_depth_before(c, part + 1) - depth0;
    mk_tile t = {
      .a = own->x + depth0 / c->form->depths * p->m,
      .b = (const float *)(const void *)(panel + depth0 / c->stored * MK_ROW_BYTES),
      .b_panel = spread * c->weights.panel_bytes / (mk_int)sizeof(float),
      .k = c->coded ? mk_round_up(depth, MK_CODED_DEPTHS) / c->stored : mk_ceil_div(depth, c->stored),
      .c = y,
      .ldc = p->ldy,
      .c_panel = spread * MK_PANEL,
      .columns = columns,
      .accumulate = has_sums || part > 0,
      .uppers = uppers,
      .uppers_panel = spread * c->weights.head_bytes,
      .streams_b = spread > 1 ? MK_RUNS_OF_B : MK_PANELS_OF_B,
    };
    if (c->levels > 0) t.row_scales = own->scales;
    if (c->weights.scales) t.column_scales = c->weights.scales + column;
    if (c->zeros_depth > 0) t.row_zeros = own->zeros + depth0 / c->zeros_depth * p->m, t.zeros_group = p->m;
    if (part == c->parts - 1) {
      if (p->bias) t.bias = p->bias + column;
      if (p->residual) t.residual = p->residual + column;
      t.ldr = p->ldr;
      t.relu = p->activation == MK_ACT_RELU;
    }
    if (wide_row) {
      c->form->wide_row(&t);
    } else {
      mk_int step = mk_padded_depth(depth) / c->form->depths;
      mk_run_tiles(c->form->tiles[columns > MK_PANEL], c->form->rows, step, p->m, &t);
    }
  }
}

// What a single row takes of columns..<end so that each of the four panels it reads at once comes from a run of its own,
// from the run's first to its last: memory answers faster to four long streams than to panels that follow each other, each
// of which begins anew. Returns where it ends.
static mk_int mk_multiply_runs(const mk_linear_call *c, const mk_own_rows *own, mk_int column, mk_int end) {
  mk_int run = (end - column) / (MK_ROW_PANELS * MK_PANEL), bytes = run * c->weights.panel_bytes;
  if (run <= 1 || bytes < MK_LEAST_RUN || bytes * MK_ROW_PANELS > MK_MOST_RUNS) return column;
  for (mk_int i = 0; i < run; i++) {
    mk_multiply_columns(c, own, column + i * MK_PANEL, MK_ROW_PANELS * MK_PANEL, 1, run);
  }
  return column + run * MK_ROW_PANELS * MK_PANEL;
}

// Packs the rows in units of several depths; of integers, each row with a scale of its own, where they have levels.
static void mk_pack_units(const mk_linear_call *c, mk_own_rows *own) {
  const mk_linear_args *p = c->p;
  float *out = own->memory;
  int32_t *zeros = c->zeros_depth > 0 ? own->zeros : NULL;
  if (zeros) memset(zeros, 0, (size_t)(p->m * mk_ceil_div(p->k, c->zeros_depth)) * sizeof *zeros);
  mk_int blocks = mk_ceil_div(p->m, c->form->rows), depths = c->form->depths;
  int32_t levels = c->levels;
  mk_int most = zeros ? mk_min(MK_MAX_DEPTH, c->zeros_depth / depths) : MK_MAX_DEPTH; // units of one sum
  float inverses[MK_NARROW_ROWS] = {0};
  for (mk_int r = 0; levels > 0 && r < p->m; r++) {
    own->scales[r] = mk_fine_scale(c->kernels, p->k, p->x + r * p->ldx, levels, &inverses[r]);
  }
  for (mk_int part = 0; part < c->parts; part++) {
    mk_int depth0 = mk_depth_before(c, part), depth = mk_depth_before(c, part + 1) - depth0;
    mk_int units = mk_padded_depth(depth) / depths;
    for (mk_int b = 0; b < blocks; b++) {
      mk_int first = mk_part(p->m, blocks, b), height = mk_part(p->m, blocks, b + 1) - first;
      float *block = out + depth0 / depths * p->m + first * units;
      for (mk_int unit = 0; unit < units; unit += most) {
        mk_int count = mk_min(units - unit, most);
        float rows[MK_BLOCK_ROWS * MK_MAX_DEPTH];
        for (mk_int r = 0; r < height; r++) {
          const float *x = p->x + (first + r) * p->ldx + depth0 + depths * unit;
          int32_t sum = c->form->pack_row(
            mk_min(depths * count, depth - depths * unit), x, inverses[first + r], levels, rows + r * MK_MAX_DEPTH);
          if (!zeros) continue;
          int32_t *zero = zeros + (depth0 + depths * unit) / c->zeros_depth * p->m + first + r;
          *zero = (int32_t)((uint32_t)*zero + (uint32_t)c->form->zero * (uint32_t)sum);
        }
        mk_interleave(height, count, rows, MK_MAX_DEPTH, block + unit * height);
      }
    }
  }
}

static void mk_pack_rows(const mk_linear_call *c, mk_own_rows *own) {
  const mk_linear_args *p = c->p;
  own->x = own->memory;
  own->zeros = (int32_t *)(void *)(own->memory + p->m * mk_padded_depth(p->k));
  if (c->form->pack_row) {
    mk_pack_units(c, own);
  } else if (p->m == 1 && p->k % (c->coded ? MK_CODED_DEPTHS : 2) == 0) {
    own->x = p->x; // a single row is already in this layout
  } else {
    mk_pack_left(c->form->rows, p->m, p->k, mk_padded_depth(p->k), p->x, p->ldx, 1, own->memory);
  }
  own->is_packed = 1;
}

static void mk_linear_task(void *context, mk_int task, int32_t worker) {
  const mk_linear_call *c = context;
  const mk_linear_args *p = c->p;
  mk_own_rows *own = mk_rows_of(c, worker);
  if (!own->is_packed) mk_pack_rows(c, own);
  mk_int pairs = mk_ceil_div(p->n, 2 * MK_PANEL);
  mk_int first = mk_part(pairs, c->column_parts, task) * 2 * MK_PANEL, column = first;
  mk_int end = mk_min(mk_part(pairs, c->column_parts, task + 1) * 2 * MK_PANEL, p->n);
  if (p->m == 1) column = mk_multiply_runs(c, own, column, end);
  while (column < end) {
    int32_t wide = p->m == 1 && end - column > (MK_ROW_PANELS - 1) * MK_PANEL;
    mk_int columns = mk_min(end - column, (wide ? MK_ROW_PANELS : c->form->panels) * MK_PANEL);
    mk_multiply_columns(c, own, column, columns, wide, 1);
    column += columns;
  }
  if (p->activation > MK_ACT_RELU) c->kernels->activate(p->activation, p->m, end - first, p->y + first, p->ldy);
}

static void mk_linear_rows(mk_pool *pool, mk_weights type, const mk_linear_args *args, void *scratch) {
  const mk_kernels *kernels = mk_current_kernels();
  const mk_few *forms[] = {
    [MK_WEIGHTS_F32] = &kernels->few_f32,
    [MK_WEIGHTS_BF16] = &kernels->few_bf16,
    [MK_WEIGHTS_BF16_CODED] = &kernels->few_coded_bf16,
    [MK_WEIGHTS_F32_CODED] = &kernels->few_coded_f32,
    [MK_WEIGHTS_INT8] = &kernels->few_int8,
    [MK_WEIGHTS_INT4] = &kernels->few_int4,
  };
  mk_linear_call call = {
    .p = args,
    .kernels = kernels,
    .form = forms[type],
    .weights = mk_packed_view(type, args->k, args->n, args->packed),
    .own = scratch,
    .own_bytes = (mk_int)mk_own_bytes(type, args->m, args->k),
    .parts = 1,
    .part_depth = args->k,
    .stored = mk_stored_depths(type),
    .column_parts = 1,
    .coded = mk_is_coded(type),
  };
  if (type == MK_WEIGHTS_INT8) {
    call.parts = mk_max(mk_ceil_div(args->k, MK_FINE_DEPTH), 1), call.part_depth = MK_FINE_DEPTH;
    call.levels = (int32_t)mk_int8_levels(args->k);
  } else if (type == MK_WEIGHTS_INT4) {
    call.levels = MK_BYTE_LEVELS;
  }
  if (call.form->zero > 0) call.zeros_depth = mk_zeros_depth(type);
  mk_int threads = mk_pool_threads(pool), pairs = mk_ceil_div(args->n, 2 * MK_PANEL);
  if (threads > 1) {
    // A task begins with weights that nothing has fetched: of a single row, which has nothing else to wait for, there is one
    // for each thread. Of several rows there are more, so that a slow thread does not hold up the others, as of large matrices.
    mk_int shares = pairs * 2 * call.weights.panel_bytes / (threads * MK_TASK_BYTES);
    shares = mk_max(mk_min(shares, MK_MOST_SHARES), args->m == 1 ? 1 : MK_LEAST_SHARES);
    call.column_parts = mk_max(mk_min(threads * shares, pairs), 1);
  }
  for (int32_t i = 0; i < threads; i++) mk_rows_of(&call, i)->is_packed = 0;
  mk_int work = args->m * args->k * args->n;
  mk_parallel(mk_pool_for(pool, work, MK_PARALLEL_PRODUCTS), call.column_parts, mk_linear_task, &call);
}

void mk_linear(
  mk_pool *pool, mk_weights type, mk_int m, mk_int k, mk_int n, const float *x, mk_int ldx, const void *packed,
  const float *bias, mk_activation activation, const float *residual, mk_int ldr, float *y, mk_int ldy, void *scratch) {
  if (m <= 0 || n <= 0) return;
  // Adding to what is there is the same as a residual in y, and partial sums may then be kept in y.
  int32_t add_to_y = residual == y;
  mk_linear_args args = {
    m, k, n, x, ldx, packed, bias, activation, add_to_y ? NULL : residual, ldr, y, ldy, add_to_y};
  if (m > MK_NARROW_ROWS && type != MK_WEIGHTS_INT4) {
    mk_linear_blocks(pool, type, &args, scratch);
    return;
  }
  for (mk_int first = 0; first < m; first += MK_NARROW_ROWS) {
    args.m = mk_min(m - first, MK_NARROW_ROWS);
    args.x = x + first * ldx, args.y = y + first * ldy;
    if (args.residual) args.residual = residual + first * ldr;
    mk_linear_rows(pool, type, &args, scratch);
  }
}
