import Kernels
import Tensor

/// Brings what encoder attention adds to its scores, where that follows from sizes alone, into the order in which the
/// kernel reads it, and keeps what is taken from a table in the table:
///
///     bias0 = absolute + table[:, index]   ->   absolute in panels, the table, the index in panels
///
/// Layers with tables of their own then share the rest, so that position biases take the memory of one layer. Decoders
/// are left alone: they need rows of their biases, one per token.
enum EncoderBiases {
  /// - Parameter decoderInput: what depends on it belongs to the decoder.
  static func run(_ graph: inout Graph, decoderInput: ValueID, shapes: ShapeTable) throws(MueError) {
    let isDecoder = graph.dependents(of: [decoderInput])
    let matcher = PatternMatcher(graph)
    var made = Made()
    var nodes: [Graph.Node] = []
    nodes.reserveCapacity(graph.nodes.count)
    for node in graph.nodes {
      guard node.operatorName == "Attention", node.domain == "mue", node.inputs.count > 3, let bias = node.inputs[3],
        !node.inputs.contains(where: { $0.map { isDecoder[$0] } ?? false }),
        shapes.entries[bias]?.isSizeOnly == true, node.attributes.values["bias0_layout"] == nil,
        isFull(bias, node, shapes)
      else {
        nodes.append(node)
        continue
      }
      var fused = node
      var rows: ValueID? = bias
      // A table of one head is as well spelled out.
      if let sum = lookUp(bias, matcher, shapes), sum.heads > 1 {
        while fused.inputs.count < 5 { fused.inputs.append(nil) }
        let index = made.panels(of: sum.index, extent: sum.extent, &graph, &nodes)
        fused.inputs += [try sum.headsFirst ? sum.table : made.transposed(sum.table, &graph), index]
        rows = sum.rest
      }
      fused.inputs[3] = rows.map { made.panels(of: $0, extent: nil, &graph, &nodes) }
      if rows != nil { fused.attributes.values["bias0_layout"] = .string("panels") }
      nodes.append(fused)
    }
    graph.nodes = nodes
    graph.removeDeadNodes()
  }

  /// What the pass has made, for layers that share it.
  private struct Made {
    private struct Source: Hashable {
      var value: ValueID
      /// Of the table that an index is for.
      var extent: Int?
    }

    private var panels: [Source: ValueID] = [:]
    private var tables: [ValueID: ValueID] = [:]

    /// The value in panels; its node goes before the first attention that reads it.
    mutating func panels(
      of value: ValueID, extent: Int?, _ graph: inout Graph, _ nodes: inout [Graph.Node]
    ) -> ValueID {
      let source = Source(value: value, extent: extent)
      if let known = panels[source] { return known }
      let output = graph.addValue(graph.values[value].name + ".panels")
      nodes.append(
        Graph.Node(
          "AttentionPanels", domain: "mue", name: graph.values[output].name, inputs: [value], outputs: [output],
          attributes: Attributes(extent.map { ["extent": .int($0)] } ?? [:])))
      panels[source] = output
      return output
    }

    /// A table [n, heads] as [heads, n].
    mutating func transposed(_ table: ValueID, _ graph: inout Graph) throws(MueError) -> ValueID {
      if let known = tables[table] { return known }
      guard let source = graph.constant(table) else { throw MueError(.internal, "the table is not constant") }
      let (rows, columns) = (source.shape[0], source.shape[1])
      let elements = try source.elements(as: Float.self)
      var target = [Float](repeating: 0, count: elements.count)
      for row in 0..<rows {
        for column in 0..<columns { target[column * rows + row] = elements[row * columns + column] }
      }
      let tensor = try Tensor(.float32, [columns, rows], target)
      let value = graph.addValue(graph.values[table].name + ".transposed", constant: tensor)
      tables[table] = value
      return value
    }
  }

  /// Whether the bias has an element of its own for every query and key, at all sizes.
  private static func isFull(_ bias: ValueID, _ node: Graph.Node, _ shapes: ShapeTable) -> Bool {
    guard let q = node.inputs[0], let k = node.inputs[1], let queries = shapes.entries[q]?.shape,
      let keys = shapes.entries[k]?.shape, let shape = shapes.entries[bias]?.shape, queries.count == 4,
      keys.count == 4, shape.count == 4, shapes.entries[bias]?.type == .float32,
      let qLayout = try? node.attributes.string("q_layout", default: "BHTD"),
      let kLayout = try? node.attributes.string("k_layout", default: "BHTD")
    else { return false }
    let rows = queries[qLayout == "BTHD" ? 1 : 2]
    let columns = keys[kLayout == "BTHD" ? 1 : kLayout == "BHDT" ? 3 : 2]
    let heads = queries[qLayout == "BTHD" ? 2 : 1]
    return shape[2] == rows && shape[3] == columns && shape[1] == heads && shape[0].base == 1 && shape[0].isFixed
  }

  private struct LookUp {
    /// A constant [heads, n], or [n, heads] unless `headsFirst`.
    var table: ValueID
    var headsFirst: Bool
    var heads: Int
    /// Elements for each head.
    var extent: Int
    /// [queries, keys]
    var index: ValueID
    /// What is added to it.
    var rest: ValueID?
  }

  /// `bias` as a table's elements, or as their sum with something else.
  private static func lookUp(_ bias: ValueID, _ matcher: PatternMatcher, _ shapes: ShapeTable) -> LookUp? {
    if let found = elements(bias, matcher, shapes) { return found }
    guard let sum = matcher.producer(bias, "Add")?.node, sum.inputs.count == 2 else { return nil }
    for (path, rest) in [(sum.inputs[1], sum.inputs[0]), (sum.inputs[0], sum.inputs[1])] {
      guard let path, let rest, shapes.haveSameShape(path, rest), shapes.haveSameShape(path, bias),
        var found = elements(path, matcher, shapes)
      else { continue }
      found.rest = rest
      return found
    }
    return nil
  }

  /// [1, heads, queries, keys] made by a Gather of a constant table.
  private static func elements(_ value: ValueID, _ matcher: PatternMatcher, _ shapes: ShapeTable) -> LookUp? {
    guard let unsqueeze = matcher.producer(value, "Unsqueeze")?.node, let inner = unsqueeze.inputs[0],
      shapes.entries[inner]?.shape.count == 3
    else { return nil }
    var gathered = inner
    var axis = 1
    if let transpose = matcher.producer(inner, "Transpose")?.node {
      guard matcher.permutation(transpose) == [2, 0, 1], let source = transpose.inputs[0] else { return nil }
      (gathered, axis) = (source, 0)
    }
    guard let gather = matcher.producer(gathered, "Gather")?.node, gather.inputs.count == 2,
      (try? gather.attributes.int("axis", default: 0)) == axis, let table = gather.inputs[0],
      let index = gather.inputs[1], let constant = matcher.graph.constant(table), constant.shape.count == 2,
      constant.type == .float32, shapes.entries[index]?.shape.count == 2, matcher.graph.constant(index) == nil,
      let type = shapes.entries[index]?.type, type == .int64 || type == .int32
    else { return nil }
    return LookUp(
      table: table, headsFirst: axis == 1, heads: constant.shape[1 - axis], extent: constant.shape[axis], index: index,
      rest: nil)
  }
}
