// Rearranging pixels.
#include "mue_codecs.h"

void mue_orient_rgb(const uint8_t *source, size_t width, size_t height, int orientation, uint8_t *target) {
  int is_transposed = orientation >= 5;
  size_t target_width = is_transposed ? height : width;
  for (size_t y = 0; y < height; y++) {
    for (size_t x = 0; x < width; x++) {
      size_t right = width - 1 - x;
      size_t below = height - 1 - y;
      size_t to_x = x, to_y = y;
      switch (orientation) {
        case 2: to_x = right; break;
        case 3: to_x = right, to_y = below; break;
        case 4: to_y = below; break;
        case 5: to_x = y, to_y = x; break;
        case 6: to_x = below, to_y = x; break;
        case 7: to_x = below, to_y = right; break;
        case 8: to_x = y, to_y = right; break;
      }
      uint8_t *pixel = target + 3 * (to_y * target_width + to_x);
      pixel[0] = source[0];
      pixel[1] = source[1];
      pixel[2] = source[2];
      source += 3;
    }
  }
}

void mue_planes_from_rgb(const uint8_t *source, size_t count, const float *tables, float *planes) {
  for (size_t i = 0; i < count; i++) {
    planes[i] = tables[source[3 * i]];
    planes[count + i] = tables[256 + source[3 * i + 1]];
    planes[2 * count + i] = tables[512 + source[3 * i + 2]];
  }
}
