import Graph
import Kernels
import Tensor

/// Where the keys, values and states of one decoded row lie in its block of memory, in floats.
///
/// Keys and values are row-major by position whatever the graph's layout, [position][heads * channels], so that a new
/// token is one contiguous piece and attention reads them in place.
struct CacheLayout {
  /// One self-attention of a layer.
  struct Attention {
    var keys: Int
    var values: Int
    /// heads * channels of a key, and of a value.
    var keyWidth: Int
    var valueWidth: Int
  }

  /// [layer][self-attention of the layer]
  let layers: [[Attention]]
  /// Of the decoder's states, [position][width].
  let width: Int
  let states: Int
  let positions: Int
  let count: Int

  init(layers widths: [[(key: Int, value: Int)]], width: Int, positions: Int) throws(MueError) {
    var layers: [[Attention]] = []
    var perPosition = 0
    for attentions in widths {
      var layer: [Attention] = []
      for (key, value) in attentions {
        let keys = perPosition &* positions
        let values = (perPosition &+ key) &* positions
        layer.append(Attention(keys: keys, values: values, keyWidth: key, valueWidth: value))
        perPosition = try Shape.elementCount([1, perPosition &+ key &+ value])
      }
      layers.append(layer)
    }
    self.layers = layers
    self.width = width
    self.positions = positions
    states = try Shape.elementCount([positions, perPosition])
    // What is no size is found here, before an offset is used.
    count = try Shape.elementCount([positions, perPosition &+ width])
  }

  /// The layout of a decoder's rows, for at most `positions` tokens.
  init(_ unified: UnifiedGraph, _ decoder: DecoderPartition, width: Int, positions: Int) throws(MueError) {
    var widths: [[(key: Int, value: Int)]] = []
    for layer in decoder.layers {
      var attentions: [(key: Int, value: Int)] = []
      for attention in layer.selfAttention {
        let attributes = unified.graph.nodes[attention.node].attributes
        func rowWidth(_ value: ValueID, _ name: String) throws(MueError) -> Int {
          let shape = unified.shapes.entries[value]?.shape.map(\.base) ?? []
          let (_, heads, channels) = try AttentionLayout(attributes, name).sizes(shape)
          return heads &* channels
        }
        attentions.append((try rowWidth(attention.key, "k_layout"), try rowWidth(attention.value, "v_layout")))
      }
      widths.append(attentions)
    }
    try self.init(layers: widths, width: width, positions: positions)
  }
}
