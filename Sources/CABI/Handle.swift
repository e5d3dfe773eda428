import Tensor

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// What a C handle points at: C memory that names its kind, so that a wrong or freed handle is told from a right one
/// without touching the Swift runtime.
struct HandleHeader {
  var tag: UInt64
  var object: UnsafeMutableRawPointer?
  /// For cancel tokens: the flag that a signal handler may set.
  var flag: OpaquePointer?

  /// What the tag of a freed handle becomes.
  static let freed: UInt64 = 0x6465_6572_6675_6544
}

/// An object that hosts hold through an opaque pointer.
protocol HandleObject: AnyObject {
  /// Eight bytes that stand first in the handle's memory.
  static var tag: UInt64 { get }
  /// The handle's C type, for messages.
  static var name: String { get }
}

extension HandleObject {
  /// A new handle that owns one reference to this object.
  func makeHandle(flag: OpaquePointer? = nil) throws(MueError) -> OpaquePointer {
    guard let memory = malloc(MemoryLayout<HandleHeader>.size) else {
      throw MueError(.outOfMemory, "cannot allocate a \(Self.name)")
    }
    memory.bindMemory(to: HandleHeader.self, capacity: 1)
      .initialize(to: HandleHeader(tag: Self.tag, object: Unmanaged.passRetained(self).toOpaque(), flag: flag))
    return OpaquePointer(memory)
  }

  /// The object behind a handle, or nil when the pointer is NULL or is not a live handle of this type.
  static func peek(_ handle: OpaquePointer?) -> Self? {
    guard let header = HandleHeader.live(handle, tag: Self.tag), let object = header.pointee.object else { return nil }
    return Unmanaged<Self>.fromOpaque(object).takeUnretainedValue()
  }

  /// The object behind a handle; throws `.invalidArgument` naming `argument` when there is none.
  static func take(_ handle: OpaquePointer?, _ argument: String) throws(MueError) -> Self {
    guard let handle else { throw .argument(argument, "\(argument) is NULL") }
    guard let object = peek(handle) else {
      throw .argument(argument, "\(argument) is not a \(name), or it was freed")
    }
    return object
  }

  /// Releases the handle's reference. NULL and what is not a live handle of this type are left alone.
  static func free(_ handle: OpaquePointer?) {
    guard let header = HandleHeader.live(handle, tag: Self.tag) else { return }
    let object = header.pointee.object
    header.pointee = HandleHeader(tag: HandleHeader.freed, object: nil, flag: nil)
    freeMemory(header)
    if let object { Unmanaged<Self>.fromOpaque(object).release() }
  }
}

extension HandleHeader {
  /// The header at `handle` when it carries `tag`. Allocates nothing and calls nothing: fit for signal handlers.
  static func live(_ handle: OpaquePointer?, tag: UInt64) -> UnsafeMutablePointer<HandleHeader>? {
    guard let handle, UInt(bitPattern: handle) % UInt(MemoryLayout<HandleHeader>.alignment) == 0 else { return nil }
    let header = UnsafeMutablePointer<HandleHeader>(handle)
    return header.pointee.tag == tag ? header : nil
  }
}

/// `free` under a name that the methods called `free` do not hide.
func freeMemory(_ pointer: UnsafeMutableRawPointer?) { free(pointer) }
