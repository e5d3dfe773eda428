import Foundation
import Kernels
import Plan
import Tensor
import Testing

@testable import Graph

/// Results in the place of what they are made of.
@Suite struct PlanMemoryTests {
  let context: ComputeContext

  init() throws { context = try ComputeContext(threads: 1) }

  /// A chain of sums takes two blocks; the values stay what they are.
  @Test func sumsAreWrittenOverTheirTerms() throws {
    var b = GraphBuilder()
    let x = b.input("x", [64, 64])
    var state = b.node("Exp", [x])
    for _ in 0..<4 { state = b.node("Add", [b.node("Tanh", [state]), state]) }
    b.output(state)
    let input = b.randoms(64 * 64).map { $0 / 8 }
    var expected = input.map { exp(Double($0)) }
    for _ in 0..<4 { expected = expected.map { tanh($0) + $0 } }
    let plan = try Plan(
      b.graph, outputs: [state], feeds: [x: .buffer(.float32, [64, 64])], context: context)
    // The feed, the state and its function.
    #expect(plan.arenaByteCount <= 3 * (64 * 64 * 4 + 128))
    // Twice: the first run must leave the feed as it was.
    try plan.load(x, from: input)
    for _ in 0..<2 {
      try plan.run()
      let found = try plan.copy(of: state).elements(as: Float.self)
      for (a, e) in zip(found, expected) { #expect(abs(Double(a) - e) < 1e-4 * max(1, abs(e))) }
    }
  }

  /// Not what is read again, what is an output, what the caller loaded, or what the product itself reads.
  @Test func whatIsStillNeededIsKept() throws {
    var b = GraphBuilder()
    let x = b.input("x", [5, 16])
    let weight = try b.constant([16, 16])
    let a = b.node("Tanh", [x])
    let product = b.node("Add", [b.node("MatMul", [a, weight]), a])
    let again = b.node("Add", [product, a])
    let fed = b.node("Add", [again, x])
    b.output(b.node("Add", [b.node("Exp", [fed]), fed]))
    for value in [a, product, again, fed] { b.output(value) }
    var fused = b.graph
    try GraphOptimizer.simplify(&fused, context: context)
    let shapes = try ShapeTable(fused, symbols: [.init("rows", base: 5, probe: 7)], context: context) {
      (_, sizes) throws(MueError) in (.float32, [sizes[0], 16])
    }
    try GraphOptimizer.fuseEpilogues(&fused, shapes: shapes)
    #expect(fused.nodes.contains { $0.operatorName == "Linear" && $0.inputs.count == 4 })
    let input = b.randoms(80)
    let expected = try results(b.graph, x, input)
    let found = try results(fused, x, input)
    for (values, others) in zip(expected, found) {
      for (a, c) in zip(values, others) { #expect(abs(a - c) < 1e-4 * max(1, abs(a))) }
    }
  }

  private func results(_ graph: Graph, _ x: ValueID, _ input: [Float]) throws -> [[Float]] {
    let outputs = graph.outputs.map(\.value)
    let plan = try Plan(graph, outputs: outputs, feeds: [x: .buffer(.float32, [5, 16])], context: context)
    try plan.load(x, from: input)
    try plan.run()
    return try outputs.map { try plan.copy(of: $0).elements(as: Float.self) }
  }
}
