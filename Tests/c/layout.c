/* The frozen layout of version 1.0: size of every public struct and offset of every field, on 64-bit systems. */
#include "expect.h"

#define AT(type, field, offset) EXPECT(offsetof(type, field) == (offset))

int main(void) {
  EXPECT(sizeof(void *) == 8);

  EXPECT(sizeof(mue_string) == 16);
  AT(mue_string, length, 8);

  EXPECT(sizeof(mue_tensor) == 56);
  AT(mue_tensor, name, 8);
  AT(mue_tensor, name_length, 16);
  AT(mue_tensor, data, 24);
  AT(mue_tensor, dtype, 32);
  AT(mue_tensor, rank, 36);
  AT(mue_tensor, shape, 40);
  AT(mue_tensor, strides, 48);

  EXPECT(sizeof(mue_tensor_info) == 40);
  AT(mue_tensor_info, name, 8);
  AT(mue_tensor_info, dtype, 16);
  AT(mue_tensor_info, rank, 20);
  AT(mue_tensor_info, shape, 24);
  AT(mue_tensor_info, dimension_names, 32);

  EXPECT(sizeof(mue_limits) == 64);
  AT(mue_limits, model_bytes, 8);
  AT(mue_limits, nodes, 16);
  AT(mue_limits, tensor_elements, 24);
  AT(mue_limits, nesting, 32);
  AT(mue_limits, sequence_length, 40);
  AT(mue_limits, image_pixels, 48);
  AT(mue_limits, batch, 56);

  EXPECT(sizeof(mue_model_options) == 48);
  AT(mue_model_options, limits, 8);
  AT(mue_model_options, threads, 16);
  AT(mue_model_options, inspect_only, 20);
  AT(mue_model_options, log, 24);
  AT(mue_model_options, log_user, 32);
  AT(mue_model_options, precision, 40);
  AT(mue_model_options, packed_cache, 44);

  EXPECT(sizeof(mue_exits) == 64);
  AT(mue_exits, mode, 8);
  AT(mue_exits, rule, 12);
  AT(mue_exits, image, 16);
  AT(mue_exits, text, 24);
  AT(mue_exits, decoder, 32);
  AT(mue_exits, schedule, 40);
  AT(mue_exits, reserved, 44);
  AT(mue_exits, beta, 48);
  AT(mue_exits, tau, 56);

  EXPECT(sizeof(mue_item) == 40);
  AT(mue_item, image, 8);
  AT(mue_item, prompt, 16);
  AT(mue_item, prompt_length, 24);
  AT(mue_item, features, 32);

  EXPECT(sizeof(mue_request_options) == 32);
  AT(mue_request_options, exits, 8);
  AT(mue_request_options, cancel, 16);
  AT(mue_request_options, similarities, 24);
  AT(mue_request_options, normalization, 28);

  EXPECT(sizeof(mue_token_event) == 48);
  AT(mue_token_event, item, 8);
  AT(mue_token_event, token, 16);
  AT(mue_token_event, text, 24);
  AT(mue_token_event, text_length, 32);
  AT(mue_token_event, exit_layer, 40);
  AT(mue_token_event, reserved, 44);

  EXPECT(sizeof(mue_generate_options) == 96);
  AT(mue_generate_options, exits, 8);
  AT(mue_generate_options, cancel, 16);
  AT(mue_generate_options, similarities, 24);
  AT(mue_generate_options, beams, 28);
  AT(mue_generate_options, max_tokens, 32);
  AT(mue_generate_options, reserved, 36);
  AT(mue_generate_options, on_token, 40);
  AT(mue_generate_options, user, 48);
  AT(mue_generate_options, nbest, 56);
  AT(mue_generate_options, no_repeat_ngram_size, 60);
  AT(mue_generate_options, length_penalty, 64);
  AT(mue_generate_options, min_tokens, 72);
  AT(mue_generate_options, reserved2, 76);
  AT(mue_generate_options, answers, 80);
  AT(mue_generate_options, answer_count, 88);

  EXPECT(sizeof(mue_box) == 32);
  AT(mue_box, y0, 8);
  AT(mue_box, x1, 16);
  AT(mue_box, y1, 24);

  EXPECT(sizeof(mue_hypothesis) == 104);
  AT(mue_hypothesis, text, 8);
  AT(mue_hypothesis, raw_text, 16);
  AT(mue_hypothesis, tokens, 24);
  AT(mue_hypothesis, token_count, 32);
  AT(mue_hypothesis, token_log_probabilities, 40);
  AT(mue_hypothesis, decoder_exits, 48);
  AT(mue_hypothesis, step_count, 56);
  AT(mue_hypothesis, log_probability, 64);
  AT(mue_hypothesis, score, 72);
  AT(mue_hypothesis, boxes, 80);
  AT(mue_hypothesis, box_count, 88);
  AT(mue_hypothesis, is_finished, 96);
  AT(mue_hypothesis, reserved, 100);

  EXPECT(sizeof(mue_report) == 120);
  AT(mue_report, image_exit, 8);
  AT(mue_report, text_exit, 12);
  AT(mue_report, image_depth, 16);
  AT(mue_report, text_depth, 20);
  AT(mue_report, decoder_depth, 24);
  AT(mue_report, threads, 28);
  AT(mue_report, etr, 32);
  AT(mue_report, macs_run, 40);
  AT(mue_report, macs_full, 48);
  AT(mue_report, total_ms, 56);
  AT(mue_report, image_decode_ms, 64);
  AT(mue_report, stem_ms, 72);
  AT(mue_report, encoder_ms, 80);
  AT(mue_report, decoder_ms, 88);
  AT(mue_report, head_ms, 96);
  AT(mue_report, precision, 104);
  AT(mue_report, cpu, 112);
  return expect_summary("layout");
}
