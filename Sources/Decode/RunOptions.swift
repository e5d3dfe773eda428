import Exit
import Kernels

/// What encoder and decoder are told about a request.
public struct RunOptions {
  public var thresholds: ExitThresholds
  public var rule: ExitRule
  public var recordsSimilarities: Bool
  public var isCancelled: () -> Bool
  /// nil while nothing is traced.
  public var trace: TraceRecorder?

  public init(
    thresholds: ExitThresholds = .never, rule: ExitRule = .row, recordsSimilarities: Bool = false,
    isCancelled: @escaping () -> Bool = { false }, trace: TraceRecorder? = nil
  ) {
    self.thresholds = thresholds
    self.rule = rule
    self.recordsSimilarities = recordsSimilarities
    self.isCancelled = isCancelled
    self.trace = trace
  }
}
