import Tensor

extension ONNXValueInfo {
  /// Decodes a `ValueInfoProto`.
  init(message: WireReader, _ decoder: ModelDecoder) throws(MueError) {
    var name = ""
    var type = TypeFields()
    var reader = message
    while try reader.next() {
      switch reader.number {
      case 1: name = try within("name") { () throws(MueError) in try decoder.string(&reader) }
      case 2: try within("type") { () throws(MueError) in try type.merge(reader.message(), decoder) }
      default: try reader.skip()
      }
    }
    guard !name.isEmpty else {
      throw MueError(.invalidModel, "the value has no name", at: .init(byteOffset: message.position, field: "name"))
    }
    self.init(name: name, elementType: type.elementType, shape: type.shape)
  }
}
