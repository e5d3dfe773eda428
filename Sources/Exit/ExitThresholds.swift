import Tensor

/// Similarity thresholds of the three streams; a stream stops after the first layer whose similarity exceeds its own.
///
/// A threshold of 1 or more means never. Source: mue.md, "Exit rule".
public struct ExitThresholds: Sendable, Equatable {
  public var image: Double
  public var text: Double
  public var decoder: DecoderThreshold

  /// Throws `.invalidArgument` when a threshold is not a finite number.
  public init(image: Double, text: Double, decoder: DecoderThreshold) throws(MueError) {
    for (name, value) in [("image", image), ("text", text), ("decoder", decoder.theta)] where !value.isFinite {
      throw MueError(
        .invalidArgument, "the \(name) threshold \(value) is not a finite number", at: .init(argument: name))
    }
    self.image = image
    self.text = text
    self.decoder = decoder
  }

  /// Full depth everywhere.
  public static let never = ExitThresholds(uncheckedImage: 1, text: 1, decoder: DecoderThreshold(theta: 1))

  private init(uncheckedImage: Double, text: Double, decoder: DecoderThreshold) {
    self.image = uncheckedImage
    self.text = text
    self.decoder = decoder
  }
}

/// The decoder's threshold and how it changes over the generated tokens.
public struct DecoderThreshold: Sendable, Equatable {
  /// The shape of the threshold over time. Source: mue.md, "Threshold over time".
  public enum Schedule: String, Sendable, CaseIterable {
    /// The same at every step.
    case constant
    /// theta(t) = clip01(beta * theta + (1 - beta) * exp(-tau * t / N))
    case paper
    /// 1 while t < N'/3, then 0.9 * theta + 0.1 * exp(-(t + 1) / N'), N' = N + 1
    case released
  }

  public var theta: Double
  public var schedule: Schedule
  public var beta: Double
  public var tau: Double

  public init(theta: Double, schedule: Schedule = .constant, beta: Double = 0.95, tau: Double = 1) {
    self.theta = theta
    self.schedule = schedule
    self.beta = beta
    self.tau = tau
  }

  /// The threshold at step `step` (0 for the first token) of at most `maxSteps`.
  public func value(step: Int, maxSteps: Int) -> Double {
    // A theta of 1 or more switches the exit off under every schedule.
    guard theta < 1 else { return 1 }
    let t = Double(step)
    let n = Double(max(maxSteps, 1))
    switch schedule {
    case .constant:
      return theta
    case .paper:
      return min(max(beta * theta + (1 - beta) * exponential(-tau * t / n), 0), 1)
    case .released:
      let length = n + 1
      return t < length / 3 ? 1 : 0.9 * theta + 0.1 * exponential(-(t + 1) / length)
    }
  }
}

/// Over what one exit decision is made.
public enum ExitRule: String, Sendable, CaseIterable {
  /// Per sample in the encoder, per row in the decoder: neighbours do not change an answer.
  case row
  /// One decision for the whole batch and all beams, as the authors' code has it.
  case joint
}
