import JSON
import Tensor

/// The added tokens of a tokenizer, and how they are cut out of a text.
struct AddedVocabulary: Sendable {
  /// A part of a text: a token that was found, or text for the model.
  enum Part {
    case token(Int)
    case text([UInt8])
  }

  private let tokens: [AddedToken]
  private var originalTrie = TokenTrie()
  private var normalizedTrie = TokenTrie()
  private let normalizer: Normalizer?

  /// `normalizer` is also applied to the tokens that are looked for in normalised text.
  init(_ tokens: [AddedToken], normalizer: Normalizer?) throws(MueError) {
    self.tokens = tokens
    self.normalizer = normalizer
    for (index, token) in tokens.enumerated() {
      let content = Array(token.content.utf8)
      if token.isNormalized {
        normalizedTrie.insert(try normalizer?.normalized(content) ?? content, value: index)
      } else {
        originalTrie.insert(content, value: index)
      }
    }
  }

  /// Cuts out the added tokens and normalises what lies between them; no text part is empty.
  func parts(of text: [UInt8]) throws(MueError) -> [Part] {
    var parts: [Part] = []
    for part in split(text, by: originalTrie) {
      guard case .text(let original) = part else {
        parts.append(part)
        continue
      }
      parts += split(try normalizer?.normalized(original) ?? original, by: normalizedTrie)
    }
    return parts
  }

  /// Leftmost longest matches. As in the reference, a match that is refused (`isSingleWord`) still hides matches that
  /// overlap it, and white space taken along does not move the place where the search goes on.
  private func split(_ text: [UInt8], by trie: TokenTrie) -> [Part] {
    if trie.isEmpty { return text.isEmpty ? [] : [.text(text)] }
    var parts: [Part] = []
    var taken = 0
    text.withUnsafeBufferPointer { bytes in
      var position = 0
      while position < bytes.count {
        guard let match = trie.longestMatch(in: bytes, at: position) else {
          position += 1
          continue
        }
        var start = position
        var end = match.end
        position = match.end
        let token = tokens[match.value]
        if token.isSingleWord, isWord(before: start, in: bytes) || isWord(at: end, in: bytes) { continue }
        if token.stripsLeft { start = max(startOfSpace(before: start, in: bytes), taken) }
        if token.stripsRight { end = endOfSpace(at: end, in: bytes) }
        if taken < start { parts.append(.text(Array(bytes[taken..<start]))) }
        parts.append(.token(token.id))
        taken = end
      }
      if taken < bytes.count { parts.append(.text(Array(bytes[taken...]))) }
    }
    return parts
  }

  private func isWord(before end: Int, in bytes: UnsafeBufferPointer<UInt8>) -> Bool {
    guard end > 0 else { return false }
    return ScalarReader.scalar(in: bytes, at: ScalarReader.start(ofScalarBefore: end, in: bytes)).scalar.isWordCharacter
  }

  private func isWord(at start: Int, in bytes: UnsafeBufferPointer<UInt8>) -> Bool {
    start < bytes.count && ScalarReader.scalar(in: bytes, at: start).scalar.isWordCharacter
  }

  private func startOfSpace(before end: Int, in bytes: UnsafeBufferPointer<UInt8>) -> Int {
    var end = end
    while end > 0 {
      let start = ScalarReader.start(ofScalarBefore: end, in: bytes)
      guard ScalarReader.scalar(in: bytes, at: start).scalar.textClass == .space else { break }
      end = start
    }
    return end
  }

  private func endOfSpace(at start: Int, in bytes: UnsafeBufferPointer<UInt8>) -> Int {
    var position = start
    while position < bytes.count {
      let (scalar, length) = ScalarReader.scalar(in: bytes, at: position)
      guard scalar.textClass == .space else { break }
      position += length
    }
    return position
  }
}
