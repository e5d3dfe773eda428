import Graph
import Kernels
import Plan
import Tensor

/// Everything in the decoder that follows from the position alone, for the longest length: computed once, then cut
/// into rows.
struct PositionalValues {
  private let tensors: [ValueID: Tensor]
  private let axes: [ValueID: Int]
  /// The axes of each bias that move with the position: its rows, and its keys in self-attention.
  private let biasAxes: [ValueID: [Int]]

  init(
    _ unified: UnifiedGraph, _ decoder: DecoderPartition, shape: RequestShape, positions: Int, context: ComputeContext
  ) throws(MueError) {
    let wanted = decoder.positionalBiases.union(decoder.positionalAxes.keys)
    axes = decoder.positionalAxes
    var biasAxes: [ValueID: [Int]] = [:]
    for value in decoder.positionalBiases {
      biasAxes[value] = unified.shapes.axes(of: value, dependingOn: UnifiedGraph.Symbol.decoder)
    }
    self.biasAxes = biasAxes
    tensors = try Specialization.constants(
      wanted.sorted(), of: unified.graph, feeds: unified.inputFeeds(shape, positions: positions).mapValues(\.info),
      context: context)
  }

  func tensor(_ value: ValueID) -> Tensor? { tensors[value] }

  /// Feeds for all positions together.
  var feeds: [ValueID: Feed] { tensors.mapValues { .constant($0) } }

  /// Feeds for one position of every value that data nodes read; biases are left to the attention bindings.
  func feeds(_ decoder: DecoderPartition) -> [ValueID: Feed] {
    var feeds: [ValueID: Feed] = [:]
    for value in decoder.positionalBiases {
      guard let tensor = tensors[value] else { continue }
      var shape = tensor.shape
      for axis in biasAxes[value] ?? [] { shape[axis] = 1 }
      feeds[value] = .shape(tensor.type, shape)
    }
    for (value, axis) in axes {
      guard let tensor = tensors[value] else { continue }
      var shape = tensor.shape
      shape[axis] = 1
      feeds[value] = .buffer(tensor.type, shape)
    }
    return feeds
  }

  /// What a plan reads of one value at a position.
  struct Row {
    fileprivate var source: Tensor
    fileprivate var target: UnsafeMutableRawPointer
    /// Bytes of one position, blocks that have one, and bytes from one block to the next.
    fileprivate var byteCount: Int
    fileprivate var blocks: Int
    fileprivate var stride: Int

    /// Copies the row of `position` into the plan's feed.
    func load(_ position: Int) {
      for block in 0..<blocks {
        (target + block * byteCount).copyMemory(
          from: source.pointer + block * stride + position * byteCount, byteCount: byteCount)
      }
    }
  }

  /// The feeds of `plan` that move with the position.
  func rows(of plan: Plan) throws(MueError) -> [Row] {
    var rows: [Row] = []
    for (value, axis) in axes {
      guard let tensor = tensors[value] else { continue }
      let inner = tensor.shape[(axis + 1)...].reduce(tensor.type.byteWidth, *)
      rows.append(
        Row(
          source: tensor, target: try plan.operand(value).pointer, byteCount: inner,
          blocks: tensor.shape[..<axis].reduce(1, *), stride: tensor.shape[axis] * inner))
    }
    return rows
  }
}
