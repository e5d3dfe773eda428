import Tensor

extension JSONValue {
  /// Parses a whole text (RFC 8259, UTF-8, nothing beyond it: no comments, no `NaN`, no trailing commas).
  ///
  /// - Throws: `invalidText` with the byte offset and the path of the field, or `limitExceeded`.
  public static func parse(
    _ bytes: UnsafeRawBufferPointer, file: String? = nil, limits: JSONLimits = JSONLimits()
  ) throws(MueError) -> JSONValue {
    guard bytes.count <= limits.bytes else {
      throw MueError(
        .limitExceeded, "the JSON text has \(bytes.count) bytes, more than the \(limits.bytes) allowed",
        at: .init(file: file))
    }
    do throws(MueError) {
      var parser = JSONParser(bytes: bytes, nestingLimit: limits.nesting)
      return try parser.wholeText()
    } catch {
      throw error.located(.init(file: file))
    }
  }

  public static func parse(
    _ bytes: [UInt8], file: String? = nil, limits: JSONLimits = JSONLimits()
  ) throws(MueError) -> JSONValue {
    let result = bytes.withUnsafeBytes { view in
      Result { () throws(MueError) in try parse(view, file: file, limits: limits) }
    }
    return try result.get()
  }

  public static func parse(
    _ text: String, file: String? = nil, limits: JSONLimits = JSONLimits()
  ) throws(MueError) -> JSONValue {
    try parse(Array(text.utf8), file: file, limits: limits)
  }
}

/// A recursive descent parser; the nesting limit bounds its stack.
struct JSONParser {
  let bytes: UnsafeRawBufferPointer
  let nestingLimit: Int
  var offset = 0
  private var depth = 0

  init(bytes: UnsafeRawBufferPointer, nestingLimit: Int) {
    self.bytes = bytes
    self.nestingLimit = nestingLimit
  }

  /// The next byte, 0 at the end (a NUL byte is never valid outside a string, and inside one it is refused).
  @inline(__always) var current: UInt8 { offset < bytes.count ? bytes[offset] : 0 }

  mutating func wholeText() throws(MueError) -> JSONValue {
    if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { throw failure("the JSON text starts with a byte order mark") }
    let result = try value()
    skipSpace()
    guard offset == bytes.count else { throw failure("unexpected text after the JSON value") }
    return result
  }

  func failure(_ message: String, code: MueError.Code = .invalidText, at place: Int? = nil) -> MueError {
    MueError(code, message, at: .init(byteOffset: place ?? offset))
  }

  private mutating func skipSpace() {
    while offset < bytes.count {
      switch bytes[offset] {
      case 0x20, 0x0A, 0x0D, 0x09: offset += 1
      default: return
      }
    }
  }

  private mutating func value() throws(MueError) -> JSONValue {
    skipSpace()
    switch current {
    case UInt8(ascii: "{"): return .object(try object())
    case UInt8(ascii: "["): return .array(try array())
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try literal("true", .bool(true))
    case UInt8(ascii: "f"): return try literal("false", .bool(false))
    case UInt8(ascii: "n"): return try literal("null", .null)
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
    default:
      throw failure(offset == bytes.count ? "the JSON text ends where a value must be" : "not a JSON value")
    }
  }

  private mutating func literal(_ word: StaticString, _ value: JSONValue) throws(MueError) -> JSONValue {
    let length = word.utf8CodeUnitCount
    guard bytes.count - offset >= length,
      (0..<length).allSatisfy({ bytes[offset + $0] == word.utf8Start[$0] })
    else { throw failure("not a JSON value") }
    offset += length
    return value
  }

  private mutating func enter() throws(MueError) {
    offset += 1
    depth += 1
    if depth > nestingLimit {
      throw failure("JSON values nest more than \(nestingLimit) deep", code: .limitExceeded, at: offset - 1)
    }
  }

  private mutating func array() throws(MueError) -> [JSONValue] {
    try enter()
    var elements: [JSONValue] = []
    skipSpace()
    if current == UInt8(ascii: "]") {
      offset += 1
      depth -= 1
      return elements
    }
    while true {
      do throws(MueError) {
        elements.append(try value())
      } catch {
        throw error.inside("[\(elements.count)]")
      }
      skipSpace()
      if current == UInt8(ascii: ",") {
        offset += 1
      } else if current == UInt8(ascii: "]") {
        offset += 1
        depth -= 1
        return elements
      } else {
        throw failure("expected , or ] in an array")
      }
    }
  }

  private mutating func object() throws(MueError) -> JSONObject {
    try enter()
    var members = JSONObject()
    skipSpace()
    if current == UInt8(ascii: "}") {
      offset += 1
      depth -= 1
      return members
    }
    while true {
      skipSpace()
      guard current == UInt8(ascii: "\"") else { throw failure("expected a string as key of an object") }
      let key = try string()
      skipSpace()
      guard current == UInt8(ascii: ":") else { throw failure("expected : after the key of an object") }
      offset += 1
      do throws(MueError) {
        members[key] = try value()
      } catch {
        throw error.inside(key)
      }
      skipSpace()
      if current == UInt8(ascii: ",") {
        offset += 1
      } else if current == UInt8(ascii: "}") {
        offset += 1
        depth -= 1
        return members
      } else {
        throw failure("expected , or } in an object")
      }
    }
  }
}

extension MueError {
  /// The same error, its field path one level further out; `step` is a key or `[index]`.
  func inside(_ step: String) -> MueError {
    var error = self
    if let inner = location.field {
      error.location.field = inner.hasPrefix("[") ? step + inner : "\(step).\(inner)"
    } else {
      error.location.field = step
    }
    return error
  }
}
