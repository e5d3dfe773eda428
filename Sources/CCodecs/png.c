// PNG through libpng, to RGB as Pillow's convert("RGB") has it: alpha and transparent colours are dropped, 16-bit
// values lose their low byte (for grey Pillow clips instead, which leaves a white image), small grey values are spread
// over 0 to 255.
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "mue_codecs.h"

typedef struct {
  const uint8_t *next;
  size_t left;
  int status;
  png_structp png;
  png_infop info;
  png_bytep *rows;
  mue_codec_image *image;
} png_state;

static void fail(png_state *state, int status, const char *message) {
  state->status = status;
  snprintf(state->image->message, sizeof state->image->message, "%s", message);
  png_longjmp(state->png, 1);
}

static void on_error(png_structp png, png_const_charp message) {
  png_state *state = png_get_error_ptr(png);
  char text[200];
  snprintf(text, sizeof text, "the PNG file is malformed: %s", message ? message : "unknown error");
  state->png = png;
  fail(state, MUE_CODEC_INVALID, text);
}

static void on_warning(png_structp png, png_const_charp message) {
  (void)png;
  (void)message;
}

static void on_read(png_structp png, png_bytep target, size_t count) {
  png_state *state = png_get_io_ptr(png);
  if (count > state->left) fail(state, MUE_CODEC_INVALID, "the PNG file is truncated");
  memcpy(target, state->next, count);
  state->next += count;
  state->left -= count;
}

static void release(png_state *state) {
  png_destroy_read_struct(&state->png, &state->info, NULL);
  free(state->rows);
  state->rows = NULL;
}

static void keep_exif(png_state *state) {
  png_bytep exif = NULL;
  png_uint_32 size = 0;
  if (!png_get_eXIf_1(state->png, state->info, &size, &exif) || !exif || size == 0) return;
  uint8_t *copy = malloc(size);
  if (!copy) fail(state, MUE_CODEC_MEMORY, "cannot allocate memory for EXIF data");
  memcpy(copy, exif, size);
  state->image->exif = copy;
  state->image->exif_size = size;
}

int mue_decode_png(const uint8_t *bytes, size_t size, const mue_codec_limits *limits, mue_codec_image *image) {
  memset(image, 0, sizeof *image);
  png_state state = {.next = bytes, .left = size, .image = image};
  state.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &state, on_error, on_warning);
  if (!state.png) {
    snprintf(image->message, sizeof image->message, "cannot allocate memory for the PNG decoder");
    return MUE_CODEC_MEMORY;
  }
  if (setjmp(png_jmpbuf(state.png))) {
    // Everything that was allocated hangs on state and image, which lie in memory and not in registers.
    release(&state);
    mue_codec_free(image->pixels);
    mue_codec_free(image->exif);
    image->pixels = NULL;
    image->exif = NULL;
    return state.status ? state.status : MUE_CODEC_INVALID;
  }
  state.info = png_create_info_struct(state.png);
  if (!state.info) fail(&state, MUE_CODEC_MEMORY, "cannot allocate memory for the PNG decoder");
  png_set_read_fn(state.png, &state, on_read);
  // Our own limits answer below with their own message; libpng's must not come first.
  png_set_user_limits(state.png, 0x7FFFFFFF, 0x7FFFFFFF);
  png_set_chunk_malloc_max(state.png, 8 << 20);
  png_set_chunk_cache_max(state.png, 64);
  // Chunks that do not change the pixels are not even read: profiles and texts may be compressed bombs.
  static const png_byte unused[] =
      "bKGD\0cHRM\0gAMA\0hIST\0iCCP\0iTXt\0oFFs\0pCAL\0pHYs\0sBIT\0sCAL\0sPLT\0sRGB\0sTER\0tEXt\0tIME\0zTXt\0tRNS";
  png_set_keep_unknown_chunks(state.png, PNG_HANDLE_CHUNK_NEVER, unused, (int)(sizeof unused / 5));
  png_read_info(state.png, state.info);

  png_uint_32 width = png_get_image_width(state.png, state.info);
  png_uint_32 height = png_get_image_height(state.png, state.info);
  if (width > limits->side || height > limits->side || (uint64_t)width * height > limits->pixels) {
    fail(&state, MUE_CODEC_LIMIT, "the image is larger than allowed");
  }
  image->width = width;
  image->height = height;

  int depth = png_get_bit_depth(state.png, state.info);
  int color = png_get_color_type(state.png, state.info);
  if (color == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(state.png);
  if (color == PNG_COLOR_TYPE_GRAY && depth < 8) png_set_expand_gray_1_2_4_to_8(state.png);
  if (depth == 16) png_set_strip_16(state.png);
  if (color & PNG_COLOR_MASK_ALPHA) png_set_strip_alpha(state.png);
  if (!(color & PNG_COLOR_MASK_COLOR)) png_set_gray_to_rgb(state.png);
  png_set_interlace_handling(state.png);
  png_read_update_info(state.png, state.info);
  size_t row_bytes = (size_t)width * 3;
  if (png_get_rowbytes(state.png, state.info) != row_bytes) {
    fail(&state, MUE_CODEC_UNSUPPORTED, "a PNG file of this colour type is not supported");
  }

  image->pixels = mue_codec_allocate(row_bytes * height);
  state.rows = malloc(sizeof(png_bytep) * (size_t)height);
  if (!image->pixels || !state.rows) fail(&state, MUE_CODEC_MEMORY, "cannot allocate memory for the image");
  for (png_uint_32 y = 0; y < height; y++) state.rows[y] = image->pixels + row_bytes * y;
  png_read_image(state.png, state.rows);
  png_read_end(state.png, state.info);
  keep_exif(&state);
  release(&state);
  return MUE_CODEC_OK;
}
