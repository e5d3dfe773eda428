import Tensor

/// Every operator that the engine has.
public enum OperatorTable {
  /// One operator may appear several times, for different ranges of opsets.
  public static let all: [Operator] = elementwise + movement + shapes + selections + products + spatial

  private static let elementwise: [Operator] =
    Operator.unaryMath + Operator.binaryArithmetic + Operator.comparisons + Operator.logic + Operator.floatTests
    + Operator.clip + Operator.casts + [.power, .select]
  private static let movement: [Operator] =
    Operator.views + Operator.dropout + Operator.slices + Operator.depthSpace + Operator.pads
    + [.transpose, .concat, .split, .expand, .tile, .trilu]
  private static let shapes: [Operator] =
    Operator.shapeOf + [.constant, .constantOfShape, .range, .eyeLike, .oneHot, .nonZero]
  private static let selections: [Operator] =
    Operator.reductions + Operator.argExtrema
    + [.gather, .gatherElements, .gatherND, .scatterElements, .scatterND, .topK, .cumSum]
  private static let products: [Operator] = [
    .matMul, .gemm, .einsum, .linear, .attention, .attentionPanels,
  ]
  private static let spatial: [Operator] =
    Operator.convolutions + Operator.pools + Operator.softmaxes + Operator.layerNormalizations
    + Operator.channelNormalizations + [.resize]

  private static let byName: [String: [Operator]] = Dictionary(grouping: all) { "\($0.domain):\($0.name)" }

  /// The operator `name` as the model's opset has it, or nil.
  ///
  /// - Parameter opset: the version of ONNX's own domain that the model imports; fused operators have every version.
  public static func find(name: String, domain: String, opset: Int) -> Operator? {
    let domain = domain == "ai.onnx" ? "" : domain
    return byName["\(domain):\(name)"]?.first { $0.versions.contains(opset) }
  }
}
