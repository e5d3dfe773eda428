import JSON

/// A task of a model as mue.json describes it: how it is asked, and what its answers are.
struct TaskTemplate: Sendable {
  let name: String
  /// The prompt, with at most one `{placeholder}`.
  let prompt: String
  let answers: [String]
  let maxTokens: Int?
  /// True when the decoder reads the prompt, without its end token, before it answers (OFA's entailment).
  let decoderReadsPrompt: Bool

  init?(name: String, _ json: JSONValue) {
    guard let prompt = json["prompt"]?.stringValue else { return nil }
    self.name = name
    self.prompt = prompt
    answers = json["answers"]?.arrayValue?.compactMap(\.stringValue) ?? []
    maxTokens = json["max_tokens"]?.intValue
    decoderReadsPrompt = json["decoder_prefix"]?.stringValue == "prompt"
  }

  /// How many characters of the template are literally in `text`; nil when it does not fit.
  func match(_ text: String) -> Int? {
    guard let open = prompt.firstIndex(of: "{"), let close = prompt[open...].firstIndex(of: "}") else {
      return text == prompt ? prompt.count : nil
    }
    let prefix = prompt[..<open]
    let suffix = prompt[prompt.index(after: close)...]
    guard text.hasPrefix(prefix), text.hasSuffix(suffix), text.count >= prefix.count + suffix.count else { return nil }
    return prefix.count + suffix.count
  }

  static func all(_ configuration: JSONValue?) -> [TaskTemplate] {
    guard let tasks = configuration?["tasks"]?.objectValue else { return [] }
    return tasks.compactMap { TaskTemplate(name: $0, $1) }
  }

  /// The task that asks like `text`: the template with the most literal characters.
  static func matching(_ text: String, among tasks: [TaskTemplate]) -> TaskTemplate? {
    tasks.compactMap { task in task.match(text).map { (task, $0) } }.max { $0.1 < $1.1 }?.0
  }
}
