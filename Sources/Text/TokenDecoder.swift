import JSON
import Tensor

/// Turns tokens back into text.
indirect enum TokenDecoder: Sendable {
  case byteLevel
  case byteFallback
  case fuse
  case replace([UInt8], with: [UInt8])
  case strip(Unicode.Scalar, start: Int, stop: Int)
  case endOfWord(suffix: [UInt8])
  case sequence([TokenDecoder])

  /// - Throws: `unsupported` for kinds the engine lacks, by name.
  init(_ node: JSONNode) throws(MueError) {
    switch try node.required("type").string() {
    case "ByteLevel": self = .byteLevel
    case "ByteFallback": self = .byteFallback
    case "Fuse": self = .fuse
    case "BPEDecoder": self = .endOfWord(suffix: Array(try node["suffix"]?.string().utf8 ?? "</w>".utf8))
    case "Replace":
      let pattern = try node.required("pattern")
      guard let literal = pattern["String"] else {
        throw pattern.failure("decoder Replace with a regular expression is not supported", code: .unsupported)
      }
      self = .replace(Array(try literal.string().utf8), with: Array(try node.required("content").string().utf8))
    case "Strip":
      let content = try node.required("content")
      let scalars = try content.string().unicodeScalars
      guard let scalar = scalars.first, scalars.count == 1 else { throw content.failure("expected one character") }
      self = .strip(
        scalar, start: try node.required("start").int(in: 0...1 << 20),
        stop: try node.required("stop").int(in: 0...1 << 20))
    case "Sequence":
      var steps: [TokenDecoder] = []
      for step in try node.required("decoders").array() { steps.append(try TokenDecoder(step)) }
      self = .sequence(steps)
    case let kind: throw node.failure("decoder \(kind) is not supported", code: .unsupported)
    }
  }

  /// Whether the text of some tokens is the text of each one after the other, in bytes.
  var isTokenwise: Bool {
    switch self {
    case .byteLevel: true
    default: false
    }
  }

  /// The parts of the text; joined they are the text, in bytes that may end in the middle of a character.
  func decoded(_ tokens: [[UInt8]]) throws(MueError) -> [[UInt8]] {
    switch self {
    case .byteLevel: return tokens.map { ByteAlphabet.bytes(of: String(decoding: $0, as: UTF8.self)) }
    case .fuse: return [Array(tokens.joined())]
    case .byteFallback: return Self.joiningBytes(tokens)
    case .replace(let pattern, let content):
      return try tokens.map { token throws(MueError) in try token.replacing(pattern, by: content) }
    case .strip(let scalar, let start, let stop):
      return tokens.map { Self.stripped($0, of: scalar, start: start, stop: stop) }
    case .endOfWord(let suffix):
      var result: [[UInt8]] = []
      for (index, token) in tokens.enumerated() {
        result.append(try token.replacing(suffix, by: index == tokens.count - 1 ? [] : [UInt8(ascii: " ")]))
      }
      return result
    case .sequence(let steps):
      var result = tokens
      for step in steps { result = try step.decoded(result) }
      return result
    }
  }

  /// Runs of tokens like `<0xC3>` become the characters they spell, or U+FFFD each when they spell none.
  private static func joiningBytes(_ tokens: [[UInt8]]) -> [[UInt8]] {
    var result: [[UInt8]] = []
    var run: [UInt8] = []
    func endRun() {
      if run.isEmpty { return }
      if String(validating: run, as: UTF8.self) != nil {
        result.append(run)
      } else {
        result += Array(repeating: Array("\u{FFFD}".utf8), count: run.count)
      }
      run = []
    }
    for token in tokens {
      if let byte = byte(of: token) {
        run.append(byte)
      } else {
        endRun()
        result.append(token)
      }
    }
    endRun()
    return result
  }

  /// The byte that a token like `<0xC3>` stands for.
  static func byte(of token: [UInt8]) -> UInt8? {
    guard token.count == 6, token.starts(with: "<0x".utf8), token[5] == UInt8(ascii: ">") else { return nil }
    return UInt8(String(decoding: token[3..<5], as: UTF8.self), radix: 16)
  }

  private static func stripped(_ token: [UInt8], of scalar: Unicode.Scalar, start: Int, stop: Int) -> [UInt8] {
    var scalars = Substring(decoding: token, as: UTF8.self).unicodeScalars
    for _ in 0..<start where scalars.first == scalar { scalars.removeFirst() }
    for _ in 0..<stop where scalars.last == scalar { scalars.removeLast() }
    return Array(String(scalars).utf8)
  }
}
