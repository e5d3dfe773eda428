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
}
