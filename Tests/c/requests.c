/* Requests on a real bundle: generate, score, stream, cancel, exits, reports.   usage: requests BUNDLE */
#define _POSIX_C_SOURCE 200809L
#include "expect.h"
#include "picture.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

typedef struct {
  mue_session *session;
  const mue_item *item;
  pthread_t thread;
  char text[4096];
  int64_t tokens[1024];
  int32_t exits[1024];
  size_t count;
  size_t answer_at; /* the call after which to return `answer` */
  int32_t answer;
} stream;

static int32_t on_token(const mue_token_event *event, void *user) {
  stream *s = (stream *)user;
  mue_result *result = NULL;
  EXPECT(event->struct_size >= sizeof(mue_token_event) && event->item == 0 && event->reserved == 0);
  EXPECT(strlen(event->text) == event->text_length);
  EXPECT(pthread_equal(s->thread, pthread_self()));
  if (s->count == 0) {
    EXPECT_ERROR(mue_session_generate(s->session, s->item, 1, NULL, &result), MUE_E_BUSY, "session");
    EXPECT(result == NULL);
  }
  if (s->count < 1024 && strlen(s->text) + event->text_length < sizeof s->text) {
    strcat(s->text, event->text);
    s->tokens[s->count] = event->token;
    s->exits[s->count] = event->exit_layer;
  }
  s->count++;
  return s->count >= s->answer_at ? s->answer : MUE_CONTINUE;
}

static void generation(const mue_model *model) {
  mue_session *session = NULL;
  mue_result *result = NULL, *again = NULL;
  mue_generate_options options = MUE_GENERATE_OPTIONS_INIT;
  mue_item item = MUE_ITEM_INIT;
  mue_report report = MUE_REPORT_INIT;
  mue_image *image = picture(1, 61, 47);
  stream s;
  size_t count = 0, exits = 0, i;
  const int64_t *tokens;
  const int32_t *layers;
  const double *logs;
  double sum = 0;
  char *json = NULL;
  item.image = image;
  options.max_tokens = 12;
  EXPECT_OK(mue_session_create(model, &session));
  EXPECT_ERROR(mue_session_generate(session, &item, 0, &options, &result), MUE_E_INVALID_ARGUMENT, "item_count");
  EXPECT_ERROR(mue_session_generate(session, NULL, 1, &options, &result), MUE_E_INVALID_ARGUMENT, "items");
  if (!EXPECT_OK(mue_session_generate(session, &item, 1, &options, &result))) exit(expect_summary("requests"));

  EXPECT(mue_result_count(result) == 1 && mue_result_text(result, 0) != NULL && mue_result_text(result, 1) == NULL);
  tokens = mue_result_tokens(result, 0, &count);
  EXPECT(tokens != NULL && count <= 12);
  logs = mue_result_token_log_probabilities(result, 0, &i);
  EXPECT(logs != NULL && i == count + (size_t)(mue_result_is_finished(result, 0) == 1));
  for (; i > 0; i--) {
    EXPECT(logs[i - 1] <= 1e-9);
    sum += logs[i - 1];
  }
  EXPECT(fabs(sum - mue_result_log_probability(result, 0)) < 1e-6 * (1 + fabs(sum)));
  EXPECT(mue_result_answer_count(result, 0) == 0 && mue_result_best_answer(result, 0) == -1);
  EXPECT(mue_result_similarities(result, 0, MUE_STREAM_IMAGE, 0, NULL) == NULL);
  EXPECT_OK(mue_result_report(result, 0, &report));
  EXPECT_ERROR(mue_result_report(result, 1, &report), MUE_E_INVALID_ARGUMENT, "item");
  EXPECT(report.image_exit == report.image_depth && report.text_exit == report.text_depth && report.image_depth > 0);
  EXPECT(report.macs_run == report.macs_full && report.macs_run > 0 && report.etr == 0);
  EXPECT(report.total_ms > 0 && report.threads >= 1 && strlen(report.precision) > 0 && strlen(report.cpu) > 0);
  layers = mue_result_decoder_exits(result, 0, &exits);
  EXPECT(exits == count + (size_t)(mue_result_is_finished(result, 0) == 1));
  for (i = 0; i < exits; i++) EXPECT(layers[i] == report.decoder_depth);
  EXPECT_OK(mue_result_json(result, &json));
  EXPECT(json && json[0] == '{' && strstr(json, "\"time_ms\"") && strstr(json, "\"macs\"") && strstr(json, "\"text\""));
  mue_string_free(json);

  /* Streaming gives the same tokens, in order, and the texts join to the whole. */
  memset(&s, 0, sizeof s);
  s.session = session;
  s.item = &item;
  s.thread = pthread_self();
  s.answer_at = 10000;
  options.on_token = on_token;
  options.user = &s;
  if (EXPECT_OK(mue_session_generate(session, &item, 1, &options, &again))) {
    EXPECT(strcmp(mue_result_text(again, 0), mue_result_text(result, 0)) == 0);
    EXPECT(s.count >= count);
    for (i = 0; i < count; i++) EXPECT(s.tokens[i] == tokens[i] && s.exits[i] == report.decoder_depth);
    EXPECT(strstr(s.text, mue_result_text(result, 0)) != NULL || strlen(s.text) == 0 || count == 0);
    mue_result_free(again);
  }
  /* STOP keeps, CANCEL drops, anything else counts as CANCEL. */
  if (count >= 2) {
    again = NULL;
    s.count = 0;
    s.text[0] = 0;
    s.answer_at = 1;
    s.answer = MUE_STOP;
    if (EXPECT_OK(mue_session_generate(session, &item, 1, &options, &again))) {
      size_t kept = 0;
      const int64_t *first = mue_result_tokens(again, 0, &kept);
      EXPECT(s.count == 1 && kept == 1 && first[0] == tokens[0]);
      mue_result_free(again);
    }
    for (i = 0; i < 2; i++) {
      again = NULL;
      s.count = 0;
      s.text[0] = 0;
      s.answer_at = 2;
      s.answer = i == 0 ? MUE_CANCEL : 99;
      EXPECT_ERROR(mue_session_generate(session, &item, 1, &options, &again), MUE_E_CANCELLED, NULL);
      EXPECT(s.count == 2 && again == NULL);
    }
  }
  options.beams = 3;
  EXPECT_ERROR(mue_session_generate(session, &item, 1, &options, &again), MUE_E_INVALID_ARGUMENT, "options.on_token");
  options.on_token = NULL;
  again = NULL;
  if (EXPECT_OK(mue_session_generate(session, &item, 1, &options, &again))) {
    EXPECT(mue_result_text(again, 0) != NULL);
    mue_result_free(again);
  }
  options.beams = -1;
  EXPECT_ERROR(mue_session_generate(session, &item, 1, &options, &again), MUE_E_INVALID_ARGUMENT, "options.beams");
  options.beams = 1;
  options.max_tokens = -1;
  EXPECT_ERROR(mue_session_generate(session, &item, 1, &options, &again), MUE_E_INVALID_ARGUMENT, "options.max_tokens");
  mue_result_free(result);
  mue_image_free(image);
  mue_session_free(session);
}

static void exits(const mue_model *model) {
  mue_session *session = NULL;
  mue_result *result = NULL;
  mue_exits exits = MUE_EXITS_INIT;
  mue_generate_options options = MUE_GENERATE_OPTIONS_INIT;
  mue_item items[3] = {MUE_ITEM_INIT, MUE_ITEM_INIT, MUE_ITEM_INIT};
  mue_report report = MUE_REPORT_INIT;
  double wrong[3];
  size_t i, count = 0;
  wrong[0] = NAN;
  wrong[1] = INFINITY;
  wrong[2] = -INFINITY;
  for (i = 0; i < 3; i++) items[i].image = picture((uint32_t)i + 5, 33 + 7 * i, 80 - 11 * i);
  items[1].prompt = " what?";
  items[1].prompt_length = 6;
  options.exits = &exits;
  options.similarities = 1;
  options.max_tokens = 6;
  EXPECT_OK(mue_session_create(model, &session));
  exits.mode = MUE_EXITS_THRESHOLDS;
  for (i = 0; i < 3; i++) {
    exits.image = wrong[i];
    exits.text = exits.decoder = 0.5;
    EXPECT_ERROR(mue_session_generate(session, items, 3, &options, &result), MUE_E_INVALID_ARGUMENT, NULL);
    exits.image = 0.5;
    exits.decoder = wrong[i];
    EXPECT_ERROR(mue_session_generate(session, items, 3, &options, &result), MUE_E_INVALID_ARGUMENT, NULL);
  }
  /* Below every similarity: each stream stops after its first layer. */
  exits.image = exits.text = exits.decoder = -1.5;
  if (EXPECT_OK(mue_session_generate(session, items, 3, &options, &result))) {
    char *json = NULL;
    EXPECT(mue_result_count(result) == 3);
    for (i = 0; i < 3; i++) {
      size_t tokens = 0, at;
      const int32_t *layers = mue_result_decoder_exits(result, i, &tokens);
      EXPECT_OK(mue_result_report(result, i, &report));
      EXPECT(report.image_exit == 1 && report.text_exit == 1 && report.etr > 0 && report.macs_run < report.macs_full);
      for (at = 0; at < tokens; at++) EXPECT(layers[at] == 1);
      EXPECT(mue_result_similarities(result, i, MUE_STREAM_IMAGE, 0, &count) != NULL && count == 1);
      EXPECT(mue_result_similarities(result, i, MUE_STREAM_TEXT, 0, &count) != NULL && count == 1);
      EXPECT(mue_result_similarities(result, i, MUE_STREAM_DECODER, 0, &count) != NULL && count == 1);
      EXPECT(mue_result_similarities(result, i, MUE_STREAM_DECODER, 100, &count) == NULL && count == 0);
    }
    EXPECT_OK(mue_result_json(result, &json));
    EXPECT(json && json[0] == '[' && strstr(json, "\"similarities\""));
    mue_string_free(json);
    mue_result_free(result);
    result = NULL;
  }
  exits.mode = 3;
  EXPECT_ERROR(mue_session_generate(session, items, 3, &options, &result), MUE_E_INVALID_ARGUMENT, "options.exits.mode");
  exits.mode = MUE_EXITS_THRESHOLDS;
  exits.rule = 2;
  EXPECT_ERROR(mue_session_generate(session, items, 3, &options, &result), MUE_E_INVALID_ARGUMENT, "options.exits.rule");
  exits.rule = MUE_RULE_JOINT;
  exits.schedule = -1;
  EXPECT_ERROR(mue_session_generate(session, items, 3, &options, &result), MUE_E_INVALID_ARGUMENT,
               "options.exits.schedule");
  exits.schedule = MUE_SCHEDULE_PAPER;
  exits.beta = 1.5;
  EXPECT_ERROR(mue_session_generate(session, items, 3, &options, &result), MUE_E_INVALID_ARGUMENT, "options.exits.beta");
  exits.beta = 0;
  exits.tau = NAN;
  EXPECT_ERROR(mue_session_generate(session, items, 3, &options, &result), MUE_E_INVALID_ARGUMENT, "options.exits.tau");
  exits.tau = 0;
  for (i = 0; i < 3; i++) {
    exits.schedule = (int32_t)i;
    exits.image = exits.text = exits.decoder = 0.9;
    if (EXPECT_OK(mue_session_generate(session, items, 3, &options, &result))) mue_result_free(result);
    result = NULL;
  }
  options.similarities = 2;
  EXPECT_ERROR(mue_session_generate(session, items, 3, &options, &result), MUE_E_INVALID_ARGUMENT,
               "options.similarities");
  for (i = 0; i < 3; i++) mue_image_free((mue_image *)items[i].image);
  mue_session_free(session);
}

static void scoring(const mue_model *model) {
  mue_session *session = NULL;
  mue_result *result = NULL;
  mue_string answers[3] = {{" yes", 4}, {" no", 3}, {" maybe", 6}};
  mue_item item = MUE_ITEM_INIT;
  mue_image *image = picture(9, 50, 50);
  size_t count = 0, i;
  double total = 0;
  item.image = image;
  EXPECT_OK(mue_session_create(model, &session));
  EXPECT_ERROR(mue_session_score(session, &item, 1, NULL, 0, NULL, &result), MUE_E_INVALID_ARGUMENT, "answers");
  EXPECT_ERROR(mue_session_score(session, &item, 1, NULL, 2, NULL, &result), MUE_E_INVALID_ARGUMENT, "answers");
  if (EXPECT_OK(mue_session_score(session, &item, 1, answers, 3, NULL, &result))) {
    const double *logs = mue_result_answer_log_probabilities(result, 0, &count);
    int64_t best = mue_result_best_answer(result, 0);
    EXPECT(count == 3 && mue_result_answer_count(result, 0) == 3);
    for (i = 0; i < count; i++) {
      total += exp(logs[i]);
      EXPECT(strcmp(mue_result_answer(result, 0, i), answers[i].data) == 0);
      EXPECT(best >= 0 && best < 3 && logs[i] <= logs[best]);
    }
    EXPECT(fabs(total - 1) < 1e-6);
    EXPECT(mue_result_answer(result, 0, 3) == NULL && mue_result_text(result, 0) == NULL);
    EXPECT(mue_result_is_finished(result, 0) == -1 && isnan(mue_result_log_probability(result, 0)));
    mue_result_free(result);
  }
  mue_image_free(image);
  mue_session_free(session);
}

static mue_cancel *alarm_cancel;
static void on_alarm(int number) {
  (void)number;
  mue_cancel_trip(alarm_cancel);
}

static void cancelling(const mue_model *model) {
  mue_session *session = NULL;
  mue_result *result = NULL;
  mue_generate_options options = MUE_GENERATE_OPTIONS_INIT;
  mue_item item = MUE_ITEM_INIT;
  mue_image *image = picture(11, 40, 40);
  mue_cancel *cancel = NULL;
  struct sigaction action;
  item.image = image;
  options.max_tokens = 4;
  EXPECT_OK(mue_session_create(model, &session));
  EXPECT_OK(mue_cancel_create(&cancel));
  options.cancel = cancel;
  if (EXPECT_OK(mue_session_generate(session, &item, 1, &options, &result))) mue_result_free(result);
  result = NULL;
  /* From a signal handler. */
  alarm_cancel = cancel;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_alarm;
  sigaction(SIGUSR1, &action, NULL);
  raise(SIGUSR1);
  EXPECT(mue_cancel_is_tripped(cancel) == 1);
  EXPECT_ERROR(mue_session_generate(session, &item, 1, &options, &result), MUE_E_CANCELLED, NULL);
  EXPECT_ERROR(mue_session_generate(session, &item, 1, &options, &result), MUE_E_CANCELLED, NULL);
  EXPECT(result == NULL);
  options.cancel = (const mue_cancel *)wild();
  EXPECT_ERROR(mue_session_generate(session, &item, 1, &options, &result), MUE_E_INVALID_ARGUMENT, "options.cancel");
  /* The session goes on. */
  options.cancel = NULL;
  if (EXPECT_OK(mue_session_generate(session, &item, 1, &options, &result))) mue_result_free(result);
  mue_cancel_free(cancel);
  mue_image_free(image);
  mue_session_free(session);
}

static void bad_images(const mue_model *model) {
  mue_session *session = NULL;
  mue_result *result = NULL;
  mue_image *image = NULL;
  mue_item item = MUE_ITEM_INIT;
  char *longest = (char *)malloc(1 << 20);
  static const uint8_t png[] = {0x89, 'P', 'N', 'G', 13, 10, 26, 10, 0, 0, 0, 13, 'I', 'H', 'D', 'R', 0xFF, 0xFF, 0xFF, 0xFF};
  EXPECT_OK(mue_session_create(model, &session));
  EXPECT_ERROR(mue_session_generate(session, &item, 1, NULL, &result), MUE_E_INVALID_ARGUMENT, "items[0].image");
  EXPECT_OK(mue_image_from_file("/no/such.png", 12, &image));
  item.image = image;
  EXPECT_ERROR(mue_session_generate(session, &item, 1, NULL, &result), MUE_E_NOT_FOUND, NULL);
  mue_image_free(image);
  EXPECT_OK(mue_image_from_encoded("", 0, &image));
  item.image = image;
  EXPECT_ERROR(mue_session_generate(session, &item, 1, NULL, &result), MUE_E_INVALID_IMAGE, NULL);
  mue_image_free(image);
  EXPECT_OK(mue_image_from_encoded(png, sizeof png, &image));
  item.image = image;
  EXPECT_ERROR(mue_session_generate(session, &item, 1, NULL, &result), MUE_E_INVALID_IMAGE, NULL);
  mue_image_free(image);

  /* A prompt beyond every limit, and one that is not UTF-8. */
  image = picture(3, 20, 20);
  item.image = image;
  memset(longest, 'z', 1 << 20);
  item.prompt = longest;
  item.prompt_length = 1 << 20;
  EXPECT_ERROR(mue_session_generate(session, &item, 1, NULL, &result), MUE_E_LIMIT_EXCEEDED, NULL);
  longest[0] = (char)0xFF;
  item.prompt_length = 5;
  EXPECT_ERROR(mue_session_generate(session, &item, 1, NULL, &result), MUE_E_INVALID_ARGUMENT, "items[0].prompt");
  EXPECT(result == NULL);
  free(longest);
  mue_image_free(image);
  mue_session_free(session);
}

static void *generate_on_thread(void *argument) {
  const mue_model *model = (const mue_model *)argument;
  mue_session *session = NULL;
  mue_result *result = NULL;
  mue_generate_options options = MUE_GENERATE_OPTIONS_INIT;
  mue_item item = MUE_ITEM_INIT;
  mue_image *image = picture(21, 64, 48);
  char *text = NULL;
  options.max_tokens = 8;
  item.image = image;
  EXPECT_OK(mue_session_create(model, &session));
  if (EXPECT_OK(mue_session_generate(session, &item, 1, &options, &result))) {
    text = (char *)malloc(strlen(mue_result_text(result, 0)) + 1);
    strcpy(text, mue_result_text(result, 0));
  }
  mue_result_free(result);
  mue_image_free(image);
  mue_session_free(session);
  return text;
}

/* Sessions on several threads at once say what one alone says. */
static void concurrency(const mue_model *model) {
  pthread_t ids[4];
  char *alone = (char *)generate_on_thread((void *)(size_t)model);
  size_t i;
  for (i = 0; i < 4; i++) EXPECT(pthread_create(&ids[i], NULL, generate_on_thread, (void *)(size_t)model) == 0);
  for (i = 0; i < 4; i++) {
    void *text = NULL;
    pthread_join(ids[i], &text);
    EXPECT(text && alone && strcmp((char *)text, alone) == 0);
    free(text);
  }
  free(alone);
}

static void forward(const mue_model *model) {
  mue_session *session = NULL;
  mue_result *result = NULL;
  mue_tensor pixels = MUE_TENSOR_INIT, inputs = MUE_TENSOR_INIT, decoder = MUE_TENSOR_INIT, output = MUE_TENSOR_INIT;
  int64_t ids[6] = {0, 4, 5, 6, 7, 2};
  int64_t shape[2] = {2, 3};
  int64_t wrong_ids[6] = {INT64_MAX, INT64_MIN, -1, 1 << 30, 0, 0};
  EXPECT_OK(mue_session_create(model, &session));
  inputs.dtype = decoder.dtype = MUE_INT64;
  inputs.rank = decoder.rank = 2;
  inputs.shape = decoder.shape = shape;
  inputs.data = decoder.data = ids;
  EXPECT_ERROR(mue_session_forward(session, NULL, &inputs, &decoder, NULL, &result), MUE_E_INVALID_ARGUMENT,
               "pixel_values");
  EXPECT_ERROR(mue_session_forward(session, &inputs, &inputs, &decoder, NULL, &result), MUE_E_INVALID_ARGUMENT,
               "pixel_values");
  {
    mue_tensor_info info = MUE_TENSOR_INFO_INIT;
    int64_t pixel_shape[4] = {2, 3, 128, 128};
    size_t index, axis, count;
    float *values;
    for (index = 0; index < mue_model_input_count(model); index++) {
      EXPECT_OK(mue_model_input(model, index, &info));
      if (info.rank == 4) {
        for (axis = 2; axis < 4; axis++) {
          if (info.shape[axis] > 0) pixel_shape[axis] = info.shape[axis];
        }
      }
    }
    count = (size_t)(2 * 3 * pixel_shape[2] * pixel_shape[3]);
    values = (float *)malloc(count * sizeof(float));
    for (index = 0; index < count; index++) values[index] = (float)(index * 7919 % 256) / 128.0f - 1.0f;
    pixels.dtype = MUE_FLOAT32;
    pixels.rank = 4;
    pixels.shape = pixel_shape;
    pixels.data = values;
    if (EXPECT_OK(mue_session_forward(session, &pixels, &inputs, &decoder, NULL, &result))) {
      EXPECT(mue_result_count(result) == 2 && mue_result_tensor_count(result) == 2);
      EXPECT_OK(mue_result_tensor_by_name(result, "logits", 6, &output));
      EXPECT(output.rank == 3 && output.shape[0] == 2 && output.shape[1] == 3 && output.dtype == MUE_FLOAT32);
      EXPECT_OK(mue_result_tensor_by_name(result, "encoder_hidden_states", 21, &output));
      EXPECT(output.rank == 3 && output.shape[0] == 2);
      mue_result_free(result);
      result = NULL;
    }
    inputs.data = wrong_ids;
    EXPECT_ERROR(mue_session_forward(session, &pixels, &inputs, &decoder, NULL, &result), MUE_E_INVALID_ARGUMENT, NULL);
    inputs.data = ids;
    decoder.data = wrong_ids;
    EXPECT_ERROR(mue_session_forward(session, &pixels, &inputs, &decoder, NULL, &result), MUE_E_INVALID_ARGUMENT, NULL);
    decoder.data = ids;
    pixel_shape[0] = 1;
    EXPECT_ERROR(mue_session_forward(session, &pixels, &inputs, &decoder, NULL, &result), MUE_E_INVALID_ARGUMENT, NULL);
    free(values);
  }
  EXPECT(result == NULL);
  mue_session_free(session);
}

int main(int argc, char **argv) {
  mue_model *model = NULL;
  char *json = NULL;
  if (argc != 2) return 2;
  if (!EXPECT_OK(mue_model_open(argv[1], strlen(argv[1]), NULL, &model))) return expect_summary("requests");
  EXPECT_OK(mue_model_inspect(model, &json));
  EXPECT(json && json[0] == '{');
  mue_string_free(json);
  generation(model);
  exits(model);
  scoring(model);
  forward(model);
  bad_images(model);
  cancelling(model);
  concurrency(model);
  mue_model_free(model);
  return expect_summary("requests");
}
