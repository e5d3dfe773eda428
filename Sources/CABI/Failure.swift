import Tensor

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// What a `mue_error *` points at: one block of C memory, the header first and its strings behind it.
///
/// No Swift object, so that an error can be made when little else works; out of memory is a constant of the library.
struct FailureHeader {
  /// "MuEerror", little-endian.
  static var tag: UInt64 { 0x726f_7272_6545_754d }

  enum Text: Int, CaseIterable {
    case message, description, file, field, node, operatorName, argument
  }

  var tag: UInt64
  var code: Int32
  var byteOffset: Int64
  /// Where each of `Text` begins, in bytes from the header; 0 when it is not known.
  var offsets: (Int, Int, Int, Int, Int, Int, Int)
}

/// The error that is reported when none can be allocated: its address alone matters.
@inline(never)
func outOfMemoryFailure() -> OpaquePointer {
  let text: StaticString = "out of memory: MuE's constant error object"
  return OpaquePointer(text.utf8Start)
}

/// Runs the body of a C function: nil when it returns, else its error as the caller's new `mue_error`.
@inline(__always)
func reporting(_ body: () throws(MueError) -> Void) -> OpaquePointer? {
  do throws(MueError) {
    try body()
    return nil
  } catch {
    return makeFailure(error)
  }
}

func makeFailure(_ error: MueError) -> OpaquePointer {
  guard error.code != .outOfMemory else { return outOfMemoryFailure() }
  let location = error.location
  let texts = [
    error.message, error.description, location.file, location.field, location.node, location.operatorName,
    location.argument,
  ]
  var size = MemoryLayout<FailureHeader>.size
  var offsets = [Int](repeating: 0, count: texts.count)
  for (index, text) in texts.enumerated() {
    guard let text else { continue }
    offsets[index] = size
    size += text.utf8.count + 1
  }
  guard let memory = malloc(size) else { return outOfMemoryFailure() }
  for (index, text) in texts.enumerated() {
    guard let text else { continue }
    var target = (memory + offsets[index]).assumingMemoryBound(to: UInt8.self)
    for byte in text.utf8 {
      // A NUL out of a hostile file would cut the text short for C.
      target.pointee = byte == 0 ? UInt8(ascii: "?") : byte
      target += 1
    }
    target.pointee = 0
  }
  memory.bindMemory(to: FailureHeader.self, capacity: 1).initialize(
    to: FailureHeader(
      tag: FailureHeader.tag, code: error.code.rawValue, byteOffset: Int64(location.byteOffset ?? -1),
      offsets: (offsets[0], offsets[1], offsets[2], offsets[3], offsets[4], offsets[5], offsets[6])))
  return OpaquePointer(memory)
}

extension FailureHeader {
  static func live(_ error: OpaquePointer?) -> UnsafeMutablePointer<FailureHeader>? {
    guard let error, error != outOfMemoryFailure(),
      UInt(bitPattern: error) % UInt(MemoryLayout<FailureHeader>.alignment) == 0
    else { return nil }
    let header = UnsafeMutablePointer<FailureHeader>(error)
    return header.pointee.tag == tag ? header : nil
  }

  /// One text of an error, nil when it is not known.
  static func text(_ error: OpaquePointer?, _ text: Text) -> UnsafePointer<CChar>? {
    guard let header = live(error) else { return nil }
    let offsets = header.pointee.offsets
    let offset =
      switch text {
      case .message: offsets.0
      case .description: offsets.1
      case .file: offsets.2
      case .field: offsets.3
      case .node: offsets.4
      case .operatorName: offsets.5
      case .argument: offsets.6
      }
    guard offset > 0 else { return nil }
    return UnsafePointer((UnsafeMutableRawPointer(header) + offset).assumingMemoryBound(to: CChar.self))
  }
}

extension MueError {
  /// An argument of the host is outside its contract.
  static func argument(_ argument: String, _ message: String) -> MueError {
    MueError(.invalidArgument, message, at: .init(argument: argument))
  }
}
