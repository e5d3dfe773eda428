import Graph
import Kernels
import Plan
import Tensor

/// Runs the decoder over whole prefixes of one sample: embeddings, layers one by one, head.
final class PrefixRunner {
  /// A prefix on its way through the layers.
  struct State {
    /// [1, positions, width]
    var state: Tensor
    /// Values that depend on the ids and that layers read beside the state.
    var preludes: [ValueID: Tensor]
    var positions: Int { state.shape[1] }
    var width: Int { state.shape[2] }
  }

  private let unified: UnifiedGraph
  private let decoder: DecoderPartition
  private let shape: RequestShape
  let context: ComputeContext
  let cross: CrossPlans
  private let plans = PlanCache(capacity: 512)
  private let preludes: [ValueID]
  /// For the newest number of positions: plans of all layers share them.
  private var positional: (count: Int, values: PositionalValues)?
  private(set) var multiplyAdds = 0
  /// nil while nothing is traced.
  var trace: TraceRecorder? { context.workspace.trace }

  init(_ unified: UnifiedGraph, _ decoder: DecoderPartition, shape: RequestShape, context: ComputeContext) {
    self.unified = unified
    self.decoder = decoder
    self.shape = shape
    self.context = context
    cross = CrossPlans(unified, decoder, shape: shape, context: context)
    preludes = decoder.idDependentValues
  }

  /// The multiply-adds since the last call.
  func takeMultiplyAdds() -> Int {
    defer { multiplyAdds = 0 }
    return multiplyAdds
  }

  private func feeds(_ positions: Int, data: Set<ValueID> = []) throws(MueError) -> [ValueID: Feed] {
    let values: PositionalValues
    if let positional, positional.count == positions {
      values = positional.values
    } else {
      values = try PositionalValues(unified, decoder, shape: shape, positions: positions, context: context)
      positional = (positions, values)
    }
    return unified.inputFeeds(shape, positions: positions, data: data).merging(values.feeds) { $1 }
  }

  func embed(_ ids: [Int], isCancelled: () -> Bool) throws(MueError) -> State {
    trace?.begin("embedding")
    defer { trace?.end() }
    let plan = try plans.plan([0, ids.count]) { () throws(MueError) in
      let feeds = try feeds(ids.count, data: [unified.roles.decoderInputIDs.value])
      return try Plan(unified.graph, outputs: [decoder.stream.first] + preludes, feeds: feeds, context: context)
    }
    try plan.load(ids: ids, into: unified.roles.decoderInputIDs.value)
    try plan.run(isCancelled: isCancelled)
    multiplyAdds += plan.multiplyAdds
    var values: [ValueID: Tensor] = [:]
    for value in preludes { values[value] = try plan.copy(of: value) }
    let state = try plan.copy(of: decoder.stream.first)
    guard state.shape.count == 3, state.type == .float32 else {
      throw MueError(.unsupported, "the decoder's state is not float [batch, positions, width]")
    }
    return State(state: state, preludes: values)
  }

  /// Runs layer `layer` (from 1) and hands the states before and after to `body`; `state` becomes the one after.
  func run<Result>(
    _ layer: Int, _ state: inout State, encoderValues: [ValueID: Tensor], isCancelled: () -> Bool,
    _ body: (_ before: UnsafePointer<Float>, _ after: UnsafePointer<Float>) -> Result
  ) throws(MueError) -> Result {
    trace?.begin("decoder layer \(layer)")
    defer { trace?.end() }
    let from = decoder.stream.states[layer - 1]
    let to = decoder.stream.states[layer]
    let current = state
    let plan = try plans.plan([1, layer, state.positions]) { () throws(MueError) in
      var feeds = try feeds(current.positions)
      feeds[from] = .buffer(.float32, current.state.shape)
      for (value, tensor) in encoderValues.merging(current.preludes, uniquingKeysWith: { $1 }) {
        feeds[value] = .buffer(tensor.type, tensor.shape)
      }
      return try Plan(unified.graph, outputs: [to], feeds: feeds, context: context)
    }
    try plan.load(from, from: state.state.pointer)
    for (value, tensor) in encoderValues { try plan.load(value, from: tensor.pointer) }
    for (value, tensor) in state.preludes { try plan.load(value, from: tensor.pointer) }
    try plan.run(isCancelled: isCancelled)
    multiplyAdds += plan.multiplyAdds
    let before = UnsafePointer(try plan.operand(from).pointer.assumingMemoryBound(to: Float.self))
    let after = UnsafePointer(try plan.operand(to).pointer.assumingMemoryBound(to: Float.self))
    let result = body(before, after)
    state.state.pointer.copyMemory(from: after, byteCount: state.state.byteCount)
    return result
  }

  /// From states [1, positions, width] to `output`: the logits, or the hidden state before the vocabulary.
  func head(_ states: Tensor, output: ValueID, isCancelled: () -> Bool) throws(MueError) -> Tensor {
    trace?.begin("head")
    defer { trace?.end() }
    let plan = try plans.plan([2, states.shape[1], output]) { () throws(MueError) in
      var feeds = try feeds(states.shape[1])
      feeds[decoder.stream.last] = .buffer(.float32, states.shape)
      return try Plan(unified.graph, outputs: [output], feeds: feeds, context: context)
    }
    try plan.load(decoder.stream.last, from: states.pointer)
    try plan.run(isCancelled: isCancelled)
    multiplyAdds += plan.multiplyAdds
    return try plan.copy(of: output)
  }
}
