import Decode
import Tensor
import Text

/// What each item of a request is searched with: the request's options go before the task's in mue.json, those before
/// generation_config.json. Source: docs/generation.md.
struct SearchPlanning {
  /// One item's search.
  struct Item {
    var task: TaskTemplate?
    /// What the decoder reads before the answer.
    var prefix: [Int]
    var options: SearchOptions
  }

  private let preparation: RequestPreparation
  private let options: GenerateOptions
  /// The closed set of answers that the request gave.
  private var answers: AllowedTokens?
  /// By task: one for all its items, so that they run side by side.
  private var constraints: [String: AllowedTokens] = [:]

  init(_ options: GenerateOptions, _ preparation: RequestPreparation) throws(MueError) {
    self.options = options
    self.preparation = preparation
    guard (0...SearchLimits.beams).contains(options.beams) else {
      throw MueError(
        .invalidArgument, "beams must be between 1 and \(SearchLimits.beams)", at: .init(argument: "beams"))
    }
    guard (0...preparation.maxSequence).contains(options.maxTokens) else {
      throw MueError(
        .limitExceeded, "max_tokens must be between 0 and \(preparation.maxSequence)",
        at: .init(argument: "max_tokens"))
    }
    for (name, value) in [
      ("min_tokens", options.minTokens), ("no_repeat_ngram_size", options.noRepeatNgramSize),
    ] {
      guard (0...SearchLimits.tokens).contains(value ?? 0) else {
        throw MueError(.invalidArgument, "\(name) is \(value ?? 0)", at: .init(argument: name))
      }
    }
    if let penalty = options.lengthPenalty, !penalty.isFinite || penalty < 0 {
      throw MueError(
        .invalidArgument, "length_penalty is \(penalty) and must be a finite number of at least 0",
        at: .init(argument: "length_penalty"))
    }
    if let texts = options.answers {
      answers = AllowedTokens(answers: try preparation.answerTokens(texts), endToken: preparation.endToken)
    }
  }

  /// - Parameter inputIDs: the prompt's tokens.
  mutating func item(_ item: RequestItem, inputIDs: [Int]) throws(MueError) -> Item {
    let task = TaskTemplate.matching(try preparation.prompt(item), among: preparation.model.tasks)
    let generation = preparation.model.bundle?.generation
    let prefix = preparation.decoderPrefix(task, inputIDs: inputIDs)
    let beams = options.beams > 0 ? options.beams : task?.beams ?? generation?["num_beams"]?.intValue ?? 1
    guard (1...SearchLimits.beams).contains(beams) else {
      throw MueError(.unsupported, "the model asks for \(beams) beams; 1 to \(SearchLimits.beams) are possible")
    }
    let hypotheses = max(options.hypotheses, 1)
    guard hypotheses <= beams else {
      throw MueError(
        .invalidArgument, "\(hypotheses) hypotheses need as many beams; there are \(beams)",
        at: .init(argument: "nbest"))
    }
    var allowed = answers
    if allowed == nil { allowed = try constraint(task) }
    // A beam search ends its hypotheses behind the last token, a closed set always.
    let reserved = prefix.count - 1 + (beams > 1 || allowed?.isClosed == true ? 1 : 0)
    var search = SearchOptions(
      maxTokens: try maxTokens(task, allowed, room: preparation.maxSequence - reserved),
      endToken: preparation.endToken)
    search.beams = beams
    search.hypotheses = hypotheses
    search.padToken = preparation.padding
    search.allowed = allowed
    let minTokens = options.minTokens ?? task?.minTokens ?? (beams > 1 ? 1 : 0)
    search.minTokens = min(minTokens, search.maxTokens)
    search.noRepeatNgramSize =
      options.noRepeatNgramSize ?? task?.noRepeatNgramSize ?? max(generation?["no_repeat_ngram_size"]?.intValue ?? 0, 0)
    search.lengthPenalty =
      options.lengthPenalty ?? task?.lengthPenalty ?? generation?["length_penalty"]?.doubleValue ?? 1
    return Item(task: task, prefix: prefix, options: search)
  }

  private func maxTokens(_ task: TaskTemplate?, _ allowed: AllowedTokens?, room: Int) throws(MueError) -> Int {
    let wanted: Int
    if let allowed, allowed.isClosed {
      guard options.maxTokens == 0 || options.maxTokens >= allowed.longest else {
        throw MueError(
          .invalidArgument,
          "an answer has \(allowed.longest) tokens, and max_tokens is \(options.maxTokens)",
          at: .init(argument: "max_tokens"))
      }
      wanted = allowed.longest
    } else if options.maxTokens > 0 {
      wanted = options.maxTokens
    } else {
      let model = preparation.model.bundle
      let set = task?.maxTokens ?? model?.setting("max_new_tokens") ?? model?.setting("max_length") ?? 20
      // What nobody asked for is cut to what the model takes.
      wanted = min(max(set, 1), max(room, 1))
    }
    guard wanted <= room else {
      throw MueError(
        .limitExceeded,
        "\(wanted) tokens and what the decoder reads before them are more than the \(preparation.maxSequence) that "
          + "the model takes", at: .init(argument: "max_tokens"))
    }
    return wanted
  }

  private mutating func constraint(_ task: TaskTemplate?) throws(MueError) -> AllowedTokens? {
    guard let task, let tokens = task.constraint else { return nil }
    if let known = constraints[task.name] { return known }
    let tokenizer = try preparation.tokenizer
    func id(_ token: some StringProtocol) throws(MueError) -> Int {
      guard let id = tokenizer.tokenID(String(token)) else {
        throw MueError(
          .invalidText, "the vocabulary has no token '\(token)'", at: .init(field: "tasks.\(task.name).constraint"))
      }
      return id
    }
    var ids: [Int] = []
    for token in tokens {
      guard tokenizer.tokenID(token) == nil, let dots = Self.range(of: "..", in: token) else {
        ids.append(try id(token))
        continue
      }
      let (first, last) = (try id(token[..<dots.lowerBound]), try id(token[dots.upperBound...]))
      guard first <= last, first >= 0, last < SearchLimits.tokens else {
        throw MueError(
          .invalidText, "the range '\(token)' is empty or too large", at: .init(field: "tasks.\(task.name).constraint"))
      }
      ids += first...last
    }
    let made = AllowedTokens(tokens: ids, endToken: preparation.endToken)
    constraints[task.name] = made
    return made
  }

  private static func range(of part: String, in text: String) -> Range<String.Index>? {
    for start in text.indices where text[start...].hasPrefix(part) {
      return start..<text.index(start, offsetBy: part.count)
    }
    return nil
  }
}
