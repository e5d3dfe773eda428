import Graph
import Kernels
import Streams
import Tensor
import Testing

/// A toy encoder-decoder whose layers are small but joined like real ones.
private struct ToyModel {
  var graph = Graph(opset: 17)
  let width = 4

  mutating func node(_ name: String, _ inputs: [ValueID?], _ attributes: [String: AttributeValue] = [:]) -> ValueID {
    let output = graph.addValue("\(name)\(graph.values.count)")
    graph.append(
      Graph.Node(
        name, name: "\(name)\(graph.nodes.count)", inputs: inputs, outputs: [output], attributes: Attributes(attributes)
      ))
    return output
  }

  mutating func weight(_ shape: [Int]) throws -> ValueID {
    let elements = (0..<shape.reduce(1, *)).map { Float($0 % 7) / 7 - 0.4 }
    return graph.addValue("w\(graph.values.count)", constant: try Tensor(.float32, shape, elements))
  }

  mutating func norm(_ x: ValueID) throws -> ValueID {
    node("LayerNormalization", [x, try weight([width]), try weight([width])])
  }

  /// One residual sum: pre-norm `x + f(norm(x))`, or post-norm `norm(x + f(x))`.
  mutating func block(_ x: ValueID, inner: Int, isPostNorm: Bool) throws -> ValueID {
    let start = isPostNorm ? x : try norm(x)
    let hidden = node("Relu", [node("MatMul", [start, try weight([width, inner])])])
    let sum = node("Add", [x, node("MatMul", [hidden, try weight([inner, width])])])
    return isPostNorm ? try norm(sum) : sum
  }

  mutating func stream(_ x: ValueID, layers: Int, blocks: [Int], isPostNorm: Bool) throws -> [ValueID] {
    var states = [x]
    for _ in 0..<layers {
      var state = states[states.count - 1]
      for inner in blocks { state = try block(state, inner: inner, isPostNorm: isPostNorm) }
      states.append(state)
    }
    return states
  }
}

@Suite struct StreamMapTests {
  private func streams(isPostNorm: Bool) throws -> (StreamMap, [[ValueID]]) {
    var toy = ToyModel()
    let pixels = toy.graph.addInput("pixel_values", type: .float32, shape: nil)
    let ids = toy.graph.addInput("input_ids", type: .int64, shape: nil)
    let decoderIDs = toy.graph.addInput("decoder_input_ids", type: .int64, shape: nil)
    let image = try toy.stream(
      toy.node("Reshape", [pixels, toy.graph.addValue("s", constant: Tensor(.int64, [3], [Int64(0), -1, 4]))]),
      layers: 3, blocks: [5, 6], isPostNorm: isPostNorm)
    let text = try toy.stream(
      toy.node("Gather", [toy.weight([9, 4]), ids]), layers: 2, blocks: [5, 6], isPostNorm: isPostNorm)
    let memory = toy.node("Concat", [image[3], text[2]], ["axis": .int(1)])
    let mean = toy.node("ReduceMean", [memory], ["axes": .ints([1]), "keepdims": .int(1)])
    let embedded = toy.node("Add", [toy.node("Gather", [try toy.weight([9, 4]), decoderIDs]), mean])
    let decoder = try toy.stream(embedded, layers: 4, blocks: [5, 7, 6], isPostNorm: isPostNorm)
    toy.graph.addOutput("logits", value: toy.node("MatMul", [decoder[4], try toy.weight([4, 9])]))
    let context = try ComputeContext(threads: 1)
    let roles = try #require(try InputRoles(toy.graph, configuration: nil))
    let shapes = try ShapeTable(
      toy.graph,
      symbols: [
        .init("batch", base: 2, probe: 3), .init("text", base: 5, probe: 9), .init("decoder", base: 6, probe: 11),
      ], context: context
    ) { (port, sizes) throws(MueError) in
      switch port.name {
      case "pixel_values": (.float32, [sizes[0], 4, 2, 2])
      case "input_ids": (.int64, [sizes[0], sizes[1]])
      default: (.int64, [sizes[0], sizes[2]])
      }
    }
    return (try StreamMap(toy.graph, roles: roles, shapes: shapes, configuration: nil), [image, text, decoder])
  }

  @Test(arguments: [false, true]) func layersAreFoundWithoutNames(isPostNorm: Bool) throws {
    let (map, expected) = try streams(isPostNorm: isPostNorm)
    #expect(map.image?.states == expected[0])
    #expect(map.text?.states == expected[1])
    #expect(map.decoder?.states == expected[2])
    #expect(map.joint == nil)
  }
}
