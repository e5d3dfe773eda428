// The functions have the names of include/mue.h.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

import CMue
import Tensor

@c @implementation
public func mue_error_code(_ error: OpaquePointer?) -> Int32 {
  if let error, error == outOfMemoryFailure() { return MUE_E_OUT_OF_MEMORY }
  return FailureHeader.live(error)?.pointee.code ?? MUE_OK
}

@c @implementation
public func mue_error_message(_ error: OpaquePointer?) -> UnsafePointer<CChar>? {
  if let error, error == outOfMemoryFailure() { return constantText("out of memory") }
  return FailureHeader.text(error, .message) ?? constantText("")
}

@c @implementation
public func mue_error_description(_ error: OpaquePointer?) -> UnsafePointer<CChar>? {
  if let error, error == outOfMemoryFailure() { return constantText("out of memory") }
  return FailureHeader.text(error, .description) ?? constantText("")
}

@c @implementation
public func mue_error_file(_ error: OpaquePointer?) -> UnsafePointer<CChar>? { FailureHeader.text(error, .file) }

@c @implementation
public func mue_error_byte_offset(_ error: OpaquePointer?) -> Int64 {
  FailureHeader.live(error)?.pointee.byteOffset ?? -1
}

@c @implementation
public func mue_error_field(_ error: OpaquePointer?) -> UnsafePointer<CChar>? { FailureHeader.text(error, .field) }

@c @implementation
public func mue_error_node(_ error: OpaquePointer?) -> UnsafePointer<CChar>? { FailureHeader.text(error, .node) }

@c @implementation
public func mue_error_operator(_ error: OpaquePointer?) -> UnsafePointer<CChar>? {
  FailureHeader.text(error, .operatorName)
}

@c @implementation
public func mue_error_argument(_ error: OpaquePointer?) -> UnsafePointer<CChar>? {
  FailureHeader.text(error, .argument)
}

@c @implementation
public func mue_error_free(_ error: OpaquePointer?) {
  guard let header = FailureHeader.live(error) else { return }
  header.pointee.tag = HandleHeader.freed
  freeMemory(header)
}

/// A constant of the library as a C string.
func constantText(_ text: StaticString) -> UnsafePointer<CChar> {
  UnsafeRawPointer(text.utf8Start).assumingMemoryBound(to: CChar.self)
}
