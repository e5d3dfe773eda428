/// A graph (`GraphProto`): the model's own, or one that an attribute of `If`, `Loop` or `Scan` holds.
public struct ONNXGraph: Sendable {
  public let name: String
  /// In the file's order, which ONNX requires to be topological.
  public let nodes: [ONNXNode]
  public let initializers: [ONNXTensor]
  /// Before IR version 4 the initializers are listed here as well.
  public let inputs: [ONNXValueInfo]
  public let outputs: [ONNXValueInfo]
  /// What the exporter declared about values in between; it can be incomplete or wrong.
  public let valueInfo: [ONNXValueInfo]

  public init(
    name: String, nodes: [ONNXNode], initializers: [ONNXTensor], inputs: [ONNXValueInfo], outputs: [ONNXValueInfo],
    valueInfo: [ONNXValueInfo] = []
  ) {
    self.name = name
    self.nodes = nodes
    self.initializers = initializers
    self.inputs = inputs
    self.outputs = outputs
    self.valueInfo = valueInfo
  }
}
