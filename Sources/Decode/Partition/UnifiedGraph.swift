import Graph
import JSON
import Kernels
import Streams
import Tensor

/// A unified encoder-decoder, cut into what runs when: embeddings, layers, the bridge to the decoder, the decoder's
/// layers with their keys and values, the head. Immutable and shared by all sessions of a model.
public struct UnifiedGraph: Sendable {
  /// The free sizes of the inputs, by their place in `ShapeTable.symbols`.
  public enum Symbol {
    public static let batch = 0
    public static let text = 1
    public static let decoder = 2
  }

  public let graph: Graph
  public let roles: InputRoles
  public let shapes: ShapeTable
  public let streams: StreamMap
  /// Image and text, or joint; empty when no layers were found in the encoder, which then always runs in full.
  public let encoderStreams: [EncoderPartition]
  /// nil when no layers were found in the decoder.
  public let decoder: DecoderPartition?
  /// Whether searches may look at the vocabulary in few bits first.
  public var screensVocabulary = false
  let vocabularyPages = WeightPages()

  /// Optimises `graph` and finds its parts; nil when it does not have the inputs of a unified encoder-decoder.
  ///
  /// - Parameter imageSize: height and width to try when the graph leaves them open.
  public init?(
    _ source: Graph, imageSize: (height: Int, width: Int), configuration: JSONValue?, context: ComputeContext
  ) throws(MueError) {
    var graph = source
    guard let roles = try InputRoles(graph, configuration: configuration) else { return nil }
    func table(_ graph: Graph) throws(MueError) -> ShapeTable {
      try ShapeTable(
        graph,
        symbols: [
          .init("batch", base: 2, probe: 3), .init("text", base: 5, probe: 9), .init("decoder", base: 6, probe: 11),
        ],
        context: context
      ) { (port, sizes) throws(MueError) in
        try Self.shape(of: port, roles: roles, imageSize: imageSize, sizes: sizes)
      }
    }
    let open = try table(graph)
    try GraphOptimizer.fuseEpilogues(&graph, shapes: open)
    try GraphOptimizer.layOutBiases(&graph, decoderInput: roles.decoderInputIDs.value, shapes: open)
    try GraphOptimizer.gatherSmallConstants(&graph)
    let shapes = try table(graph)
    let streams = try StreamMap(graph, roles: roles, shapes: shapes, configuration: configuration)
    let encoder = streams.joint.map { [$0] } ?? [streams.image, streams.text].compactMap { $0 }
    self.graph = graph
    self.roles = roles
    self.shapes = shapes
    self.streams = streams
    encoderStreams = encoder.map { EncoderPartition($0, graph: graph, shapes: shapes) }
    decoder = try streams.decoder.map { (stream) throws(MueError) in
      try DecoderPartition(stream, encoder: encoder, graph: graph, roles: roles, shapes: shapes)
    }
  }

  private static func shape(
    of port: Graph.Port, roles: InputRoles, imageSize: (height: Int, width: Int), sizes: [Int]
  ) throws(MueError) -> (ElementType, [Int]) {
    switch port.name {
    case roles.pixelValues.name:
      let declared = port.shape ?? []
      func fixed(_ axis: Int, _ fallback: Int) -> Int {
        if axis < declared.count, case .fixed(let size) = declared[axis] { return size }
        return fallback
      }
      return (
        port.type ?? .float32,
        [sizes[Symbol.batch], fixed(1, 3), fixed(2, imageSize.height), fixed(3, imageSize.width)]
      )
    case roles.inputIDs.name: return (port.type ?? .int64, [sizes[Symbol.batch], sizes[Symbol.text]])
    case roles.decoderInputIDs.name: return (port.type ?? .int64, [sizes[Symbol.batch], sizes[Symbol.decoder]])
    default:
      throw MueError(
        .unsupported, "the graph has an input '\(port.name)' whose role is not known", at: .init(argument: port.name))
    }
  }
}
