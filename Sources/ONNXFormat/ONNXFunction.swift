/// A local function (`FunctionProto`): a node of this domain and name stands for these nodes.
public struct ONNXFunction: Sendable {
  public let name: String
  /// "" where the file writes "ai.onnx".
  public let domain: String
  /// Tells functions of the same domain and name apart (IR version 10); mostly empty.
  public let overload: String
  public let inputs: [String]
  public let outputs: [String]
  /// Attributes that a call has to give.
  public let attributeNames: [String]
  /// Attributes that a call may give, with their defaults.
  public let attributeDefaults: [ONNXAttribute]
  public let nodes: [ONNXNode]
  /// Domain to version for the nodes of the body.
  public let opsetImports: [String: Int]

  public init(
    name: String, domain: String, overload: String = "", inputs: [String], outputs: [String],
    attributeNames: [String] = [], attributeDefaults: [ONNXAttribute] = [], nodes: [ONNXNode],
    opsetImports: [String: Int]
  ) {
    self.name = name
    self.domain = domain
    self.overload = overload
    self.inputs = inputs
    self.outputs = outputs
    self.attributeNames = attributeNames
    self.attributeDefaults = attributeDefaults
    self.nodes = nodes
    self.opsetImports = opsetImports
  }
}
