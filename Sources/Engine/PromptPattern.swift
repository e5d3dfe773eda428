/// A prompt with `{placeholders}`, each of which stands for any text.
struct PromptPattern: Sendable {
  let text: String
  /// What stands before, between and behind the placeholders.
  private let literals: [[UInt8]]

  init(_ text: String) {
    self.text = text
    var literals: [[UInt8]] = [[]]
    var rest = Array(text.utf8)[...]
    while let open = rest.firstIndex(of: UInt8(ascii: "{")),
      let close = rest[open...].firstIndex(of: UInt8(ascii: "}"))
    {
      literals[literals.count - 1] += rest[..<open]
      literals.append([])
      rest = rest[(close + 1)...]
    }
    literals[literals.count - 1] += rest
    self.literals = literals
  }

  /// How many bytes of the pattern are literally in `text` (UTF-8); nil when it does not fit.
  func match(_ text: [UInt8]) -> Int? {
    guard let first = literals.first, let last = literals.last else { return nil }
    if literals.count == 1 { return text == first ? first.count : nil }
    guard text.starts(with: first) else { return nil }
    // The leftmost place of each leaves the most room for those behind it.
    var at = first.count
    for literal in literals.dropFirst().dropLast() {
      guard let found = Self.place(of: literal, in: text, from: at) else { return nil }
      at = found + literal.count
    }
    guard text.count >= at + last.count, text.suffix(last.count).elementsEqual(last) else { return nil }
    return literals.reduce(0) { $0 + $1.count }
  }

  private static func place(of literal: [UInt8], in text: [UInt8], from start: Int) -> Int? {
    guard text.count - literal.count >= start else { return nil }
    return (start...text.count - literal.count).first { text[$0...].starts(with: literal) }
  }
}
