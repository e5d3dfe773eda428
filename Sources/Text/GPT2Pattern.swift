/// The pattern by which GPT-2 cuts text into words (`encoder.py` of openai/gpt-2), as a state machine:
/// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`.
enum GPT2Pattern {
  /// The end of the match at `start`, which must lie inside `text`. Every character is part of some match.
  static func end(ofMatchAt start: Int, in text: UnsafeBufferPointer<UInt8>) -> Int {
    if text[start] == UInt8(ascii: "'"), let end = endOfContraction(at: start, in: text) { return end }
    let (first, length) = ScalarReader.scalar(in: text, at: start)
    let firstClass = first.textClass
    var position = start + length
    if firstClass != .space { return endOfRun(firstClass, at: position, in: text) }
    guard position < text.count else { return position }
    if first == " " {
      // ` ?` takes one space along with the word behind it.
      let (second, length) = ScalarReader.scalar(in: text, at: position)
      if second.textClass != .space { return endOfRun(second.textClass, at: position + length, in: text) }
    }
    // `\s+(?!\S)`: all of the white space at the end of the text, else all but the last, which belongs to the next word.
    var lastSpace = start
    while position < text.count {
      let (scalar, length) = ScalarReader.scalar(in: text, at: position)
      if scalar.textClass != .space { return lastSpace > start ? lastSpace : position }
      lastSpace = position
      position += length
    }
    return position
  }

  private static func endOfRun(_ wanted: TextClass, at start: Int, in text: UnsafeBufferPointer<UInt8>) -> Int {
    var position = start
    while position < text.count {
      let (scalar, length) = ScalarReader.scalar(in: text, at: position)
      if scalar.textClass != wanted { break }
      position += length
    }
    return position
  }

  private static func endOfContraction(at start: Int, in text: UnsafeBufferPointer<UInt8>) -> Int? {
    guard start + 1 < text.count else { return nil }
    let second = text[start + 1]
    switch second {
    case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"): return start + 2
    default: break
    }
    guard start + 2 < text.count else { return nil }
    switch (second, text[start + 2]) {
    case (UInt8(ascii: "r"), UInt8(ascii: "e")), (UInt8(ascii: "v"), UInt8(ascii: "e")),
      (UInt8(ascii: "l"), UInt8(ascii: "l")):
      return start + 3
    default: return nil
    }
  }
}
