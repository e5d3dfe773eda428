/// One dimension of a declared shape.
public enum ONNXDimension: Sendable, Hashable {
  case fixed(Int)
  /// A name such as `batch`; exporters also write expressions such as `past_length + 1`.
  case symbolic(String)
  case unknown
}
