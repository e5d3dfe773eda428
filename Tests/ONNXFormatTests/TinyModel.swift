/// A model of one node and one initializer, with room for what a test wants to spoil.
struct TinyModel {
  /// Writes into the model, after all else.
  var model: (inout ProtoWriter) -> Void = { _ in }
  /// Writes into the graph, after its node and its tensor.
  var graph: (inout ProtoWriter) -> Void = { _ in }
  /// Writes into the node, after its names.
  var node: (inout ProtoWriter) -> Void = { _ in }
  /// Writes the initializer; nil for a [2, 2] float tensor.
  var tensor: ((inout ProtoWriter) -> Void)?

  var bytes: [UInt8] {
    var writer = ProtoWriter()
    writer.int(1, 8)
    writer.message(8) { $0.int(2, 17) }
    writer.message(7) { graph in
      graph.message(1) { node in
        node.string(1, "x")
        node.string(2, "y")
        node.string(4, "Relu")
        self.node(&node)
      }
      graph.string(2, "g")
      graph.message(5) { tensor in
        if let write = self.tensor {
          write(&tensor)
        } else {
          tensor.ints(1, [2, 2], packed: true)
          tensor.int(2, 1)
          tensor.string(8, "w")
          tensor.data(9, [UInt8](repeating: 1, count: 16))
        }
      }
      self.graph(&graph)
    }
    model(&writer)
    return writer.bytes
  }
}
