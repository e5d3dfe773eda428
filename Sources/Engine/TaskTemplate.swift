import Decode
import JSON
import Tensor

/// A task of a model as mue.json describes it: how it is asked, how it is answered, and what its answers are.
/// Source: docs/generation.md.
struct TaskTemplate: Sendable {
  let name: String
  /// The prompt, with any number of `{placeholder}`.
  let prompt: PromptPattern
  let answers: [String]
  /// True when the decoder reads the prompt, without its end token, before it answers (OFA's entailment).
  let decoderReadsPrompt: Bool
  let beams: Int?
  let maxTokens: Int?
  let minTokens: Int?
  let noRepeatNgramSize: Int?
  let lengthPenalty: Double?
  /// Tokens, and ranges of tokens `<bin_0>..<bin_999>`, that answers are made of; nil for all.
  let constraint: [String]?
  let removesPunctuation: Bool
  /// How bins become boxes; nil for a task that answers in text alone.
  let boxes: BoxOutput?
  let normalization: AnswerNormalization

  /// nil for a task without a prompt.
  init?(name: String, _ json: JSONNode) throws(MueError) {
    guard let prompt = try json["prompt"]?.string() else { return nil }
    self.name = name
    self.prompt = PromptPattern(prompt)
    answers = try json["answers"]?.strings() ?? []
    decoderReadsPrompt = try json["decoder_prefix"]?.string() == "prompt"
    beams = try json["beams"]?.int(in: 1...SearchLimits.beams)
    maxTokens = try json["max_tokens"]?.int(in: 1...SearchLimits.tokens)
    minTokens = try json["min_tokens"]?.int(in: 0...SearchLimits.tokens)
    noRepeatNgramSize = try json["no_repeat_ngram_size"]?.int(in: 0...SearchLimits.tokens)
    lengthPenalty = try json["length_penalty"]?.double()
    if let lengthPenalty, !lengthPenalty.isFinite || lengthPenalty < 0 {
      throw json.failure("length_penalty must be a finite number of at least 0")
    }
    if let constraint = json["constraint"] {
      if let token = constraint.value.stringValue {
        self.constraint = [token]
      } else {
        self.constraint = try constraint.strings()
      }
    } else {
      constraint = nil
    }
    removesPunctuation = try json["remove_punctuation"]?.bool() ?? false
    switch try json["output"]?.string() ?? "text" {
    case "text": boxes = nil
    case "boxes": boxes = try BoxOutput(json)
    case let kind: throw json.failure("unknown output '\(kind)'")
    }
    switch try json["normalize_over"]?.string() ?? "vocabulary" {
    case "vocabulary": normalization = .vocabulary
    case "answers": normalization = .answers
    case let kind: throw json.failure("normalize_over is '\(kind)' and must be vocabulary or answers")
    }
  }

  static func all(_ configuration: JSONValue?, file: String?) throws(MueError) -> [TaskTemplate] {
    guard let configuration, let node = JSONNode(configuration, file: file)["tasks"] else { return [] }
    var tasks: [TaskTemplate] = []
    for (name, _) in try node.object() {
      if let json = node[name], let task = try TaskTemplate(name: name, json) { tasks.append(task) }
    }
    return tasks
  }

  /// The task that asks like `text`: the template with the most literal characters.
  static func matching(_ text: String, among tasks: [TaskTemplate]) -> TaskTemplate? {
    let bytes = Array(text.utf8)
    return tasks.compactMap { task in task.prompt.match(bytes).map { (task, $0) } }.max { $0.1 < $1.1 }?.0
  }
}

/// Bounds on what a search may be told.
enum SearchLimits {
  static let beams = 64
  static let tokens = 1 << 20
}
