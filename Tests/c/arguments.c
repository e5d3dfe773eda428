/* Hostile arguments: NULLs, wrong and freed handles, lengths, text, struct sizes, shapes and strides. None ends the process. */
#include "expect.h"
#include "tiny_model.h"

#include <math.h>

static void null_handles(void) {
  size_t count = 77;
  mue_model_free(NULL);
  mue_session_free(NULL);
  mue_image_free(NULL);
  mue_cancel_free(NULL);
  mue_result_free(NULL);
  mue_error_free(NULL);
  mue_string_free(NULL);
  mue_cancel_trip(NULL);
  EXPECT(mue_cancel_is_tripped(NULL) == 0);
  EXPECT(mue_error_code(NULL) == MUE_OK);
  EXPECT(strcmp(mue_error_message(NULL), "") == 0);
  EXPECT(strcmp(mue_error_description(NULL), "") == 0);
  EXPECT(mue_error_file(NULL) == NULL && mue_error_field(NULL) == NULL && mue_error_node(NULL) == NULL);
  EXPECT(mue_error_operator(NULL) == NULL && mue_error_argument(NULL) == NULL);
  EXPECT(mue_error_byte_offset(NULL) == -1);
  EXPECT(mue_model_input_count(NULL) == 0 && mue_model_output_count(NULL) == 0);
  EXPECT(mue_result_count(NULL) == 0 && mue_result_tensor_count(NULL) == 0 && mue_result_answer_count(NULL, 0) == 0);
  EXPECT(mue_result_text(NULL, 0) == NULL && mue_result_answer(NULL, 0, 0) == NULL);
  EXPECT(mue_result_tokens(NULL, 0, &count) == NULL && count == 0);
  EXPECT(mue_result_tokens(NULL, 0, NULL) == NULL);
  EXPECT(isnan(mue_result_log_probability(NULL, 0)));
  EXPECT(mue_result_is_finished(NULL, 0) == -1 && mue_result_best_answer(NULL, 0) == -1);
  count = 77;
  EXPECT(mue_result_similarities(NULL, 0, -5, (size_t)-1, &count) == NULL && count == 0);
  EXPECT(mue_result_decoder_exits(NULL, (size_t)-1, NULL) == NULL);

  EXPECT_ERROR(mue_model_inspect(NULL, NULL), MUE_E_INVALID_ARGUMENT, "json");
  {
    char *json = NULL;
    EXPECT_ERROR(mue_model_inspect(NULL, &json), MUE_E_INVALID_ARGUMENT, "model");
    EXPECT_ERROR(mue_result_json(NULL, &json), MUE_E_INVALID_ARGUMENT, "result");
    EXPECT_ERROR(mue_system_info(NULL), MUE_E_INVALID_ARGUMENT, "json");
    EXPECT(json == NULL);
  }
  {
    mue_tensor_info info = MUE_TENSOR_INFO_INIT;
    mue_report report = MUE_REPORT_INIT;
    mue_tensor tensor = MUE_TENSOR_INIT;
    EXPECT_ERROR(mue_model_input(NULL, 0, &info), MUE_E_INVALID_ARGUMENT, "model");
    EXPECT_ERROR(mue_model_output(NULL, 0, &info), MUE_E_INVALID_ARGUMENT, "model");
    EXPECT_ERROR(mue_result_report(NULL, 0, &report), MUE_E_INVALID_ARGUMENT, "result");
    EXPECT_ERROR(mue_result_tensor(NULL, 0, &tensor), MUE_E_INVALID_ARGUMENT, "result");
    EXPECT_ERROR(mue_result_tensor_by_name(NULL, "x", 1, &tensor), MUE_E_INVALID_ARGUMENT, "result");
  }
  {
    mue_session *session = NULL;
    mue_result *result = NULL;
    EXPECT_ERROR(mue_session_create(NULL, NULL), MUE_E_INVALID_ARGUMENT, "session");
    EXPECT_ERROR(mue_session_create(NULL, &session), MUE_E_INVALID_ARGUMENT, "model");
    EXPECT_ERROR(mue_session_generate(NULL, NULL, 0, NULL, NULL), MUE_E_INVALID_ARGUMENT, "result");
    EXPECT_ERROR(mue_session_generate(NULL, NULL, 0, NULL, &result), MUE_E_INVALID_ARGUMENT, "session");
    EXPECT_ERROR(mue_session_score(NULL, NULL, 0, NULL, 0, NULL, &result), MUE_E_INVALID_ARGUMENT, "session");
    EXPECT_ERROR(mue_session_forward(NULL, NULL, NULL, NULL, NULL, &result), MUE_E_INVALID_ARGUMENT, "session");
    EXPECT_ERROR(mue_session_run(NULL, NULL, 0, NULL, 0, NULL, &result), MUE_E_INVALID_ARGUMENT, "session");
    EXPECT(session == NULL && result == NULL);
  }
}

static void wrong_handles(void) {
  mue_session *session = NULL;
  mue_image *image = NULL;
  char *json = NULL;
  EXPECT_ERROR(mue_session_create((mue_model *)wild(), &session), MUE_E_INVALID_ARGUMENT, "model");
  EXPECT_ERROR(mue_session_create((mue_model *)((char *)wild() + 1), &session), MUE_E_INVALID_ARGUMENT, "model");
  EXPECT_OK(mue_image_from_file("x.png", 5, &image));
  EXPECT(image != NULL);
  /* An image where a model, a result and a session are wanted. */
  EXPECT_ERROR(mue_model_inspect((mue_model *)image, &json), MUE_E_INVALID_ARGUMENT, "model");
  EXPECT_ERROR(mue_result_json((mue_result *)image, &json), MUE_E_INVALID_ARGUMENT, "result");
  EXPECT(mue_result_count((mue_result *)image) == 0);
  EXPECT(mue_cancel_is_tripped((mue_cancel *)image) == 0);
  mue_cancel_trip((mue_cancel *)image);
  mue_model_free((mue_model *)image);
  mue_error_free((mue_error *)image);
  EXPECT(mue_error_code((mue_error *)image) == MUE_OK);
  mue_image_free(image);
}

static void texts(void) {
  mue_model *model = NULL;
  mue_image *image = NULL;
  const char broken[] = {'a', (char)0xC3, (char)0x28, 0};
  const char surrogate[] = {(char)0xED, (char)0xA0, (char)0x80, 0};
  EXPECT_ERROR(mue_model_open(NULL, 0, NULL, NULL), MUE_E_INVALID_ARGUMENT, "model");
  EXPECT_ERROR(mue_model_open(NULL, 0, NULL, &model), MUE_E_INVALID_ARGUMENT, "path");
  EXPECT_ERROR(mue_model_open(NULL, 4, NULL, &model), MUE_E_INVALID_ARGUMENT, "path");
  EXPECT_ERROR(mue_model_open("", 0, NULL, &model), MUE_E_INVALID_ARGUMENT, "path");
  EXPECT_ERROR(mue_model_open("a\0b", 3, NULL, &model), MUE_E_INVALID_ARGUMENT, "path");
  EXPECT_ERROR(mue_model_open(broken, 3, NULL, &model), MUE_E_INVALID_ARGUMENT, "path");
  EXPECT_ERROR(mue_model_open(surrogate, 3, NULL, &model), MUE_E_INVALID_ARGUMENT, "path");
  EXPECT_ERROR(mue_model_open("x", (size_t)-1, NULL, &model), MUE_E_LIMIT_EXCEEDED, "path");
  EXPECT_ERROR(mue_model_open("x", (size_t)1 << 62, NULL, &model), MUE_E_LIMIT_EXCEEDED, "path");
  EXPECT_ERROR(mue_image_from_file(broken, 3, &image), MUE_E_INVALID_ARGUMENT, "path");
  EXPECT_ERROR(mue_image_from_file("x", 1, NULL), MUE_E_INVALID_ARGUMENT, "image");
  EXPECT(model == NULL && image == NULL);
}

static void struct_sizes(void) {
  mue_model *model = NULL;
  mue_model_options options = MUE_MODEL_OPTIONS_INIT;
  mue_limits limits = MUE_LIMITS_INIT;
  /* A later version's struct: ours, and a tail. */
  struct {
    mue_model_options options;
    uint64_t tail[3];
  } later = {MUE_MODEL_OPTIONS_INIT, {0, 0, 0}};
  proto tiny = tiny_model("Add");

  options.struct_size = 0;
  EXPECT_ERROR(mue_model_parse(tiny.bytes, tiny.count, &options, &model), MUE_E_INVALID_ARGUMENT, "options");
  options.struct_size = offsetof(mue_model_options, precision) - 8;
  EXPECT_ERROR(mue_model_parse(tiny.bytes, tiny.count, &options, &model), MUE_E_INVALID_ARGUMENT, "options");
  options.struct_size = (size_t)-8;
  EXPECT_ERROR(mue_model_parse(tiny.bytes, tiny.count, &options, &model), MUE_E_INVALID_ARGUMENT, "options");
  options.struct_size = (size_t)1 << 40;
  EXPECT_ERROR(mue_model_parse(tiny.bytes, tiny.count, &options, &model), MUE_E_INVALID_ARGUMENT, "options");
  options.struct_size = sizeof options;
  EXPECT_ERROR(mue_model_parse(tiny.bytes, tiny.count, (mue_model_options *)((char *)&options + 1), &model),
               MUE_E_INVALID_ARGUMENT, "options");
  options.inspect_only = 2;
  EXPECT_ERROR(mue_model_parse(tiny.bytes, tiny.count, &options, &model), MUE_E_INVALID_ARGUMENT,
               "options.inspect_only");
  options.inspect_only = 0;
  options.precision = 3;
  EXPECT_ERROR(mue_model_parse(tiny.bytes, tiny.count, &options, &model), MUE_E_INVALID_ARGUMENT, "options.precision");
  /* The struct as it first was ends before this field. */
  options.struct_size = offsetof(mue_model_options, precision);
  EXPECT_OK(mue_model_parse(tiny.bytes, tiny.count, &options, &model));
  mue_model_free(model);
  model = NULL;
  options.struct_size = sizeof options;
  options.precision = MUE_PRECISION_F32;
  options.packed_cache = -1;
  EXPECT_ERROR(mue_model_parse(tiny.bytes, tiny.count, &options, &model), MUE_E_INVALID_ARGUMENT,
               "options.packed_cache");
  options.packed_cache = 0;
  options.threads = -1;
  EXPECT_ERROR(mue_model_parse(tiny.bytes, tiny.count, &options, &model), MUE_E_INVALID_ARGUMENT, "options.threads");
  options.threads = 0;
  limits.struct_size = 8;
  options.limits = &limits;
  EXPECT_ERROR(mue_model_parse(tiny.bytes, tiny.count, &options, &model), MUE_E_INVALID_ARGUMENT, "options.limits");

  later.options.struct_size = sizeof later;
  later.tail[2] = 1;
  EXPECT_ERROR(mue_model_parse(tiny.bytes, tiny.count, &later.options, &model), MUE_E_INVALID_ARGUMENT, "options");
  EXPECT(model == NULL);
  later.tail[2] = 0;
  if (EXPECT_OK(mue_model_parse(tiny.bytes, tiny.count, &later.options, &model))) {
    /* A struct that the library fills: a longer one is zeroed behind what the library knows. */
    struct {
      mue_tensor_info info;
      uint64_t tail[2];
    } info;
    memset(&info, 0xAB, sizeof info);
    info.info.struct_size = sizeof info;
    EXPECT_OK(mue_model_input(model, 0, &info.info));
    EXPECT(info.info.struct_size == sizeof info && info.tail[0] == 0 && info.tail[1] == 0);
    EXPECT(strcmp(info.info.name, "x") == 0 && info.info.dtype == MUE_FLOAT32 && info.info.rank == 2);
    EXPECT(info.info.shape[0] == -1 && info.info.shape[1] == 2);
    EXPECT(strcmp(info.info.dimension_names[0], "n") == 0 && strcmp(info.info.dimension_names[1], "") == 0);
    EXPECT_ERROR(mue_model_input(model, 1, &info.info), MUE_E_INVALID_ARGUMENT, "index");
    EXPECT_ERROR(mue_model_output(model, (size_t)-1, &info.info), MUE_E_INVALID_ARGUMENT, "index");
    info.info.struct_size = 0;
    EXPECT_ERROR(mue_model_output(model, 0, &info.info), MUE_E_INVALID_ARGUMENT, "info");
    EXPECT_ERROR(mue_model_output(model, 0, NULL), MUE_E_INVALID_ARGUMENT, "info");
    mue_model_free(model);
  }
}

static void images(void) {
  mue_image *image = NULL;
  uint8_t pixels[64] = {0};
  mue_tensor tensor = MUE_TENSOR_INIT;
  float values[12] = {0};
  int64_t shape[4] = {1, 3, 2, 2};
  int64_t strides[4] = {0, 0, 0, INT64_MAX / 2};
  int axis;
  EXPECT_ERROR(mue_image_from_rgb(NULL, 2, 2, 0, &image), MUE_E_INVALID_ARGUMENT, "pixels");
  EXPECT_ERROR(mue_image_from_rgb(pixels, 0, 2, 0, &image), MUE_E_INVALID_ARGUMENT, "width");
  EXPECT_ERROR(mue_image_from_rgb(pixels, 2, (size_t)-1, 0, &image), MUE_E_INVALID_ARGUMENT, "width");
  EXPECT_ERROR(mue_image_from_rgb(pixels, (size_t)1 << 40, (size_t)1 << 40, 0, &image), MUE_E_LIMIT_EXCEEDED, "width");
  EXPECT_ERROR(mue_image_from_rgb(pixels, 2, 2, 5, &image), MUE_E_INVALID_ARGUMENT, "stride");
  EXPECT_ERROR(mue_image_from_rgb(pixels, 2, 2, (size_t)1 << 63, &image), MUE_E_INVALID_ARGUMENT, "stride");
  EXPECT_ERROR(mue_image_from_rgb(pixels, 2, 2, (size_t)INT64_MAX, &image), MUE_E_INVALID_ARGUMENT, "stride");
  EXPECT_ERROR(mue_image_from_rgb(pixels, 2, 2, 0, NULL), MUE_E_INVALID_ARGUMENT, "image");
  EXPECT_ERROR(mue_image_from_encoded(NULL, 3, &image), MUE_E_INVALID_ARGUMENT, "bytes");
  EXPECT_ERROR(mue_image_from_encoded(pixels, (size_t)-1, &image), MUE_E_LIMIT_EXCEEDED, "bytes");
  EXPECT(image == NULL);
  EXPECT_OK(mue_image_from_rgb(pixels, 2, 3, 10, &image));
  mue_image_free(image);
  image = NULL;

  EXPECT_ERROR(mue_image_from_tensor(NULL, &image), MUE_E_INVALID_ARGUMENT, "pixel_values");
  tensor.dtype = MUE_FLOAT32;
  tensor.rank = 4;
  tensor.shape = shape;
  EXPECT_ERROR(mue_image_from_tensor(&tensor, &image), MUE_E_INVALID_ARGUMENT, "pixel_values");
  tensor.data = values;
  tensor.strides = strides;
  EXPECT_ERROR(mue_image_from_tensor(&tensor, &image), MUE_E_INVALID_ARGUMENT, "pixel_values.strides");
  strides[3] = INT64_MIN;
  EXPECT_ERROR(mue_image_from_tensor(&tensor, &image), MUE_E_INVALID_ARGUMENT, "pixel_values.strides");
  tensor.strides = NULL;
  tensor.dtype = 8;
  EXPECT_ERROR(mue_image_from_tensor(&tensor, &image), MUE_E_INVALID_ARGUMENT, "pixel_values");
  tensor.dtype = MUE_FLOAT32;
  tensor.rank = 33;
  EXPECT_ERROR(mue_image_from_tensor(&tensor, &image), MUE_E_INVALID_ARGUMENT, "pixel_values");
  tensor.rank = -1;
  EXPECT_ERROR(mue_image_from_tensor(&tensor, &image), MUE_E_INVALID_ARGUMENT, "pixel_values");
  tensor.rank = 4;
  tensor.shape = NULL;
  EXPECT_ERROR(mue_image_from_tensor(&tensor, &image), MUE_E_INVALID_ARGUMENT, "pixel_values.shape");
  tensor.shape = shape;
  for (axis = 0; axis < 4; axis++) {
    int64_t right = shape[axis];
    shape[axis] = -1;
    EXPECT_ERROR(mue_image_from_tensor(&tensor, &image), MUE_E_INVALID_ARGUMENT, NULL);
    shape[axis] = INT64_MAX;
    EXPECT_ERROR(mue_image_from_tensor(&tensor, &image), MUE_E_LIMIT_EXCEEDED, NULL);
    shape[axis] = right;
  }
  shape[0] = 2;
  shape[2] = 1;
  EXPECT_ERROR(mue_image_from_tensor(&tensor, &image), MUE_E_INVALID_ARGUMENT, "pixel_values");
  EXPECT(image == NULL);
}

static void handles_after_free(void) {
  /* Freeing twice in a row is the host's error; it must not be ours. The memory is still the allocator's, so only the
     tag that the first free left behind is looked at. */
  mue_cancel *cancel = NULL;
  EXPECT_OK(mue_cancel_create(&cancel));
  EXPECT(mue_cancel_is_tripped(cancel) == 0);
  mue_cancel_trip(cancel);
  mue_cancel_trip(cancel);
  EXPECT(mue_cancel_is_tripped(cancel) == 1);
  mue_cancel_free(cancel);
  EXPECT_ERROR(mue_cancel_create(NULL), MUE_E_INVALID_ARGUMENT, "cancel");
}

int main(void) {
  EXPECT(mue_version() == MUE_VERSION);
  EXPECT(strcmp(mue_version_string(), "1.0.0") == 0);
  EXPECT(strlen(mue_build_info()) > 10);
  null_handles();
  wrong_handles();
  texts();
  struct_sizes();
  images();
  handles_after_free();
  return expect_summary("arguments");
}
