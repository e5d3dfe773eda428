import Tensor

/// Bounds on what a host passes in, beside the limits of a model.
enum ArgumentBounds {
  /// Bytes of one text.
  static let text = 1 << 24
  /// Bytes of a struct of a later version: a larger struct_size is memory that nobody initialised.
  static let structSize = 4096
  /// Items, answers, tensors or names of one call.
  static let count = 1 << 20
  /// Bytes of an encoded image or a model in memory.
  static let bytes = 1 << 40
}

/// Text with an explicit length; nil when the pointer is NULL and the length 0.
func optionalText(
  _ pointer: UnsafePointer<CChar>?, _ length: Int, _ argument: String
) throws(MueError) -> String? {
  guard let pointer else {
    guard length == 0 else { throw .argument(argument, "\(argument) is NULL and its length is not 0") }
    return nil
  }
  // A size_t beyond Int.max arrives as a negative number.
  guard length >= 0, length <= ArgumentBounds.text else {
    throw MueError(
      .limitExceeded, "the length of \(argument) is beyond \(ArgumentBounds.text) bytes", at: .init(argument: argument))
  }
  let bytes = UnsafeBufferPointer(start: UnsafeRawPointer(pointer).assumingMemoryBound(to: UInt8.self), count: length)
  guard !bytes.contains(0) else { throw .argument(argument, "\(argument) has a NUL byte inside") }
  guard let text = String(validating: bytes, as: UTF8.self) else {
    throw .argument(argument, "\(argument) is not UTF-8")
  }
  return text
}

/// Text that must be there, and must not be empty.
func requiredText(_ pointer: UnsafePointer<CChar>?, _ length: Int, _ argument: String) throws(MueError) -> String {
  guard let text = try optionalText(pointer, length, argument) else { throw .argument(argument, "\(argument) is NULL") }
  guard !text.isEmpty else { throw .argument(argument, "\(argument) is empty") }
  return text
}

/// The place of a result.
func outParameter<Value>(
  _ pointer: UnsafeMutablePointer<Value>?, _ argument: String
) throws(MueError) -> UnsafeMutablePointer<Value> {
  guard let pointer else { throw .argument(argument, "\(argument) is NULL") }
  return pointer
}

/// An array's element count that fits; a size_t beyond Int.max arrives as a negative number.
func boundedCount(_ count: Int, _ argument: String) throws(MueError) -> Int {
  guard count >= 0, count <= ArgumentBounds.count else {
    throw MueError(
      .limitExceeded, "\(argument) is beyond \(ArgumentBounds.count)", at: .init(argument: argument))
  }
  return count
}

/// A code that must be one of the first `count` constants.
func code(_ value: Int32, below count: Int32, _ argument: String) throws(MueError) -> Int32 {
  guard value >= 0, value < count else { throw .argument(argument, "\(argument) has no value \(value)") }
  return value
}

/// A flag or a reserved field.
func requireZero(_ value: Int32, _ argument: String) throws(MueError) {
  guard value == 0 else { throw .argument(argument, "the reserved field of \(argument) is \(value) and must be 0") }
}
