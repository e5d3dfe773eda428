import Tensor

/// A constant in the file (`TensorProto`): an initializer or the value of an attribute.
public struct ONNXTensor: Sendable {
  public let name: String
  public let shape: [Int]
  /// ONNX's `TensorProto.DataType`, also of types that the engine lacks.
  public let dataType: Int32
  /// The data lies in another file.
  public let isExternal: Bool
  /// Where `raw_data` lies in the model file; nil when the tensor is external or a list of typed values.
  public let byteRange: Range<Int>?
  private let content: Result<Tensor, MueError>

  /// The elements: a view of the mapped file for raw and external data (maybe unaligned), a copy for typed lists.
  ///
  /// Throws `unsupported` when the element type is one that the engine lacks (strings, 4-bit and 8-bit floats ...), so
  /// that such a tensor harms only those who use it.
  public var tensor: Tensor {
    get throws(MueError) { try content.get() }
  }

  public init(name: String, tensor: Tensor, isExternal: Bool = false, byteRange: Range<Int>? = nil) {
    self.name = name
    self.shape = tensor.shape
    self.dataType = tensor.type.rawValue
    self.isExternal = isExternal
    self.byteRange = byteRange
    self.content = .success(tensor)
  }

  /// A tensor whose use throws `error`.
  init(name: String, shape: [Int], dataType: Int32, isExternal: Bool, byteRange: Range<Int>?, error: MueError) {
    self.name = name
    self.shape = shape
    self.dataType = dataType
    self.isExternal = isExternal
    self.byteRange = byteRange
    self.content = .failure(error)
  }
}
