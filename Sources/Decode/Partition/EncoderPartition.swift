import Graph
import Streams

/// One encoder stream: its embeddings, its layers, and what the layers share.
public struct EncoderPartition: Sendable {
  public let stream: Stream
  /// Values that the layers read beside the state (padding masks), made once with the embeddings.
  public let preludes: [ValueID]

  init(_ stream: Stream, graph: Graph, shapes: ShapeTable) {
    self.stream = stream
    var preludes: [ValueID] = []
    for layer in 1...stream.layerCount {
      let slice = LayerSlice(from: [stream.states[layer - 1]], to: stream.states[layer], graph: graph, shapes: shapes)
      for value in slice.externals where !preludes.contains(value) { preludes.append(value) }
    }
    self.preludes = preludes
  }
}
