/* Answers a question about a picture, a piece at a time; Ctrl-C ends it.
   usage: stream MODEL PICTURE [QUESTION] */
#include <mue.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static mue_cancel *cancel;

static void on_interrupt(int number) {
  (void)number;
  mue_cancel_trip(cancel);
}

static int32_t on_token(const mue_token_event *event, void *user) {
  size_t *tokens = (size_t *)user;
  fwrite(event->text, 1, event->text_length, stdout);
  fflush(stdout);
  *tokens += 1;
  return MUE_CONTINUE;
}

int main(int argc, char **argv) {
  mue_model *model = NULL;
  mue_session *session = NULL;
  mue_image *image = NULL;
  mue_result *result = NULL;
  mue_generate_options options = MUE_GENERATE_OPTIONS_INIT;
  mue_exits exits = MUE_EXITS_INIT;
  mue_item item = MUE_ITEM_INIT;
  mue_report report = MUE_REPORT_INIT;
  mue_error *error;
  size_t tokens = 0;
  int status = 0;
  if (argc < 3 || argc > 4) {
    fprintf(stderr, "usage: %s MODEL PICTURE [QUESTION]\n", argv[0]);
    return 2;
  }
  exits.mode = MUE_EXITS_CALIBRATED;
  options.exits = &exits;
  options.on_token = on_token;
  options.user = &tokens;

  error = mue_cancel_create(&cancel);
  if (!error) signal(SIGINT, on_interrupt);
  options.cancel = cancel;
  if (!error) error = mue_model_open(argv[1], strlen(argv[1]), NULL, &model);
  if (!error) error = mue_session_create(model, &session);
  if (!error) error = mue_image_from_file(argv[2], strlen(argv[2]), &image);
  item.image = image;
  if (argc == 4) {
    item.prompt = argv[3];
    item.prompt_length = strlen(argv[3]);
  }
  if (!error) error = mue_session_generate(session, &item, 1, &options, &result);
  if (!error) error = mue_result_report(result, 0, &report);
  if (error) {
    fprintf(stderr, "%s\n", mue_error_description(error));
    status = 1;
  } else {
    printf("\n%lu tokens, image %d of %d layers, text %d of %d, %.1f ms\n", (unsigned long)tokens,
           (int)report.image_exit, (int)report.image_depth, (int)report.text_exit, (int)report.text_depth,
           report.total_ms);
  }
  mue_error_free(error);
  mue_result_free(result);
  mue_image_free(image);
  mue_session_free(session);
  mue_model_free(model);
  mue_cancel_free(cancel);
  return status;
}
