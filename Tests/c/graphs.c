/* Plain graphs through the C interface: parse, describe, run, ownership, errors that say where. */
#include "expect.h"
#include "tiny_model.h"

typedef struct {
  int lines;
  int in_call;
} log_state;

static void count_line(int32_t level, const char *message, size_t length, void *user) {
  log_state *state = (log_state *)user;
  EXPECT(level == MUE_LOG_INFO || level == MUE_LOG_WARNING);
  EXPECT(strlen(message) == length && length > 0);
  EXPECT(state->in_call);
  state->lines++;
}

static void runs(void) {
  proto tiny = tiny_model("Add");
  mue_model_options options = MUE_MODEL_OPTIONS_INIT;
  log_state state = {0, 1};
  mue_model *model = NULL;
  mue_session *session = NULL;
  mue_result *result = NULL;
  mue_tensor input = MUE_TENSOR_INIT;
  mue_tensor output = MUE_TENSOR_INIT;
  /* Every second column of a 3 x 4 array, from the last row up. */
  float values[12];
  int64_t shape[2] = {3, 2};
  int64_t strides[2] = {-16, 8};
  size_t i;
  for (i = 0; i < 12; i++) values[i] = (float)i * 0.5f;

  options.threads = 1;
  options.log = count_line;
  options.log_user = &state;
  EXPECT_OK(mue_model_parse(tiny.bytes, tiny.count, &options, &model));
  state.in_call = 0;
  EXPECT(state.lines >= 1);
  EXPECT(mue_model_input_count(model) == 1 && mue_model_output_count(model) == 1);
  /* The bytes were copied. */
  memset(&tiny, 0xFF, sizeof tiny);
  EXPECT_OK(mue_session_create(model, &session));
  /* The session keeps the model. */
  mue_model_free(model);

  input.name = "xyz";
  input.name_length = 1;
  input.dtype = MUE_FLOAT32;
  input.rank = 2;
  input.shape = shape;
  input.strides = strides;
  input.data = values + 8;
  if (EXPECT_OK(mue_session_run(session, &input, 1, NULL, 0, NULL, &result))) {
    const float *y;
    char *json = NULL;
    EXPECT(mue_result_count(result) == 0 && mue_result_tensor_count(result) == 1);
    EXPECT_OK(mue_result_tensor(result, 0, &output));
    EXPECT(strcmp(output.name, "y") == 0 && output.name_length == 1);
    EXPECT(output.dtype == MUE_FLOAT32 && output.rank == 2 && output.shape[0] == 3 && output.shape[1] == 2);
    EXPECT(output.strides[0] == 8 && output.strides[1] == 4 && (uintptr_t)output.data % 64 == 0);
    y = (const float *)output.data;
    for (i = 0; i < 6; i++) EXPECT(y[i] == 2 * values[8 - 4 * (i / 2) + 2 * (i % 2)]);
    EXPECT_OK(mue_result_tensor_by_name(result, "y!", 1, &output));
    EXPECT_ERROR(mue_result_tensor_by_name(result, "z", 1, &output), MUE_E_INVALID_ARGUMENT, "name");
    EXPECT_ERROR(mue_result_tensor(result, 1, &output), MUE_E_INVALID_ARGUMENT, "index");
    EXPECT_ERROR(mue_result_tensor(result, 0, NULL), MUE_E_INVALID_ARGUMENT, "tensor");
    EXPECT(mue_result_text(result, 0) == NULL);
    EXPECT_OK(mue_result_json(result, &json));
    EXPECT(json && strcmp(json, "[]") == 0);
    mue_string_free(json);
    mue_result_free(result);
    result = NULL;
  }

  /* A broadcast input of stride 0, no elements at all, names of outputs. */
  {
    mue_string names[2] = {{"y", 1}, {"nothing", 7}};
    float one = 1.25f;
    strides[0] = strides[1] = 0;
    input.data = &one;
    shape[0] = 5;
    if (EXPECT_OK(mue_session_run(session, &input, 1, names, 1, NULL, &result))) {
      EXPECT_OK(mue_result_tensor(result, 0, &output));
      EXPECT(output.shape[0] == 5 && ((const float *)output.data)[9] == 2.5f);
      mue_result_free(result);
      result = NULL;
    }
    EXPECT_ERROR(mue_session_run(session, &input, 1, names, 2, NULL, &result), MUE_E_INVALID_ARGUMENT, NULL);
    EXPECT_ERROR(mue_session_run(session, &input, 1, NULL, 1, NULL, &result), MUE_E_INVALID_ARGUMENT, "output_names");
    EXPECT_ERROR(mue_session_run(session, NULL, 1, NULL, 0, NULL, &result), MUE_E_INVALID_ARGUMENT, "inputs");
    EXPECT_ERROR(mue_session_run(session, &input, (size_t)-1, NULL, 0, NULL, &result), MUE_E_LIMIT_EXCEEDED, NULL);
    EXPECT_ERROR(mue_session_run(session, NULL, 0, NULL, 0, NULL, &result), MUE_E_INVALID_ARGUMENT, NULL);
    input.strides = NULL;
    shape[0] = 0;
    input.data = NULL;
    if (EXPECT_OK(mue_session_run(session, &input, 1, NULL, 0, NULL, &result))) {
      EXPECT_OK(mue_result_tensor(result, 0, &output));
      EXPECT(output.shape[0] == 0 && output.shape[1] == 2);
      mue_result_free(result);
      result = NULL;
    }
  }

  /* Wrong inputs. */
  {
    mue_tensor two[2];
    double other[2] = {1, 2};
    input.data = other;
    shape[0] = 1;
    two[0] = two[1] = input;
    EXPECT_ERROR(mue_session_run(session, two, 2, NULL, 0, NULL, &result), MUE_E_INVALID_ARGUMENT, "inputs[1].name");
    two[1].struct_size = sizeof(mue_tensor) + 8;
    EXPECT_ERROR(mue_session_run(session, two, 2, NULL, 0, NULL, &result), MUE_E_INVALID_ARGUMENT, NULL);
    two[0].name = "w";
    EXPECT_ERROR(mue_session_run(session, two, 1, NULL, 0, NULL, &result), MUE_E_INVALID_ARGUMENT, NULL);
    two[0].name = NULL;
    EXPECT_ERROR(mue_session_run(session, two, 1, NULL, 0, NULL, &result), MUE_E_INVALID_ARGUMENT, NULL);
    input.dtype = MUE_FLOAT64;
    EXPECT_ERROR(mue_session_run(session, &input, 1, NULL, 0, NULL, &result), MUE_E_INVALID_ARGUMENT, NULL);
    EXPECT(result == NULL);
  }
  /* A graph without a bundle neither generates nor scores. */
  {
    mue_image *image = NULL;
    mue_item item = MUE_ITEM_INIT;
    mue_string answer = {"yes", 3};
    uint8_t pixels[12] = {0};
    EXPECT_OK(mue_image_from_rgb(pixels, 2, 2, 0, &image));
    item.image = image;
    EXPECT_ERROR(mue_session_generate(session, &item, 1, NULL, &result), MUE_E_UNSUPPORTED, NULL);
    EXPECT_ERROR(mue_session_score(session, &item, 1, &answer, 1, NULL, &result), MUE_E_UNSUPPORTED, NULL);
    mue_image_free(image);
  }
  mue_session_free(session);
}

static void bad_models(void) {
  mue_model *model = NULL;
  proto tiny = tiny_model("Add");
  proto other = tiny_model("NoSuchOperator");
  mue_error *error;
  size_t cut;
  EXPECT_ERROR(mue_model_parse(NULL, 5, NULL, &model), MUE_E_INVALID_ARGUMENT, "onnx");
  EXPECT_ERROR(mue_model_parse(tiny.bytes, (size_t)-1, NULL, &model), MUE_E_LIMIT_EXCEEDED, "onnx_size");
  EXPECT_ERROR(mue_model_parse("", 0, NULL, &model), MUE_E_INVALID_MODEL, NULL);
  EXPECT_ERROR(mue_model_parse("this is no model at all", 23, NULL, &model), MUE_E_INVALID_MODEL, NULL);
  for (cut = 0; cut < tiny.count; cut++) {
    error = mue_model_parse(tiny.bytes, cut, NULL, &model);
    /* Cut between two fields of the outermost message, what is left can be a model that lacks something. */
    EXPECT(error != NULL && model == NULL);
    mue_error_free(error);
  }
  for (cut = 0; cut < tiny.count; cut++) {
    proto changed = tiny;
    changed.bytes[cut] ^= (uint8_t)(1 + cut % 255);
    error = mue_model_parse(changed.bytes, changed.count, NULL, &model);
    if (!error) mue_model_free(model);
    mue_error_free(error);
    model = NULL;
  }
  error = mue_model_parse(other.bytes, other.count, NULL, &model);
  EXPECT(mue_error_code(error) == MUE_E_UNSUPPORTED);
  EXPECT(mue_error_node(error) && strcmp(mue_error_node(error), "the_node") == 0);
  EXPECT(mue_error_operator(error) && strcmp(mue_error_operator(error), "NoSuchOperator") == 0);
  mue_error_free(error);

  EXPECT_ERROR(mue_model_open("/no/such/folder", 15, NULL, &model), MUE_E_NOT_FOUND, NULL);
  error = mue_model_open("/no/such/folder", 15, NULL, &model);
  EXPECT(mue_error_file(error) && strstr(mue_error_file(error), "/no/such/folder"));
  mue_error_free(error);
  {
    mue_limits limits = MUE_LIMITS_INIT;
    mue_model_options options = MUE_MODEL_OPTIONS_INIT;
    limits.model_bytes = 10;
    options.limits = &limits;
    EXPECT_ERROR(mue_model_parse(tiny.bytes, tiny.count, &options, &model), MUE_E_LIMIT_EXCEEDED, NULL);
  }
}

int main(void) {
  runs();
  bad_models();
  return expect_summary("graphs");
}
