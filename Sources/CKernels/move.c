// Moving data: strided copies, transposition, row gathers.
#include "kernels.h"

typedef struct {
  const char *tables;
  mk_int table_rows, row_bytes;
  const int64_t *indices;
  mk_int count, parts;
  char *y;
} mk_gather_call;

static void mk_gather_part(void *context, mk_int task, int32_t worker) {
  const mk_gather_call *c = context;
  mk_int table = task / c->parts, part = task % c->parts;
  const char *from = c->tables + table * c->table_rows * c->row_bytes;
  char *to = c->y + table * c->count * c->row_bytes;
  mk_int end = mk_part(c->count, c->parts, part + 1);
  (void)worker;
  for (mk_int i = mk_part(c->count, c->parts, part); i < end; i++) {
    mk_int row = (mk_int)(c->indices[i] < 0 ? c->indices[i] + c->table_rows : c->indices[i]);
    if (c->row_bytes == 4) {
      memcpy(to + i * 4, from + row * 4, 4);
    } else {
      memcpy(to + i * c->row_bytes, from + row * c->row_bytes, (size_t)c->row_bytes);
    }
  }
}

mk_int mk_gather_rows(
  mk_pool *pool, mk_int count_of_tables, const void *tables, mk_int table_rows, mk_int row_bytes,
  const int64_t *indices, mk_int count, void *y) {
  for (mk_int i = 0; i < count; i++) {
    if (indices[i] < -table_rows || indices[i] >= table_rows) return i + 1;
  }
  mk_int least = mk_max(MK_PARALLEL_ELEMENTS * 4 / mk_max(row_bytes, 1), 1);
  mk_gather_call call = {
    tables, table_rows, row_bytes, indices, count, mk_max(mk_min(count / least, mk_pool_threads(pool)), 1), y};
  mk_parallel(
    mk_pool_for(pool, count_of_tables * count * row_bytes, MK_PARALLEL_ELEMENTS * 4), count_of_tables * call.parts,
    mk_gather_part, &call);
  return 0;
}

// A strided copy without redundant axes: byte strides, the innermost axes last.
typedef struct {
  int32_t rank;
  mk_int element;
  mk_int shape[MK_MAX_RANK], from[MK_MAX_RANK], to[MK_MAX_RANK];
  const char *src;
  char *dst;
  int32_t outer; // axes that are split into tasks
  mk_int tasks;
} mk_copy;

#define MK_COPY_LOOPS(T)                                                                                     \
  static void mk_copy_line_##T(mk_int n, const char *src, mk_int from, char *dst, mk_int to) {              \
    for (mk_int i = 0; i < n; i++) {                                                                         \
      T value;                                                                                               \
      memcpy(&value, src + i * from, sizeof value);                                                          \
      memcpy(dst + i * to, &value, sizeof value);                                                            \
    }                                                                                                        \
  }                                                                                                          \
  /* dst[i][j] with j contiguous in dst, i contiguous in src: blocks that stay in the first cache. */        \
  static void mk_copy_plane_##T(                                                                             \
    mk_int rows, mk_int columns, const char *src, mk_int from_row, mk_int from_column, char *dst, mk_int to) { \
    enum { BLOCK = 16 };                                                                                     \
    for (mk_int i0 = 0; i0 < rows; i0 += BLOCK) {                                                            \
      mk_int i1 = i0 + BLOCK < rows ? i0 + BLOCK : rows;                                                     \
      for (mk_int j0 = 0; j0 < columns; j0 += BLOCK) {                                                       \
        mk_int j1 = j0 + BLOCK < columns ? j0 + BLOCK : columns;                                             \
        for (mk_int i = i0; i < i1; i++) {                                                                   \
          for (mk_int j = j0; j < j1; j++) {                                                                 \
            T value;                                                                                         \
            memcpy(&value, src + i * from_row + j * from_column, sizeof value);                              \
            memcpy(dst + i * to + j * (mk_int)sizeof value, &value, sizeof value);                           \
          }                                                                                                  \
        }                                                                                                    \
      }                                                                                                      \
    }                                                                                                        \
  }

MK_COPY_LOOPS(uint8_t)
MK_COPY_LOOPS(uint16_t)
MK_COPY_LOOPS(uint32_t)
MK_COPY_LOOPS(uint64_t)

static void mk_copy_line(mk_int element, mk_int n, const char *src, mk_int from, char *dst, mk_int to) {
  if (from == element && to == element) {
    memcpy(dst, src, (size_t)(n * element));
    return;
  }
  switch (element) {
  case 1: mk_copy_line_uint8_t(n, src, from, dst, to); break;
  case 2: mk_copy_line_uint16_t(n, src, from, dst, to); break;
  case 4: mk_copy_line_uint32_t(n, src, from, dst, to); break;
  case 8: mk_copy_line_uint64_t(n, src, from, dst, to); break;
  default:
    for (mk_int i = 0; i < n; i++) memcpy(dst + i * to, src + i * from, (size_t)element);
  }
}

static void mk_copy_plane(
  mk_int element, mk_int rows, mk_int columns, const char *src, mk_int from_row, mk_int from_column, char *dst,
  mk_int to) {
  switch (element) {
  case 1: mk_copy_plane_uint8_t(rows, columns, src, from_row, from_column, dst, to); break;
  case 2: mk_copy_plane_uint16_t(rows, columns, src, from_row, from_column, dst, to); break;
  case 4: mk_copy_plane_uint32_t(rows, columns, src, from_row, from_column, dst, to); break;
  case 8: mk_copy_plane_uint64_t(rows, columns, src, from_row, from_column, dst, to); break;
  default: break;
  }
}

static void mk_copy_axes(const mk_copy *c, int32_t axis, const char *src, char *dst) {
  int32_t left = c->rank - axis;
  if (left == 0) {
    memcpy(dst, src, (size_t)c->element);
  } else if (left == 1) {
    mk_copy_line(c->element, c->shape[axis], src, c->from[axis], dst, c->to[axis]);
  } else if (left == 2 && c->to[axis + 1] == c->element && c->from[axis + 1] != c->element && c->element <= 8 &&
             (c->element & (c->element - 1)) == 0) {
    mk_copy_plane(
      c->element, c->shape[axis], c->shape[axis + 1], src, c->from[axis], c->from[axis + 1], dst, c->to[axis]);
  } else {
    for (mk_int i = 0; i < c->shape[axis]; i++) {
      mk_copy_axes(c, axis + 1, src + i * c->from[axis], dst + i * c->to[axis]);
    }
  }
}

static void mk_copy_task(void *context, mk_int task, int32_t worker) {
  (void)worker;
  const mk_copy *c = context;
  const char *src = c->src;
  char *dst = c->dst;
  for (int32_t axis = c->outer - 1; axis >= 0; axis--) {
    mk_int i = task % c->shape[axis];
    task /= c->shape[axis];
    src += i * c->from[axis];
    dst += i * c->to[axis];
  }
  mk_copy_axes(c, c->outer, src, dst);
}

void mk_copy_strided(
  mk_pool *pool, mk_int element_size, int32_t rank, const mk_int *shape, const void *src, const mk_int *src_strides,
  void *dst, const mk_int *dst_strides) {
  mk_copy c = {.element = element_size, .src = src, .dst = dst};
  mk_int total = 1;
  for (int32_t i = 0; i < rank && i < MK_MAX_RANK; i++) {
    total *= shape[i];
    if (shape[i] == 1) continue;
    mk_int from = src_strides[i] * element_size, to = dst_strides[i] * element_size;
    int32_t last = c.rank - 1;
    // An axis that continues the one before it in both operands is the same axis.
    if (last >= 0 && c.from[last] == shape[i] * from && c.to[last] == shape[i] * to) {
      c.shape[last] *= shape[i];
      c.from[last] = from;
      c.to[last] = to;
    } else {
      c.shape[c.rank] = shape[i];
      c.from[c.rank] = from;
      c.to[c.rank++] = to;
    }
  }
  if (total == 0) return;
  c.tasks = 1;
  if (pool && total * element_size > 65536) {
    while (c.outer < c.rank - 1 && c.tasks < mk_pool_threads(pool) * (mk_int)4) c.tasks *= c.shape[c.outer++];
  }
  mk_parallel(pool, c.tasks, mk_copy_task, &c);
}

void mk_transpose(
  mk_pool *pool, mk_int element_size, int32_t rank, const mk_int *shape, const int32_t *perm, const void *x, void *y) {
  mk_int x_strides[MK_MAX_RANK], out[MK_MAX_RANK], from[MK_MAX_RANK], to[MK_MAX_RANK];
  if (rank > MK_MAX_RANK) return;
  mk_int step = 1;
  for (int32_t i = rank - 1; i >= 0; i--) {
    x_strides[i] = step;
    step *= shape[i];
  }
  step = 1;
  for (int32_t i = rank - 1; i >= 0; i--) {
    out[i] = shape[perm[i]];
    from[i] = x_strides[perm[i]];
    to[i] = step;
    step *= out[i];
  }
  mk_copy_strided(pool, element_size, rank, out, x, from, y, to);
}
