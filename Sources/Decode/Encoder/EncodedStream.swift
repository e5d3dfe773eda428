import Tensor

/// What one encoder stream leaves for one sample: its last state, and how it got there.
public struct EncodedStream: Sendable {
  /// After the last layer that ran, before any final LayerNorm: [1, rows, width].
  let state: Tensor
  /// The exit layer.
  public let layer: Int
  /// After each layer that ran, when they were wanted.
  let similarities: [Double]
  var multiplyAdds = 0
  /// At full depth.
  var fullMultiplyAdds = 0
  var stemMilliseconds = 0.0
  var layersMilliseconds = 0.0
}
