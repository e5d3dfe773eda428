import Kernels
import Tensor
import Testing

@testable import Graph

/// Position biases in the order of the attention kernel: what becomes of the graph, and that it computes the same.
@Suite struct EncoderBiasesTests {
  let context: ComputeContext
  private let heads = 3
  private let channels = 4
  private let tableSize = 99

  init() throws { context = try ComputeContext(threads: 2) }

  /// How a layer's bias is made.
  enum Kind: CaseIterable {
    case headsFirst, headsLast, withoutAbsolute, absoluteOnly
  }

  /// Two layers of attention over [1, rows, heads, channels], with biases from the distances of rows and a mask.
  private func graph(_ kind: Kind, rows: Int) throws -> GraphBuilder {
    var b = GraphBuilder(seed: 4)
    let x = b.input("x", [1, rows, heads, channels])
    let mask = b.input("mask", [1, 1, 1, rows])
    let unused = b.input("decoder", [1, 2])
    func integers(_ values: [Int64], _ shape: [Int]) throws -> ValueID {
      b.graph.addValue("integers\(b.graph.values.count)", constant: try Tensor(.int64, shape, values))
    }
    let count = b.node("Gather", [b.node("Shape", [x]), try integers([1], [])])
    let range = b.node("Range", [try integers([0], []), count, try integers([1], [])])
    let row = b.node("Unsqueeze", [range, try integers([1], [1])])
    let column = b.node("Unsqueeze", [range, try integers([0], [1])])
    let distance = b.node("Sub", [row, column])
    // Indices from -tableSize / 2: negative ones count from the end.
    let scores = b.node("Cast", [distance], ["to": .int(1)])
    let absolute = b.node(
      "Unsqueeze", [b.node("Mul", [scores, try b.constant([heads, 1, 1])]), try integers([0], [1])])
    var state = x
    for _ in 0..<2 {
      var bias = absolute
      if kind != .absoluteOnly {
        let gathered: ValueID
        if kind == .headsLast {
          let rows = b.node("Gather", [try b.constant([tableSize, heads]), distance], ["axis": .int(0)])
          gathered = b.node("Transpose", [rows], ["perm": .ints([2, 0, 1])])
        } else {
          gathered = b.node("Gather", [try b.constant([heads, tableSize]), distance], ["axis": .int(1)])
        }
        let looked = b.node("Unsqueeze", [gathered, try integers([0], [1])])
        bias = kind == .withoutAbsolute ? looked : b.node("Add", [absolute, looked])
      }
      let q = b.node("Transpose", [state], ["perm": .ints([0, 2, 1, 3])])
      let k = b.node("Transpose", [state], ["perm": .ints([0, 2, 3, 1])])
      let product = b.node("MatMul", [q, k])
      let biased = b.node("Add", [b.node("Add", [product, bias]), mask])
      let weights = b.node("Softmax", [biased], ["axis": .int(-1)])
      let sum = b.node("MatMul", [weights, q])
      state = b.node("Transpose", [sum], ["perm": .ints([0, 2, 1, 3])])
    }
    b.output(state)
    b.output(b.node("Exp", [unused]))
    return b
  }

  private func laidOut(_ builder: GraphBuilder, decoderInput: Int) throws -> Graph {
    var graph = builder.graph
    try GraphOptimizer.simplify(&graph, context: context)
    let shapes = try ShapeTable(graph, symbols: [.init("rows", base: 5, probe: 7)], context: context) {
      (port, sizes) throws(MueError) in
      switch port.name {
      case "x": (.float32, [1, sizes[0], heads, channels])
      case "mask": (.float32, [1, 1, 1, sizes[0]])
      default: (.float32, [1, 2])
      }
    }
    try GraphOptimizer.layOutBiases(&graph, decoderInput: graph.inputs[decoderInput].value, shapes: shapes)
    return graph
  }

  @Test(arguments: Kind.allCases, [1, 2, 20, 37])
  func layersShareWhatTheyCan(kind: Kind, rows: Int) throws {
    let builder = try graph(kind, rows: rows)
    let after = try laidOut(builder, decoderInput: 2)
    let attentions = after.nodes.filter { $0.operatorName == "Attention" }
    #expect(attentions.count == 2)
    let panels = after.nodes.filter { $0.operatorName == "AttentionPanels" }
    // The index, and the absolute bias, of both layers.
    #expect(panels.count == (kind == .withoutAbsolute || kind == .absoluteOnly ? 1 : 2))
    for node in attentions {
      #expect(node.inputs.count == (kind == .absoluteOnly ? 5 : 7))
      #expect((node.inputs[3] == nil) == (kind == .withoutAbsolute))
      if kind != .absoluteOnly { #expect(after.constant(node.inputs[5])?.shape == [heads, tableSize]) }
    }
    var randoms = GraphBuilder(seed: 8)
    let inputs = [randoms.randoms(rows * heads * channels), randoms.randoms(rows).map { 3 * $0 }, [0, 0]]
    let expected = try builder.graph.run(inputs, context: context)
    let found = try after.run(inputs, context: context)
    #expect(expected.count == found.count)
    for (a, b) in zip(expected, found) { #expect(abs(a - b) < 1e-5) }
  }

  /// Attention that depends on the decoder's input keeps its rows.
  @Test func decodersAreLeftAlone() throws {
    let after = try laidOut(graph(.headsFirst, rows: 5), decoderInput: 0)
    #expect(!after.operatorNames.contains("mue.AttentionPanels"))
    #expect(after.nodes.filter { $0.operatorName == "Attention" }.allSatisfy { $0.inputs.count == 5 })
  }

  /// A table that is shorter than the distances is an error, not a read behind its end.
  @Test func distancesOutsideTheTableAreRefused() throws {
    let after = try laidOut(graph(.headsFirst, rows: 120), decoderInput: 2)
    let inputs = [[Float](repeating: 0, count: 120 * heads * channels), [Float](repeating: 0, count: 120), [0, 0]]
    #expect(throws: MueError.self) { try after.run(inputs, context: context) }
  }
}
