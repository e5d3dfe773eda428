#ifndef PICTURE_H
#define PICTURE_H
#include "expect.h"

/* A picture of seeded noise: no answer is expected of it, only that all ways of asking agree. */
static mue_image *picture(uint32_t seed, size_t width, size_t height) {
  size_t stride = 3 * width + 5, i;
  uint8_t *pixels = (uint8_t *)malloc(stride * height);
  mue_image *image = NULL;
  for (i = 0; i < stride * height; i++) {
    seed = seed * 1664525u + 1013904223u;
    pixels[i] = (uint8_t)(seed >> 24);
  }
  EXPECT_OK(mue_image_from_rgb(pixels, width, height, stride, &image));
  free(pixels);
  return image;
}

#endif
