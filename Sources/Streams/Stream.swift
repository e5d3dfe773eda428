import Graph

/// A stack of layers that one residual value runs through: `states[0]` are the embeddings, `states[i]` is what layer i
/// hands on. To exit after layer p is to let every later reader of the last state read `states[p]`.
public struct Stream: Sendable, Equatable {
  public enum Kind: String, Sendable {
    case image
    case text
    /// An encoder in which the modalities attend to each other: one stream.
    case joint
    case decoder
  }

  public let kind: Kind
  public let states: [ValueID]

  public var layerCount: Int { states.count - 1 }
  public var first: ValueID { states[0] }
  public var last: ValueID { states[states.count - 1] }

  /// nil unless there is at least one layer.
  public init?(kind: Kind, states: [ValueID]) {
    guard states.count >= 2 else { return nil }
    self.kind = kind
    self.states = states
  }
}
