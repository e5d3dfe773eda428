import Graph
import Kernels
import Tensor

extension UnifiedGraph {
  /// A decoder with fewer bytes of float32 weights is in the processor's cache: there decoding would take longer than reading.
  private static let smallestCoded = 1 << 26

  /// Brings all weights into the layout of their kernels, so that no request has to.
  ///
  /// The largest come first: while a weight is packed its pages of the file are in memory as well, and then the others are
  /// not there yet. Left out are those that only values read which follow from sizes: no plan runs their nodes.
  public func packWeights(context: ComputeContext) throws(MueError) {
    let screen = try vocabularyScreen(context)
    let decodes = decodingNodes()
    let sizes = graph.nodes.map { node in
      node.inputs.reduce(0) { sum, input in sum &+ (graph.constant(input)?.byteCount ?? 0) }
    }
    for index in graph.nodes.indices.sorted(by: { (sizes[$1], $0) < (sizes[$0], $1) }) {
      let node = graph.nodes[index]
      if node.outputs.allSatisfy({ $0.map { shapes.entries[$0]?.isSizeOnly == true } ?? true }) { continue }
      // Of a screened vocabulary only the rows that matter are read, where they lie.
      if screen != nil, index == decoder?.vocabulary?.node { continue }
      guard let pack = graph.kernel(of: node)?.pack else { continue }
      let inputs = node.inputs.map { input in
        input.flatMap { value in
          shapes.entries[value].map { entry in
            TensorInfo(entry.type, entry.shape.map(\.base), constant: graph.constant(value))
          }
        }
      }
      do {
        try pack(
          Inference(
            inputs: inputs, attributes: node.attributes, opset: graph.opset, outputCount: node.outputs.count), context,
          decodes.contains(index))
      } catch {
        throw error.located(graph.location(of: node))
      }
    }
    graph.releaseFilePages()
  }

  /// The nodes whose constants every token of a long enough decoder reads, from memory; none where they are few.
  private func decodingNodes() -> Set<Int> {
    let follows = graph.dependents(of: [roles.decoderInputIDs.value])
    let nodes = graph.nodes.indices.filter { index in
      index != decoder?.vocabulary?.node && graph.kernel(of: graph.nodes[index])?.pack != nil
        && graph.nodes[index].outputs.contains { $0.map { follows[$0] } ?? false }
    }
    let byteCount = nodes.reduce(0) { sum, index in
      graph.nodes[index].inputs.reduce(sum) { $0 &+ (graph.constant($1)?.byteCount ?? 0) }
    }
    return byteCount < Self.smallestCoded ? [] : Set(nodes)
  }

  /// The screen of the vocabulary, where it has one: weights that lie row by row and are large. What is computed of them
  /// exactly is so at every precision.
  func vocabularyScreen(_ context: ComputeContext) throws(MueError) -> VocabularyScreen? {
    guard screensVocabulary, let product = decoder?.vocabulary,
      let weights = VocabularyWeights(product, graph), weights.isRowMajor,
      weights.matrix.byteCount >= VocabularyScreen.smallest
    else { return nil }
    return try VocabularyScreen(weights, pages: vocabularyPages, context: context)
  }
}
