import Tensor

extension Tokenizer {
  /// A decoder that is fed one token at a time.
  public func stream(skipSpecialTokens: Bool = true) -> Stream {
    Stream(tokenizer: self, skipSpecialTokens: skipSpecialTokens)
  }

  /// Decodes token by token. The texts of all `push` calls and of `finish`, joined, are what `decode` gives for the
  /// same ids; a character whose bytes are not all there yet is held back.
  public struct Stream: Sendable {
    private let tokenizer: Tokenizer
    private let skipSpecialTokens: Bool
    /// Bytes of the text that are not given out yet: the beginning of a character.
    private var pending: [UInt8] = []
    /// For decoders whose text depends on neighbouring tokens: all tokens so far, and how many bytes are given out.
    private var spelled: [[UInt8]] = []
    private var givenOut = 0

    init(tokenizer: Tokenizer, skipSpecialTokens: Bool) {
      self.tokenizer = tokenizer
      self.skipSpecialTokens = skipSpecialTokens
      // Room for what is held back and one token; from here on short pieces of text allocate nothing.
      pending.reserveCapacity(64)
    }

    /// The text that token `id` completes; empty for ids that no token has.
    public mutating func push(_ id: Int) -> String {
      guard let token = tokenizer.token(id), !skipSpecialTokens || !tokenizer.isSpecial(id) else { return "" }
      guard tokenizer.decoder?.isTokenwise ?? false else {
        spelled.append(Array(token.utf8))
        return settledText(isEnd: false)
      }
      ByteAlphabet.append(token, to: &pending)
      let whole = UTF8Tail.start(of: pending)
      defer { pending.removeFirst(whole) }
      return String(decoding: pending[..<whole], as: UTF8.self)
    }

    /// What is still held back, at the end of the text: a character without its last bytes is a U+FFFD.
    public mutating func finish() -> String {
      guard tokenizer.decoder?.isTokenwise ?? false else { return settledText(isEnd: true) }
      defer { pending = [] }
      return String(decoding: pending, as: UTF8.self)
    }

    /// The text so far beyond what is given out. Before the end, the text of the last token and of a run of byte
    /// tokens may still change, so only what the tokens before them settle is given out.
    private mutating func settledText(isEnd: Bool) -> String {
      guard let all = try? tokenizer.bytes(of: spelled) else { return "" }
      var settled = all.count
      if !isEnd {
        var stable = spelled.dropLast()
        while let last = stable.last, TokenDecoder.byte(of: last) != nil { stable.removeLast() }
        let before = (try? tokenizer.bytes(of: Array(stable))) ?? []
        settled = zip(all, before).prefix { $0 == $1 }.count
        settled = UTF8Tail.start(of: Array(all[..<settled]))
      }
      guard settled > givenOut else { return "" }
      defer { givenOut = settled }
      return String(decoding: all[givenOut..<settled], as: UTF8.self)
    }
  }
}

/// The end of a text that arrives in parts.
enum UTF8Tail {
  /// Where a character starts at the end of `bytes` that further bytes may complete; `bytes.count` when none does.
  static func start(of bytes: [UInt8]) -> Int {
    for length in 1...3 where length <= bytes.count {
      let byte = bytes[bytes.count - length]
      if byte & 0xC0 == 0x80 { continue }
      let needed = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1
      guard needed > length else { break }
      // Bytes that no continuation makes valid are not held back: they are U+FFFD already.
      let second = length > 1 ? bytes[bytes.count - length + 1] : nil
      return canBegin(byte, second) ? bytes.count - length : bytes.count
    }
    return bytes.count
  }

  /// Whether a character of several bytes may begin so. Source: the Unicode Standard, table 3-7.
  private static func canBegin(_ first: UInt8, _ second: UInt8?) -> Bool {
    let seconds: ClosedRange<UInt8>
    switch first {
    case 0xC2...0xDF, 0xE1...0xEC, 0xEE...0xEF, 0xF1...0xF3: seconds = 0x80...0xBF
    case 0xE0: seconds = 0xA0...0xBF
    case 0xED: seconds = 0x80...0x9F
    case 0xF0: seconds = 0x90...0xBF
    case 0xF4: seconds = 0x80...0x8F
    default: return false
    }
    return second.map { seconds.contains($0) } ?? true
  }
}
