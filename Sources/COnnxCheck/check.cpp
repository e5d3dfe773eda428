#include <cstdlib>
#include <exception>
#include <string>

#include "model_file.h"
#include "onnx/checker.h"
#include "onnx_check.h"

namespace {

const long long newest_ir_version = 8;
const long long newest_operator_set = 17;

// Empty when libonnx knows what the model uses.
std::string unknown_version(const onnx::ModelProto &model) {
  if (model.ir_version() > newest_ir_version) {
    return "IR version " + std::to_string(model.ir_version()) + " is newer than libonnx's 8";
  }
  for (const auto &import : model.opset_import()) {
    bool is_own = import.domain().empty() || import.domain() == "ai.onnx";
    if (is_own && import.version() > newest_operator_set) {
      return "operator set " + std::to_string(import.version()) + " is newer than libonnx's 17";
    }
  }
  return "";
}

onnx_check_result check(const char *path, std::string &message) {
  if (!path) {
    message = "no path";
    return ONNX_CHECK_UNREADABLE;
  }
  std::string content;
  if (!onnx_check::read_file(path, content, message)) return ONNX_CHECK_UNREADABLE;
  {
    onnx::ModelProto model;
    if (!onnx_check::parse(content.data(), content.size(), model)) {
      message = "not a protobuf message of an ONNX model";
      return ONNX_CHECK_UNREADABLE;
    }
    message = unknown_version(model);
    if (!message.empty()) return ONNX_CHECK_UNKNOWN_VERSION;
  }
  // By path, so that the checker finds external data; it reads the file itself.
  content = std::string();
  try {
    onnx::checker::check_model(std::string(path));
  } catch (const std::exception &error) {
    message = error.what();
    return ONNX_CHECK_INVALID;
  }
  return ONNX_CHECK_VALID;
}

}  // namespace

extern "C" onnx_check_result onnx_check_model(const char *path, char **message) {
  if (message) *message = nullptr;
  try {
    std::string text;
    onnx_check_result result = check(path, text);
    if (message && !text.empty()) *message = onnx_check::c_copy(text);
    return result;
  } catch (...) {
    // Out of memory, most likely: nothing left to say it with.
    return ONNX_CHECK_UNREADABLE;
  }
}

extern "C" void onnx_check_free(char *text) { std::free(text); }
