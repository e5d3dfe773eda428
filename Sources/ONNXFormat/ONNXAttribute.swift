/// A named attribute of a node (`AttributeProto`).
public struct ONNXAttribute: Sendable {
  public let name: String
  public let value: ONNXAttributeValue

  public init(name: String, value: ONNXAttributeValue) {
    self.name = name
    self.value = value
  }
}
