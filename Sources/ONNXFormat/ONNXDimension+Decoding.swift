import Tensor

extension ONNXDimension {
  /// Decodes a `TensorShapeProto.Dimension`.
  ///
  /// A negative size, which some exporters write for one they do not know, is read as unknown.
  init(message: WireReader, _ decoder: ModelDecoder) throws(MueError) {
    self = .unknown
    var reader = message
    while try reader.next() {
      switch reader.number {
      case 1:
        let size = try within("dim_value") { () throws(MueError) in try reader.int() }
        self = size >= 0 ? .fixed(size) : .unknown
      case 2:
        let symbol = try within("dim_param") { () throws(MueError) in try decoder.string(&reader) }
        self = symbol.isEmpty ? .unknown : .symbolic(symbol)
      default: try reader.skip()
      }
    }
  }
}
