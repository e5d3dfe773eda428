import JSON
import Tensor

/// Cuts a text into the pieces that the model encodes one by one.
indirect enum PreTokenizer: Sendable {
  case byteLevel(addsPrefixSpace: Bool, usesPattern: Bool)
  case split(SplitPattern, SplitBehavior, inverted: Bool)
  case sequence([PreTokenizer])

  /// - Throws: `unsupported` for kinds the engine lacks, by name.
  init(_ node: JSONNode) throws(MueError) {
    switch try node.required("type").string() {
    case "ByteLevel":
      self = .byteLevel(
        addsPrefixSpace: try node["add_prefix_space"]?.bool() ?? true,
        usesPattern: try node["use_regex"]?.bool() ?? true)
    case "Split":
      let behavior = try node.required("behavior")
      guard let known = SplitBehavior(rawValue: try behavior.string()) else {
        throw behavior.failure("an unknown split behaviour")
      }
      self = .split(
        try SplitPattern(node.required("pattern")), known, inverted: try node["invert"]?.bool() ?? false)
    case "Whitespace": self = .split(.words, .removed, inverted: true)
    case "WhitespaceSplit": self = .split(.whiteSpace, .removed, inverted: false)
    case "Digits":
      let isIndividual = try node["individual_digits"]?.bool() ?? false
      self = .split(.number, isIndividual ? .isolated : .contiguous, inverted: false)
    case "Sequence":
      var steps: [PreTokenizer] = []
      for step in try node.required("pretokenizers").array() { steps.append(try PreTokenizer(step)) }
      self = .sequence(steps)
    case let kind: throw node.failure("pre-tokenizer \(kind) is not supported", code: .unsupported)
    }
  }

  func split(_ input: Pieces) -> Pieces {
    switch self {
    case .sequence(let steps): return steps.reduce(input) { $1.split($0) }
    case .split(let pattern, let behavior, let isInverted):
      var output = Pieces()
      input.visit { piece in
        for range in behavior.pieces(of: Self.parts(of: piece, by: pattern, inverted: isInverted)) {
          output.append(piece[range])
        }
      }
      return output
    case .byteLevel(let addsPrefixSpace, let usesPattern):
      var output = Pieces()
      input.visit { piece in
        if addsPrefixSpace, piece.first != UInt8(ascii: " ") {
          ([UInt8(ascii: " ")] + piece).withUnsafeBufferPointer {
            Self.appendByteLevel($0, usesPattern: usesPattern, to: &output)
          }
        } else {
          Self.appendByteLevel(piece, usesPattern: usesPattern, to: &output)
        }
      }
      return output
    }
  }

  private static func appendByteLevel(
    _ text: UnsafeBufferPointer<UInt8>, usesPattern: Bool, to output: inout Pieces
  ) {
    let alphabet = ByteAlphabet.scalars
    var start = 0
    while start < text.count {
      let end = usesPattern ? GPT2Pattern.end(ofMatchAt: start, in: text) : text.count
      for byte in text[start..<end] { output.extend(by: alphabet[Int(byte)]) }
      output.endPiece()
      start = end
    }
  }

  /// The matches of a pattern and what lies between them, in order.
  private static func parts(
    of text: UnsafeBufferPointer<UInt8>, by pattern: SplitPattern, inverted isInverted: Bool
  ) -> [(range: Range<Int>, isMatch: Bool)] {
    var parts: [(range: Range<Int>, isMatch: Bool)] = []
    var taken = 0
    var position = 0
    while position < text.count {
      guard let end = pattern.end(ofMatchAt: position, in: text) else {
        position += ScalarReader.scalar(in: text, at: position).length
        continue
      }
      if taken < position { parts.append((taken..<position, isInverted)) }
      parts.append((position..<end, !isInverted))
      taken = end
      position = end
    }
    if taken < text.count { parts.append((taken..<text.count, isInverted)) }
    return parts
  }
}
