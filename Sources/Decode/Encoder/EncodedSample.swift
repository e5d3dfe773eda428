import Graph
import Streams
import Tensor

/// What the encoder leaves for one sample: the values on the bridge to the decoder, and how it got there.
public struct EncodedSample {
  let shape: RequestShape
  /// The values of `DecoderPartition.bridge`.
  var bridge: [ValueID: Tensor] = [:]
  /// Layers run per stream.
  public internal(set) var exits: [Stream.Kind: Int] = [:]
  public internal(set) var similarities: [Stream.Kind: [Double]] = [:]
  public internal(set) var multiplyAdds = 0
  /// At full depth.
  public internal(set) var fullMultiplyAdds = 0
  public internal(set) var stemMilliseconds = 0.0
  public internal(set) var layersMilliseconds = 0.0

  init(shape: RequestShape) { self.shape = shape }

  /// Adds what a stream cost. Streams that were kept from before cost this request nothing, at no depth.
  mutating func charge(_ stream: EncodedStream) {
    multiplyAdds += stream.multiplyAdds
    fullMultiplyAdds += stream.fullMultiplyAdds
    stemMilliseconds += stream.stemMilliseconds
    layersMilliseconds += stream.layersMilliseconds
  }

  /// After the encoder's last LayerNorm, [1, rows, width].
  public func hiddenStates(_ unified: UnifiedGraph) -> Tensor? {
    unified.decoder?.encoderHiddenStates.flatMap { bridge[$0] }
  }
}
