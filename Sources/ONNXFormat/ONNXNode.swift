/// One operator call (`NodeProto`).
public struct ONNXNode: Sendable {
  /// May be empty; nothing in ONNX refers to it.
  public let name: String
  public let opType: String
  /// "" for ONNX's own operators, also where the file writes "ai.onnx".
  public let domain: String
  /// Which of several local functions of the same domain and name is meant (IR version 10); mostly empty.
  public let overload: String
  /// Value names; "" is an optional input left out.
  public let inputs: [String]
  /// Value names; "" is an output nobody wants.
  public let outputs: [String]
  public let attributes: [ONNXAttribute]

  public init(
    name: String, opType: String, domain: String = "", overload: String = "", inputs: [String], outputs: [String],
    attributes: [ONNXAttribute] = []
  ) {
    self.name = name
    self.opType = opType
    self.domain = domain
    self.overload = overload
    self.inputs = inputs
    self.outputs = outputs
    self.attributes = attributes
  }
}
