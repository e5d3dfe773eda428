import Graph

/// The part of a graph between two states of a stream.
struct LayerSlice {
  /// The nodes that depend on the state before, in graph order.
  let nodes: [Int]
  /// Data values that those nodes read and that come from elsewhere: masks, keys of the encoder, ids.
  let externals: [ValueID]
  /// Values that follow from sizes alone and that those nodes read.
  let sizeOnlyInputs: [ValueID]

  init(from: [ValueID], to: ValueID, graph: Graph, shapes: ShapeTable) {
    let depends = graph.dependents(of: from)
    let nodes = graph.slice(to: [to], from: Set(from)).filter { index in
      graph.nodes[index].outputs.contains { $0.map { depends[$0] } ?? false }
    }
    var isMade = Set(from)
    var externals: [ValueID] = []
    for index in nodes {
      for case let output? in graph.nodes[index].outputs { isMade.insert(output) }
    }
    var sizeOnly: [ValueID] = []
    var seen = Set<ValueID>()
    for index in nodes {
      for case let input? in graph.nodes[index].inputs
      where !isMade.contains(input) && graph.constant(input) == nil && seen.insert(input).inserted {
        if shapes.entries[input]?.isSizeOnly == false { externals.append(input) } else { sizeOnly.append(input) }
      }
    }
    self.nodes = nodes
    self.externals = externals
    sizeOnlyInputs = sizeOnly
  }
}
