import ArgumentParser
import CMue

/// The options with which commands open a model.
struct ModelArguments: ParsableArguments {
  @Option(help: "Threads; 0 takes the cores that the process may use.")
  var threads = 0

  @Option(help: "How constant matrices are kept and multiplied: f32, bf16 or int8.")
  var precision = Precision.f32

  @Flag(help: "Keep packed weights in a file next to the model, and read them from there the next time.")
  var packedCache = false

  @Flag(
    help: ArgumentHelp(
      "Compute all logits of a large vocabulary in the model's precision, for log-probabilities to the last digit; at "
        + "f32 the tokens are the same."))
  var noScreening = false

  enum Precision: String, ExpressibleByArgument, CaseIterable {
    case f32, bf16, int8

    var code: Int32 {
      switch self {
      case .f32: MUE_PRECISION_F32
      case .bf16: MUE_PRECISION_BF16
      case .int8: MUE_PRECISION_INT8
      }
    }
  }

  func validate() throws {
    guard threads >= 0 else { throw ValidationError("--threads must not be negative") }
  }

  func open(_ path: String) throws(CommandFailure) -> ModelHandle {
    guard let count = Int32(exactly: threads) else { throw CommandFailure("--threads \(threads) is too large") }
    return try ModelHandle(path: path) { options in
      options.threads = count
      options.log = { level, message, _, _ in
        if level == MUE_LOG_WARNING { StandardStream.error("mue: \(text(message) ?? "")\n") }
      }
      options.precision = precision.code
      options.packed_cache = packedCache ? 1 : 0
      options.screening = noScreening ? MUE_OFF : 0
    }
  }
}
