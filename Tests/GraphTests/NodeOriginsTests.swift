import Kernels
import Tensor
import Testing

@testable import Graph

/// What a fused node says it was made of.
@Suite struct NodeOriginsTests {
  let context: ComputeContext

  init() throws { context = try ComputeContext(threads: 1) }

  private func names(_ builder: GraphBuilder) throws -> [[String]] {
    var graph = builder.graph
    try GraphOptimizer.simplify(&graph, context: context)
    return graph.nodes.map { graph.origins?.names(of: $0) ?? [] }
  }

  @Test func allThatWasFusedAndNothingElse() throws {
    var b = GraphBuilder()
    let x = b.input("x", [2, 5, 7])
    let linear = b.node("Add", [b.node("MatMul", [x, try b.constant([7, 9])]), try b.constant([9])])
    let erf = b.node("Erf", [b.node("Div", [linear, try b.scalar(1.414_213_5)])])
    let gate = b.node("Add", [erf, try b.scalar(1)])
    b.output(b.node("Mul", [b.node("Mul", [linear, gate]), try b.scalar(0.5)]))
    #expect(try names(b) == [["MatMul0", "Add1"], ["Div2", "Erf3", "Add4", "Mul5", "Mul6"]])
  }

  @Test func aResidualDoesNotPullInWhatLiesBesideIt() throws {
    var b = GraphBuilder()
    let x = b.input("x", [2, 7])
    let inner = b.node("Tanh", [b.node("MatMul", [x, try b.constant([7, 7])])])
    b.output(b.node("Add", [x, b.node("Relu", [inner])]))
    #expect(try names(b) == [["MatMul0"], ["Tanh1"], ["Relu2"], ["Add3"]])
  }

  @Test func shapesAreNotPartOfIt() throws {
    var b = GraphBuilder()
    let x = b.input("x", [2, 6])
    let shape = b.node("Shape", [b.node("Sigmoid", [x])])
    b.output(b.node("Reshape", [b.node("Relu", [x]), shape]))
    #expect(try names(b).last == ["Reshape3"])
  }
}
