import Decode
import Kernels
import Plan
import Tensor

/// Runs requests on a model, one at a time: owns the plans, the arenas and the caches.
public final class Session {
  public let model: Model
  let context: ComputeContext
  let runner: UnifiedRunner?
  var graphPlans: [(key: [String], plan: Plan)] = []

  /// - Throws: `.unsupported` when the model was opened for inspection and has nodes that cannot run.
  public init(model: Model) throws(MueError) {
    if let node = model.unsupportedNodes.first {
      throw MueError(
        .unsupported, node.reason,
        at: .init(file: model.graph.file, node: node.node, operatorName: node.operatorName))
    }
    self.model = model
    let context = ComputeContext(sessionOf: model.context)
    self.context = context
    runner = model.unified.map { UnifiedRunner($0, shared: model.shared, context: context) }
  }

  /// nil while nothing is traced.
  var trace: TraceRecorder? { context.workspace.trace }
  var preparation: RequestPreparation { RequestPreparation(model: model, trace: trace) }

  func requireRunner() throws(MueError) -> UnifiedRunner {
    guard let runner else {
      throw MueError(
        .unsupported, "this graph is not a unified encoder-decoder (pixel_values, input_ids, decoder_input_ids)",
        at: .init(file: model.graph.file))
    }
    return runner
  }

  func requireItems(_ items: [RequestItem]) throws(MueError) {
    guard !items.isEmpty else { throw MueError(.invalidArgument, "a request needs at least one item") }
    guard items.count <= model.options.limits.batch else {
      throw MueError(.limitExceeded, "\(items.count) items; at most \(model.options.limits.batch) are allowed")
    }
  }
}
