extension JSONValue {
  /// The value as JSON text. Numbers are the shortest that read back the same; NaN and infinities, which JSON lacks,
  /// become `null`. `pretty` puts each member and element on a line of its own, indented by two spaces.
  public func serialized(pretty: Bool = false) -> String {
    var text = ""
    write(to: &text, indent: pretty ? 0 : nil)
    return text
  }

  private func write(to text: inout String, indent: Int?) {
    switch self {
    case .null: text += "null"
    case .bool(let value): text += value ? "true" : "false"
    case .int(let value): text += String(value)
    case .double(let value): text += value.isFinite ? String(describing: value) : "null"
    case .string(let value): Self.write(value, to: &text)
    case .array(let elements):
      text += "["
      for (index, element) in elements.enumerated() {
        Self.separate(&text, isFirst: index == 0, indent: indent)
        element.write(to: &text, indent: indent.map { $0 + 2 })
      }
      if !elements.isEmpty { Self.newLine(&text, indent) }
      text += "]"
    case .object(let members):
      text += "{"
      for (index, member) in members.enumerated() {
        Self.separate(&text, isFirst: index == 0, indent: indent)
        Self.write(member.0, to: &text)
        text += indent == nil ? ":" : ": "
        member.1.write(to: &text, indent: indent.map { $0 + 2 })
      }
      if !members.isEmpty { Self.newLine(&text, indent) }
      text += "}"
    }
  }

  private static func separate(_ text: inout String, isFirst: Bool, indent: Int?) {
    if !isFirst { text += "," }
    newLine(&text, indent.map { $0 + 2 })
  }

  private static func newLine(_ text: inout String, _ indent: Int?) {
    guard let indent else { return }
    text += "\n" + String(repeating: " ", count: indent)
  }

  private static func write(_ string: String, to text: inout String) {
    text += "\""
    for scalar in string.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      case "\r": text += "\\r"
      case "\t": text += "\\t"
      case "\u{0}"..."\u{1F}", "\u{7F}":
        let digits = String(scalar.value, radix: 16)
        text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: text.unicodeScalars.append(scalar)
      }
    }
    text += "\""
  }
}
