import Graph
import JSON
import Kernels
import Tensor

/// The streams of a unified encoder-decoder.
public struct StreamMap: Sendable {
  /// One of: image and text; joint; none of them when nothing repeats.
  public let image: Stream?
  public let text: Stream?
  public let joint: Stream?
  public let decoder: Stream?

  public var all: [Stream] { [image, text, joint, decoder].compactMap { $0 } }

  /// Finds the streams from the graph; `streams` in mue.json, a list of value names per stream, goes before.
  public init(
    _ graph: Graph, roles: InputRoles, shapes: ShapeTable, configuration: JSONValue?
  ) throws(MueError) {
    let fromImage = graph.dependents(of: [roles.pixelValues.value])
    let fromText = graph.dependents(of: [roles.inputIDs.value])
    let fromDecoder = graph.dependents(of: [roles.decoderInputIDs.value])
    var found: [Stream.Kind: Stream] = [:]
    for chain in ResidualChain.all(in: graph, shapes: shapes) {
      let states = Self.layerBoundaries(chain.states, graph)
      guard let first = states.first else { continue }
      let kind: Stream.Kind
      switch (fromImage[first], fromText[first], fromDecoder[first]) {
      case (_, _, true): kind = .decoder
      case (true, false, false): kind = .image
      case (false, true, false): kind = .text
      case (true, true, false): kind = .joint
      default: continue
      }
      if found[kind].map({ $0.layerCount < states.count - 1 }) ?? true {
        found[kind] = Stream(kind: kind, states: states)
      }
    }
    for (kind, stream) in try Self.configured(configuration, graph) { found[kind] = stream }
    image = found[.image]
    text = found[.text]
    joint = found[.joint]
    decoder = found[.decoder]
  }

  /// Groups the sums of a chain into layers: the shortest period with which their segments repeat.
  ///
  /// A layer of an encoder has two sums (attention, feed-forward), one of a decoder three. Sums before the first
  /// whole period belong to the embedding.
  private static func layerBoundaries(_ states: [ValueID], _ graph: Graph) -> [ValueID] {
    let signatures = (1..<max(states.count, 1)).map { signature(from: states[$0 - 1], to: states[$0], graph) }
    guard signatures.count >= 2 else { return [] }
    for period in 1...max(signatures.count / 2, 1) {
      // The longest periodic tail.
      var start = signatures.count - period
      while start > 0, signatures[start - 1] == signatures[start - 1 + period] { start -= 1 }
      let layers = (signatures.count - start) / period
      guard layers >= 2, signatures.count - layers * period < period else { continue }
      let offset = signatures.count - layers * period
      return (0...layers).map { states[offset + $0 * period] }
    }
    return []
  }

  /// What a segment computes from its state: its operators with the shapes of their constants, in no order.
  private static func signature(from: ValueID, to: ValueID, _ graph: Graph) -> [String] {
    let depends = graph.dependents(of: [from])
    var names: [String] = []
    for index in graph.slice(to: [to], from: [from]) {
      let node = graph.nodes[index]
      guard node.outputs.contains(where: { $0.map { depends[$0] } ?? false }) else { continue }
      var name = node.domain + "." + node.operatorName
      for input in node.inputs { name += graph.constant(input).map { "\($0.shape)" } ?? "" }
      names.append(name)
    }
    return names.sorted()
  }

  private static func configured(_ configuration: JSONValue?, _ graph: Graph) throws(MueError) -> [Stream.Kind: Stream]
  {
    guard case .object(let object)? = configuration, case .object(let streams)? = object["streams"] else { return [:] }
    var result: [Stream.Kind: Stream] = [:]
    for kind in [Stream.Kind.image, .text, .joint, .decoder] {
      guard case .array(let names)? = streams[kind.rawValue] else { continue }
      var states: [ValueID] = []
      for name in names {
        guard case .string(let name) = name, let value = graph.values.firstIndex(where: { $0.name == name }) else {
          throw MueError(
            .invalidModel, "mue.json names a value that the graph does not have",
            at: .init(file: graph.file, field: "streams.\(kind.rawValue)"))
        }
        states.append(value)
      }
      guard let stream = Stream(kind: kind, states: states) else {
        throw MueError(
          .invalidModel, "a stream needs its embeddings and at least one layer",
          at: .init(file: graph.file, field: "streams.\(kind.rawValue)"))
      }
      result[kind] = stream
    }
    return result
  }
}
