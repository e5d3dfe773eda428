/* Traces of a session's requests.   usage: traces BUNDLE */
#include "expect.h"
#include "picture.h"

/* Of a session in use, twice, of none; text that a request leaves and that outlives its session. */
static void tracing(const mue_model *model) {
  mue_session *session = NULL;
  mue_result *result = NULL;
  mue_item item = MUE_ITEM_INIT;
  mue_generate_options options = MUE_GENERATE_OPTIONS_INIT;
  mue_image *image = picture(3, 61, 47);
  char *json = NULL;
  item.image = image;
  options.max_tokens = 2;
  EXPECT_OK(mue_session_create(model, &session));
  EXPECT_ERROR(mue_session_trace_begin(NULL, MUE_TRACE_OPERATORS), MUE_E_INVALID_ARGUMENT, "session");
  EXPECT_ERROR(mue_session_trace_begin(session, 2), MUE_E_INVALID_ARGUMENT, "detail");
  EXPECT_ERROR(mue_session_trace_end(session, &json), MUE_E_INVALID_ARGUMENT, NULL);
  EXPECT_OK(mue_session_trace_begin(session, MUE_TRACE_PHASES));
  EXPECT_ERROR(mue_session_trace_begin(session, MUE_TRACE_OPERATORS), MUE_E_INVALID_ARGUMENT, NULL);
  EXPECT_ERROR(mue_session_trace_end(session, NULL), MUE_E_INVALID_ARGUMENT, "json");
  EXPECT_OK(mue_session_generate(session, &item, 1, &options, &result));
  EXPECT_ERROR(mue_session_generate(session, &item, 0, &options, &result), MUE_E_INVALID_ARGUMENT, "item_count");
  EXPECT_OK(mue_session_trace_end(session, &json));
  EXPECT_ERROR(mue_session_trace_end(session, &json), MUE_E_INVALID_ARGUMENT, NULL);
  mue_session_free(session);
  EXPECT(strstr(json, "\"traceEvents\"") != NULL && strstr(json, "\"decoder step 0\"") != NULL);
  EXPECT(strstr(json, "\"gflops\"") == NULL);
  mue_string_free(json);
  mue_result_free(result);
  mue_image_free(image);
}

int main(int argc, char **argv) {
  mue_model *model = NULL;
  if (argc != 2) return 2;
  if (EXPECT_OK(mue_model_open(argv[1], strlen(argv[1]), NULL, &model))) {
    tracing(model);
    mue_model_free(model);
  }
  return expect_summary("traces");
}
