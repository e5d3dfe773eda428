import JSON

/// A JSON value as an indented outline for people.
enum OutlineText {
  static func lines(_ value: JSONValue) -> String {
    var text = ""
    append(value, indent: 0, to: &text)
    return text
  }

  private static func append(_ value: JSONValue, indent: Int, to text: inout String) {
    let margin = String(repeating: "  ", count: indent)
    switch value {
    case .object(let members):
      for (key, member) in members {
        if let line = line(member) {
          text += "\(margin)\(key): \(line)\n"
        } else {
          text += "\(margin)\(key)\n"
          append(member, indent: indent + 1, to: &text)
        }
      }
    case .array(let elements):
      for element in elements {
        if let line = line(element) {
          text += "\(margin)- \(line)\n"
        } else {
          text += "\(margin)-\n"
          append(element, indent: indent + 1, to: &text)
        }
      }
    default: text += "\(margin)\(line(value) ?? "")\n"
    }
  }

  /// What fits on one line: a scalar, or a short list or object of scalars.
  private static func line(_ value: JSONValue) -> String? {
    switch value {
    case .null: return "none"
    case .bool(let value): return value ? "yes" : "no"
    case .int(let value): return String(value)
    case .double(let value): return String(value)
    case .string(let value): return value
    case .array(let elements):
      let parts = elements.map(scalar)
      guard parts.allSatisfy({ $0 != nil }) else { return elements.isEmpty ? "none" : nil }
      let joined = parts.compactMap { $0 }.joined(separator: ", ")
      return joined.count <= 100 ? "[\(joined)]" : nil
    case .object(let members):
      let parts = members.map { key, member in scalar(member).map { "\(key) \($0)" } }
      guard parts.allSatisfy({ $0 != nil }) else { return members.isEmpty ? "none" : nil }
      let joined = parts.compactMap { $0 }.joined(separator: ", ")
      return joined.count <= 100 ? (members.isEmpty ? "none" : joined) : nil
    }
  }

  private static func scalar(_ value: JSONValue) -> String? {
    switch value {
    case .array, .object: nil
    default: line(value)
    }
  }
}
