import Tensor

extension ONNXAttribute {
  /// Decodes an `AttributeProto`.
  ///
  /// - Parameter graphDepth: the depth of the graph around the attribute's node.
  init(message: WireReader, graphDepth: Int, _ decoder: ModelDecoder) throws(MueError) {
    var fields = AttributeFields(graphDepth: graphDepth)
    try fields.merge(message, decoder)
    self.init(name: fields.name, value: try fields.value(at: message.position, decoder))
  }

  /// A name that two of the attributes share.
  static func repeatedName(in attributes: [ONNXAttribute]) -> String? {
    guard attributes.count > 1 else { return nil }
    var seen: Set<String> = []
    return attributes.first { !seen.insert($0.name).inserted }?.name
  }
}
