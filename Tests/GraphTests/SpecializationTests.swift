import Kernels
import Tensor
import Testing

@testable import Graph

@Suite struct SpecializationTests {
  /// A table's rows gathered into a bias of 128 x 128, added to data; beside it the size of another branch.
  private struct Sample {
    var b = GraphBuilder(opset: 17)
    let x: ValueID
    let bias: ValueID
    let sum: ValueID
    let unused: ValueID
    let size: ValueID

    init() throws {
      x = b.input("x", [128, 128])
      let shape = b.node("Shape", [x])
      bias = b.node("ConstantOfShape", [shape], ["value": .tensor(try Tensor(.float32, [1], [Float(2)]))])
      sum = b.node("Add", [x, bias])
      unused = b.node("Exp", [x])
      size = b.node("Shape", [unused])
      b.output(sum)
    }

    func specialized(_ outputs: Set<ValueID>, _ context: ComputeContext) throws -> Specialization {
      try Specialization(
        b.graph, nodes: Array(b.graph.nodes.indices), feeds: [x: TensorInfo(.float32, [128, 128])], outputs: outputs,
        context: context)
    }
  }

  @Test func elementsAreComputedWhereAnOutputNeedsThem() throws {
    let context = try ComputeContext(threads: 1)
    let sample = try Sample()
    let wanted = try sample.specialized([sample.sum], context)
    #expect(try wanted.infos[sample.bias]?.constant?.elements(as: Float.self) == [Float](repeating: 2, count: 1 << 14))
    #expect(wanted.dataNodes.map { sample.b.graph.nodes[$0].operatorName } == ["Add"])
    #expect(wanted.infos[sample.unused]?.shape == [128, 128])
  }

  @Test func shapesAloneComputeNoLargeElements() throws {
    let context = try ComputeContext(threads: 1)
    let sample = try Sample()
    let shapes = try sample.specialized([], context)
    #expect(shapes.infos[sample.bias]?.shape == [128, 128] && shapes.infos[sample.bias]?.constant == nil)
    #expect(shapes.infos[sample.sum]?.shape == [128, 128])
    #expect(shapes.dataNodes.isEmpty)
  }

  @Test func aSizeNeedsNotWhatItIsTheSizeOf() throws {
    let context = try ComputeContext(threads: 1)
    let sample = try Sample()
    let size = try sample.specialized([sample.size], context)
    #expect(try size.infos[sample.size]?.constant?.elements(as: Int64.self) == [128, 128])
    #expect(size.dataNodes.isEmpty)
  }

  /// A large value that decides a shape after all: Reshape to a shape whose entries are the maximum of 2^14 elements.
  @Test func elementsThatDecideAShapeAreComputed() throws {
    let context = try ComputeContext(threads: 1)
    var b = GraphBuilder(opset: 17)
    let x = b.input("x", [128, 128])
    let shape = b.node("Shape", [x])
    let large = b.node("ConstantOfShape", [shape], ["value": .tensor(try Tensor(.int64, [1], [Int64(1 << 14)]))])
    let largest = b.node("ReduceMax", [large], ["axes": .ints([0, 1]), "keepdims": .int(0)])
    let one = b.graph.addValue("axis", constant: try Tensor(.int64, [1], [Int64(0)]))
    let wanted = b.node("Unsqueeze", [largest, one])
    let flat = b.node("Reshape", [x, wanted])
    b.output(flat)
    let found = try Specialization(
      b.graph, nodes: Array(b.graph.nodes.indices), feeds: [x: TensorInfo(.float32, [128, 128])], outputs: [],
      context: context)
    #expect(found.infos[flat]?.shape == [1 << 14])
  }

  @Test func depthFirstFinishesOneOutputBeforeTheNext() throws {
    var b = GraphBuilder()
    let x = b.input("x", [2])
    let shared = b.node("Neg", [x])
    let a1 = b.node("Exp", [shared])
    let b1 = b.node("Abs", [shared])
    let a2 = b.node("Sqrt", [a1])
    let b2 = b.node("Add", [b1, shared])
    let dead = b.node("Sin", [x])
    b.output(dead)
    func names(_ order: [Int]) -> [String] { order.map { b.graph.nodes[$0].operatorName } }
    #expect(names(b.graph.depthFirstSlice(to: [a2, b2], from: [])) == ["Neg", "Exp", "Sqrt", "Abs", "Add"])
    #expect(names(b.graph.depthFirstSlice(to: [b2], from: [b1])) == ["Neg", "Add"])
    #expect(b.graph.depthFirstSlice(to: [x], from: [x]).isEmpty)
  }

  /// Folding leaves what would only take memory: a large value made of a small one.
  @Test func largeValuesFromSmallOnesAreNotFolded() throws {
    let context = try ComputeContext(threads: 1)
    var b = GraphBuilder(opset: 17)
    let x = b.input("x", [512, 512, 4])
    let table = try b.constant([3, 4])
    let small = b.node("Neg", [table])
    let indices = b.graph.addValue(
      "indices", constant: try Tensor(.int64, [512, 512], (0..<512 * 512).map { Int64($0 % 3) }))
    let gathered = b.node("Gather", [small, indices])
    b.output(b.node("Add", [x, gathered]))
    let source = b.graph
    try ConstantFolding.run(&b.graph, keepingWeightTransposes: false, context: context)
    // 4 MiB from 2 MiB of indices may be folded; 8 channels more may not.
    #expect(b.graph.operatorNames == ["Add"])
    #expect(source.operatorNames == ["Neg", "Gather", "Add"])

    var wide = GraphBuilder(opset: 17)
    let y = wide.input("y", [512, 512, 16])
    let rows = try wide.constant([3, 16])
    let same = wide.graph.addValue(
      "indices", constant: try Tensor(.int64, [512, 512], (0..<512 * 512).map { Int64($0 % 3) }))
    wide.output(wide.node("Add", [y, wide.node("Gather", [rows, same])]))
    let elements = wide.randoms(512 * 512 * 16)
    let before = try wide.graph.run([elements], context: context)
    try ConstantFolding.run(&wide.graph, keepingWeightTransposes: false, context: context)
    #expect(wide.graph.operatorNames == ["Gather", "Add"])
    #expect(try wide.graph.run([elements], context: context) == before)
  }

  /// (table + 1) + 1 takes the memory of the first sum for the second, and never a table's, a view's or an output's.
  @Test func sumsTakeTheMemoryOfWhatDies() throws {
    let context = try ComputeContext(threads: 1)
    var b = GraphBuilder(opset: 17)
    let count = 1 << 18
    let table = try b.constant([1, count])
    let one = try b.scalar(1)
    let view = b.node("Flatten", [table])
    let first = b.node("Add", [view, one])
    let second = b.node("Add", [one, first])
    let third = b.node("Add", [second, one])
    let fourth = b.node("Add", [second, third])
    b.output(second)
    b.output(fourth)
    let values = try #require(try b.graph.values[table].constant?.elements(as: Float.self))
    let infos = try Specialization(
      b.graph, nodes: Array(b.graph.nodes.indices), feeds: [:], outputs: [second, fourth], context: context
    ).infos
    #expect(try infos[second]?.constant?.elements(as: Float.self) == values.map { $0 + 1 + 1 })
    #expect(try infos[fourth]?.constant?.elements(as: Float.self) == values.map { ($0 + 1 + 1) + ($0 + 1 + 1 + 1) })
    #expect(try b.graph.values[table].constant?.elements(as: Float.self) == values)

    let add = try #require(b.graph.kernel(of: b.graph.nodes[1]))
    let x = try Tensor(.float32, [1, count], values)
    let sum = try OperatorTable.evaluate(
      add, inputs: [x, b.graph.values[one].constant], opset: 17, context: context, spare: x.buffer)
    #expect(sum[0].buffer === x.buffer)
    #expect(try sum[0].elements(as: Float.self) == values.map { $0 + 1 })
  }
}
