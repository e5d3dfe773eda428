#include "model_file.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/stubs/logging.h>
#include <sys/stat.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace onnx_check {

bool parse(const void *bytes, std::size_t count, onnx::ModelProto &model) {
  if (count > INT_MAX) return false;
  google::protobuf::LogSilencer silence;
  google::protobuf::io::ArrayInputStream array(bytes, static_cast<int>(count));
  google::protobuf::io::CodedInputStream stream(&array);
  stream.SetTotalBytesLimit(INT_MAX);
  return model.ParseFromCodedStream(&stream) && stream.ConsumedEntireMessage();
}

bool read_file(const std::string &path, std::string &content, std::string &error) {
  struct stat status;
  if (stat(path.c_str(), &status) != 0) {
    error = std::strerror(errno);
    return false;
  }
  if (!S_ISREG(status.st_mode)) {
    error = "not a regular file";
    return false;
  }
  if (status.st_size > INT_MAX) {
    error = "larger than protobuf's 2 GB";
    return false;
  }
  std::unique_ptr<FILE, int (*)(FILE *)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  if (!file) {
    error = std::strerror(errno);
    return false;
  }
  content.resize(static_cast<std::size_t>(status.st_size));
  if (std::fread(&content[0], 1, content.size(), file.get()) != content.size()) {
    error = "cannot be read to its end";
    return false;
  }
  return true;
}

char *c_copy(const std::string &text) {
  char *copy = static_cast<char *>(std::malloc(text.size() + 1));
  if (copy) std::memcpy(copy, text.c_str(), text.size() + 1);
  return copy;
}

}  // namespace onnx_check
