import Tensor

extension ONNXFunction {
  /// Decodes a `FunctionProto`.
  init(message: WireReader, _ decoder: ModelDecoder) throws(MueError) {
    var name = ""
    var domain = ""
    var overload = ""
    var inputs: [String] = []
    var outputs: [String] = []
    var attributeNames: [String] = []
    var attributeDefaults: [ONNXAttribute] = []
    var nodes: [ONNXNode] = []
    var opsetImports: [String: Int] = [:]
    var opsetImportCount = 0
    var reader = message
    while try reader.next() {
      switch reader.number {
      case 1: name = try within("name") { () throws(MueError) in try decoder.string(&reader) }
      case 4: inputs.append(try within("input", inputs.count) { () throws(MueError) in try decoder.string(&reader) })
      case 5: outputs.append(try within("output", outputs.count) { () throws(MueError) in try decoder.string(&reader) })
      case 6:
        let attribute = try within("attribute", attributeNames.count) { () throws(MueError) in
          try decoder.string(&reader)
        }
        attributeNames.append(attribute)
      case 7:
        let node = try within("node", nodes.count) { () throws(MueError) in
          try ONNXNode(message: reader.message(), graphDepth: 1, decoder)
        }
        nodes.append(node)
      case 9:
        try within("opset_import", opsetImportCount) { () throws(MueError) in
          try decoder.opsetImport(reader.message(), into: &opsetImports)
        }
        opsetImportCount += 1
      case 10: domain = try within("domain") { () throws(MueError) in try decoder.domain(&reader) }
      case 11:
        let attribute = try within("attribute_proto", attributeDefaults.count) { () throws(MueError) in
          try ONNXAttribute(message: reader.message(), graphDepth: 1, decoder)
        }
        attributeDefaults.append(attribute)
      case 13: overload = try within("overload") { () throws(MueError) in try decoder.string(&reader) }
      default: try reader.skip()
      }
    }
    guard !name.isEmpty else {
      throw MueError(
        .invalidModel, "the function has no name", at: .init(byteOffset: message.position, field: "name"))
    }
    if let repeated = ONNXAttribute.repeatedName(in: attributeDefaults) {
      throw MueError(
        .invalidModel, "function '\(name)' has two defaults for '\(repeated)'",
        at: .init(byteOffset: message.position, field: "attribute_proto"))
    }
    self.init(
      name: name, domain: domain, overload: overload, inputs: inputs, outputs: outputs,
      attributeNames: attributeNames, attributeDefaults: attributeDefaults, nodes: nodes, opsetImports: opsetImports)
  }
}
