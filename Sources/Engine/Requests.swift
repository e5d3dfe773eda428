import Exit
import Kernels
import Tensor
import Vision

/// How a model is opened.
public struct ModelOptions: Sendable {
  /// Threads of the model's own pool, the calling thread included; 0 takes the cores the process may use.
  public var threads = 0
  /// The threads to use in place of the model's own; other models may use them too.
  public var pool: ThreadPool?
  public var limits = EngineLimits()
  /// Lets searches look at large vocabularies in few bits first; what decides is computed exactly.
  public var screensVocabulary = true
  /// Opens a graph with nodes that the engine cannot run too, so that `inspect` lists them; requests are refused.
  public var isForInspection = false
  /// How constant matrices are kept and multiplied.
  public var precision = Precision.float32
  /// Keeps packed weights in a file next to the model, and reads them from there the next time.
  public var keepsPackedWeights = false

  public init() {}
}

/// Bounds on what a model or a request may ask for.
public struct EngineLimits: Sendable {
  public var modelBytes = 1 << 36
  public var nodes = 1 << 20
  public var tensorElements = 1 << 34
  public var nesting = 16
  /// Longest prompt or decoder sequence, in tokens.
  public var sequenceLength = 1 << 14
  public var imagePixels = 1 << 28
  /// Items of one request.
  public var batch = 1 << 10

  public init() {}
}

/// Where an image comes from.
public enum ImageInput: Sendable {
  case file(String)
  /// JPEG or PNG bytes.
  case encoded([UInt8])
  case rgb(RGBImage)
  /// pixel_values, float32 [1, 3, height, width], already normalised.
  case tensor(Tensor)
  /// What `Session.encode(image:)` kept.
  case features(ImageFeatures)
}

/// One question about one image.
public struct RequestItem: Sendable {
  public var image: ImageInput
  /// nil takes the model's default prompt (captioning).
  public var prompt: String?

  public init(image: ImageInput, prompt: String? = nil) {
    self.image = image
    self.prompt = prompt
  }
}

/// Which early exits a request uses.
public enum ExitSetting: Sendable, Equatable {
  /// Full depth.
  case off
  /// The thresholds in the bundle's mue.json; an error when it has none.
  case calibrated
  case thresholds(ExitThresholds)
}

/// What the streaming callback wants next.
public enum StreamDecision: Sendable {
  case proceed
  /// End the generation and keep what was made.
  case stop
  /// End the generation and drop it: the call throws `.cancelled`.
  case cancel
}

/// A token that was just chosen (greedy) for one item.
public struct StreamedToken: Sendable {
  public let item: Int
  public let token: Int
  /// The text that became complete with this token; may be empty.
  public let text: String
  /// Decoder layers that ran for it.
  public let exitLayer: Int
}

/// Options that all kinds of request share.
public struct RequestOptions: Sendable {
  public var exits: ExitSetting = .off
  public var rule: ExitRule = .row
  /// Report the similarity after every layer that ran.
  public var similarities = false
  public var cancellation: CancellationToken?

  public init() {}
}

/// Options of generation. What is nil or 0 is taken from the task in mue.json that the prompt fits, else from
/// generation_config.json, else it is what is said here.
public struct GenerateOptions: Sendable {
  public var request = RequestOptions()
  /// 1 is greedy search, which is the default.
  public var beams = 0
  /// Hypotheses to return, at most `beams`; 0 is 1.
  public var hypotheses = 0
  /// Most tokens to generate, the end token not counted.
  public var maxTokens = 0
  /// Tokens before the end token may come; by default 1 with beams and 0 without.
  public var minTokens: Int?
  /// No sequence of so many tokens comes twice; 0, the default, allows all.
  public var noRepeatNgramSize: Int?
  /// Hypotheses are ranked by log-probability / tokens^lengthPenalty; 1 by default.
  public var lengthPenalty: Double?
  /// The only answers that may be given, to the letter; nil for any.
  public var answers: [String]?

  public init() {}
}
