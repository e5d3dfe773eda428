import Kernels
import Plan
import Tensor

@testable import Graph

/// Builds small graphs for tests, one line a node.
struct GraphBuilder {
  var graph: Graph
  private var generator: UInt64

  init(opset: Int = 16, seed: UInt64 = 1) {
    graph = Graph(opset: opset)
    generator = seed
  }

  mutating func input(_ name: String, _ shape: [Int]) -> ValueID {
    graph.addInput(name, type: .float32, shape: shape.map { .fixed($0) })
  }

  mutating func randoms(_ count: Int) -> [Float] {
    (0..<count).map { _ in
      generator = generator &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Float(Int64(generator >> 40)) / Float(1 << 23) - 1
    }
  }

  mutating func constant(_ shape: [Int]) throws -> ValueID {
    graph.addValue("constant\(graph.values.count)", constant: try Tensor(.float32, shape, randoms(shape.reduce(1, *))))
  }

  mutating func scalar(_ value: Float) throws -> ValueID {
    graph.addValue("scalar\(graph.values.count)", constant: try Tensor(.float32, [], [value]))
  }

  mutating func node(
    _ name: String, _ inputs: [ValueID?], _ attributes: [String: AttributeValue] = [:]
  ) -> ValueID {
    let output = graph.addValue("\(name)\(graph.values.count)")
    graph.append(
      Graph.Node(
        name, name: "\(name)\(graph.nodes.count)", inputs: inputs, outputs: [output], attributes: Attributes(attributes)
      ))
    return output
  }

  mutating func output(_ value: ValueID) { graph.addOutput("output\(graph.outputs.count)", value: value) }
}

extension Graph {
  /// The first output for the given inputs, run as a plan.
  func run(_ inputs: [[Float]], context: ComputeContext) throws -> [Float] {
    var feeds: [ValueID: Feed] = [:]
    for port in self.inputs {
      feeds[port.value] = .buffer(.float32, port.shape?.map { if case .fixed(let size) = $0 { size } else { 1 } } ?? [])
    }
    let plan = try Plan(self, outputs: [outputs[0].value], feeds: feeds, context: context)
    for (port, elements) in zip(self.inputs, inputs) { try plan.load(port.value, from: elements) }
    try plan.run()
    return try plan.copy(of: outputs[0].value).elements(as: Float.self)
  }

  var operatorNames: [String] { nodes.map { $0.domain.isEmpty ? $0.operatorName : "\($0.domain).\($0.operatorName)" } }
}
