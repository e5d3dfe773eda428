// A second opinion on ONNX files: libonnx's reader and checker behind a C face. Used by tests and `mue check`; never a
// gate in front of loading, since libonnx 1.12 knows no file newer than IR version 8 and operator set 17.
#ifndef ONNX_CHECK_H
#define ONNX_CHECK_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
  // libonnx knows the file's version and found nothing wrong.
  ONNX_CHECK_VALID = 0,
  // libonnx knows the file's version and objects; the message says to what.
  ONNX_CHECK_INVALID = 1,
  // The file can be read, but is newer than libonnx: no opinion. The message names the versions.
  ONNX_CHECK_UNKNOWN_VERSION = 2,
  // The file cannot be opened or is no protobuf message of the right kind; the message says why.
  ONNX_CHECK_UNREADABLE = 3,
} onnx_check_result;

// Reads the model at `path` and lets libonnx check it. `*message` becomes NULL or a text for onnx_check_free; it may be
// NULL for callers that need none. External data is looked for in the file's folder. No exception leaves.
onnx_check_result onnx_check_model(const char *path, char **message);

// Describes a model as libonnx sees it, one line for each field that a runtime reads; `*text` is for onnx_check_free
// (on failure it says why). The grammar is that of the C++ source's comments. `external_directory` may be NULL: then
// external tensors are listed without a checksum. Returns ONNX_CHECK_VALID or ONNX_CHECK_UNREADABLE.
onnx_check_result onnx_check_dump(const void *bytes, size_t count, const char *external_directory, char **text);

// The checksum of tensor bytes in dumps: 64-bit FNV-1a over little-endian 8-byte words, then the bytes that are left.
uint64_t onnx_check_checksum(const void *bytes, size_t count);

void onnx_check_free(char *text);

#ifdef __cplusplus
}
#endif
#endif
