import Kernels
import Tensor
import Vision

/// Layers per stream.
public struct LayerCounts: Sendable, Equatable {
  public var image: Int
  public var text: Int
  public var decoder: Int

  public init(image: Int, text: Int, decoder: Int) {
    self.image = image
    self.text = text
    self.decoder = decoder
  }
}

/// Wall time of a request's parts, in milliseconds. A batch shares its parts: every item reports the same figures.
public struct TimeReport: Sendable {
  public var total = 0.0
  public var imageDecode = 0.0
  public var stem = 0.0
  public var encoder = 0.0
  public var decoder = 0.0
  public var head = 0.0

  public init() {}
}

/// Similarities s_1, s_2, ... of mue.md after each layer that ran.
public struct Similarities: Sendable {
  public var image: [Double] = []
  public var text: [Double] = []
  /// Per generated token (one entry for a teacher-forced pass).
  public var decoder: [[Double]] = []

  public init() {}
}

/// What a request used: layers, multiply-adds, time.
public struct RequestReport: Sendable {
  /// The exit layer of the image and the text stream: the last layer that ran.
  public var imageExit = 0
  public var textExit = 0
  /// The exit layer of each generated token, in order (the end token included); one entry for a teacher-forced pass.
  public var decoderExits: [Int] = []
  public var depth = LayerCounts(image: 0, text: 0, decoder: 0)
  /// Expected time reduction as the paper defines it (a count of layers).
  public var etr = 0.0
  public var multiplyAdds = 0
  /// Multiply-adds of the same tokens at full depth.
  public var fullMultiplyAdds = 0
  public var time = TimeReport()
  public var similarities: Similarities?
  public var threads = 1
  public var precision = Precision.float32
  /// The instruction set in use, such as `avx512`.
  public var cpu = ""

  public init() {}
}

/// One of the answers that a search found.
public struct Hypothesis: Sendable {
  /// As the task wants it: see `remove_punctuation` in docs/generation.md.
  public var text = ""
  /// What the tokens say.
  public var rawText = ""
  /// Generated token ids, without the start token and without the end token.
  public var tokens: [Int] = []
  /// Natural logarithm of the probability of the answer, its end token included when it has one.
  public var logProbability = 0.0
  public var tokenLogProbabilities: [Double] = []
  /// What hypotheses are ranked by: logProbability / tokens^lengthPenalty, the end token counted.
  public var score = 0.0
  /// True when the end token was reached, false when the length was.
  public var isFinished = false
  /// The exit layer of each token, the end token included.
  public var decoderExits: [Int] = []
  /// In pixels of the picture, for tasks that answer in boxes.
  public var boxes: [Box] = []

  public init() {}
}

/// A generated answer.
public struct Generation: Sendable {
  /// Best first, as many as were asked for and found.
  public var hypotheses: [Hypothesis] = []
  public var report = RequestReport()

  public var best: Hypothesis { hypotheses.first ?? Hypothesis() }
  public var text: String { best.text }
  public var tokens: [Int] { best.tokens }
  public var logProbability: Double { best.logProbability }
  public var tokenLogProbabilities: [Double] { best.tokenLogProbabilities }
  public var isFinished: Bool { best.isFinished }

  public init() {}
}

/// The scores of a closed answer set.
public struct Scoring: Sendable {
  public var answers: [String] = []
  /// Natural logarithm of each answer's probability given image and prompt, normalised over the answers given.
  public var logProbabilities: [Double] = []
  /// The index of the best answer.
  public var best = 0
  public var report = RequestReport()

  public init() {}
}

/// One teacher-forced pass on tensors.
public struct ForwardResult: Sendable {
  /// float32 [batch, decoder length, vocabulary]
  public var logits: Tensor
  /// After the encoder's final LayerNorm, float32 [batch, image tokens + text tokens, width].
  public var encoderHiddenStates: Tensor
  /// One per sample.
  public var reports: [RequestReport]
}

/// A named input or output of a graph.
public struct TensorDescription: Sendable {
  public var name: String
  public var type: ElementType
  /// nil for a dynamic dimension.
  public var shape: [Int?]
  /// The symbolic name of each dynamic dimension, "" when it has none.
  public var dimensionNames: [String]
}
