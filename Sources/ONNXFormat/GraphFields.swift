import Tensor

/// Gathers the fields of a `GraphProto`, which protobuf lets a file give in several parts.
struct GraphFields {
  private let depth: Int
  private var name = ""
  private var nodes: [ONNXNode] = []
  private var initializers: [ONNXTensor] = []
  private var inputs: [ONNXValueInfo] = []
  private var outputs: [ONNXValueInfo] = []
  private var valueInfo: [ONNXValueInfo] = []

  /// - Parameter depth: 1 for the model's graph, one more for each graph around it.
  init(depth: Int) {
    self.depth = depth
  }

  mutating func merge(_ message: WireReader, _ decoder: ModelDecoder) throws(MueError) {
    guard depth <= decoder.limits.nesting else {
      throw MueError(
        .limitExceeded, "graphs are nested deeper than \(decoder.limits.nesting)",
        at: .init(byteOffset: message.position))
    }
    try decoder.countEntry(at: message.position)
    var reader = message
    while try reader.next() {
      switch reader.number {
      case 1:
        let node = try within("node", nodes.count) { () throws(MueError) in
          try ONNXNode(message: reader.message(), graphDepth: depth, decoder)
        }
        nodes.append(node)
      case 2: name = try within("name") { () throws(MueError) in try decoder.string(&reader) }
      case 5:
        let tensor = try within("initializer", initializers.count) { () throws(MueError) in
          try ONNXTensor(message: reader.message(), decoder)
        }
        initializers.append(tensor)
      case 11:
        let value = try within("input", inputs.count) { () throws(MueError) in
          try ONNXValueInfo(message: reader.message(), decoder)
        }
        inputs.append(value)
      case 12:
        let value = try within("output", outputs.count) { () throws(MueError) in
          try ONNXValueInfo(message: reader.message(), decoder)
        }
        outputs.append(value)
      case 13:
        let value = try within("value_info", valueInfo.count) { () throws(MueError) in
          try ONNXValueInfo(message: reader.message(), decoder)
        }
        valueInfo.append(value)
      case 15:
        throw MueError(
          .unsupported, "sparse initializers are not supported",
          at: .init(byteOffset: reader.fieldOffset, field: "sparse_initializer"))
      default: try reader.skip()
      }
    }
  }

  func graph() -> ONNXGraph {
    ONNXGraph(
      name: name, nodes: nodes, initializers: initializers, inputs: inputs, outputs: outputs, valueInfo: valueInfo)
  }
}
