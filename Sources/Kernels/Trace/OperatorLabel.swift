import Tensor

/// What a trace says of one operator of a plan. Made once, shared by all runs of it.
public final class OperatorLabel {
  /// The node's name in the ONNX file.
  public let name: String
  public let operatorName: String
  /// The nodes of the file that became this one; asked for when the trace is written.
  public let nodes: () -> [String]
  public let inputs: [TensorInfo?]
  public let outputs: [TensorInfo]
  /// Of one run; nil when it differs from run to run.
  public let multiplyAdds: Int?

  public init(
    name: String, operatorName: String, inputs: [TensorInfo?], outputs: [TensorInfo], multiplyAdds: Int?,
    nodes: @escaping () -> [String]
  ) {
    self.name = name
    self.operatorName = operatorName
    self.inputs = inputs
    self.outputs = outputs
    self.multiplyAdds = multiplyAdds
    self.nodes = nodes
  }
}
