import Tensor

/// What is known of a value before it is computed: type and shape, and its elements when it is a constant.
public struct TensorInfo: Sendable {
  public var type: ElementType
  public var shape: [Int]
  /// The elements, for initializers and everything that follows from sizes alone.
  public var constant: Tensor?

  public init(_ type: ElementType, _ shape: [Int], constant: Tensor? = nil) {
    self.type = type
    self.shape = shape
    self.constant = constant
  }

  public init(_ constant: Tensor) {
    self.init(constant.type, constant.shape, constant: constant)
  }
}
