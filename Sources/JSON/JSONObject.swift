/// The members of a JSON object in the order of the file, with lookup by key.
///
/// Keys are compared byte by byte: Swift's `==` takes "é" and "e" + U+0301 for the same string, JSON and vocabularies
/// do not.
public struct JSONObject: Sendable {
  public private(set) var keys: [String] = []
  public private(set) var values: [JSONValue] = []
  /// Position of each key; kept only for objects that are too large to be searched in order.
  private var positions: [ByteString: Int] = [:]
  private static let searchedInOrder = 12

  public init() {}

  /// Of members with the same key the last one wins.
  public init(_ members: some Sequence<(String, JSONValue)>) {
    for (key, value) in members { self[key] = value }
  }

  public var count: Int { keys.count }
  public var isEmpty: Bool { keys.isEmpty }

  /// Setting `nil` leaves a present member as it is: members cannot be removed.
  public subscript(key: String) -> JSONValue? {
    get { position(of: key).map { values[$0] } }
    set {
      guard let newValue else { return }
      if let position = position(of: key) {
        values[position] = newValue
      } else {
        append(key, newValue)
      }
    }
  }

  private func position(of key: String) -> Int? {
    if keys.count > Self.searchedInOrder { return positions[ByteString(key)] }
    return keys.firstIndex { ByteString($0) == ByteString(key) }
  }

  private mutating func append(_ key: String, _ value: JSONValue) {
    keys.append(key)
    values.append(value)
    if keys.count == Self.searchedInOrder + 1 {
      for (position, key) in keys.enumerated() { positions[ByteString(key)] = position }
    } else if keys.count > Self.searchedInOrder {
      positions[ByteString(key)] = keys.count - 1
    }
  }
}

extension JSONObject: Sequence {
  public func makeIterator() -> Zip2Sequence<[String], [JSONValue]>.Iterator { zip(keys, values).makeIterator() }
}

extension JSONObject: Equatable {
  /// The same members in any order.
  public static func == (a: JSONObject, b: JSONObject) -> Bool {
    a.count == b.count && a.allSatisfy { key, value in b[key] == value }
  }
}

extension JSONObject: ExpressibleByDictionaryLiteral {
  public init(dictionaryLiteral elements: (String, JSONValue)...) { self.init(elements) }
}
