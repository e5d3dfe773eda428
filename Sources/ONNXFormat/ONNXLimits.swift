/// What a model file may ask for before it is refused; each breach is a `limitExceeded` error that says where.
public struct ONNXLimits: Sendable {
  /// Bytes of the model file and of all its external data files together.
  public var modelBytes: Int = 64 << 30
  /// Nodes of the graph, its subgraphs and the local functions together.
  public var nodes: Int = 1_000_000
  /// Tensors together, in initializers and in attributes.
  public var tensors: Int = 1_000_000
  /// Elements of one tensor.
  public var tensorElements: Int = 1 << 34
  /// Graphs within graphs; the main graph is at depth 1. Decoding takes a few kilobytes of stack for each.
  public var nesting: Int = 32
  /// Bytes of one name or one string attribute.
  public var stringBytes: Int = 16 << 20

  /// The most dimensions that a tensor or a declared shape may have, as in NumPy.
  public static let maximumRank = 64

  /// Names, strings and graphs that the model may have for each node that `nodes` allows (counted as 4096 at least).
  public static let entriesPerNode = 16

  public init() {}
}
