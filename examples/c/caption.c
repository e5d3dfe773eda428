/* Captions a picture at full depth and with exits, and says what the exits left out.
   usage: caption MODEL PICTURE [IMAGE TEXT DECODER]      three thresholds; the calibrated ones without them */
#include <mue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mue_error *caption(mue_session *session, const mue_image *image, const mue_exits *exits, const char *name) {
  mue_generate_options options = MUE_GENERATE_OPTIONS_INIT;
  mue_item item = MUE_ITEM_INIT;
  mue_report report = MUE_REPORT_INIT;
  mue_result *result = NULL;
  mue_error *error;
  int run;

  options.exits = exits;
  item.image = image;
  /* Once more than needed: the first request of its kind also makes the plans. */
  for (run = 0; run < 2; run++) {
    mue_result_free(result);
    result = NULL;
    error = mue_session_generate(session, &item, 1, &options, &result);
    if (error) return error;
  }
  error = mue_result_report(result, 0, &report);
  if (!error) {
    const int32_t *layers;
    size_t count, token;
    double sum = 0;
    layers = mue_result_decoder_exits(result, 0, &count);
    for (token = 0; token < count; token++) sum += layers[token];
    printf("%s  image %d/%d  text %d/%d  decoder %.1f/%d  %.0f %% of the multiply-adds  %.1f ms %s\n", name,
           (int)report.image_exit, (int)report.image_depth, (int)report.text_exit, (int)report.text_depth,
           count ? sum / (double)count : 0.0, (int)report.decoder_depth,
           100.0 * (double)report.macs_run / (double)report.macs_full, report.total_ms, mue_result_text(result, 0));
  }
  mue_result_free(result);
  return error;
}

int main(int argc, char **argv) {
  mue_model *model = NULL;
  mue_session *session = NULL;
  mue_image *image = NULL;
  mue_exits exits = MUE_EXITS_INIT;
  mue_error *error;
  int status = 0;

  if (argc != 3 && argc != 6) {
    fprintf(stderr, "usage: %s MODEL PICTURE [IMAGE TEXT DECODER]\n", argv[0]);
    return 2;
  }
  exits.mode = MUE_EXITS_CALIBRATED;
  if (argc == 6) {
    exits.mode = MUE_EXITS_THRESHOLDS;
    exits.image = strtod(argv[3], NULL);
    exits.text = strtod(argv[4], NULL);
    exits.decoder = strtod(argv[5], NULL);
  }
  error = mue_model_open(argv[1], strlen(argv[1]), NULL, &model);
  if (!error) error = mue_session_create(model, &session);
  if (!error) error = mue_image_from_file(argv[2], strlen(argv[2]), &image);
  if (!error) error = caption(session, image, NULL, "full depth");
  if (!error) error = caption(session, image, &exits, "with exits");
  if (error) {
    fprintf(stderr, "%s\n", mue_error_description(error));
    status = 1;
  }
  mue_error_free(error);
  mue_image_free(image);
  mue_session_free(session);
  mue_model_free(model);
  return status;
}
