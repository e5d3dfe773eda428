import Graph
import Kernels
import Plan
import Tensor

/// The plans that make what one decoder layer takes from the encoder, for one request shape.
final class CrossPlans {
  let unified: UnifiedGraph
  let decoder: DecoderPartition
  private let shape: RequestShape
  let context: ComputeContext
  /// In float32 a step reads as many bytes either way, and packing them takes time.
  var packsKeys: Bool { context.weights.precision != .float32 }
  private var plans: [Int: Plan] = [:]
  /// nil while nothing is traced.
  var trace: TraceRecorder? { context.workspace.trace }

  init(_ unified: UnifiedGraph, _ decoder: DecoderPartition, shape: RequestShape, context: ComputeContext) {
    self.unified = unified
    self.decoder = decoder
    self.shape = shape
    self.context = context
  }

  /// The bridge's values of one sample to `outputs`, which layer `layer` (from 1) reads.
  func plan(layer: Int, bridge: [ValueID: Tensor], outputs: [ValueID]) throws(MueError) -> Plan {
    if let known = plans[layer] { return known }
    var feeds = unified.inputFeeds(shape)
    for (value, tensor) in bridge { feeds[value] = .buffer(tensor.type, tensor.shape) }
    let plan = try Plan(unified.graph, outputs: outputs, feeds: feeds, context: context)
    plans[layer] = plan
    return plan
  }
}
