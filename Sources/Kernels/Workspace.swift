/// What the plans of one session share, one after the other.
public final class Workspace {
  public let scratch = Scratch()
  /// nil while nothing is traced.
  public var trace: TraceRecorder?
  /// Of plans whose results a request takes out before it needs `spares`: encoders.
  public let encoderArena = Arena()
  /// Of all other plans.
  public let arena = Arena()
  /// What is made of an encoder's results lies where they were made, as far as there is room.
  public let spares: SpareMemory

  public init() { spares = SpareMemory(lender: encoderArena) }
}
