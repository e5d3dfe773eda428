// The grammar of a dump. Strings are written by quote(); lists are separated by blanks; a line begins with the field
// path of what it describes, as error locations have it.
//
//   model ir=8 producer="pytorch" version="2.1"
//   opset "" 17                                                    sorted by domain, "ai.onnx" written as ""
//   metadata "key" "value"                                         sorted by key
//   functions[0] "domain" "name" inputs "a" outputs "b" attributes "c"
//   graph "name"
//   graph.node[0] "op" "domain" "name" inputs "a" "" outputs "b"
//   graph.node[0].attribute[1] "alpha" float 3f800000              kinds as in AttributeProto, floats as bits
//   graph.initializer[3] "weight" 1 [2,3] inline 24 0123456789abcdef   data type, shape, bytes, checksum
//   graph.input[0] "x" 1 [2,"batch",?]                             0 for no element type, - for no shape
#include <google/protobuf/stubs/common.h>
#include <google/protobuf/unknown_field_set.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "model_file.h"
#include "onnx_check.h"

namespace {

std::string quote(const std::string &text) {
  std::string result = "\"";
  for (unsigned char byte : text) {
    if (byte < 0x21 || byte == '"' || byte == '%' || byte > 0x7e) {
      char code[4];
      std::snprintf(code, sizeof code, "%%%02x", byte);
      result += code;
    } else {
      result += static_cast<char>(byte);
    }
  }
  return result + "\"";
}

std::string hex(uint64_t value, int digits) {
  char text[17];
  std::snprintf(text, sizeof text, "%0*llx", digits, static_cast<unsigned long long>(value));
  return text;
}

std::string bits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return hex(bits, 8);
}

std::string own_domain(const std::string &domain) { return domain == "ai.onnx" ? "" : domain; }

bool is_utf8(const std::string &text) {
  return google::protobuf::internal::IsStructurallyValidUTF8(text.data(), static_cast<int>(text.size()));
}

// Bytes of an element; 0 for types that the engine lacks.
size_t width(int type) {
  switch (type) {
    case 2: case 3: case 9: return 1;
    case 4: case 5: case 10: case 16: return 2;
    case 1: case 6: case 12: return 4;
    case 7: case 11: case 13: return 8;
    default: return 0;
  }
}

template <typename Element, typename List>
void append(std::string &bytes, const List &list) {
  for (auto value : list) {
    Element element = static_cast<Element>(value);
    bytes.append(reinterpret_cast<const char *>(&element), sizeof element);
  }
}

// The elements as raw_data would hold them.
std::string listed_bytes(const onnx::TensorProto &tensor) {
  std::string bytes;
  switch (tensor.data_type()) {
    case 1: append<float>(bytes, tensor.float_data()); break;
    case 2: append<uint8_t>(bytes, tensor.int32_data()); break;
    case 3: append<int8_t>(bytes, tensor.int32_data()); break;
    case 9: append<bool>(bytes, tensor.int32_data()); break;
    case 4: case 10: case 16: append<uint16_t>(bytes, tensor.int32_data()); break;
    case 5: append<int16_t>(bytes, tensor.int32_data()); break;
    case 6: append<int32_t>(bytes, tensor.int32_data()); break;
    case 7: append<int64_t>(bytes, tensor.int64_data()); break;
    case 11: append<double>(bytes, tensor.double_data()); break;
    case 12: append<uint32_t>(bytes, tensor.uint64_data()); break;
    case 13: append<uint64_t>(bytes, tensor.uint64_data()); break;
  }
  return bytes;
}

class Dumper {
 public:
  explicit Dumper(const char *directory) : directory_(directory ? directory : "") {}

  std::string dump(const onnx::ModelProto &model) {
    text_ += "model ir=" + std::to_string(model.ir_version()) + " producer=" + quote(model.producer_name()) +
             " version=" + quote(model.producer_version()) + "\n";
    opsets("", model.opset_import());
    std::map<std::string, std::string> metadata;
    for (const auto &entry : model.metadata_props()) metadata[entry.key()] = entry.value();
    std::vector<std::string> lines;
    for (const auto &entry : metadata) lines.push_back("metadata " + quote(entry.first) + " " + quote(entry.second));
    sorted(lines);
    for (int i = 0; i < model.functions_size(); i++) function("functions[" + std::to_string(i) + "]", model.functions(i));
    graph("graph", model.graph());
    return std::move(text_);
  }

 private:
  std::string directory_;
  std::string text_;
  std::map<std::string, std::string> files_;

  void sorted(std::vector<std::string> &lines) {
    std::sort(lines.begin(), lines.end());
    for (const auto &line : lines) text_ += line + "\n";
  }

  template <typename Imports>
  void opsets(const std::string &prefix, const Imports &imports) {
    std::map<std::string, long long> versions;
    for (const auto &import : imports) versions[own_domain(import.domain())] = import.version();
    std::vector<std::string> lines;
    for (const auto &entry : versions) {
      lines.push_back(prefix + "opset " + quote(entry.first) + " " + std::to_string(entry.second));
    }
    sorted(lines);
  }

  template <typename Names>
  void names(const char *label, const Names &names) {
    text_ += std::string(" ") + label;
    for (const auto &name : names) text_ += " " + quote(name);
  }

  void function(const std::string &path, const onnx::FunctionProto &function) {
    text_ += path + " " + quote(own_domain(function.domain())) + " " + quote(function.name());
    names("inputs", function.input());
    names("outputs", function.output());
    names("attributes", function.attribute());
    text_ += "\n";
    opsets(path + ".", function.opset_import());
    for (int i = 0; i < function.node_size(); i++) node(path + ".node[" + std::to_string(i) + "]", function.node(i));
  }

  void graph(const std::string &path, const onnx::GraphProto &graph) {
    text_ += path + " " + quote(graph.name()) + "\n";
    for (int i = 0; i < graph.node_size(); i++) node(path + ".node[" + std::to_string(i) + "]", graph.node(i));
    for (int i = 0; i < graph.initializer_size(); i++) {
      tensor(path + ".initializer[" + std::to_string(i) + "]", graph.initializer(i));
    }
    for (int i = 0; i < graph.input_size(); i++) value(path + ".input[" + std::to_string(i) + "]", graph.input(i));
    for (int i = 0; i < graph.output_size(); i++) value(path + ".output[" + std::to_string(i) + "]", graph.output(i));
    for (int i = 0; i < graph.value_info_size(); i++) {
      value(path + ".value_info[" + std::to_string(i) + "]", graph.value_info(i));
    }
  }

  void node(const std::string &path, const onnx::NodeProto &node) {
    text_ += path + " " + quote(node.op_type()) + " " + quote(own_domain(node.domain())) + " " + quote(node.name());
    names("inputs", node.input());
    names("outputs", node.output());
    text_ += "\n";
    for (int i = 0; i < node.attribute_size(); i++) {
      attribute(path + ".attribute[" + std::to_string(i) + "]", node.attribute(i));
    }
  }

  // The declared type, or the only one that is there (IR version 1 declared none).
  int kind(const onnx::AttributeProto &attribute) {
    // A type that libonnx does not know is no `type` to protobuf 2, but an unknown field.
    const auto &unknown = attribute.GetReflection()->GetUnknownFields(attribute);
    for (int i = 0; i < unknown.field_count(); i++) {
      if (unknown.field(i).number() == 20) return -1;
    }
    if (attribute.type() != onnx::AttributeProto::UNDEFINED) return attribute.type();
    if (attribute.has_f()) return onnx::AttributeProto::FLOAT;
    if (attribute.has_i()) return onnx::AttributeProto::INT;
    if (attribute.has_s()) return onnx::AttributeProto::STRING;
    if (attribute.has_t()) return onnx::AttributeProto::TENSOR;
    if (attribute.has_g()) return onnx::AttributeProto::GRAPH;
    if (attribute.floats_size()) return onnx::AttributeProto::FLOATS;
    if (attribute.ints_size()) return onnx::AttributeProto::INTS;
    if (attribute.strings_size()) return onnx::AttributeProto::STRINGS;
    if (attribute.tensors_size()) return onnx::AttributeProto::TENSORS;
    if (attribute.graphs_size()) return onnx::AttributeProto::GRAPHS;
    return onnx::AttributeProto::UNDEFINED;
  }

  void attribute(const std::string &path, const onnx::AttributeProto &attribute) {
    text_ += path + " " + quote(attribute.name()) + " ";
    if (!attribute.ref_attr_name().empty()) {
      text_ += "reference " + quote(attribute.ref_attr_name()) + "\n";
      return;
    }
    switch (kind(attribute)) {
      case onnx::AttributeProto::FLOAT: text_ += "float " + bits(attribute.f()) + "\n"; break;
      case onnx::AttributeProto::INT: text_ += "int " + std::to_string(attribute.i()) + "\n"; break;
      case onnx::AttributeProto::STRING:
        text_ += is_utf8(attribute.s()) ? "string " + quote(attribute.s()) + "\n" : std::string("unsupported\n");
        break;
      case onnx::AttributeProto::FLOATS:
        text_ += "floats";
        for (float value : attribute.floats()) text_ += " " + bits(value);
        text_ += "\n";
        break;
      case onnx::AttributeProto::INTS:
        text_ += "ints";
        for (auto value : attribute.ints()) text_ += " " + std::to_string(value);
        text_ += "\n";
        break;
      case onnx::AttributeProto::STRINGS: {
        std::string line = "strings";
        for (const auto &value : attribute.strings()) line += " " + quote(value);
        for (const auto &value : attribute.strings()) {
          if (!is_utf8(value)) line = "unsupported";
        }
        text_ += line + "\n";
        break;
      }
      case onnx::AttributeProto::TENSOR:
        text_ += "tensor\n";
        tensor(path + ".t", attribute.t());
        break;
      case onnx::AttributeProto::GRAPH:
        text_ += "graph\n";
        graph(path + ".g", attribute.g());
        break;
      case onnx::AttributeProto::TENSORS:
        text_ += "tensors\n";
        for (int i = 0; i < attribute.tensors_size(); i++) {
          tensor(path + ".tensors[" + std::to_string(i) + "]", attribute.tensors(i));
        }
        break;
      case onnx::AttributeProto::GRAPHS:
        text_ += "graphs\n";
        for (int i = 0; i < attribute.graphs_size(); i++) {
          graph(path + ".graphs[" + std::to_string(i) + "]", attribute.graphs(i));
        }
        break;
      default: text_ += "unsupported\n";
    }
  }

  void tensor(const std::string &path, const onnx::TensorProto &tensor) {
    bool is_external = tensor.data_location() == onnx::TensorProto::EXTERNAL;
    text_ += path + " " + quote(tensor.name()) + " " + std::to_string(tensor.data_type()) + " [";
    size_t count = 1;
    for (int i = 0; i < tensor.dims_size(); i++) {
      text_ += (i ? "," : "") + std::to_string(tensor.dims(i));
      count *= static_cast<size_t>(tensor.dims(i));
    }
    text_ += std::string("] ") + (is_external ? "external" : "inline");
    size_t bytes = count * width(tensor.data_type());
    if (width(tensor.data_type()) == 0 || tensor.has_segment()) {
      text_ += " unsupported\n";
    } else if (is_external && directory_.empty()) {
      text_ += " unread\n";
    } else if (is_external) {
      checksum(external_bytes(tensor, bytes));
    } else if (tensor.has_raw_data() && !tensor.raw_data().empty()) {
      checksum(tensor.raw_data());
    } else {
      checksum(listed_bytes(tensor));
    }
  }

  void checksum(const std::string &bytes) {
    text_ += " " + std::to_string(bytes.size()) + " " + hex(onnx_check_checksum(bytes.data(), bytes.size()), 16) + "\n";
  }

  std::string external_bytes(const onnx::TensorProto &tensor, size_t bytes) {
    std::string location;
    size_t offset = 0;
    for (const auto &entry : tensor.external_data()) {
      if (entry.key() == "location") location = entry.value();
      if (entry.key() == "offset") offset = std::stoull(entry.value());
    }
    auto found = files_.find(location);
    if (found == files_.end()) {
      std::string content, error;
      onnx_check::read_file(directory_ + "/" + location, content, error);
      found = files_.emplace(location, std::move(content)).first;
    }
    return offset <= found->second.size() ? found->second.substr(offset, bytes) : "";
  }

  void value(const std::string &path, const onnx::ValueInfoProto &value) {
    const auto &type = value.type().tensor_type();
    int element = width(type.elem_type()) ? type.elem_type() : 0;
    text_ += path + " " + quote(value.name()) + " " + std::to_string(element) + " ";
    if (!type.has_shape()) {
      text_ += "-\n";
      return;
    }
    text_ += "[";
    for (int i = 0; i < type.shape().dim_size(); i++) {
      const auto &dimension = type.shape().dim(i);
      if (i) text_ += ",";
      if (dimension.has_dim_value() && dimension.dim_value() >= 0) {
        text_ += std::to_string(dimension.dim_value());
      } else if (dimension.has_dim_param() && !dimension.dim_param().empty()) {
        text_ += quote(dimension.dim_param());
      } else {
        text_ += "?";
      }
    }
    text_ += "]\n";
  }
};

}  // namespace

extern "C" uint64_t onnx_check_checksum(const void *bytes, size_t count) {
  const unsigned char *from = static_cast<const unsigned char *>(bytes);
  const uint64_t prime = 0x100000001b3;
  uint64_t sum = 0xcbf29ce484222325;
  for (; count >= 8; count -= 8, from += 8) {
    uint64_t word;
    std::memcpy(&word, from, sizeof word);
    sum = (sum ^ word) * prime;
  }
  for (; count > 0; count--, from++) sum = (sum ^ *from) * prime;
  return sum;
}

extern "C" onnx_check_result onnx_check_dump(
    const void *bytes, size_t count, const char *external_directory, char **text) {
  if (!text) return ONNX_CHECK_UNREADABLE;
  *text = nullptr;
  try {
    onnx::ModelProto model;
    if (!onnx_check::parse(bytes, count, model)) {
      *text = onnx_check::c_copy("not a protobuf message of an ONNX model");
      return ONNX_CHECK_UNREADABLE;
    }
    *text = onnx_check::c_copy(Dumper(external_directory).dump(model));
    return *text ? ONNX_CHECK_VALID : ONNX_CHECK_UNREADABLE;
  } catch (...) {
    return ONNX_CHECK_UNREADABLE;
  }
}
