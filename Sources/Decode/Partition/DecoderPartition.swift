import Graph
import Kernels
import Streams
import Tensor

/// The decoder: per layer its attentions, what it takes from the encoder, and which values move with the token's
/// position; before it the bridge (everything that several layers share), after it the head.
public struct DecoderPartition: Sendable {
  public struct Attention: Sendable {
    public var node: Int
    public var key: ValueID
    public var value: ValueID
  }

  public struct Layer: Sendable {
    /// Attention over the decoder's own tokens: its keys and values are cached.
    public var selfAttention: [Attention]
    /// Attention over the encoder's output: its keys and values are made once per image.
    public var crossAttention: [Attention]
    /// Everything the layer takes from the encoder: cross keys and values, masks.
    public var encoderValues: [ValueID]
    /// The ones among `encoderValues` that only cross attention reads, as keys or values.
    public var crossKeyValues: Set<ValueID>
  }

  public let stream: Stream
  public let layers: [Layer]
  /// Values that several layers take from the encoder, made once per request: the encoder's output, masks.
  public let bridge: [ValueID]
  /// The encoder's output after its last LayerNorm, [batch, rows, width]; nil when there is no single such value.
  public let encoderHiddenStates: ValueID?
  /// Size-only values with one row per decoder position that data nodes read, and the axis of that row. Those that
  /// attention reads as biases are not among them.
  public let positionalAxes: [ValueID: Int]
  /// Size-only biases of attention that move with the position.
  public let positionalBiases: Set<ValueID>
  /// Values that depend on the decoder's ids and that layers read beside the state; decoding with a cache needs none.
  public let idDependentValues: [ValueID]
  /// Why the decoder cannot run one token at a time; nil when it can.
  public let obstacle: String?
  /// The final product with the vocabulary: its input and its weight, when the logits are one.
  public let vocabulary: VocabularyProduct?

  init(
    _ stream: Stream, encoder: [Stream], graph: Graph, roles: InputRoles, shapes: ShapeTable
  ) throws(MueError) {
    self.stream = stream
    let fromDecoder = graph.dependents(of: [roles.decoderInputIDs.value])
    var obstacle: String?
    var layers: [Layer] = []
    var idDependent: [ValueID] = []
    for index in 1...stream.layerCount {
      let from = stream.states[index - 1]
      let slice = LayerSlice(from: [from], to: stream.states[index], graph: graph, shapes: shapes)
      for value in slice.externals where fromDecoder[value] && !idDependent.contains(value) {
        idDependent.append(value)
      }
      if let value = slice.externals.first(where: { fromDecoder[$0] }) {
        obstacle = obstacle ?? "layer \(index) reads '\(graph.values[value].name)', which depends on the decoder's ids"
      }
      let depends = graph.dependents(of: [from])
      var layer = Layer(
        selfAttention: [], crossAttention: [], encoderValues: slice.externals.filter { !fromDecoder[$0] },
        crossKeyValues: [])
      for node in slice.nodes where Self.isAttention(graph.nodes[node]) {
        let inputs = graph.nodes[node].inputs
        guard inputs.count >= 3, let key = inputs[1], let value = inputs[2] else { continue }
        if shapes.entries[key]?.shape.count != 4 {
          obstacle = obstacle ?? "attention '\(graph.nodes[node].name)' is not over [batch, heads, rows, channels]"
        }
        let attention = Attention(node: node, key: key, value: value)
        if depends[key] { layer.selfAttention.append(attention) } else { layer.crossAttention.append(attention) }
      }
      if layer.selfAttention.isEmpty { obstacle = obstacle ?? "no self-attention was recognised in layer \(index)" }
      let keyValues = Set(layer.crossAttention.flatMap { [$0.key, $0.value] })
      let users = graph.users()
      layer.crossKeyValues = keyValues.filter { value in
        layer.encoderValues.contains(value) && users[value].allSatisfy { Self.isAttention(graph.nodes[$0]) }
      }
      layers.append(layer)
    }
    self.layers = layers
    idDependentValues = idDependent

    let ends = Set(encoder.map(\.last))
    bridge = Self.bridge(layers, ends: ends, graph: graph, shapes: shapes)
    encoderHiddenStates = Self.hiddenStates(bridge, ends: ends, graph: graph, shapes: shapes)

    let dataNodes =
      graph.slice(to: [roles.logits.value], from: []).filter { index in
        graph.nodes[index].outputs.contains {
          $0.map { fromDecoder[$0] && shapes.entries[$0]?.isSizeOnly == false } ?? false
        }
      }
    let attentions = Set(layers.flatMap { ($0.selfAttention + $0.crossAttention).map(\.node) })
    var axes: [ValueID: Int] = [:]
    var biases = Set<ValueID>()
    for index in dataNodes {
      for (slot, input) in graph.nodes[index].inputs.enumerated() {
        guard let input, graph.constant(input) == nil, shapes.entries[input]?.isSizeOnly == true else { continue }
        let moving = shapes.axes(of: input, dependingOn: UnifiedGraph.Symbol.decoder)
        guard !moving.isEmpty else { continue }
        if attentions.contains(index), slot >= 3 {
          biases.insert(input)
        } else if moving.count == 1, Self.readsElements(graph.nodes[index], slot) {
          axes[input] = moving[0]
        } else if Self.readsElements(graph.nodes[index], slot) {
          obstacle = obstacle ?? "'\(graph.values[input].name)' moves with the position along several axes"
        }
      }
    }
    positionalAxes = axes
    positionalBiases = biases
    self.obstacle = obstacle

    let producers = graph.producers()
    if let node = producers[roles.logits.value], graph.nodes[node].operatorName == "Linear",
      graph.nodes[node].domain == "mue", graph.nodes[node].inputs.count <= 3, let hidden = graph.nodes[node].inputs[0],
      (try? graph.nodes[node].attributes.string("activation", default: "none")) == "none"
    {
      vocabulary = VocabularyProduct(hidden: hidden, node: node)
    } else {
      vocabulary = nil
    }
  }

  private static func isAttention(_ node: Graph.Node) -> Bool {
    node.operatorName == "Attention" && node.domain == "mue"
  }

  /// False for operands that only say a shape, such as the second one of Reshape: those are inferred anew for a row.
  private static func readsElements(_ node: Graph.Node, _ slot: Int) -> Bool {
    !(slot == 1 && ["Reshape", "Expand", "Unsqueeze", "Squeeze", "Tile"].contains(node.operatorName))
  }

  /// The values at the border between what several layers need from the encoder and what one layer needs.
  private static func bridge(
    _ layers: [Layer], ends: Set<ValueID>, graph: Graph, shapes: ShapeTable
  ) -> [ValueID] {
    var uses = [Int](repeating: 0, count: graph.nodes.count)
    let slices = layers.map { layer in
      graph.slice(to: layer.encoderValues, from: ends).filter { index in
        graph.nodes[index].outputs.contains { $0.map { shapes.entries[$0]?.isSizeOnly == false } ?? false }
      }
    }
    for slice in slices {
      for index in slice { uses[index] += 1 }
    }
    let producers = graph.producers()
    func isShared(_ value: ValueID) -> Bool {
      if ends.contains(value) { return true }
      guard let producer = producers[value] else { return false }
      return uses[producer] >= 2
    }
    var border: [ValueID] = []
    func add(_ value: ValueID) {
      if isShared(value), !border.contains(value) { border.append(value) }
    }
    for (layer, slice) in zip(layers, slices) {
      for value in layer.encoderValues { add(value) }
      for index in slice where uses[index] == 1 {
        for case let input? in graph.nodes[index].inputs where graph.constant(input) == nil { add(input) }
      }
    }
    return border
  }

  private static func hiddenStates(
    _ bridge: [ValueID], ends: Set<ValueID>, graph: Graph, shapes: ShapeTable
  ) -> ValueID? {
    let fromEncoder = graph.dependents(of: ends)
    let candidates = bridge.filter {
      fromEncoder[$0] && shapes.entries[$0]?.shape.count == 3 && shapes.entries[$0]?.type == .float32
    }
    return candidates.count == 1 ? candidates[0] : nil
  }
}
