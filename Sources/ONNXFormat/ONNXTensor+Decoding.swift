import Tensor

extension ONNXTensor {
  /// Decodes a `TensorProto`.
  init(message: WireReader, _ decoder: ModelDecoder) throws(MueError) {
    var fields = TensorFields()
    try fields.merge(message, decoder)
    self = try fields.tensor(at: message.position, decoder)
  }
}
