/// A string that is equal to another when their UTF-8 bytes are, as keys of files need it.
public struct ByteString: Hashable, Sendable {
  public let string: String

  public init(_ string: String) { self.string = string }

  public static func == (a: ByteString, b: ByteString) -> Bool {
    let left = a.string.utf8
    let right = b.string.utf8
    return left.count == right.count && left.elementsEqual(right)
  }

  public func hash(into hasher: inout Hasher) {
    let isHashed: Void? = string.utf8.withContiguousStorageIfAvailable {
      hasher.combine(bytes: UnsafeRawBufferPointer($0))
    }
    if isHashed == nil { hasher.combine(bytes: Array(string.utf8)) }
  }
}

extension Hasher {
  fileprivate mutating func combine(bytes: [UInt8]) {
    bytes.withUnsafeBytes { combine(bytes: $0) }
  }
}
