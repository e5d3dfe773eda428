// Writing PNG files through libpng.
#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <png.h>

#include "mue_codecs.h"

static void on_error(png_structp png, png_const_charp message) {
  char *text = png_get_error_ptr(png);
  if (!text[0]) snprintf(text, MUE_CODEC_MESSAGE, "the PNG file cannot be written: %s", message ? message : "");
  png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp message) {
  (void)png;
  (void)message;
}

// Everything that changes between setjmp and longjmp lies in the FILE and in libpng's structs.
static int write_rows(
    FILE *file, png_structp png, png_infop info, const uint8_t *pixels, uint32_t width, uint32_t height) {
  if (setjmp(png_jmpbuf(png))) return MUE_CODEC_IO;
  png_init_io(png, file);
  png_set_IHDR(png, info, width, height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
               PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, info);
  for (uint32_t y = 0; y < height; y++) png_write_row(png, pixels + (size_t)y * width * 3);
  png_write_end(png, info);
  return MUE_CODEC_OK;
}

int mue_write_png(const uint8_t *pixels, uint32_t width, uint32_t height, const char *path, char *message) {
  message[0] = 0;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, message, on_error, on_warning);
  png_infop info = png ? png_create_info_struct(png) : NULL;
  if (!info) {
    png_destroy_write_struct(&png, NULL);
    snprintf(message, MUE_CODEC_MESSAGE, "cannot allocate memory for the PNG encoder");
    return MUE_CODEC_MEMORY;
  }
  FILE *file = fopen(path, "wb");
  if (!file) {
    snprintf(message, MUE_CODEC_MESSAGE, "the file cannot be written: %s", strerror(errno));
    png_destroy_write_struct(&png, &info);
    return MUE_CODEC_IO;
  }
  int status = write_rows(file, png, info, pixels, width, height);
  png_destroy_write_struct(&png, &info);
  if (fclose(file) != 0 && status == MUE_CODEC_OK) {
    snprintf(message, MUE_CODEC_MESSAGE, "the file cannot be written: %s", strerror(errno));
    status = MUE_CODEC_IO;
  }
  if (status != MUE_CODEC_OK) remove(path);
  return status;
}
