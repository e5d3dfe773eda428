import ArgumentParser
import CMue

/// How answers are looked for. What is not given is taken from the model.
struct SearchArguments: ParsableArguments {
  @Option(help: "Beams; 1 is greedy search.") var beams: Int?
  @Option(help: "Hypotheses to show, at most as many as beams.") var nbest = 1
  @Option(help: "Most tokens to generate; 0 takes the model's.") var maxTokens = 0
  @Option(help: "Tokens before the end may come.") var minTokens: Int?
  @Option(help: "No sequence of so many tokens comes twice; 0 allows all.") var noRepeatNgramSize: Int?
  @Option(help: "Rank hypotheses by log-probability / tokens^P; 0: by their log-probability.")
  var lengthPenalty: Double?

  func validate() throws {
    guard beams ?? 1 >= 1 else { throw ValidationError("--beams must be at least 1") }
    guard nbest >= 1 else { throw ValidationError("--nbest must be at least 1") }
    guard maxTokens >= 0 else { throw ValidationError("--max-tokens must not be negative") }
    guard minTokens ?? 0 >= 0 else { throw ValidationError("--min-tokens must not be negative") }
    guard noRepeatNgramSize ?? 0 >= 0 else { throw ValidationError("--no-repeat-ngram-size must not be negative") }
    guard lengthPenalty ?? 0 >= 0 else { throw ValidationError("--length-penalty must not be negative") }
  }

  /// The options with everything but pointers filled in.
  func options() throws(CommandFailure) -> mue_generate_options {
    var options = mue_generate_options()
    options.struct_size = MemoryLayout<mue_generate_options>.size
    options.beams = try Self.int32(beams ?? 0, "--beams")
    options.nbest = try Self.int32(nbest, "--nbest")
    options.max_tokens = try Self.int32(maxTokens, "--max-tokens")
    options.min_tokens = try Self.setting(minTokens, "--min-tokens")
    options.no_repeat_ngram_size = try Self.setting(noRepeatNgramSize, "--no-repeat-ngram-size")
    options.length_penalty = lengthPenalty.map { $0 == 0 ? Double(MUE_OFF) : $0 } ?? 0
    return options
  }

  /// Nothing is the header's 0, nought its MUE_OFF.
  private static func setting(_ value: Int?, _ option: String) throws(CommandFailure) -> Int32 {
    guard let value else { return 0 }
    return value == 0 ? MUE_OFF : try int32(value, option)
  }

  private static func int32(_ value: Int, _ option: String) throws(CommandFailure) -> Int32 {
    guard let value = Int32(exactly: value) else { throw CommandFailure("\(option) \(value) is too large") }
    return value
  }
}
