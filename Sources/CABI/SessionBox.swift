import Engine
import Synchronization
import Tensor

/// What a `mue_session *` holds: the session, and whether a request is running.
///
/// Sendable by contract: `exclusively` lets one thread at a time through to the session.
final class SessionBox: HandleObject, @unchecked Sendable {
  /// "MuEsessn", little-endian.
  static var tag: UInt64 { 0x6e73_7365_7345_754d }
  static var name: String { "mue_session" }

  private let session: Session
  private let isBusy = Atomic(false)

  init(_ session: Session) { self.session = session }

  var limits: EngineLimits { session.model.options.limits }

  /// Runs a request; throws `.busy` when another one is running.
  func exclusively<Value>(_ body: (Session) throws(MueError) -> Value) throws(MueError) -> Value {
    guard isBusy.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged else {
      throw MueError(.busy, "the session is running another request", at: .init(argument: "session"))
    }
    defer { isBusy.store(false, ordering: .releasing) }
    return try body(session)
  }
}
