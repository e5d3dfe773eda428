// How this target reads protobuf: whole files of up to 2 GB, silently.
#ifndef ONNX_CHECK_MODEL_FILE_H
#define ONNX_CHECK_MODEL_FILE_H

#include <cstddef>
#include <string>

#include "onnx/onnx_pb.h"

namespace onnx_check {

// False when the bytes are no ModelProto.
bool parse(const void *bytes, std::size_t count, onnx::ModelProto &model);

// The file's content; false, with the reason in `error`, when it cannot be read.
bool read_file(const std::string &path, std::string &content, std::string &error);

// A copy for the C caller; NULL when memory is out.
char *c_copy(const std::string &text);

}  // namespace onnx_check
#endif
