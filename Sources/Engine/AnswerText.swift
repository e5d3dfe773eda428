/// What a task makes of the text that the tokens say.
enum AnswerText {
  /// Without ASCII punctuation and the white space at both ends. Source: OFA, utils/eval_utils.py (eval_caption), which
  /// is Python's `text.translate({c: None for c in string.punctuation}).strip()`.
  static func withoutPunctuation(_ text: String) -> String {
    var kept = String.UnicodeScalarView()
    for scalar in text.unicodeScalars where !isPunctuation(scalar) { kept.append(scalar) }
    let spaces = kept.prefix(while: isSpace)
    var rest = kept[spaces.endIndex...]
    while let last = rest.last, isSpace(last) { rest.removeLast() }
    return String(rest)
  }

  /// Python's string.punctuation: every printable ASCII character that is neither letter, digit nor space.
  private static func isPunctuation(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x21...0x2F, 0x3A...0x40, 0x5B...0x60, 0x7B...0x7E: true
    default: false
    }
  }

  /// Python's str.isspace: Unicode's white space, and the four separators of ASCII.
  private static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
    scalar.properties.isWhitespace || (0x1C...0x1F).contains(scalar.value)
  }
}
