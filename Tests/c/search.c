/* How answers are looked for on a real bundle: n-best, closed sets, normalisation, drawing.   usage: search BUNDLE */
#define _POSIX_C_SOURCE 200809L
#include "expect.h"
#include "picture.h"

#include <math.h>
#include <unistd.h>

static void options_are_checked(mue_session *session, const mue_item *item) {
  mue_generate_options options = MUE_GENERATE_OPTIONS_INIT;
  mue_result *result = NULL;
  mue_string answers[2] = {{" yes", 4}, {" no", 3}};
  options.beams = 65;
  EXPECT_ERROR(mue_session_generate(session, item, 1, &options, &result), MUE_E_INVALID_ARGUMENT, "options.beams");
  options.beams = 2;
  options.nbest = -1;
  EXPECT_ERROR(mue_session_generate(session, item, 1, &options, &result), MUE_E_INVALID_ARGUMENT, "options.nbest");
  options.nbest = 3;
  EXPECT_ERROR(mue_session_generate(session, item, 1, &options, &result), MUE_E_INVALID_ARGUMENT, "nbest");
  options.nbest = 0;
  options.no_repeat_ngram_size = -2;
  EXPECT_ERROR(mue_session_generate(session, item, 1, &options, &result), MUE_E_INVALID_ARGUMENT,
               "options.no_repeat_ngram_size");
  options.no_repeat_ngram_size = INT32_MAX;
  EXPECT_ERROR(mue_session_generate(session, item, 1, &options, &result), MUE_E_INVALID_ARGUMENT,
               "no_repeat_ngram_size");
  options.no_repeat_ngram_size = 0;
  options.length_penalty = -0.5;
  EXPECT_ERROR(mue_session_generate(session, item, 1, &options, &result), MUE_E_INVALID_ARGUMENT,
               "options.length_penalty");
  options.length_penalty = NAN;
  EXPECT_ERROR(mue_session_generate(session, item, 1, &options, &result), MUE_E_INVALID_ARGUMENT,
               "options.length_penalty");
  options.length_penalty = 0;
  options.min_tokens = -7;
  EXPECT_ERROR(mue_session_generate(session, item, 1, &options, &result), MUE_E_INVALID_ARGUMENT, "options.min_tokens");
  options.min_tokens = 0;
  options.reserved2 = 1;
  EXPECT_ERROR(mue_session_generate(session, item, 1, &options, &result), MUE_E_INVALID_ARGUMENT, "options");
  options.reserved2 = 0;
  options.answer_count = 2;
  EXPECT_ERROR(mue_session_generate(session, item, 1, &options, &result), MUE_E_INVALID_ARGUMENT, "options.answers");
  options.answers = answers;
  options.answer_count = 0;
  EXPECT_ERROR(mue_session_generate(session, item, 1, &options, &result), MUE_E_INVALID_ARGUMENT, "options.answers");
  options.answer_count = (size_t)-1;
  EXPECT_ERROR(mue_session_generate(session, item, 1, &options, &result), MUE_E_LIMIT_EXCEEDED, NULL);
  options.answer_count = 2;
  answers[1] = answers[0];
  EXPECT_ERROR(mue_session_generate(session, item, 1, &options, &result), MUE_E_INVALID_ARGUMENT, "answers");
  EXPECT(result == NULL);
}

static void hypotheses(mue_session *session, const mue_item *item) {
  mue_generate_options options = MUE_GENERATE_OPTIONS_INIT;
  mue_hypothesis hypothesis = MUE_HYPOTHESIS_INIT;
  struct {
    mue_hypothesis hypothesis;
    uint64_t tail[2];
  } later = {MUE_HYPOTHESIS_INIT, {7, 7}};
  mue_result *result = NULL, *again = NULL;
  double before = INFINITY;
  size_t index, count = 0;
  options.beams = 4;
  options.nbest = 3;
  options.max_tokens = 9;
  options.no_repeat_ngram_size = 2;
  if (!EXPECT_OK(mue_session_generate(session, item, 1, &options, &result))) return;
  EXPECT(mue_result_hypothesis_count(result, 0) == 3 && mue_result_hypothesis_count(result, 1) == 0);
  for (index = 0; index < 3; index++) {
    size_t at, other;
    double sum = 0;
    EXPECT_OK(mue_result_hypothesis(result, 0, index, &hypothesis));
    EXPECT(hypothesis.struct_size == sizeof hypothesis && hypothesis.is_finished == 1 && hypothesis.reserved == 0);
    EXPECT(hypothesis.token_count <= 9 && hypothesis.step_count == hypothesis.token_count + 1);
    EXPECT(hypothesis.text && hypothesis.raw_text && hypothesis.box_count == 0);
    for (at = 0; at < hypothesis.step_count; at++) {
      sum += hypothesis.token_log_probabilities[at];
      EXPECT(hypothesis.decoder_exits[at] >= 1);
    }
    EXPECT(fabs(sum - hypothesis.log_probability) < 1e-9 * (1 + fabs(sum)));
    EXPECT(fabs(hypothesis.score - sum / (double)hypothesis.step_count) < 1e-9);
    EXPECT(hypothesis.score <= before);
    before = hypothesis.score;
    for (at = 0; at + 3 < hypothesis.token_count; at++)
      for (other = at + 1; other + 1 < hypothesis.token_count; other++)
        EXPECT(hypothesis.tokens[at] != hypothesis.tokens[other] ||
               hypothesis.tokens[at + 1] != hypothesis.tokens[other + 1]);
  }
  EXPECT_OK(mue_result_hypothesis(result, 0, 0, &hypothesis));
  EXPECT(strcmp(hypothesis.text, mue_result_text(result, 0)) == 0);
  EXPECT(hypothesis.tokens == mue_result_tokens(result, 0, &count) && count == hypothesis.token_count);
  EXPECT(hypothesis.log_probability == mue_result_log_probability(result, 0));
  EXPECT_ERROR(mue_result_hypothesis(result, 0, 3, &hypothesis), MUE_E_INVALID_ARGUMENT, "index");
  EXPECT_ERROR(mue_result_hypothesis(result, 1, 0, &hypothesis), MUE_E_INVALID_ARGUMENT, "item");
  EXPECT_ERROR(mue_result_hypothesis(result, 0, 0, NULL), MUE_E_INVALID_ARGUMENT, "hypothesis");
  hypothesis.struct_size = 16;
  EXPECT_ERROR(mue_result_hypothesis(result, 0, 0, &hypothesis), MUE_E_INVALID_ARGUMENT, "hypothesis");
  later.hypothesis.struct_size = sizeof later;
  EXPECT_OK(mue_result_hypothesis(result, 0, 1, &later.hypothesis));
  EXPECT(later.hypothesis.struct_size == sizeof later && later.tail[0] == 0 && later.tail[1] == 0);
  EXPECT(mue_result_boxes(result, 0, &count) != NULL && count == 0);
  EXPECT(mue_result_boxes(result, 1, &count) == NULL && count == 0);

  /* Nothing normalised: the score is the log-probability. What is off is off. */
  options.length_penalty = MUE_OFF;
  options.no_repeat_ngram_size = MUE_OFF;
  options.min_tokens = MUE_OFF;
  options.nbest = 4;
  if (EXPECT_OK(mue_session_generate(session, item, 1, &options, &again))) {
    hypothesis.struct_size = sizeof hypothesis;
    for (index = 0; index < 4; index++) {
      EXPECT_OK(mue_result_hypothesis(again, 0, index, &hypothesis));
      EXPECT(fabs(hypothesis.score - hypothesis.log_probability) < 1e-12);
    }
    mue_result_free(again);
    again = NULL;
  }

  /* The struct as it first was: what lies behind it is not read. */
  memset(&options.nbest, 0xFF, sizeof options - offsetof(mue_generate_options, nbest));
  options.struct_size = offsetof(mue_generate_options, nbest);
  if (EXPECT_OK(mue_session_generate(session, item, 1, &options, &again))) {
    EXPECT(mue_result_hypothesis_count(again, 0) == 1);
    mue_result_free(again);
  }
  options.struct_size -= 8;
  EXPECT_ERROR(mue_session_generate(session, item, 1, &options, &again), MUE_E_INVALID_ARGUMENT, "options");
  mue_result_free(result);
}

static void closed_sets(mue_session *session, const mue_item *item) {
  mue_string answers[4] = {{" two", 4}, {" a red wall", 11}, {" a red cat", 10}, {" a", 2}};
  mue_generate_options options = MUE_GENERATE_OPTIONS_INIT;
  mue_request_options scoring = MUE_REQUEST_OPTIONS_INIT;
  mue_hypothesis hypothesis = MUE_HYPOTHESIS_INIT;
  mue_result *result = NULL;
  double both[3][4];
  size_t index, at, count = 0;
  int32_t mode;
  options.beams = 4;
  options.nbest = 4;
  options.length_penalty = MUE_OFF;
  options.answers = answers;
  options.answer_count = 4;
  for (mode = MUE_NORMALIZE_DEFAULT; mode <= MUE_NORMALIZE_ANSWERS; mode++) {
    scoring.normalization = mode;
    memset(both[mode], 0, sizeof both[mode]);
    if (!EXPECT_OK(mue_session_score(session, item, 1, answers, 4, &scoring, &result))) continue;
    const double *logs = mue_result_answer_log_probabilities(result, 0, &count);
    double total = 0;
    for (at = 0; at < count; at++) {
      both[mode][at] = logs[at];
      total += exp(logs[at]);
    }
    EXPECT(count == 4 && fabs(total - 1) < 1e-6);
    /* <s>, " a", " a red" or what it is cut into, ...: more rows than one pass, fewer than answers times tokens. */
    mue_result_decoder_exits(result, 0, &count);
    EXPECT(count > 4);
    mue_result_free(result);
    result = NULL;
  }
  EXPECT(both[MUE_NORMALIZE_DEFAULT][1] == both[MUE_NORMALIZE_VOCABULARY][1]);
  scoring.normalization = 3;
  EXPECT_ERROR(mue_session_score(session, item, 1, answers, 4, &scoring, &result), MUE_E_INVALID_ARGUMENT,
               "options.normalization");
  if (!EXPECT_OK(mue_session_generate(session, item, 1, &options, &result))) return;
  EXPECT(mue_result_hypothesis_count(result, 0) == 4);
  for (index = 0; index < mue_result_hypothesis_count(result, 0); index++) {
    int known = 0;
    EXPECT_OK(mue_result_hypothesis(result, 0, index, &hypothesis));
    for (at = 0; at < 4; at++)
      if (strstr(answers[at].data, hypothesis.text) && strlen(hypothesis.text) + 1 >= answers[at].length) {
        known = 1;
        /* As many beams as answers: every one is found, with the probability that scoring gives it. */
        EXPECT(fabs(hypothesis.score - both[MUE_NORMALIZE_ANSWERS][at]) < 1e-3);
      }
    EXPECT(known);
  }
  mue_result_free(result);
}

static void drawing(mue_session *session) {
  char path[64];
  mue_image *image = picture(21, 31, 23), *drawn = NULL, *plain = NULL;
  mue_box boxes[2] = {{3, 4, 20.5, 15}, {-1e9, 1e9, 5, 1e300}};
  mue_tensor tensor = MUE_TENSOR_INIT;
  mue_item item = MUE_ITEM_INIT;
  mue_result *result = NULL;
  int64_t shape[4] = {1, 3, 1, 1};
  float values[3] = {0, 0, 0};
  snprintf(path, sizeof path, "/tmp/mue-draw-%ld.png", (long)getpid());
  EXPECT_ERROR(mue_image_write_png(NULL, boxes, 2, path, strlen(path)), MUE_E_INVALID_ARGUMENT, "image");
  EXPECT_ERROR(mue_image_write_png(image, NULL, 2, path, strlen(path)), MUE_E_INVALID_ARGUMENT, "boxes");
  EXPECT_ERROR(mue_image_write_png(image, boxes, (size_t)-1, path, strlen(path)), MUE_E_LIMIT_EXCEEDED, "box_count");
  EXPECT_ERROR(mue_image_write_png(image, boxes, 2, NULL, 3), MUE_E_INVALID_ARGUMENT, "path");
  EXPECT_ERROR(mue_image_write_png(image, boxes, 2, "/no/such/folder/x.png", 21), MUE_E_IO, NULL);
  boxes[1].x0 = NAN;
  EXPECT_ERROR(mue_image_write_png(image, boxes, 2, path, strlen(path)), MUE_E_INVALID_ARGUMENT, "boxes");
  boxes[1].x0 = -1e9;
  EXPECT(access(path, F_OK) != 0);
  EXPECT_OK(mue_image_write_png(image, NULL, 0, path, strlen(path)));
  EXPECT_OK(mue_image_write_png(image, boxes, 2, path, strlen(path)));
  EXPECT_OK(mue_image_from_file(path, strlen(path), &drawn));
  item.image = drawn;
  if (EXPECT_OK(mue_session_generate(session, &item, 1, NULL, &result))) mue_result_free(result);
  tensor.data = values;
  tensor.dtype = MUE_FLOAT32;
  tensor.rank = 4;
  tensor.shape = shape;
  EXPECT_OK(mue_image_from_tensor(&tensor, &plain));
  EXPECT_ERROR(mue_image_write_png(plain, NULL, 0, path, strlen(path)), MUE_E_INVALID_ARGUMENT, "image");
  unlink(path);
  mue_image_free(image);
  mue_image_free(drawn);
  mue_image_free(plain);
}

int main(int argc, char **argv) {
  mue_model *model = NULL;
  mue_session *session = NULL;
  mue_item item = MUE_ITEM_INIT;
  mue_image *image = picture(2, 64, 48);
  if (argc != 2) return 2;
  if (!EXPECT_OK(mue_model_open(argv[1], strlen(argv[1]), NULL, &model))) return expect_summary("search");
  EXPECT_OK(mue_session_create(model, &session));
  item.image = image;
  options_are_checked(session, &item);
  hypotheses(session, &item);
  closed_sets(session, &item);
  drawing(session);
  mue_image_free(image);
  mue_session_free(session);
  mue_model_free(model);
  return expect_summary("search");
}
