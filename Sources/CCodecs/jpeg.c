// JPEG through libjpeg(-turbo). Errors longjmp inside this file only; warnings (corrupt data that can be decoded
// around) are tolerated as Pillow does, missing data is an error.
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

#include "mue_codecs.h"

typedef struct {
  struct jpeg_error_mgr manager;  // first, so that the library's pointer is ours
  jmp_buf escape;
  int status;
  mue_codec_image *image;
} error_state;

static void fail(error_state *state, int status, const char *message) {
  state->status = status;
  snprintf(state->image->message, sizeof state->image->message, "%s", message);
  longjmp(state->escape, 1);
}

static void on_error(j_common_ptr info) {
  error_state *state = (error_state *)info->err;
  char message[JMSG_LENGTH_MAX];
  info->err->format_message(info, message);
  int code = info->err->msg_code;
  int status = MUE_CODEC_INVALID;
  if (code == JERR_OUT_OF_MEMORY) {
    status = MUE_CODEC_MEMORY;
  } else if (code == JERR_BAD_PRECISION || code == JERR_SOF_UNSUPPORTED || code == JERR_CONVERSION_NOTIMPL) {
    status = MUE_CODEC_UNSUPPORTED;
  }
  fail(state, status, message);
}

static void on_message(j_common_ptr info) { (void)info; }

static void do_nothing(j_decompress_ptr info) { (void)info; }

static boolean on_end_of_data(j_decompress_ptr info) {
  fail((error_state *)info->err, MUE_CODEC_INVALID, "the JPEG file is truncated");
  return FALSE;
}

static void skip_data(j_decompress_ptr info, long count) {
  if (count <= 0) return;
  if ((unsigned long)count > info->src->bytes_in_buffer) on_end_of_data(info);
  info->src->next_input_byte += count;
  info->src->bytes_in_buffer -= (size_t)count;
}

typedef struct {
  struct jpeg_progress_mgr manager;
  int scans;
} progress_state;

// A small file with thousands of progressive scans costs a full pass over the image for each.
static void on_progress(j_common_ptr info) {
  if (!info->is_decompressor) return;
  j_decompress_ptr decompress = (j_decompress_ptr)info;
  progress_state *state = (progress_state *)info->progress;
  if (decompress->input_scan_number > state->scans) {
    fail((error_state *)info->err, MUE_CODEC_LIMIT, "the JPEG file has too many scans");
  }
}

static void keep_exif(j_decompress_ptr info, mue_codec_image *image) {
  for (jpeg_saved_marker_ptr marker = info->marker_list; marker; marker = marker->next) {
    if (marker->marker != JPEG_APP0 + 1 || marker->data_length < 6) continue;
    if (memcmp(marker->data, "Exif\0\0", 6) != 0) continue;
    size_t size = marker->data_length - 6;
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy) fail((error_state *)info->err, MUE_CODEC_MEMORY, "cannot allocate memory for EXIF data");
    memcpy(copy, marker->data + 6, size);
    image->exif = copy;
    image->exif_size = size;
    return;
  }
}

// Inverted CMYK, as Adobe writes it and Pillow assumes it, to RGB with Pillow's rounding.
static void rgb_from_inverted_cmyk(uint8_t *target, const uint8_t *source, size_t count) {
  for (size_t i = 0; i < count; i++) {
    int black = source[4 * i + 3];
    for (int channel = 0; channel < 3; channel++) {
      int product = (255 - source[4 * i + channel]) * black + 128;
      int value = black - (((product >> 8) + product) >> 8);
      target[3 * i + channel] = (uint8_t)(value < 0 ? 0 : value);
    }
  }
}

int mue_decode_jpeg(const uint8_t *bytes, size_t size, const mue_codec_limits *limits, mue_codec_image *image) {
  memset(image, 0, sizeof *image);
  struct jpeg_decompress_struct info;
  memset(&info, 0, sizeof info);
  error_state errors = {.status = MUE_CODEC_OK, .image = image};
  info.err = jpeg_std_error(&errors.manager);
  errors.manager.error_exit = on_error;
  errors.manager.output_message = on_message;
  struct jpeg_source_mgr source = {
      .next_input_byte = bytes,
      .bytes_in_buffer = size,
      .init_source = do_nothing,
      .fill_input_buffer = on_end_of_data,
      .skip_input_data = skip_data,
      .resync_to_restart = jpeg_resync_to_restart,
      .term_source = do_nothing,
  };
  progress_state progress = {.manager = {.progress_monitor = on_progress}, .scans = limits->scans};

  if (setjmp(errors.escape)) {
    // Everything that was allocated hangs on info and image, which lie in memory and not in registers.
    jpeg_destroy_decompress(&info);
    mue_codec_free(image->pixels);
    mue_codec_free(image->exif);
    image->pixels = NULL;
    image->exif = NULL;
    return errors.status;
  }
  jpeg_create_decompress(&info);
  info.src = &source;
  info.progress = &progress.manager;
  jpeg_save_markers(&info, JPEG_APP0 + 1, 0xFFFF);
  jpeg_read_header(&info, TRUE);
  if (info.num_components != 1 && info.num_components != 3 && info.num_components != 4) {
    fail(&errors, MUE_CODEC_UNSUPPORTED, "a JPEG file with neither 1, 3 nor 4 components is not supported");
  }
  if (info.image_width > limits->side || info.image_height > limits->side ||
      (uint64_t)info.image_width * info.image_height > limits->pixels) {
    fail(&errors, MUE_CODEC_LIMIT, "the image is larger than allowed");
  }
  image->width = info.image_width;
  image->height = info.image_height;
  keep_exif(&info, image);
  info.out_color_space = info.num_components == 4 ? JCS_CMYK : JCS_RGB;
  jpeg_start_decompress(&info);

  size_t row_bytes = (size_t)image->width * 3;
  image->pixels = mue_codec_allocate(row_bytes * image->height);
  if (!image->pixels) fail(&errors, MUE_CODEC_MEMORY, "cannot allocate memory for the image");
  JSAMPARRAY cmyk = NULL;
  if (info.out_color_space == JCS_CMYK) {
    cmyk = info.mem->alloc_sarray((j_common_ptr)&info, JPOOL_IMAGE, image->width * 4, 1);
  }
  while (info.output_scanline < info.output_height) {
    uint8_t *row = image->pixels + row_bytes * info.output_scanline;
    JSAMPROW rows[1] = {cmyk ? cmyk[0] : row};
    if (jpeg_read_scanlines(&info, rows, 1) != 1) continue;
    if (cmyk) rgb_from_inverted_cmyk(row, cmyk[0], image->width);
  }
  jpeg_finish_decompress(&info);
  jpeg_destroy_decompress(&info);
  return MUE_CODEC_OK;
}
