/* The hot loops of MuE and the thread pool they run on. Plain C, no Swift, no globals beyond the chosen instruction
 * set.
 *
 * Conventions: matrices are row-major and `ld*` / strides count elements; float pointers may have any alignment of
 * 4 bytes or less; `pool` may be NULL (one thread); nothing is allocated: where a function takes `scratch`, its
 * `*_scratch` function says how many bytes, for the same pool and sizes. Scratch and packed memory should be 64-byte
 * aligned. Sizes are trusted: the caller has checked that they are not negative and that their products do not overflow.
 * Outputs never overlap inputs unless the comment says so. Error bounds: docs/kernels.md. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Signed size, index or stride (Swift's Int). */
typedef ptrdiff_t mk_int;

/* ---- Threads ------------------------------------------------------------------------------------------------- */

/* A pool of `threads` threads, of which the caller of mk_parallel is one. Workers start on first use. NULL: no memory. */
typedef struct mk_pool mk_pool;
mk_pool *mk_pool_create(int32_t threads);
void mk_pool_destroy(mk_pool *pool);
/* The number that `worker` stays below; 1 for NULL. */
int32_t mk_pool_threads(const mk_pool *pool);
/* fn(ctx, task, worker) once for each task in 0..<tasks, in any order; returns when all are done. Callers share the
 * threads: one of them has the workers, less one for each other caller; the others, and `fn` itself when it calls this,
 * run their tasks on the calling thread (as worker 0). */
void mk_parallel(mk_pool *pool, mk_int tasks, void (*fn)(void *ctx, mk_int task, int32_t worker), void *ctx);

/* The processors this process may keep busy: those of its affinity mask (so containers' cpusets count too), and no more
 * than its control groups give it time for. At least 1. */
int32_t mk_processor_count(void);
/* What the control groups alone allow, rounded up; INT32_MAX without a limit. `root` is put before the paths of the
 * files (for tests): "". */
int32_t mk_processor_limit(const char *root);

/* A mutex on the heap. */
typedef struct mk_lock mk_lock;
mk_lock *mk_lock_create(void);
void mk_lock_destroy(mk_lock *lock);
void mk_lock_acquire(mk_lock *lock);
void mk_lock_release(mk_lock *lock);

/* A latch that may be set from any thread and from a signal handler. */
typedef struct mk_flag mk_flag;
mk_flag *mk_flag_create(void);
void mk_flag_destroy(mk_flag *flag);
void mk_flag_set(mk_flag *flag);
int32_t mk_flag_get(const mk_flag *flag);

/* ---- Instruction set ----------------------------------------------------------------------------------------- */

/* A larger number is preferred. The environment variable MUE_ISA, read at the first use, names the instruction set to
 * use; without it, or when the processor lacks that one, it is the best. */
typedef enum {
  MK_ISA_BEST = -1,
  MK_ISA_PORTABLE = 0,
  MK_ISA_NEON = 1,
  MK_ISA_AVX2 = 2,
  MK_ISA_AVX2_VNNI = 3, /* AVX2 and AVX-VNNI */
  MK_ISA_AVX512 = 4,
  MK_ISA_AVX512_VNNI = 5,
  MK_ISA_AVX512_BF16 = 6, /* VNNI and BF16 */
  MK_ISA_WIDEST = MK_ISA_AVX512_BF16
} mk_isa;
/* For tests: use this instruction set from now on. 0: the processor does not have it (nothing changes). Packed weights
 * of mk_linear are the same for all of them. MK_ISA_BEST: what it was at first. */
int32_t mk_isa_force(int32_t isa);
/* "portable", "neon", "avx2", "avx2-vnni", "avx512", "avx512-vnni" or "avx512-vnni-bf16". */
const char *mk_isa_name(void);
/* What MUE_ISA had to do with it, "" when it is not set. */
const char *mk_isa_note(void);

/* ---- Products ------------------------------------------------------------------------------------------------ */

typedef enum {
  MK_ACT_NONE, MK_ACT_RELU, MK_ACT_GELU_ERF, MK_ACT_GELU_TANH, MK_ACT_SILU, MK_ACT_SIGMOID, MK_ACT_TANH
} mk_activation;

/* How the constant operand of a product is stored; x and y are always float32.
 * BF16: rounded to nearest even. Processors with vdpbf16ps round x too.
 * BF16_CODED, F32_CODED: the same numbers as BF16 and F32 in 12 and 28 bits, for few rows that wait for memory; more rows
 * decode them first. Not every matrix fits: of each 16 columns, all weights but one in 256 must be within seven ranges, from a power of 4 to the next
 * INT8: round(w / scale), one scale for each column: what two neighbours' magnitudes add up to at most / 127, so that no
 * instruction set's sum of two products saturates. x is quantised, each row
 * by itself: up to MK_NARROW_ROWS rows to integers within +-mk_int8_levels(k), 14 bits or more up to k = 2048 and never
 * less than 13 with the sign; more of them to 8 bits between the row's smallest and largest element (0 included), unless k
 * exceeds MK_QUANTISED_DEPTH: then they stay as they are.
 * INT4: 16 steps, one scale for each column and 128 depths; rows of x are quantised to integers within +-127. For a first look at
 * many products. docs/kernels.md has the formulas and bounds. */
typedef enum {
  MK_WEIGHTS_F32, MK_WEIGHTS_BF16, MK_WEIGHTS_INT8, MK_WEIGHTS_INT4, MK_WEIGHTS_BF16_CODED, MK_WEIGHTS_F32_CODED
} mk_weights;
enum { MK_NARROW_ROWS = 12, MK_QUANTISED_DEPTH = 65536 };
mk_int mk_int8_levels(mk_int k);

/* y[m, n] = activation(x[m, k] w[k, n] + bias[n] + residual[m, n]); w is packed once, into a blob that is the same on
 * every instruction set and holds no addresses. bias and residual may be NULL; residual may be y itself. */
size_t mk_linear_packed_bytes(mk_weights type, mk_int k, mk_int n);
/* w is [k, n] with row stride ldw, or [n, k] with row stride ldw when transposed. Returns whether it fits in the format:
 * all but the coded ones take everything. */
int32_t mk_linear_pack(
  mk_pool *pool, mk_weights type, const float *w, mk_int ldw, int32_t transposed, mk_int k, mk_int n, void *packed);
/* Whether mk_linear can be called with a blob that came from elsewhere: coded weights say where some of them belong. */
int32_t mk_linear_is_sound(mk_weights type, mk_int k, mk_int n, const void *packed);
/* errors[n]: the Euclidean norm of column j of w minus what is packed of it, rounded up; infinite where either
 * is not finite. With it, abs(x . w_j - x . packed_j) <= norm(x) errors[j]. */
void mk_linear_errors(
  mk_pool *pool, mk_weights type, const float *w, mk_int ldw, int32_t transposed, mk_int k, mk_int n,
  const void *packed, float *errors);
/* Whether decoding coded weights is worth the memory traffic that it saves few rows. */
int32_t mk_linear_prefers_coded(void);
size_t mk_linear_scratch(const mk_pool *pool, mk_weights type, mk_int m, mk_int k, mk_int n);
void mk_linear(
  mk_pool *pool, mk_weights type, mk_int m, mk_int k, mk_int n, const float *x, mk_int ldx, const void *packed,
  const float *bias, mk_activation activation, const float *residual, mk_int ldr, float *y, mk_int ldy, void *scratch);

/* y[m, n] = x[m, k] w^T + bias[n], w being [n, k] with row stride ldw and read where it lies: for few rows, which wait
 * for memory anyway. bias may be NULL. */
void mk_rows_product(
  mk_pool *pool, mk_int m, mk_int k, mk_int n, const float *x, mk_int ldx, const float *w, mk_int ldw,
  const float *bias, float *y, mk_int ldy);

/* Screening finds the largest of many products x . w_j + b_j from approximations y[n] of them, computed by mk_linear
 * with packed weights in int8 or int4 (`type`). bounds[n] are what mk_linear_errors gave; mk_screen_bounds adds what the
 * rounding of the products comes to. Then abs(y_j - (x . w_j + b_j)) <= norm(x) bounds[j] + 2^-21 abs(y_j); with int4 that
 * is MK_SCREEN_DEVIATIONS standard deviations, as if what rounding took were independent of x, where the certain bound is more. */
enum { MK_SCREEN_DEVIATIONS = 5 };
void mk_screen_bounds(
  mk_pool *pool, mk_weights type, const float *w, mk_int ldw, int32_t transposed, mk_int k, mk_int n, float *bounds);
/* That bound. norm: of x, rounded up. */
float mk_screen_margin(float y, float bound, float norm);
/* For each row r of y, `ldy` apart: ascending from indices[r * most] on, every j whose product may reach floors[r], NaN
 * included; counts[r] is their number, most + 1 for more than `most`. */
void mk_screen_rows(
  mk_pool *pool, mk_int rows, mk_int n, const float *y, mk_int ldy, const float *bounds, const float *norms,
  const float *floors, mk_int most, mk_int *indices, mk_int *counts);
/* y[i] = x[k] . rows[i][k] + bias[indices[i]]: in double precision, rounded once. bias may be NULL. Where copies[i] is not
 * NULL the row is copied there on the way. */
void mk_rows_at(
  mk_pool *pool, mk_int k, const float *x, mk_int count, const float *const *rows, float *const *copies,
  const float *bias, const mk_int *indices, float *y);

/* For each i in 0..<batch: c_i[m, n] = alpha * op(a_i) op(b_i). op(a) is [m, k]: stored [m, k] (lda), or [k, m] when
 * trans_a; op(b) is [k, n]: stored [k, n] (ldb), or [n, k] when trans_b. Operand i starts at its pointer +
 * (offsets ? offsets[i] : i * stride) elements. */
typedef struct {
  mk_int batch, m, n, k;
  float alpha;
  const float *a;
  mk_int lda, stride_a;
  const mk_int *offsets_a; /* NULL: stride_a */
  int32_t trans_a;
  const float *b;
  mk_int ldb, stride_b;
  const mk_int *offsets_b; /* NULL: stride_b */
  int32_t trans_b;
  float *c;
  mk_int ldc, stride_c;
  const mk_int *offsets_c; /* NULL: stride_c */
} mk_gemm_args;
size_t mk_gemm_batched_scratch(const mk_pool *pool, const mk_gemm_args *args);
void mk_gemm_batched(mk_pool *pool, const mk_gemm_args *args, void *scratch);

/* ---- Attention ----------------------------------------------------------------------------------------------- */

/* One additive bias: p[batch * stride[0] + head * stride[1] + query * stride[2] + key]; stride 0 broadcasts. */
typedef struct {
  const float *p; /* NULL: none */
  mk_int batch, head, row;
} mk_attention_bias;

/* out[b, h, i, :] = sum_j softmax_j(scale * q[b, h, i, :] . k[b, h, j, :] + bias0 + bias1) v[b, h, j, :].
 * A row whose scores are all -inf gives zeros. The innermost axis of q, k, v and out is contiguous. */
typedef struct {
  mk_int batch, heads, tq, tk, dqk, dv;
  float scale;
  const float *q;
  mk_int q_batch, q_head, q_row;
  const float *const *k; /* [batch]: where the keys of each batch item start */
  mk_int k_head, k_row;
  const float *const *v; /* [batch] */
  mk_int v_head, v_row;
  /* [batch] instead of k and v: what mk_attention_pack made of them. NULL: not packed. */
  const void *const *packed;
  mk_weights packed_type;
  const mk_int *tk_per_batch; /* [batch] keys of each item, each <= tk; NULL, as with packed keys: tk for all */
  mk_attention_bias bias[2];
  /* bias[0] is in panels of 16 queries as mk_attention_panels makes them, [tq / 16][tk][16]; its row is not read. */
  int32_t bias_in_panels;
  /* One more bias, NULL: none: table[head * table_head + index of query and key], the indices in panels as well. */
  const float *table;
  mk_int table_head;
  const int32_t *table_index;
  float *out;
  mk_int out_batch, out_head, out_row;
  /* How exact MK_PAIRED_QUERIES and more are: with F32 all is float32. Otherwise processors with vdpbf16ps round queries
   * times scale, keys, values and the exponentials to bf16; sums stay float32. */
  mk_weights products;
} mk_attention_args;
enum { MK_PAIRED_QUERIES = 48 };
size_t mk_attention_scratch(const mk_pool *pool, const mk_attention_args *args);
void mk_attention(mk_pool *pool, const mk_attention_args *args, void *scratch);
/* Keys and values that many calls of mk_attention with few queries read, stored as the weights of mk_linear are. Read are
 * heads, tk, dqk, dv and the first item of k and v with their strides. INT8: from the keys of a head their mean is
 * subtracted first, which adds the same to all scores of a query. Biases in panels or from a table are not for these. */
size_t mk_attention_packed_bytes(mk_weights type, mk_int heads, mk_int tk, mk_int dqk, mk_int dv);
size_t mk_attention_pack_scratch(const mk_pool *pool, mk_weights type, const mk_attention_args *args);
void mk_attention_pack(
  mk_pool *pool, mk_weights type, const mk_attention_args *args, void *packed, void *scratch);
/* `count` matrices x [tq, tk] of 4-byte elements to panels of 16 queries, [ceil(tq / 16)][tk][16] each, zeros behind the
 * last query. */
void mk_attention_panels(mk_pool *pool, mk_int count, mk_int tq, mk_int tk, const void *x, void *panels);

/* ---- Rows ---------------------------------------------------------------------------------------------------- */

/* y = (s - mean(s)) / sqrt(var(s) + eps) * gamma + beta per row of n, s = x + residual. residual, gamma, beta and sum
 * may be NULL; `sum` receives s. y and sum may be x or residual. Rows are contiguous. */
void mk_layer_norm(
  mk_pool *pool, mk_int rows, mk_int n, const float *x, const float *residual, const float *gamma, const float *beta,
  float eps, float *sum, float *y);
/* y = s / sqrt(mean(s^2) + eps) * gamma. */
void mk_rms_norm(
  mk_pool *pool, mk_int rows, mk_int n, const float *x, const float *residual, const float *gamma, float eps,
  float *sum, float *y);
/* Per row of n; y may be x. log: log-softmax. A row of -inf gives zeros (log: -inf). */
void mk_softmax(mk_pool *pool, mk_int rows, mk_int n, const float *x, int32_t log, float *y);
/* log(sum(exp(x))) of n values; -inf when n is 0. */
float mk_logsumexp(const float *x, mk_int n);
/* Index of the largest value, the first of equals; NaN counts as smallest; -1 when n is 0. */
mk_int mk_argmax(const float *x, mk_int n);
/* The k largest of n in descending order, ties by index; k <= n; NaN counts as smallest. Good for small k. */
void mk_topk(const float *x, mk_int n, mk_int k, float *values, mk_int *indices);
/* mk_logsumexp of each row of x, `ldx` apart, into sums[row], and mk_topk from values[row * k] and indices[row * k] on. */
void mk_rank_rows(
  mk_pool *pool, mk_int rows, mk_int n, const float *x, mk_int ldx, mk_int k, float *values, mk_int *indices,
  float *sums);
/* Cosine of two vectors, 0 when either is zero: float products in blocks, sums in double. */
double mk_similarity(const float *a, const float *b, mk_int n);
/* sum, sum of squares, minimum, maximum over rows: y[row]. */
typedef enum { MK_REDUCE_SUM, MK_REDUCE_MEAN, MK_REDUCE_SUM_SQUARE, MK_REDUCE_MIN, MK_REDUCE_MAX } mk_reduction;
void mk_reduce_rows(mk_pool *pool, mk_reduction op, mk_int rows, mk_int n, const float *x, float *y);

/* ---- Elementwise --------------------------------------------------------------------------------------------- */

typedef enum {
  MK_RELU, MK_GELU_ERF, MK_GELU_TANH, MK_SIGMOID, MK_TANH, MK_EXP, MK_LOG, MK_SQRT, MK_RECIPROCAL, MK_ERF, MK_NEG,
  MK_ABS, MK_SILU, MK_SOFTPLUS, MK_SIN, MK_COS, MK_FLOOR, MK_CEIL, MK_ROUND /* half to even */, MK_SQUARE, MK_SIGN,
  MK_MISH, MK_HARD_SWISH, MK_SOFTSIGN, MK_TAN, MK_ASIN, MK_ACOS, MK_ATAN, MK_SINH, MK_COSH, MK_ASINH, MK_ACOSH, MK_ATANH
} mk_unary_op;
/* y[i] = op(x[i]); y may be x. */
void mk_unary(mk_pool *pool, mk_unary_op op, mk_int n, const float *x, float *y);
/* y = op(x, p0, p1): leaky relu (p0 slope), elu (p0 alpha), hard sigmoid (p0 alpha, p1 beta), clip (p0 low, p1 high),
 * affine (p0 x + p1). */
typedef enum { MK_LEAKY_RELU, MK_ELU, MK_HARD_SIGMOID, MK_CLIP, MK_AFFINE } mk_param_op;
void mk_unary_param(mk_pool *pool, mk_param_op op, mk_int n, const float *x, float p0, float p1, float *y);

typedef enum { MK_ADD, MK_SUB, MK_MUL, MK_DIV, MK_MIN, MK_MAX, MK_POW } mk_binary_op;
/* y (contiguous, of `shape`, rank <= 8) = op(a, b). Strides in elements, 0 where an operand is broadcast. Same shape,
 * scalar, row and column broadcasts are fast. y may be an operand of the same shape. min and max give NaN for NaN. */
void mk_binary(
  mk_pool *pool, mk_binary_op op, int32_t rank, const mk_int *shape, const float *a, const mk_int *a_strides,
  const float *b, const mk_int *b_strides, float *y);

/* ---- Convolution and pooling, NCHW --------------------------------------------------------------------------- */

typedef struct {
  mk_int batch, channels, height, width;             /* input */
  mk_int out_channels, out_height, out_width;        /* output: the caller's shape inference decides */
  mk_int kernel_h, kernel_w, stride_h, stride_w;
  mk_int dilation_h, dilation_w, pad_top, pad_left;  /* what lies beyond the input counts as zero */
  mk_int groups;
} mk_conv_shape;
/* The format in which a convolution of this shape keeps its weights where `type` is asked for, whatever the sizes of
 * its images. INT8 where INT8 is asked for and in one group 64 to MK_QUANTISED_DEPTH inputs (channels, at least 3, filled up
 * to quads, times the kernel's size) meet at least 64 output channels; of kernels larger than 1 x 1 those with no dilation
 * and strides within the kernel, with VNNI all, elsewhere on x86 all but Winograd's, on arm64 none. BF16 where BF16 is asked
 * for, the processor multiplies pairs of bf16 (AVX-512 BF16), and in one group at least 24 inputs meet at least 24 output
 * channels, but not by Winograd's method. Otherwise F32. The functions below take what is asked for.
 * INT8: weights as those of mk_linear, one scale for each output channel. 1 x 1: each pixel is quantised to 8 bits between
 * its smallest and largest channel (0 included); a NaN or infinity in a pixel makes its outputs NaN. Larger kernels: the
 * same with all rows and channels of the input that a band of output rows sees.
 * BF16: weights and pixels rounded to nearest, ties to even; sums in float32. docs/kernels.md has the formulas and
 * bounds. */
mk_weights mk_conv_weights(mk_weights type, const mk_conv_shape *shape);
/* What packed weights depend on besides, as a number: the rows of the instruction set's tiles and what a unit holds. */
mk_int mk_conv_layout(void);
/* weights [out_channels, channels / groups, kernel_h, kernel_w]. */
size_t mk_conv_packed_bytes(mk_weights type, const mk_conv_shape *shape);
void mk_conv_pack(mk_pool *pool, mk_weights type, const mk_conv_shape *shape, const float *weights, void *packed);
size_t mk_conv_scratch(const mk_pool *pool, mk_weights type, const mk_conv_shape *shape);
/* y = activation(conv(x) + bias[channel] + residual); residual has y's shape and may be y. */
void mk_conv(
  mk_pool *pool, mk_weights type, const mk_conv_shape *shape, const float *x, const void *packed, const float *bias,
  mk_activation activation, const float *residual, float *y, void *scratch);
/* out_channels = channels and groups are ignored. Padding never wins a maximum; the average divides by the elements
 * inside the input, or by kernel_h * kernel_w when count_padding. */
void mk_max_pool(mk_pool *pool, const mk_conv_shape *shape, const float *x, float *y);
void mk_average_pool(mk_pool *pool, const mk_conv_shape *shape, int32_t count_padding, const float *x, float *y);
/* Global average pool: mk_reduce_rows(MK_REDUCE_MEAN) with rows = batch * channels, n = height * width. */

/* ---- Moving data --------------------------------------------------------------------------------------------- */

/* y[t, i, :] = tables[t, indices[i], :], rows of row_bytes. Returns 0, or 1 + the first i whose index is out of
 * -table_rows..<table_rows (nothing is written then). Negative indices count from the end. */
mk_int mk_gather_rows(
  mk_pool *pool, mk_int count_of_tables, const void *tables, mk_int table_rows, mk_int row_bytes,
  const int64_t *indices, mk_int count, void *y);
/* Elements of element_size (1, 2, 4, 8) bytes; strides in elements, 0 in src broadcasts; rank <= 8. */
void mk_copy_strided(
  mk_pool *pool, mk_int element_size, int32_t rank, const mk_int *shape, const void *src, const mk_int *src_strides,
  void *dst, const mk_int *dst_strides);
/* y = x with axes permuted: y's axis i is x's axis perm[i]; shape is x's; both contiguous; rank <= 8. */
void mk_transpose(
  mk_pool *pool, mk_int element_size, int32_t rank, const mk_int *shape, const int32_t *perm, const void *x, void *y);
/* IEEE half / bfloat16 bits; to_* round to nearest even. */
void mk_f16_to_f32(const uint16_t *x, mk_int n, float *y);
void mk_f32_to_f16(const float *x, mk_int n, uint16_t *y);
void mk_bf16_to_f32(const uint16_t *x, mk_int n, float *y);
void mk_f32_to_bf16(const float *x, mk_int n, uint16_t *y);

/* ---- Content ------------------------------------------------------------------------------------------------- */

/* Changes with every change of a packed layout: what was packed under another number is of no use. */
#define MK_PACKED_VERSION 3

/* 128 bits that stand for n bytes, the same for every pool. Tells damage, not forgery. */
void mk_content_hash(mk_pool *pool, const void *bytes, mk_int n, uint64_t hash[2]);
/* Reads n bytes of the file `descriptor` from `offset` on, and hashes what was read. 0, or an errno: EIO where the file
 * is shorter. */
int32_t mk_content_read(mk_pool *pool, int32_t descriptor, int64_t offset, mk_int n, void *to, uint64_t hash[2]);

#ifdef __cplusplus
}
#endif
