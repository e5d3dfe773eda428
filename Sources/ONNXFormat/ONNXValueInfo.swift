import Tensor

/// The declared type of a value (`ValueInfoProto`).
public struct ONNXValueInfo: Sendable {
  public let name: String
  /// nil when undeclared, no tensor (a sequence, map or optional), or of an element type that the engine lacks.
  public let elementType: ElementType?
  /// nil when even the rank is undeclared.
  public let shape: [ONNXDimension]?

  public init(name: String, elementType: ElementType?, shape: [ONNXDimension]?) {
    self.name = name
    self.elementType = elementType
    self.shape = shape
  }
}
