import Kernels
import Tensor

/// The passes in their order. Each is one file, takes a valid graph and leaves one.
public enum GraphOptimizer {
  /// Passes that need no shapes.
  public static func simplify(_ graph: inout Graph, context: ComputeContext) throws(MueError) {
    graph.origins = NodeOrigins(graph)
    NoOpElimination.run(&graph)
    CommonSubexpressions.run(&graph)
    try ConstantFolding.run(&graph, keepingWeightTransposes: true, context: context)
    LayerNormFusion.run(&graph)
    GeluFusion.run(&graph)
    BatchNormFolding.run(&graph)
    LinearFusion.run(&graph)
    try ConstantFolding.run(&graph, keepingWeightTransposes: false, context: context)
    AttentionFusion.run(&graph)
    graph.removeDeadNodes()
    try graph.checkInvariants()
  }

  /// Passes that must know which shapes are equal.
  public static func fuseEpilogues(_ graph: inout Graph, shapes: ShapeTable) throws(MueError) {
    EpilogueFusion.run(&graph, shapes: shapes)
    graph.removeDeadNodes()
    try graph.checkInvariants()
  }

  /// Lays position biases of an encoder out for attention; `decoderInput` is what only the decoder depends on.
  public static func layOutBiases(
    _ graph: inout Graph, decoderInput: ValueID, shapes: ShapeTable
  ) throws(MueError) {
    try EncoderBiases.run(&graph, decoderInput: decoderInput, shapes: shapes)
    try graph.checkInvariants()
  }

  /// What a graph that is done with passes reads of its file while it runs.
  public static func gatherSmallConstants(_ graph: inout Graph) throws(MueError) { try SmallConstants.run(&graph) }
}
