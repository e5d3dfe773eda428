// Image codecs and resampling for the Vision module; the only C that knows libjpeg and libpng.
#pragma once
#include <stddef.h>
#include <stdint.h>

// What a decoder returns; MUE_CODEC_OK or why it failed, in words in `message`.
enum {
  MUE_CODEC_OK = 0,
  MUE_CODEC_INVALID = 1,      // malformed or truncated
  MUE_CODEC_UNSUPPORTED = 2,  // well formed, but of a kind that is not supported
  MUE_CODEC_LIMIT = 3,        // larger than the limits
  MUE_CODEC_MEMORY = 4,       // allocation failed
  MUE_CODEC_IO = 5,           // a file cannot be written
};

enum { MUE_CODEC_MESSAGE = 200 };  // bytes of a message that mue_write_png fills, its NUL included

typedef struct {
  uint64_t pixels;     // most pixels of an image (width x height)
  uint32_t side;       // greatest width and height
  int32_t scans;       // most scans of a progressive JPEG
} mue_codec_limits;

typedef struct {
  uint8_t *pixels;     // height x width x 3, RGB; free with mue_codec_free
  uint32_t width;
  uint32_t height;
  uint8_t *exif;       // EXIF block (a TIFF header first) or NULL; free with mue_codec_free
  size_t exif_size;
  char message[256];
} mue_codec_image;

// Decodes a whole file in memory. On failure nothing is left to free. Thread-safe.
int mue_decode_jpeg(const uint8_t *bytes, size_t size, const mue_codec_limits *limits, mue_codec_image *image);
int mue_decode_png(const uint8_t *bytes, size_t size, const mue_codec_limits *limits, mue_codec_image *image);

// Memory for `size` bytes and 64 more that may be read, 64-byte aligned; NULL when there is none.
void *mue_codec_allocate(size_t size);
void mue_codec_free(void *pointer);

// Copies a width x height RGB image turned upright; `orientation` is the EXIF value, 2 to 8. For 5 to 8 the result is
// height x width.
void mue_orient_rgb(const uint8_t *source, size_t width, size_t height, int orientation, uint8_t *target);

// Pillow's filters, by its numbers (Image.Resampling).
enum {
  MUE_RESAMPLE_NEAREST = 0,
  MUE_RESAMPLE_LANCZOS = 1,
  MUE_RESAMPLE_BILINEAR = 2,
  MUE_RESAMPLE_BICUBIC = 3,
  MUE_RESAMPLE_BOX = 4,
  MUE_RESAMPLE_HAMMING = 5,
};

// Resizes a packed RGB image as Pillow's Image.resize does, bit by bit. All sizes are 1 to 65535. One byte behind the
// source must be readable. Returns MUE_CODEC_OK or MUE_CODEC_MEMORY.
int mue_resize_rgb(const uint8_t *source, int width, int height, uint8_t *target, int target_width, int target_height,
                   int filter);

// Spreads packed RGB pixels into three planes of `count` floats, each value looked up in tables[channel * 256 + value].
void mue_planes_from_rgb(const uint8_t *source, size_t count, const float *tables, float *planes);

// Writes packed RGB pixels as a PNG file; a file that could not be finished is removed. On failure `message` (of
// MUE_CODEC_MESSAGE bytes) says why.
int mue_write_png(const uint8_t *pixels, uint32_t width, uint32_t height, const char *path, char *message);
