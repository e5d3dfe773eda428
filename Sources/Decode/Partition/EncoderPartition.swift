import Graph
import Streams

/// One encoder stream: its embeddings, its layers, and what the layers share.
public struct EncoderPartition: Sendable {
  public let stream: Stream
  /// Values that the layers read beside the state (padding masks), made once with the embeddings.
  public let preludes: [ValueID]
  /// Large values that the layers read and that follow from sizes alone: position biases.
  public let sizeValues: [ValueID]

  init(_ stream: Stream, graph: Graph, shapes: ShapeTable) {
    self.stream = stream
    var preludes: [ValueID] = []
    var sizeValues: [ValueID] = []
    for layer in 1...stream.layerCount {
      let slice = LayerSlice(from: [stream.states[layer - 1]], to: stream.states[layer], graph: graph, shapes: shapes)
      for value in slice.externals where !preludes.contains(value) { preludes.append(value) }
      for value in slice.sizeOnlyInputs where !sizeValues.contains(value) {
        let count = shapes.entries[value]?.shape.reduce(1) { $0 &* $1.base } ?? 0
        // Smaller ones are as quickly made as looked up.
        if count > 1 << 10 { sizeValues.append(value) }
      }
    }
    self.preludes = preludes
    self.sizeValues = sizeValues
  }
}
