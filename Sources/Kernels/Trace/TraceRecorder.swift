import Tensor

/// Records when the parts of a session's requests began and ended. Spans nest: the one that began last ends first.
///
/// Belongs to one session, as its workspace does.
public final class TraceRecorder {
  public enum Detail: Sendable {
    /// A span for every operator inside those of the phases.
    case operators
    /// Requests and their phases alone.
    case phases
  }

  public enum Subject {
    case request(String)
    case phase(String)
    /// `multiplyAdds` is set where the label has none.
    case operation(OperatorLabel, multiplyAdds: Int?)
  }

  public struct Span {
    public let subject: Subject
    /// Nanoseconds of `Clock`.
    public let begin: UInt64
    public fileprivate(set) var end: UInt64
  }

  public let detail: Detail
  /// In the order they began.
  public private(set) var spans: [Span] = []
  /// Spans that were not recorded because there were too many.
  public private(set) var dropped = 0
  private let capacity: Int
  /// Indices of the spans that have not ended; nil for one that was dropped.
  private var open: [Int?] = []

  /// - Parameter capacity: most spans to keep.
  public init(_ detail: Detail, capacity: Int = 1 << 20) {
    self.detail = detail
    self.capacity = capacity
  }

  /// Begins a request. Whatever an earlier one that failed left open is over.
  public func begin(request: String) {
    while !open.isEmpty { end() }
    begin(.request(request))
  }

  public func begin(_ phase: String) { begin(.phase(phase)) }

  /// Ends the span that began last.
  public func end() {
    guard let last = open.popLast(), let last else { return }
    spans[last].end = Clock.now()
  }

  /// How many spans are open, to be given to `end(downTo:)`.
  public var depth: Int { open.count }

  /// Ends the spans that were begun since there were `depth` of them: those of code that failed.
  public func end(downTo depth: Int) {
    while open.count > depth { end() }
  }

  /// An operator that ran from `begin` until now.
  public func record(_ label: OperatorLabel, since begin: UInt64, multiplyAdds: Int?) {
    append(Span(subject: .operation(label, multiplyAdds: multiplyAdds), begin: begin, end: Clock.now()))
  }

  private func begin(_ subject: Subject) {
    let now = Clock.now()
    open.append(append(Span(subject: subject, begin: now, end: now)) ? spans.count - 1 : nil)
  }

  @discardableResult
  private func append(_ span: Span) -> Bool {
    guard spans.count < capacity else {
      dropped += 1
      return false
    }
    spans.append(span)
    return true
  }
}
