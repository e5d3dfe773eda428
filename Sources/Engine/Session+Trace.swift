import JSON
import Kernels
import Tensor

extension Session {
  /// Records what the requests from now on do, until `endTrace`.
  ///
  /// - Throws: `.invalidArgument` when a trace is being recorded.
  public func beginTrace(_ detail: TraceRecorder.Detail) throws(MueError) {
    guard trace == nil else { throw MueError(.invalidArgument, "the session is recording a trace already") }
    context.workspace.trace = TraceRecorder(detail)
  }

  /// Ends the recording.
  ///
  /// - Returns: a Chrome trace (docs/performance.md).
  /// - Throws: `.invalidArgument` when no trace is being recorded.
  public func endTrace() throws(MueError) -> JSONValue {
    guard let trace else { throw MueError(.invalidArgument, "the session is not recording a trace") }
    context.workspace.trace = nil
    // What a request that failed left open.
    trace.end(downTo: 0)
    return ChromeTrace(trace, model: model).json
  }
}
