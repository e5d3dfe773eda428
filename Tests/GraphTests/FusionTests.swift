import Kernels
import Tensor
import Testing

@testable import Graph

/// Each pass: what it makes of the graph, and that the graph still computes the same.
@Suite struct FusionTests {
  let context: ComputeContext

  init() throws { context = try ComputeContext(threads: 1) }

  private func expectSame(_ builder: GraphBuilder, sizes: [Int], _ expected: [String], seed: UInt64 = 9) throws {
    var optimized = builder.graph
    try GraphOptimizer.simplify(&optimized, context: context)
    #expect(optimized.operatorNames == expected)
    var inputs: [[Float]] = []
    var source = GraphBuilder(seed: seed)
    for size in sizes { inputs.append(source.randoms(size)) }
    let before = try builder.graph.run(inputs, context: context)
    let after = try optimized.run(inputs, context: context)
    #expect(before.count == after.count)
    let scale = before.map(abs).max() ?? 1
    for (a, b) in zip(before, after) { #expect(abs(a - b) <= 2e-5 * max(scale, 1)) }
  }

  @Test func layerNormSpelledOut() throws {
    var b = GraphBuilder()
    let x = b.input("x", [2, 5, 7])
    let mean = b.node("ReduceMean", [x], ["axes": .ints([-1])])
    let centred = b.node("Sub", [x, mean])
    let square = b.node("Pow", [centred, try b.scalar(2)])
    let variance = b.node("ReduceMean", [square], ["axes": .ints([-1])])
    let root = b.node("Sqrt", [b.node("Add", [variance, try b.scalar(1e-5)])])
    let normal = b.node("Div", [centred, root])
    b.output(b.node("Add", [b.node("Mul", [normal, try b.constant([7])]), try b.constant([7])]))
    try expectSame(b, sizes: [70], ["LayerNormalization"])
  }

  @Test(arguments: [0, 1]) func geluSpelledOut(order: Int) throws {
    var b = GraphBuilder()
    let x = b.input("x", [3, 11])
    let erf = b.node("Erf", [b.node("Div", [x, try b.scalar(1.414_213_5)])])
    let gate = b.node("Add", [erf, try b.scalar(1)])
    if order == 0 {
      b.output(b.node("Mul", [b.node("Mul", [x, gate]), try b.scalar(0.5)]))
    } else {
      b.output(b.node("Mul", [b.node("Mul", [x, try b.scalar(0.5)]), gate]))
    }
    try expectSame(b, sizes: [33], ["mue.Gelu"])
  }

  @Test func productsWithABias() throws {
    var b = GraphBuilder()
    let x = b.input("x", [2, 3, 5])
    b.output(b.node("Add", [try b.constant([9]), b.node("MatMul", [x, try b.constant([5, 9])])]))
    try expectSame(b, sizes: [30], ["mue.Linear"])
  }

  @Test func theTransposedWeightIsTakenAsItIsStored() throws {
    var b = GraphBuilder()
    let x = b.input("x", [2, 3, 5])
    let weight = b.node("Transpose", [try b.constant([9, 5])], ["perm": .ints([1, 0])])
    b.output(b.node("MatMul", [x, weight]))
    try expectSame(b, sizes: [30], ["mue.Linear"])
  }

  @Test func gemm() throws {
    var b = GraphBuilder()
    let x = b.input("x", [4, 5])
    b.output(b.node("Gemm", [x, try b.constant([6, 5]), try b.constant([6])], ["transB": .int(1)]))
    try expectSame(b, sizes: [20], ["mue.Linear"])
  }

  /// q, k, v as [batch, row, head, channel], positions and a mask, the scale on the product.
  @Test func attentionWithTwoBiases() throws {
    let (rows, keys, heads, channels) = (3, 5, 2, 4)
    var b = GraphBuilder()
    let q = b.input("q", [2, rows, heads, channels])
    let k = b.input("k", [2, keys, heads, channels])
    let v = b.input("v", [2, keys, heads, channels])
    let mask = b.input("mask", [2, 1, 1, keys])
    let order: [String: AttributeValue] = ["perm": .ints([0, 2, 1, 3])]
    let product = b.node(
      "MatMul", [b.node("Transpose", [q], order), b.node("Transpose", [k], ["perm": .ints([0, 2, 3, 1])])])
    let scaled = b.node("Mul", [product, try b.scalar(0.5)])
    let bias = b.node("Add", [try b.constant([1, heads, rows, keys]), mask])
    let weights = b.node("Softmax", [b.node("Add", [scaled, bias])], ["axis": .int(-1)])
    let mixed = b.node("MatMul", [weights, b.node("Transpose", [v], order)])
    b.output(b.node("Transpose", [mixed], order))
    let elements = 2 * heads * channels
    try expectSame(b, sizes: [elements * rows, elements * keys, elements * keys, 2 * keys], ["mue.Attention"])
  }

  /// Queries [batch, row, channel] that are scaled before their channels become heads, whose number comes from their shape, and
  /// whether something else reads the scaled queries.
  @Test(arguments: [false, true]) func attentionWithAScaleBeforeTheHeads(isReadElsewhere: Bool) throws {
    let (rows, keys, heads, channels) = (3, 5, 2, 4)
    var b = GraphBuilder()
    let q = b.input("q", [2, rows, heads * channels])
    let k = b.input("k", [2, keys, heads, channels])
    let v = b.input("v", [2, keys, heads, channels])
    func integers(_ values: [Int64]) throws -> ValueID {
      b.graph.addValue("integers\(b.graph.values.count)", constant: try Tensor(.int64, [values.count], values))
    }
    let order: [String: AttributeValue] = ["perm": .ints([0, 2, 1, 3])]
    let scaled = b.node("Mul", [q, try b.scalar(0.25)])
    let outer = b.node("Gather", [b.node("Shape", [scaled]), try integers([0, 1])])
    let shape = b.node("Concat", [outer, try integers([Int64(heads), Int64(channels)])], ["axis": .int(0)])
    let queries = b.node("Transpose", [b.node("Reshape", [scaled, shape])], order)
    let transposed = b.node("Transpose", [k], ["perm": .ints([0, 2, 3, 1])])
    let weights = b.node("Softmax", [b.node("MatMul", [queries, transposed])], ["axis": .int(-1)])
    let mixed = b.node("MatMul", [weights, b.node("Transpose", [v], order)])
    let back = b.node("Reshape", [b.node("Transpose", [mixed], order), try integers([2, Int64(rows), -1])])
    b.output(isReadElsewhere ? b.node("Add", [back, scaled]) : back)
    let elements = 2 * heads * channels
    let shapes = ["Shape", "Gather", "Concat", "Reshape"]
    try expectSame(
      b, sizes: [elements * rows, elements * keys, elements * keys],
      isReadElsewhere
        ? ["Mul"] + shapes + ["mue.Attention", "Reshape", "Add"] : shapes + ["mue.Attention", "Reshape"])
  }

  /// A scale that also scales a bias is not the attention's.
  @Test func attentionIsNotSeenWhereTheScaleCoversTheBias() throws {
    var b = GraphBuilder()
    let q = b.input("q", [1, 2, 3, 4])
    let k = b.input("k", [1, 2, 4, 5])
    let v = b.input("v", [1, 2, 5, 4])
    let biased = b.node("Add", [b.node("MatMul", [q, k]), try b.constant([3, 5])])
    let weights = b.node("Softmax", [b.node("Mul", [biased, try b.scalar(2)])], ["axis": .int(-1)])
    b.output(b.node("MatMul", [weights, v]))
    try expectSame(b, sizes: [24, 40, 40], ["MatMul", "Add", "Mul", "Softmax", "MatMul"])
  }

  @Test func batchNormFoldsIntoTheConvolution() throws {
    var b = GraphBuilder()
    let x = b.input("x", [2, 3, 6, 5])
    let convolved = b.node("Conv", [x, try b.constant([4, 3, 3, 3])], ["pads": .ints([1, 1, 1, 1])])
    let variance = b.graph.addValue("variance", constant: try Tensor(.float32, [4], [0.5, 1, 2, 3] as [Float]))
    b.output(
      b.node(
        "BatchNormalization", [convolved, try b.constant([4]), try b.constant([4]), try b.constant([4]), variance]))
    try expectSame(b, sizes: [180], ["Conv"])
  }

  @Test func equalNodesAreSharedAndConstantsFolded() throws {
    var b = GraphBuilder()
    let x = b.input("x", [2, 3])
    let (w, u) = (try b.constant([3]), try b.constant([3]))
    let left = b.node("Add", [x, b.node("Mul", [w, u])])
    let right = b.node("Add", [b.node("Identity", [x]), b.node("Mul", [w, u])])
    b.output(b.node("Sub", [b.node("Exp", [left]), right]))
    try expectSame(b, sizes: [6], ["Add", "Exp", "Sub"])
  }

  @Test func activationAndResidualMoveIntoTheProduct() throws {
    var b = GraphBuilder()
    let x = b.input("x", [2, 5, 8])
    let hidden = b.node("Relu", [b.node("MatMul", [x, try b.constant([8, 12])])])
    b.output(b.node("Add", [x, b.node("MatMul", [hidden, try b.constant([12, 8])])]))
    var fused = b.graph
    try GraphOptimizer.simplify(&fused, context: context)
    let shapes = try ShapeTable(fused, symbols: [.init("rows", base: 5, probe: 7)], context: context) {
      (_, sizes) throws(MueError) in (.float32, [2, sizes[0], 8])
    }
    try GraphOptimizer.fuseEpilogues(&fused, shapes: shapes)
    #expect(fused.operatorNames == ["mue.Linear", "mue.Linear"])
    #expect(fused.nodes[1].inputs.count == 4)
    let input = b.randoms(80)
    let before = try b.graph.run([input], context: context)
    let after = try fused.run([input], context: context)
    for (a, c) in zip(before, after) { #expect(abs(a - c) < 1e-4) }
  }
}
