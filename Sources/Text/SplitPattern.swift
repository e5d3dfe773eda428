import JSON
import Tensor

/// What a pre-tokenizer looks for. The regular expressions that tokenizers use are a handful: each is written out by
/// hand, and any other one is a load error.
enum SplitPattern: Sendable {
  case literal([UInt8])
  /// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
  case gpt2
  /// `\w+|[^\w\s]+`
  case words
  /// One character of `\s`.
  case whiteSpace
  /// One character of `\p{N}`.
  case number

  static let gpt2Expression = #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#
  /// The same with its first alternatives shortened, as newer files have it.
  static let gpt2ShortExpression = #"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#

  /// `{"String": ...}` or `{"Regex": ...}`.
  init(_ node: JSONNode) throws(MueError) {
    if let literal = node["String"] {
      self = .literal(Array(try literal.string().utf8))
      return
    }
    let expression = try node.required("Regex")
    switch try expression.string() {
    case Self.gpt2Expression, Self.gpt2ShortExpression: self = .gpt2
    case #"\w+|[^\w\s]+"#: self = .words
    case #"\s"#: self = .whiteSpace
    case #"\p{N}"#: self = .number
    case let other:
      throw expression.failure("the regular expression '\(other)' is not supported", code: .unsupported)
    }
  }

  /// The end of the match that starts at `start`; `nil` when none starts there.
  func end(ofMatchAt start: Int, in text: UnsafeBufferPointer<UInt8>) -> Int? {
    switch self {
    case .literal(let literal):
      guard !literal.isEmpty, text.count - start >= literal.count,
        literal.indices.allSatisfy({ text[start + $0] == literal[$0] })
      else { return nil }
      return start + literal.count
    case .gpt2: return GPT2Pattern.end(ofMatchAt: start, in: text)
    case .whiteSpace: return Self.end(of: .space, at: start, in: text)
    case .number: return Self.end(of: .number, at: start, in: text)
    case .words: return Self.endOfWord(at: start, in: text)
    }
  }

  private static func end(of wanted: TextClass, at start: Int, in text: UnsafeBufferPointer<UInt8>) -> Int? {
    let (scalar, length) = ScalarReader.scalar(in: text, at: start)
    return scalar.textClass == wanted ? start + length : nil
  }

  private static func endOfWord(at start: Int, in text: UnsafeBufferPointer<UInt8>) -> Int? {
    let (first, length) = ScalarReader.scalar(in: text, at: start)
    if first.textClass == .space { return nil }
    let isWord = first.isWordCharacter
    var position = start + length
    while position < text.count {
      let (scalar, length) = ScalarReader.scalar(in: text, at: position)
      if isWord ? !scalar.isWordCharacter : scalar.isWordCharacter || scalar.textClass == .space { break }
      position += length
    }
    return position
  }
}
