import Tensor

/// The value of a node's attribute.
public enum AttributeValue: Sendable {
  case int(Int)
  case float(Float)
  case string(String)
  case tensor(Tensor)
  case ints([Int])
  case floats([Float])
  case strings([String])
}

/// A node's attributes by name, with typed access whose errors name the attribute.
public struct Attributes: Sendable {
  public var values: [String: AttributeValue]

  public init(_ values: [String: AttributeValue] = [:]) { self.values = values }

  public func int(_ name: String) throws(MueError) -> Int? {
    switch values[name] {
    case nil: nil
    case .int(let value): value
    default: throw mismatch(name, "an integer")
    }
  }

  public func int(_ name: String, default value: Int) throws(MueError) -> Int { try int(name) ?? value }

  public func float(_ name: String) throws(MueError) -> Float? {
    switch values[name] {
    case nil: nil
    case .float(let value): value
    default: throw mismatch(name, "a float")
    }
  }

  public func float(_ name: String, default value: Float) throws(MueError) -> Float { try float(name) ?? value }

  public func ints(_ name: String) throws(MueError) -> [Int]? {
    switch values[name] {
    case nil: nil
    case .ints(let value): value
    default: throw mismatch(name, "a list of integers")
    }
  }

  public func floats(_ name: String) throws(MueError) -> [Float]? {
    switch values[name] {
    case nil: nil
    case .floats(let value): value
    default: throw mismatch(name, "a list of floats")
    }
  }

  public func string(_ name: String, default value: String) throws(MueError) -> String {
    switch values[name] {
    case nil: value
    case .string(let text): text
    default: throw mismatch(name, "a string")
    }
  }

  public func tensor(_ name: String) throws(MueError) -> Tensor? {
    switch values[name] {
    case nil: nil
    case .tensor(let value): value
    default: throw mismatch(name, "a tensor")
    }
  }

  private func mismatch(_ name: String, _ expected: String) -> MueError {
    MueError(.invalidModel, "attribute '\(name)' is not \(expected)", at: .init(field: name))
  }
}
