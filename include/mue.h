/*
mue.h: MuE, early-exiting inference of encoder-decoder vision-language models. This header is the manual.

A complete program (the tests compile it as it stands): answers about one picture, with early exits.
    cc -std=c99 -I build/include answer.c -L build/lib -lmue -o answer && ./answer models/demo picture.png

---8<---
#include <mue.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
  mue_model *model = NULL;
  mue_session *session = NULL;
  mue_image *image = NULL;
  mue_result *result = NULL;
  mue_exits exits = MUE_EXITS_INIT;
  mue_generate_options options = MUE_GENERATE_OPTIONS_INIT;
  mue_item item = MUE_ITEM_INIT;
  mue_report report = MUE_REPORT_INIT;
  mue_error *error;
  int status = 0;

  if (argc != 3) {
    fprintf(stderr, "usage: %s MODEL PICTURE\n", argv[0]);
    return 2;
  }
  exits.mode = MUE_EXITS_CALIBRATED;
  options.exits = &exits;

  error = mue_model_open(argv[1], strlen(argv[1]), NULL, &model);
  if (!error) error = mue_session_create(model, &session);
  if (!error) error = mue_image_from_file(argv[2], strlen(argv[2]), &image);
  item.image = image;
  if (!error) error = mue_session_generate(session, &item, 1, &options, &result);
  if (!error) error = mue_result_report(result, 0, &report);
  if (!error) {
    printf("%s\n", mue_result_text(result, 0));
    printf("%d of %d image layers, %.0f %% of the multiply-adds, %.1f ms\n", (int)report.image_exit,
           (int)report.image_depth, 100.0 * (double)report.macs_run / (double)report.macs_full, report.total_ms);
  } else {
    fprintf(stderr, "%s\n", mue_error_description(error));
    status = 1;
  }
  mue_error_free(error);
  mue_result_free(result);
  mue_image_free(image);
  mue_session_free(session);
  mue_model_free(model);
  return status;
}
---8<---

Rules that hold for every function, said once:

Errors. A function that can fail returns `mue_error *`: NULL for success, else an object that the caller frees with
mue_error_free. Out-parameters come last and stay untouched on failure. A NULL handle, a NULL pointer with a length
that is not 0, a size that does not fit, text that is not UTF-8, a freed handle that is still recognisable:
MUE_E_INVALID_ARGUMENT, naming the argument. Every function that returns an error may also return MUE_E_OUT_OF_MEMORY
(a static object: reporting it allocates nothing) and MUE_E_INTERNAL (a defect of MuE, please report it). Comments
below name the codes beyond these three.

Threads. A pointer to const may be used from many threads at once; a pointer to non-const by one at a time. A model is
immutable and may be shared by any number of sessions; a session runs one request at a time. A session that is used by
two threads at once, or from inside its own callback, is told so with MUE_E_BUSY. Different sessions run at once.

Ownership. What mue_X_create, mue_X_open, mue_X_parse or mue_X_from_... made is freed by mue_X_free, which takes NULL.
Getters return borrowed pointers; they live until the object that was asked is freed. Freeing a model while sessions
of it live is safe: the memory goes with the last of them. Everything that is passed in may go when the call returns:
it was copied or is not kept.

Text is UTF-8. It comes in with an explicit length in bytes (no NUL needed, none allowed inside) and goes out
NUL-terminated.

Structs that start with `struct_size` only ever grow at their end. Initialise them with their _INIT macro; zero (NULL)
in any field means its default. A larger struct_size than the library knows is accepted while the unknown tail is
zero. Reserved fields are zero. In an array of such structs all have the same struct_size, which is the distance
between them. A struct that the library fills is filled as far as the struct_size that the caller set; what lies
beyond the library's knowledge is zeroed.

Process. No init call and no shutdown call, no environment variables needed, nothing printed, no signal handlers, no
files written but those asked for. Safe after fork as long as the parent had not yet opened a model, from any number of threads, and
through dlopen and dlclose.
*/
#ifndef MUE_H
#define MUE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef MUE_API
#if defined(__GNUC__) && __GNUC__ >= 4
#define MUE_API __attribute__((visibility("default")))
#else
#define MUE_API
#endif
#endif

/* ---- Version ---------------------------------------------------------------------------------------------------- */

#define MUE_VERSION_MAJOR 1
#define MUE_VERSION_MINOR 0
#define MUE_VERSION_PATCH 0
/* 10000 * major + 100 * minor + patch */
#define MUE_VERSION 10000

/* MUE_VERSION of the library that is loaded, against MUE_VERSION of the header compiled with. Never fails. Since 1.0.
   */
MUE_API int32_t mue_version(void);

/* The version as text, "1.0.0". Static. Since 1.0. */
MUE_API const char *mue_version_string(void);

/* Compiler, architecture and configuration of the build, one line. Static. Since 1.0. */
MUE_API const char *mue_build_info(void);

/* ---- Errors ----------------------------------------------------------------------------------------------------- */

typedef struct mue_error mue_error;

#define MUE_OK 0
#define MUE_E_INVALID_ARGUMENT 1 /* an argument is outside its contract */
#define MUE_E_NOT_FOUND 2        /* a file or folder does not exist */
#define MUE_E_IO 3               /* the operating system refused to read or map a file */
#define MUE_E_INVALID_MODEL 4    /* a model file is malformed or inconsistent */
#define MUE_E_UNSUPPORTED 5      /* well-formed, but uses something that MuE lacks */
#define MUE_E_LIMIT_EXCEEDED 6   /* a size goes beyond the limits */
#define MUE_E_OUT_OF_MEMORY 7    /* memory could not be allocated */
#define MUE_E_CANCELLED 8        /* cancelled by the caller */
#define MUE_E_INVALID_IMAGE 9    /* image bytes cannot be decoded */
#define MUE_E_INVALID_TEXT 10    /* a tokenizer or JSON file is malformed, or text cannot be encoded */
#define MUE_E_INTERNAL 11        /* a defect of MuE */
#define MUE_E_BUSY 12            /* the session is running another request */

/* One of MUE_E_*; MUE_OK for NULL. New codes may come with new versions. Since 1.0. */
MUE_API int32_t mue_error_code(const mue_error *error);

/* What went wrong, for people; "" for NULL. Borrowed until mue_error_free. Since 1.0. */
MUE_API const char *mue_error_message(const mue_error *error);

/* The message and every place that is known, in one line; "" for NULL. Borrowed until mue_error_free. Since 1.0. */
MUE_API const char *mue_error_description(const mue_error *error);

/* Where it went wrong: each NULL (-1 for the offset) when it is not known. Borrowed until mue_error_free. Since 1.0. */
MUE_API const char *mue_error_file(const mue_error *error);
MUE_API int64_t mue_error_byte_offset(const mue_error *error);
MUE_API const char *mue_error_field(const mue_error *error);    /* such as graph.node[3].attribute[0].ints */
MUE_API const char *mue_error_node(const mue_error *error);     /* name of the ONNX node */
MUE_API const char *mue_error_operator(const mue_error *error); /* ONNX operator type */
MUE_API const char *mue_error_argument(const mue_error *error); /* the caller's argument or struct field */

/* NULL is fine. Since 1.0. */
MUE_API void mue_error_free(mue_error *error);

/* ---- Shared types ----------------------------------------------------------------------------------------------- */

/* A piece of UTF-8 text in an array of them. Never grows. */
typedef struct mue_string {
  const char *data;
  size_t length; /* bytes */
} mue_string;

/* Frees JSON text that mue_model_inspect, mue_session_trace_end, mue_result_json or mue_system_info made. NULL is fine.
   Since 1.0. */
MUE_API void mue_string_free(char *string);

/* Element types: the numbers of ONNX's TensorProto.DataType. */
#define MUE_FLOAT32 1
#define MUE_UINT8 2
#define MUE_INT8 3
#define MUE_UINT16 4
#define MUE_INT16 5
#define MUE_INT32 6
#define MUE_INT64 7
#define MUE_BOOL 9
#define MUE_FLOAT16 10
#define MUE_FLOAT64 11
#define MUE_UINT32 12
#define MUE_UINT64 13
#define MUE_BFLOAT16 16

/* A named array. Given to a call, its data is read during that call alone (images copy it); got from a result, it is
   borrowed from the result, C-contiguous, 64-byte aligned, and its strides are filled in. */
typedef struct mue_tensor {
  size_t struct_size;
  const char *name; /* NULL where the function's parameter says which tensor it is */
  size_t name_length;
  const void *data; /* the first element; NULL only without elements */
  int32_t dtype;    /* MUE_FLOAT32, ... */
  int32_t rank;     /* 0 for a scalar, at most MUE_MAX_RANK */
  const int64_t *shape;
  const int64_t *strides; /* bytes between neighbours on each axis, may be 0 or negative; NULL for C-contiguous */
} mue_tensor;
#define MUE_MAX_RANK 32
#define MUE_TENSOR_INIT {sizeof(mue_tensor), NULL, 0, NULL, 0, 0, NULL, NULL}

/* What a model says about one of its inputs or outputs. */
typedef struct mue_tensor_info {
  size_t struct_size;
  const char *name;
  int32_t dtype;
  int32_t rank;
  const int64_t *shape;               /* -1 for a dynamic dimension */
  const char *const *dimension_names; /* rank of them; "" for a dimension without a name */
} mue_tensor_info;
#define MUE_TENSOR_INFO_INIT {sizeof(mue_tensor_info), NULL, 0, 0, NULL, NULL}

/* ---- System ----------------------------------------------------------------------------------------------------- */

/* One JSON object: {"version", "build", "cpu": the instruction set in use (docs/c-api.md), "cores": that the process may
   use, "threads": that a model takes by default}. The caller frees it with mue_string_free. Any thread. Since 1.0. */
MUE_API mue_error *mue_system_info(char **json);

/* ---- Threads ---------------------------------------------------------------------------------------------------- */

/* Threads that models share: those that are opened with the same pool together use no more than it has. Requests that
   run at once share them too, one thread for each and the rest for whoever comes first. The threads start with the first
   request and sleep when there is nothing to do. */
typedef struct mue_thread_pool mue_thread_pool;

/* `threads`: at most 1024, the calling thread of a request included; 0: the processors that the process may use, by its
   affinity mask and the limits of its control groups. Any thread. Since 1.0. */
MUE_API mue_error *mue_thread_pool_create(int32_t threads, mue_thread_pool **pool);

/* Threads of the pool; 0 for NULL. Since 1.0. */
MUE_API int32_t mue_thread_pool_threads(const mue_thread_pool *pool);

/* Models that were opened with it keep what they need. NULL is fine. Since 1.0. */
MUE_API void mue_thread_pool_free(mue_thread_pool *pool);

/* ---- Models ----------------------------------------------------------------------------------------------------- */

typedef struct mue_model mue_model;

/* Bounds on what a model or a request may ask for; beyond them lies MUE_E_LIMIT_EXCEEDED. Zero takes the default. */
typedef struct mue_limits {
  size_t struct_size;
  uint64_t model_bytes;     /* of all files of the model together; default 64 GiB */
  uint64_t nodes;           /* default 2^20 */
  uint64_t tensor_elements; /* of one tensor; default 2^34 */
  uint64_t nesting;         /* graphs within graphs, arrays within arrays; default 16 */
  uint64_t sequence_length; /* tokens of a prompt or an answer; default 2^14 */
  uint64_t image_pixels;    /* of one image before resizing; default 2^28 */
  uint64_t batch;           /* items of one request; default 2^10 */
} mue_limits;
#define MUE_LIMITS_INIT {sizeof(mue_limits), 0, 0, 0, 0, 0, 0, 0}

#define MUE_LOG_WARNING 1
#define MUE_LOG_INFO 2

/* Takes one line about the loading of a model (`message` is NUL-terminated and lives during the call). Called on the
   thread that opens the model, before mue_model_open or mue_model_parse returns, never after. */
typedef void (*mue_log_callback)(int32_t level, const char *message, size_t length, void *user);

/* How constant matrices are kept and multiplied; everything else is float32. docs/precision.md has quality and speed. */
#define MUE_PRECISION_F32 0
#define MUE_PRECISION_BF16 1 /* weights in bfloat16: at most half the memory; products, convolutions and attention
                                in bfloat16 where the CPU has them */
#define MUE_PRECISION_INT8 2 /* weights in 8 bits: a quarter; many rows and pixels of 1 x 1 convolutions in 8 bits too,
                                attention in bfloat16 where the CPU has it */

typedef struct mue_model_options {
  size_t struct_size;
  const mue_limits *limits; /* NULL for the defaults */
  int32_t threads;          /* of the model's own pool, the calling thread included; 0: the processors that the process
                               may use (mue_thread_pool_create says which) */
  int32_t inspect_only;     /* 1: for mue_model_inspect; nodes that MuE cannot run are listed, requests are refused */
  mue_log_callback log;     /* NULL for silence */
  void *log_user;
  int32_t precision;    /* MUE_PRECISION_* */
  int32_t packed_cache; /* 1: keep packed weights in MODEL.onnx.PRECISION.packed next to the model file, and read them
                           from there, checked against both contents. A folder that cannot be written to is a warning
                           in the log. Without a file (mue_model_parse) it does nothing. */
  const mue_thread_pool *pool; /* whose threads the model uses (`threads` is 0 then); NULL for a pool of its own */
  int32_t screening; /* of large vocabularies: greedy search (in MUE_PRECISION_BF16 and _INT8 beams too) looks at all
                        logits in few bits (F32: eight, BF16 and INT8: four) and computes those that may be the largest
                        exactly, from the file's own weights; in F32 its tokens are the same, its log-probabilities
                        nearly so (docs/generation.md). MUE_OFF: all logits are computed in the model's precision */
  int32_t reserved;
} mue_model_options;
#define MUE_MODEL_OPTIONS_INIT {sizeof(mue_model_options), NULL, 0, 0, NULL, NULL, 0, 0, NULL, 0, 0}

/* Opens a bundle directory, or one ONNX file (then only mue_session_run works). `options` may be NULL.
   Errors: NOT_FOUND, IO, INVALID_MODEL, UNSUPPORTED (naming node and operator), INVALID_TEXT, LIMIT_EXCEEDED. Any
   thread. Since 1.0. */
MUE_API mue_error *mue_model_open(const char *path, size_t path_length, const mue_model_options *options,
                                  mue_model **model);

/* A graph from the bytes of an ONNX file without external data (then only mue_session_run works). The bytes are copied.
   Errors: INVALID_MODEL, UNSUPPORTED, LIMIT_EXCEEDED. Any thread. Since 1.0. */
MUE_API mue_error *mue_model_parse(const void *onnx, size_t onnx_size, const mue_model_options *options,
                                   mue_model **model);

/* Sessions of the model keep what they need. NULL is fine. Since 1.0. */
MUE_API void mue_model_free(mue_model *model);

/* Inputs and outputs of the graph; 0 for NULL. Since 1.0. */
MUE_API size_t mue_model_input_count(const mue_model *model);
MUE_API size_t mue_model_output_count(const mue_model *model);

/* Fills *info; its pointers are borrowed until mue_model_free. Since 1.0. */
MUE_API mue_error *mue_model_input(const mue_model *model, size_t index, mue_tensor_info *info);
MUE_API mue_error *mue_model_output(const mue_model *model, size_t index, mue_tensor_info *info);

/* What `mue inspect --json` prints: streams, layers, parameters, operators, exits, what is not supported and where.
   One JSON object; the caller frees it with mue_string_free. Since 1.0. */
MUE_API mue_error *mue_model_inspect(const mue_model *model, char **json);

/* ---- Images ----------------------------------------------------------------------------------------------------- */

/* Immutable: one image may serve any number of requests on any threads. */
typedef struct mue_image mue_image;

/* A JPEG or PNG file. Read and decoded by the requests that use it, which is also where its errors come:
   NOT_FOUND, IO, INVALID_IMAGE, LIMIT_EXCEEDED. Since 1.0. */
MUE_API mue_error *mue_image_from_file(const char *path, size_t path_length, mue_image **image);

/* The bytes of a JPEG or PNG file, copied. Decoded by the requests that use it: INVALID_IMAGE, LIMIT_EXCEEDED. Since
   1.0. */
MUE_API mue_error *mue_image_from_encoded(const void *bytes, size_t size, mue_image **image);

/* Raw pixels, copied: rows of R, G, B bytes from the top; `stride` is the distance of two rows in bytes, at least 3 *
   width, or 0 for 3 * width. Errors: LIMIT_EXCEEDED. Since 1.0. */
MUE_API mue_error *mue_image_from_rgb(const uint8_t *pixels, size_t width, size_t height, size_t stride,
                                      mue_image **image);

/* pixel_values as the model takes them, copied: MUE_FLOAT32 [1, 3, height, width], already resized and normalised.
   Since 1.0. */
MUE_API mue_error *mue_image_from_tensor(const mue_tensor *pixel_values, mue_image **image);

/* NULL is fine. Since 1.0. */
MUE_API void mue_image_free(mue_image *image);

/* A rectangle in the pixels of a picture: left, top, right, bottom. Never grows. */
typedef struct mue_box {
  double x0;
  double y0;
  double x1;
  double y1;
} mue_box;

/* Writes the picture as a PNG file, upright and at its own size, with a red outline of three pixels around each box; an
   existing file is replaced. Errors: those of the image (INVALID_ARGUMENT for one made of pixel_values); IO. Since 1.0.
   */
MUE_API mue_error *mue_image_write_png(const mue_image *image, const mue_box *boxes, size_t box_count,
                                       const char *path, size_t path_length);

/* An image that went through the image stream of a model's encoder, to be asked many prompts. Immutable: may serve any
   number of requests on that model, on any threads. Made by mue_session_encode_image. */
typedef struct mue_image_features mue_image_features;

/* The last layer of the image stream that ran; 0 for NULL. Since 1.0. */
MUE_API int32_t mue_image_features_exit_layer(const mue_image_features *features);

/* NULL is fine. Since 1.0. */
MUE_API void mue_image_features_free(mue_image_features *features);

/* ---- Cancelling ------------------------------------------------------------------------------------------------- */

/* A latch: once tripped it stays tripped, and every request that carries it ends within one operator with
   MUE_E_CANCELLED. */
typedef struct mue_cancel mue_cancel;

/* Since 1.0. */
MUE_API mue_error *mue_cancel_create(mue_cancel **cancel);

/* Trips the latch. Any thread, and signal handlers: async-signal-safe. NULL does nothing. Since 1.0. */
MUE_API void mue_cancel_trip(const mue_cancel *cancel);

/* 1 when tripped, else 0. Any thread, and signal handlers. Since 1.0. */
MUE_API int32_t mue_cancel_is_tripped(const mue_cancel *cancel);

/* Not before every request that carries it has returned. NULL is fine. Since 1.0. */
MUE_API void mue_cancel_free(mue_cancel *cancel);

/* ---- Requests --------------------------------------------------------------------------------------------------- */

/* Runs requests on a model, one at a time: owns the plans, the working memory and the caches. */
typedef struct mue_session mue_session;

/* Since 1.0. */
MUE_API mue_error *mue_session_create(const mue_model *model, mue_session **session);

/* Not while one of its requests runs. NULL is fine. Since 1.0. */
MUE_API void mue_session_free(mue_session *session);

/* Early exits of a request. A stream stops after the first layer whose similarity to the layer before exceeds its
   threshold. */
#define MUE_EXITS_OFF 0        /* full depth */
#define MUE_EXITS_CALIBRATED 1 /* the thresholds of the model's mue.json; INVALID_ARGUMENT when it has none */
#define MUE_EXITS_THRESHOLDS 2 /* the thresholds below, each as it stands; 1 or more: never */

#define MUE_RULE_ROW 0   /* one decision per sample and per row: neighbours do not change an answer */
#define MUE_RULE_JOINT 1 /* one decision for the whole batch and all beams, as the MuE authors' code has it */

/* How the decoder's threshold theta changes over generated tokens t = 0, 1, ... of at most N; theta >= 1 is never
   under each. */
#define MUE_SCHEDULE_CONSTANT 0 /* theta */
#define MUE_SCHEDULE_PAPER 1    /* clip(beta theta + (1 - beta) exp(-tau t / N)) to [0, 1] */
#define MUE_SCHEDULE_RELEASED 2 /* 1 while t < (N + 1) / 3, then 0.9 theta + 0.1 exp(-(t + 1) / (N + 1)) */

typedef struct mue_exits {
  size_t struct_size;
  int32_t mode; /* MUE_EXITS_OFF, ... */
  int32_t rule; /* MUE_RULE_ROW, ...; under every mode */
  /* With MUE_EXITS_THRESHOLDS, else ignored; finite numbers. */
  double image;
  double text;
  double decoder;
  int32_t schedule; /* MUE_SCHEDULE_CONSTANT, ... */
  int32_t reserved;
  double beta; /* of MUE_SCHEDULE_PAPER, 0 to 1; 0 takes 0.95 */
  double tau;  /* of MUE_SCHEDULE_PAPER, at least 0; 0 takes 1 */
} mue_exits;
#define MUE_EXITS_INIT {sizeof(mue_exits), 0, 0, 0.0, 0.0, 0.0, 0, 0, 0.0, 0.0}

/* One question about one image. */
typedef struct mue_item {
  size_t struct_size;
  const mue_image *image;
  const char *prompt; /* NULL takes the model's default prompt (captioning) */
  size_t prompt_length;
  const mue_image_features *features; /* in place of `image`, which is then NULL: the image was encoded before */
} mue_item;
#define MUE_ITEM_INIT {sizeof(mue_item), NULL, NULL, 0, NULL}

/* Over what the probability of each token of an answer is normalised by mue_session_score. */
#define MUE_NORMALIZE_DEFAULT 0    /* as the model's task in mue.json says, else the vocabulary */
#define MUE_NORMALIZE_VOCABULARY 1 /* the whole vocabulary */
#define MUE_NORMALIZE_ANSWERS 2    /* the tokens that go on with one of the answers, as OFA does */

/* Options of mue_session_score, mue_session_forward and mue_session_encode_image. */
typedef struct mue_request_options {
  size_t struct_size;
  const mue_exits *exits;   /* NULL for full depth */
  const mue_cancel *cancel; /* NULL when it need not be cancelled */
  int32_t similarities;     /* 1: keep the similarity after every layer that ran */
  int32_t normalization;    /* of score: MUE_NORMALIZE_DEFAULT, ... */
} mue_request_options;
#define MUE_REQUEST_OPTIONS_INIT {sizeof(mue_request_options), NULL, NULL, 0, 0}

/* What a callback returns. */
#define MUE_CONTINUE 0
#define MUE_STOP 1   /* end the generation of all items and keep what was made */
#define MUE_CANCEL 2 /* end the generation and drop it: the call returns MUE_E_CANCELLED */

/* A token that was just chosen. The library fills it; it may grow at its end. */
typedef struct mue_token_event {
  size_t struct_size;
  size_t item; /* index of the item */
  int64_t token;
  const char *text; /* what became complete with this token, NUL-terminated, may be ""; lives during the call */
  size_t text_length;
  int32_t exit_layer; /* decoder layers that ran for it */
  int32_t reserved;
} mue_token_event;

/* Called on the thread that called mue_session_generate, before that call returns, never after. Any other code than
   the three above counts as MUE_CANCEL. It may use other sessions; its own is MUE_E_BUSY. */
typedef int32_t (*mue_token_callback)(const mue_token_event *event, void *user);

/* In options whose 0 means a default: none of it. */
#define MUE_OFF (-1)

/* What is 0 is taken from the task in the model's mue.json that the prompt fits, else from generation_config.json, else
   it is what is said here. docs/generation.md says what each does. */
typedef struct mue_generate_options {
  size_t struct_size;
  const mue_exits *exits;   /* NULL for full depth */
  const mue_cancel *cancel; /* NULL when it need not be cancelled */
  int32_t similarities;     /* 1: keep the similarity after every layer that ran */
  int32_t beams;            /* 1 (else the default): greedy; at most 64 */
  int32_t max_tokens;       /* most tokens to generate, the end token not counted; else 20 */
  int32_t reserved;
  mue_token_callback on_token; /* NULL without streaming; only with greedy search */
  void *user;
  int32_t nbest;                /* hypotheses to return, at most `beams`; 0: 1 */
  int32_t no_repeat_ngram_size; /* no sequence of so many tokens comes twice; MUE_OFF (else the default): none */
  double length_penalty;        /* hypotheses are ranked by log-probability / tokens^length_penalty, the end token
                                   counted; else 1; MUE_OFF: by their log-probability */
  int32_t min_tokens;           /* tokens before the end token may come; else 1 with beams, none without; or MUE_OFF */
  int32_t reserved2;
  const mue_string *answers;    /* the only answers that may be given, to the letter; NULL for any */
  size_t answer_count;
} mue_generate_options;
#define MUE_GENERATE_OPTIONS_INIT                                                                                      \
  {sizeof(mue_generate_options), NULL, NULL, 0, 0, 0, 0, NULL, NULL, 0, 0, 0.0, 0, 0, NULL, 0}

/* What a trace shows. */
#define MUE_TRACE_OPERATORS 0 /* the phases of each request, and every operator that ran */
#define MUE_TRACE_PHASES 1    /* requests and their phases alone: costs no time that can be measured */

/* Records when the parts of the session's requests begin and end, until mue_session_trace_end; at most 2^20 spans.
   `detail` is MUE_TRACE_OPERATORS or MUE_TRACE_PHASES. INVALID_ARGUMENT also while a trace is being recorded. Other
   errors: BUSY. Since 1.0. */
MUE_API mue_error *mue_session_trace_begin(mue_session *session, int32_t detail);

/* Ends the recording. One JSON object in Chrome's trace format, for Perfetto or chrome://tracing: a span for every
   request and phase, and for every operator one that has the name of the node in the ONNX file, its type as category, and
   as args its shapes, multiply-adds and speed, and the nodes that were fused into it. The caller frees it with
   mue_string_free. INVALID_ARGUMENT also when no trace is being recorded. Other errors: BUSY. Since 1.0. */
MUE_API mue_error *mue_session_trace_end(mue_session *session, char **json);

typedef struct mue_result mue_result;

/* Answers each item in text, all in one batch: one entry of the result per item, in order. `options` may be NULL.
   Errors: those of the images; INVALID_TEXT; LIMIT_EXCEEDED (prompt too long, too many items); UNSUPPORTED (a model
   that does not generate); CANCELLED; BUSY. Since 1.0. */
MUE_API mue_error *mue_session_generate(mue_session *session, const mue_item *items, size_t item_count,
                                        const mue_generate_options *options, mue_result **result);

/* Runs the image stream alone and keeps what it leaves; requests that take it (mue_item.features) begin at the text.
   Whether the stream stops early is decided here, by the `image` threshold of options->exits. Exact only for a decomposed
   encoder: UNSUPPORTED when the encoder attends across image and text. Multiply-adds and times of what was kept count
   in no request's report. `options` may be NULL. Other errors: those of the image; CANCELLED; BUSY. Since 1.0. */
MUE_API mue_error *mue_session_encode_image(mue_session *session, const mue_image *image,
                                            const mue_request_options *options, mue_image_features **features);

/* Scores `answers` as continuations for each item, thousands if need be: the log-probability of each answer's tokens
   and its end, normalised over the answers. One entry of the result per item. Answers of one token each take one pass of
   the decoder; longer ones are decoded side by side, what they have in common once. Errors as mue_session_generate.
   Since 1.0. */
MUE_API mue_error *mue_session_score(mue_session *session, const mue_item *items, size_t item_count,
                                     const mue_string *answers, size_t answer_count,
                                     const mue_request_options *options, mue_result **result);

/* One teacher-forced pass: pixel_values MUE_FLOAT32 [batch, 3, height, width], input_ids MUE_INT64 [batch, text
   length], decoder_input_ids MUE_INT64 [batch, decoder length]. The result has one entry per sample and the tensors
   "logits" MUE_FLOAT32 [batch, decoder length, vocabulary] and "encoder_hidden_states" MUE_FLOAT32 [batch, image
   tokens + text tokens, width] (after the final LayerNorm). Errors: LIMIT_EXCEEDED, UNSUPPORTED, CANCELLED, BUSY.
   Since 1.0. */
MUE_API mue_error *mue_session_forward(mue_session *session, const mue_tensor *pixel_values,
                                       const mue_tensor *input_ids, const mue_tensor *decoder_input_ids,
                                       const mue_request_options *options, mue_result **result);

/* Runs the whole graph as it stands on named tensors. `output_names` may be NULL with a count of 0: all outputs, in
   the model's order. The result has no entries, and a tensor per output, in the order of the names. `cancel` may be
   NULL. Errors: INVALID_MODEL, UNSUPPORTED, LIMIT_EXCEEDED, CANCELLED, BUSY. Since 1.0. */
MUE_API mue_error *mue_session_run(mue_session *session, const mue_tensor *inputs, size_t input_count,
                                   const mue_string *output_names, size_t output_count, const mue_cancel *cancel,
                                   mue_result **result);

/* ---- Results ---------------------------------------------------------------------------------------------------- */

/* Immutable. All pointers got from it are borrowed until mue_result_free. A getter returns NULL, NaN, -1 or a count
   of 0 where the request did not make what is asked for, or an index is out of range; `count` may be NULL. All since
   1.0. */
MUE_API void mue_result_free(mue_result *result); /* NULL is fine */

/* Entries: items of generate and score, samples of forward, 0 of run. */
MUE_API size_t mue_result_count(const mue_result *result);

/* Of generate. Tokens come without the start and the end token. Log-probabilities are natural logarithms; that of the
   answer includes its end token when it was reached. */
MUE_API const char *mue_result_text(const mue_result *result, size_t item);
MUE_API const int64_t *mue_result_tokens(const mue_result *result, size_t item, size_t *count);
MUE_API double mue_result_log_probability(const mue_result *result, size_t item);
MUE_API const double *mue_result_token_log_probabilities(const mue_result *result, size_t item, size_t *count);
MUE_API int32_t mue_result_is_finished(const mue_result *result, size_t item);

/* Of generate, for tasks that answer in boxes: those of the answer, in pixels of the picture (of pixel_values when the
   image was made of them). */
MUE_API const mue_box *mue_result_boxes(const mue_result *result, size_t item, size_t *count);

/* One of the answers that a search found. The library fills it; its pointers are borrowed until mue_result_free. */
typedef struct mue_hypothesis {
  size_t struct_size;
  const char *text;      /* as the task wants it, such as without punctuation */
  const char *raw_text;  /* what the tokens say */
  const int64_t *tokens; /* without the start and the end token */
  size_t token_count;
  const double *token_log_probabilities; /* this and decoder_exits: step_count, the end token included when reached */
  const int32_t *decoder_exits;          /* the exit layer of each token */
  size_t step_count;
  double log_probability; /* natural logarithm */
  double score;           /* what hypotheses are ranked by: log_probability / step_count^length_penalty */
  const mue_box *boxes;   /* for tasks that answer in boxes */
  size_t box_count;
  int32_t is_finished; /* 1 when the end token was reached */
  int32_t reserved;
} mue_hypothesis;
#define MUE_HYPOTHESIS_INIT {sizeof(mue_hypothesis), NULL, NULL, NULL, 0, NULL, NULL, 0, 0.0, 0.0, NULL, 0, 0, 0}

/* Of generate: as many as were asked for and found, best first. The first is what the getters above speak of.
   mue_result_hypothesis fills *hypothesis. */
MUE_API size_t mue_result_hypothesis_count(const mue_result *result, size_t item);
MUE_API mue_error *mue_result_hypothesis(const mue_result *result, size_t item, size_t index,
                                         mue_hypothesis *hypothesis);

/* Of score: the answers in the order given, their log-probabilities normalised over the answers, and the index of the
   best. */
MUE_API size_t mue_result_answer_count(const mue_result *result, size_t item);
MUE_API const char *mue_result_answer(const mue_result *result, size_t item, size_t answer);
MUE_API const double *mue_result_answer_log_probabilities(const mue_result *result, size_t item, size_t *count);
MUE_API int64_t mue_result_best_answer(const mue_result *result, size_t item);

/* Of forward and run: tensors. mue_result_tensor fills *tensor. */
MUE_API size_t mue_result_tensor_count(const mue_result *result);
MUE_API mue_error *mue_result_tensor(const mue_result *result, size_t index, mue_tensor *tensor);
MUE_API mue_error *mue_result_tensor_by_name(const mue_result *result, const char *name, size_t name_length,
                                             mue_tensor *tensor);

/* What one entry cost. A batch shares its parts: every item reports the same times. Depths are layers in full, exits
   the last layer that ran. macs are multiply-adds: run, and the same tokens at full depth. etr is the expected time
   reduction of the MuE paper (a count of layers, not a time). Times are wall times in milliseconds. */
typedef struct mue_report {
  size_t struct_size;
  int32_t image_exit;
  int32_t text_exit;
  int32_t image_depth;
  int32_t text_depth;
  int32_t decoder_depth;
  int32_t threads;
  double etr;
  int64_t macs_run;
  int64_t macs_full;
  double total_ms;
  double image_decode_ms;
  double stem_ms;
  double encoder_ms;
  double decoder_ms;
  double head_ms;
  const char *precision; /* such as "f32" */
  const char *cpu;       /* instruction set in use, such as "avx512" or "avx2 (by MUE_ISA)" */
} mue_report;
#define MUE_REPORT_INIT {sizeof(mue_report), 0, 0, 0, 0, 0, 0, 0.0, 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, NULL, NULL}

/* Fills *report. */
MUE_API mue_error *mue_result_report(const mue_result *result, size_t item, mue_report *report);

/* The exit layer of each generated token, the end token included; one entry for forward and for score with answers of
   one token; else one for each row that the decoder ran. */
MUE_API const int32_t *mue_result_decoder_exits(const mue_result *result, size_t item, size_t *count);

#define MUE_STREAM_IMAGE 0
#define MUE_STREAM_TEXT 1
#define MUE_STREAM_DECODER 2

/* The similarity after each layer that ran, when asked for. `token` counts generated tokens; 0 for the other streams
   and passes. */
MUE_API const double *mue_result_similarities(const mue_result *result, size_t item, int32_t stream, size_t token,
                                              size_t *count);

/* The report as JSON, the same that `--json` prints: one object {text, tokens, logprob, exits {image, text, decoder},
   depth, etr, macs {run, full}, time_ms {total, image_decode, stem, encoder, decoder, head}, similarities when asked
   for, threads, precision, cpu}; a list of them when the request had more than one entry. The caller frees it with
   mue_string_free. */
MUE_API mue_error *mue_result_json(const mue_result *result, char **json);

#ifdef __cplusplus
}
#endif

#endif
