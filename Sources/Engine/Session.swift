import Tensor

/// Runs requests on a model, one at a time: owns the plans, the arenas and the caches.
public final class Session {
  public let model: Model

  public init(model: Model) throws(MueError) {
    self.model = model
  }

  /// Answers each item in text, all items in one batch. The callback is called on the calling thread, for beams = 1.
  public func generate(
    _ items: [RequestItem], options: GenerateOptions = .init(),
    onToken: ((StreamedToken) -> StreamDecision)? = nil
  ) throws(MueError) -> [Generation] {
    throw MueError(.internal, "under construction")
  }

  /// Scores `answers` as continuations for each item, in one decoder pass per item.
  public func score(
    _ items: [RequestItem], answers: [String], options: RequestOptions = .init()
  ) throws(MueError) -> [Scoring] {
    throw MueError(.internal, "under construction")
  }

  /// One teacher-forced pass: pixel_values float32 [batch, 3, height, width], ids int64 [batch, length].
  public func forward(
    pixelValues: Tensor, inputIDs: Tensor, decoderInputIDs: Tensor, options: RequestOptions = .init()
  ) throws(MueError) -> ForwardResult {
    throw MueError(.internal, "under construction")
  }

  /// Runs the whole graph as it stands on named tensors, and returns the named outputs.
  public func run(
    _ inputs: [String: Tensor], outputs: [String]? = nil, cancellation: CancellationToken? = nil
  ) throws(MueError) -> [String: Tensor] {
    throw MueError(.internal, "under construction")
  }
}
