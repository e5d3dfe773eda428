import JSON
import Tensor

/// Puts the special tokens around an encoded text.
indirect enum PostProcessor: Sendable {
  /// One entry of a template: fixed tokens or the encoded text.
  enum Entry: Sendable, Equatable {
    case tokens([Int])
    case text
  }

  case template([Entry])
  case sequence([PostProcessor])

  /// - Throws: `unsupported` for kinds the engine lacks, by name.
  init(_ node: JSONNode) throws(MueError) {
    switch try node.required("type").string() {
    case "TemplateProcessing": self = .template(try Self.template(node))
    case "RobertaProcessing", "BertProcessing":
      self = .template([
        .tokens([try Self.tokenID(node.required("cls"))]), .text,
        .tokens([try Self.tokenID(node.required("sep"))]),
      ])
    // It only shortens offsets, which the engine does not keep.
    case "ByteLevel": self = .template([.text])
    case "Sequence":
      var steps: [PostProcessor] = []
      for step in try node.required("processors").array() { steps.append(try PostProcessor(step)) }
      self = .sequence(steps)
    case let kind: throw node.failure("post-processor \(kind) is not supported", code: .unsupported)
    }
  }

  /// `["</s>", 2]`
  private static func tokenID(_ node: JSONNode) throws(MueError) -> Int {
    let pair = try node.array()
    guard pair.count == 2 else { throw node.failure("expected a token and its id") }
    return try pair[1].int(in: 0...Int(Int32.max))
  }

  private static func template(_ node: JSONNode) throws(MueError) -> [Entry] {
    let specialTokens = try node.required("special_tokens")
    var entries: [Entry] = []
    var texts = 0
    for piece in try node.required("single").array() {
      if let special = piece["SpecialToken"] {
        let name = try special.required("id").string()
        let ids = try specialTokens.required(name).required("ids").array()
        entries.append(.tokens(try ids.map { id throws(MueError) in try id.int(in: 0...Int(Int32.max)) }))
      } else {
        let sequence = try piece.required("Sequence").required("id")
        guard try sequence.string() == "A" else { throw sequence.failure("a template for one text names another") }
        texts += 1
        entries.append(.text)
      }
    }
    guard texts == 1 else { throw node.failure("the template for one text must hold it once") }
    return entries
  }

  func processed(_ ids: [Int]) -> [Int] {
    switch self {
    case .sequence(let steps): return steps.reduce(ids) { $1.processed($0) }
    case .template(let entries):
      var result: [Int] = []
      for entry in entries {
        switch entry {
        case .tokens(let tokens): result += tokens
        case .text: result += ids
        }
      }
      return result
    }
  }

  /// What is left of the template when no special tokens are wanted.
  func withoutSpecialTokens(_ ids: [Int]) -> [Int] {
    switch self {
    case .sequence(let steps): steps.reduce(ids) { $1.withoutSpecialTokens($0) }
    case .template(let entries): entries.flatMap { $0 == .text ? ids : [] }
    }
  }
}
