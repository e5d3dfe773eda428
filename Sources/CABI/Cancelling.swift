// The functions have the names of include/mue.h.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

import CMue
import Engine
import Tensor

/// What a `mue_cancel *` holds.
final class CancelBox: HandleObject, Sendable {
  /// "MuEcancl", little-endian.
  static var tag: UInt64 { 0x6c63_6e61_6345_754d }
  static var name: String { "mue_cancel" }

  let token: CancellationToken

  init(_ token: CancellationToken) { self.token = token }

  /// The token of an optional handle.
  static func token(_ handle: OpaquePointer?, _ argument: String) throws(MueError) -> CancellationToken? {
    handle == nil ? nil : try take(handle, argument).token
  }
}

@c @implementation
public func mue_cancel_create(_ cancel: UnsafeMutablePointer<OpaquePointer?>?) -> OpaquePointer? {
  reporting { () throws(MueError) in
    let target = try outParameter(cancel, "cancel")
    guard let token = CancellationToken() else { throw MueError(.outOfMemory, "cannot allocate a mue_cancel") }
    target.pointee = try CancelBox(token).makeHandle(flag: token.handle)
  }
}

// The next two run in signal handlers: they read the handle's C memory and the flag, and touch no Swift object.

@c @implementation
public func mue_cancel_trip(_ cancel: OpaquePointer?) {
  guard let header = HandleHeader.live(cancel, tag: CancelBox.tag), let flag = header.pointee.flag else {
    return
  }
  CancellationToken.cancel(flag)
}

@c @implementation
public func mue_cancel_is_tripped(_ cancel: OpaquePointer?) -> Int32 {
  guard let header = HandleHeader.live(cancel, tag: CancelBox.tag), let flag = header.pointee.flag else {
    return 0
  }
  return CancellationToken.isCancelled(flag) ? 1 : 0
}

@c @implementation
public func mue_cancel_free(_ cancel: OpaquePointer?) { CancelBox.free(cancel) }
