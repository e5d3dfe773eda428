import JSON
// NFC and NFD are in the standard library, but only for its own `==`; the toolchain is pinned, so its SPI is stable.
@_spi(_Unicode) import Swift
import Tensor

/// Rewrites the text before it is cut into pieces.
indirect enum Normalizer: Sendable {
  case nfc
  case nfd
  case lowercase
  case stripAccents
  case strip(left: Bool, right: Bool)
  case replace([UInt8], with: [UInt8])
  case prepend([UInt8])
  case byteLevel
  case sequence([Normalizer])

  /// - Throws: `unsupported` for kinds the engine lacks, by name.
  init(_ node: JSONNode) throws(MueError) {
    switch try node.required("type").string() {
    case "NFC": self = .nfc
    case "NFD": self = .nfd
    case "Lowercase": self = .lowercase
    case "StripAccents": self = .stripAccents
    case "Strip":
      self = .strip(
        left: try node["strip_left"]?.bool() ?? true, right: try node["strip_right"]?.bool() ?? true)
    case "Replace":
      let pattern = try node.required("pattern")
      guard let literal = pattern["String"] else {
        throw pattern.failure("normalizer Replace with a regular expression is not supported", code: .unsupported)
      }
      self = .replace(
        Array(try literal.string().utf8), with: Array(try node.required("content").string().utf8))
    case "Prepend": self = .prepend(Array(try node.required("prepend").string().utf8))
    case "ByteLevel": self = .byteLevel
    case "Sequence":
      var steps: [Normalizer] = []
      for step in try node.required("normalizers").array() { steps.append(try Normalizer(step)) }
      self = .sequence(steps)
    case let kind: throw node.failure("normalizer \(kind) is not supported", code: .unsupported)
    }
  }

  /// `text` is valid UTF-8, and so is the result.
  ///
  /// - Throws: `limitExceeded` when replacements blow the text up.
  func normalized(_ text: [UInt8]) throws(MueError) -> [UInt8] {
    switch self {
    case .nfc: return inRuns(text) { utf8($0._nfc) }
    case .nfd: return inRuns(text) { utf8($0._nfd) }
    case .lowercase:
      return String(decoding: text, as: UTF8.self).unicodeScalars.flatMap { $0.properties.lowercaseMapping.utf8 }
    case .stripAccents:
      return utf8(String(decoding: text, as: UTF8.self).unicodeScalars.filter { !$0.isAccent })
    case .strip(let left, let right):
      var scalars = Substring(decoding: text, as: UTF8.self).unicodeScalars
      if left { while let first = scalars.first, first.textClass == .space { scalars.removeFirst() } }
      if right { while let last = scalars.last, last.textClass == .space { scalars.removeLast() } }
      return utf8(scalars)
    case .replace(let pattern, let content):
      return try text.replacing(pattern, by: content)
    case .prepend(let prefix): return text.isEmpty ? text : prefix + text
    case .byteLevel:
      var mapped: [UInt8] = []
      for byte in text { mapped.append(ByteAlphabet.scalars[Int(byte)]) }
      return mapped
    case .sequence(let steps):
      var result = text
      for step in steps { result = try step.normalized(result) }
      return result
    }
  }

  /// Canonical forms as the package has them: a scalar its tables lack stays as it is, and nothing moves across it or
  /// composes with it.
  private func inRuns(_ text: [UInt8], _ normalized: (String) -> [UInt8]) -> [UInt8] {
    var result: [UInt8] = []
    var run = String.UnicodeScalarView()
    for scalar in String(decoding: text, as: UTF8.self).unicodeScalars {
      if scalar.isNormalizable {
        run.append(scalar)
      } else {
        result += normalized(String(run))
        result.append(scalar)
        run.removeAll(keepingCapacity: true)
      }
    }
    return result + normalized(String(run))
  }

  private func utf8(_ scalars: some Sequence<Unicode.Scalar>) -> [UInt8] {
    var bytes: [UInt8] = []
    for scalar in scalars { bytes.append(scalar) }
    return bytes
  }
}

extension [UInt8] {
  /// Every occurrence of `pattern`, from left to right, replaced; an empty pattern occurs nowhere.
  func replacing(_ pattern: [UInt8], by content: [UInt8]) throws(MueError) -> [UInt8] {
    guard let first = pattern.first, count >= pattern.count else { return self }
    var result: [UInt8] = []
    var position = 0
    while position < count {
      if self[position] == first, count - position >= pattern.count,
        self[position..<position + pattern.count].elementsEqual(pattern)
      {
        result += content
        if result.count > 64 << 20 { throw MueError(.limitExceeded, "normalising makes the text longer than 64 MiB") }
        position += pattern.count
      } else {
        result.append(self[position])
        position += 1
      }
    }
    return result
  }
}
