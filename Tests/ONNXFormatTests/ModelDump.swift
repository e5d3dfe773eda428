import COnnxCheck
import ONNXFormat
import Tensor

/// Describes a model as the reader under test sees it, in the grammar of `onnx_check_dump`.
struct ModelDump {
  private(set) var lines: [String] = []

  init(_ model: ONNXModel) {
    lines.append(
      "model ir=\(model.irVersion) producer=\(quote(model.producerName)) version=\(quote(model.producerVersion))")
    opsets("", model.opsetImports)
    lines += sorted(model.metadata.map { "metadata \(quote($0.key)) \(quote($0.value))" })
    for (index, function) in model.functions.enumerated() { add("functions[\(index)]", function) }
    add("graph", model.graph)
  }

  private mutating func opsets(_ prefix: String, _ imports: [String: Int]) {
    lines += sorted(imports.map { "\(prefix)opset \(quote($0.key)) \($0.value)" })
  }

  private mutating func add(_ path: String, _ function: ONNXFunction) {
    lines.append(
      "\(path) \(quote(function.domain)) \(quote(function.name))" + names("inputs", function.inputs)
        + names("outputs", function.outputs) + names("attributes", function.attributeNames))
    opsets("\(path).", function.opsetImports)
    for (index, node) in function.nodes.enumerated() { add("\(path).node[\(index)]", node) }
  }

  private mutating func add(_ path: String, _ graph: ONNXGraph) {
    lines.append("\(path) \(quote(graph.name))")
    for (index, node) in graph.nodes.enumerated() { add("\(path).node[\(index)]", node) }
    for (index, tensor) in graph.initializers.enumerated() { add("\(path).initializer[\(index)]", tensor) }
    for (index, value) in graph.inputs.enumerated() { add("\(path).input[\(index)]", value) }
    for (index, value) in graph.outputs.enumerated() { add("\(path).output[\(index)]", value) }
    for (index, value) in graph.valueInfo.enumerated() { add("\(path).value_info[\(index)]", value) }
  }

  private mutating func add(_ path: String, _ node: ONNXNode) {
    lines.append(
      "\(path) \(quote(node.opType)) \(quote(node.domain)) \(quote(node.name))" + names("inputs", node.inputs)
        + names("outputs", node.outputs))
    for (index, attribute) in node.attributes.enumerated() { add("\(path).attribute[\(index)]", attribute) }
  }

  private mutating func add(_ path: String, _ attribute: ONNXAttribute) {
    let start = "\(path) \(quote(attribute.name)) "
    switch attribute.value {
    case .int(let value): lines.append(start + "int \(value)")
    case .float(let value): lines.append(start + "float \(bits(value))")
    case .string(let value): lines.append(start + "string \(quote(value))")
    case .ints(let values): lines.append(start + "ints" + values.map { " \($0)" }.joined())
    case .floats(let values): lines.append(start + "floats" + values.map { " \(bits($0))" }.joined())
    case .strings(let values): lines.append(start + "strings" + values.map { " \(quote($0))" }.joined())
    case .reference(let name): lines.append(start + "reference \(quote(name))")
    case .unsupported: lines.append(start + "unsupported")
    case .tensor(let tensor):
      lines.append(start + "tensor")
      add("\(path).t", tensor)
    case .graph(let graph):
      lines.append(start + "graph")
      add("\(path).g", graph)
    case .tensors(let tensors):
      lines.append(start + "tensors")
      for (index, tensor) in tensors.enumerated() { add("\(path).tensors[\(index)]", tensor) }
    case .graphs(let graphs):
      lines.append(start + "graphs")
      for (index, graph) in graphs.enumerated() { add("\(path).graphs[\(index)]", graph) }
    }
  }

  private mutating func add(_ path: String, _ tensor: ONNXTensor) {
    let shape = tensor.shape.map { "\($0)" }.joined(separator: ",")
    let start = "\(path) \(quote(tensor.name)) \(tensor.dataType) [\(shape)] "
    let place = tensor.isExternal ? "external" : "inline"
    guard let elements = try? tensor.tensor else {
      lines.append(start + place + " unsupported")
      return
    }
    let sum = onnx_check_checksum(elements.pointer, elements.byteCount)
    lines.append(start + "\(place) \(elements.byteCount) \(hexadecimal(sum, digits: 16))")
  }

  private mutating func add(_ path: String, _ value: ONNXValueInfo) {
    let shape = value.shape.map { dimensions in
      let texts = dimensions.map { dimension in
        switch dimension {
        case .fixed(let size): "\(size)"
        case .symbolic(let name): quote(name)
        case .unknown: "?"
        }
      }
      return "[\(texts.joined(separator: ","))]"
    }
    lines.append("\(path) \(quote(value.name)) \(value.elementType?.rawValue ?? 0) \(shape ?? "-")")
  }

  private func names(_ label: String, _ names: [String]) -> String {
    " \(label)" + names.map { " \(quote($0))" }.joined()
  }

  private func sorted(_ lines: [String]) -> [String] {
    // By bytes, as the other side sorts.
    lines.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  private func bits(_ value: Float) -> String { hexadecimal(UInt64(value.bitPattern), digits: 8) }

  private func hexadecimal(_ value: UInt64, digits: Int) -> String {
    let text = String(value, radix: 16)
    return String(repeating: "0", count: max(0, digits - text.count)) + text
  }

  private func quote(_ text: String) -> String {
    var result = "\""
    for byte in text.utf8 {
      if byte < 0x21 || byte == 0x22 || byte == 0x25 || byte > 0x7e {
        result += "%" + hexadecimal(UInt64(byte), digits: 2)
      } else {
        result.unicodeScalars.append(Unicode.Scalar(byte))
      }
    }
    return result + "\""
  }
}
