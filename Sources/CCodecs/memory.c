#include <stdlib.h>
#include <string.h>

#include "mue_codecs.h"

void *mue_codec_allocate(size_t size) {
  void *pointer = NULL;
  if (size > SIZE_MAX - 64 || posix_memalign(&pointer, 64, size + 64) != 0) return NULL;
  return pointer;
}

void mue_codec_free(void *pointer) { free(pointer); }
