import Tensor

extension ONNXNode {
  /// Decodes a `NodeProto`.
  ///
  /// - Parameter graphDepth: the depth of the graph that the node is in; its subgraphs are one deeper.
  init(message: WireReader, graphDepth: Int, _ decoder: ModelDecoder) throws(MueError) {
    try decoder.countNode(at: message.position)
    var name = ""
    var opType = ""
    var domain = ""
    var overload = ""
    var inputs: [String] = []
    var outputs: [String] = []
    var attributes: [ONNXAttribute] = []
    var reader = message
    while try reader.next() {
      switch reader.number {
      case 1: inputs.append(try within("input", inputs.count) { () throws(MueError) in try decoder.string(&reader) })
      case 2: outputs.append(try within("output", outputs.count) { () throws(MueError) in try decoder.string(&reader) })
      case 3: name = try within("name") { () throws(MueError) in try decoder.string(&reader) }
      case 4: opType = try within("op_type") { () throws(MueError) in try decoder.string(&reader) }
      case 5:
        let attribute = try within("attribute", attributes.count) { () throws(MueError) in
          try ONNXAttribute(message: reader.message(), graphDepth: graphDepth, decoder)
        }
        attributes.append(attribute)
      case 7: domain = try within("domain") { () throws(MueError) in try decoder.domain(&reader) }
      case 8: overload = try within("overload") { () throws(MueError) in try decoder.string(&reader) }
      default: try reader.skip()
      }
    }
    guard !opType.isEmpty else {
      throw MueError(
        .invalidModel, "the node has no operator type",
        at: .init(byteOffset: message.position, field: "op_type", node: name.isEmpty ? nil : name))
    }
    if let repeated = ONNXAttribute.repeatedName(in: attributes) {
      throw MueError(
        .invalidModel, "the node has two attributes '\(repeated)'",
        at: .init(
          byteOffset: message.position, field: "attribute", node: name.isEmpty ? nil : name, operatorName: opType))
    }
    self.init(
      name: name, opType: opType, domain: domain, overload: overload, inputs: inputs, outputs: outputs,
      attributes: attributes)
  }
}
