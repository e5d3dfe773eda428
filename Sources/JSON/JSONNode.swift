import Tensor

/// A value together with where it stands in which file, so that every error names the field.
///
///     let config = JSONNode(try JSONValue.load(path: path), file: path)
///     let size = try config.required("size").required("height").int(in: 1...4096)
///     let beams = try config["num_beams"]?.int() ?? 1
public struct JSONNode: Sendable {
  public let value: JSONValue
  /// Keys and `[index]` steps from the root; empty for the root itself.
  public let path: String
  public let file: String?

  public init(_ value: JSONValue, path: String = "", file: String? = nil) {
    self.value = value
    self.path = path
    self.file = file
  }

  /// An error about this field.
  public func failure(_ message: String, code: MueError.Code = .invalidText) -> MueError {
    MueError(code, message, at: .init(file: file, field: path.isEmpty ? nil : path))
  }

  private func child(_ step: String, _ value: JSONValue) -> JSONNode {
    JSONNode(value, path: path.isEmpty || step.hasPrefix("[") ? path + step : "\(path).\(step)", file: file)
  }

  /// The member `key`; `nil` when it is missing or `null`, or when this is no object.
  public subscript(key: String) -> JSONNode? {
    guard let member = value[key], !member.isNull else { return nil }
    return child(key, member)
  }

  /// The member `key`, which must be there and not be `null`.
  public func required(_ key: String) throws(MueError) -> JSONNode {
    guard case .object = value else { throw mismatch("an object") }
    guard let member = self[key] else { throw failure("the field '\(key)' is missing") }
    return member
  }

  private func mismatch(_ expected: String) -> MueError {
    failure("expected \(expected), found \(value.kindName)")
  }

  public func bool() throws(MueError) -> Bool {
    guard let result = value.boolValue else { throw mismatch("a boolean") }
    return result
  }

  public func int() throws(MueError) -> Int {
    guard let result = value.intValue else { throw mismatch("a whole number") }
    return result
  }

  public func int(in range: ClosedRange<Int>) throws(MueError) -> Int {
    let result = try int()
    guard range.contains(result) else {
      throw failure("\(result) is outside \(range.lowerBound) to \(range.upperBound)")
    }
    return result
  }

  public func double() throws(MueError) -> Double {
    guard let result = value.doubleValue else { throw mismatch("a number") }
    return result
  }

  public func string() throws(MueError) -> String {
    guard let result = value.stringValue else { throw mismatch("a string") }
    return result
  }

  public func array() throws(MueError) -> [JSONNode] {
    guard let elements = value.arrayValue else { throw mismatch("an array") }
    return elements.enumerated().map { child("[\($0.offset)]", $0.element) }
  }

  public func object() throws(MueError) -> JSONObject {
    guard let members = value.objectValue else { throw mismatch("an object") }
    return members
  }

  public func ints() throws(MueError) -> [Int] {
    try array().map { node throws(MueError) in try node.int() }
  }

  public func doubles() throws(MueError) -> [Double] {
    try array().map { node throws(MueError) in try node.double() }
  }

  public func strings() throws(MueError) -> [String] {
    try array().map { node throws(MueError) in try node.string() }
  }
}
