import CMue
import Tensor

/// A C struct that begins with `struct_size` and only ever grows at its end.
protocol VersionedStruct {
  init()
  // swift-format-ignore: AlwaysUseLowerCamelCase
  var struct_size: Int { get set }
  /// The size that the struct first had: no caller has a smaller one.
  static var firstSize: Int { get }
}

extension mue_tensor: VersionedStruct {}
extension mue_tensor_info: VersionedStruct {}
extension mue_limits: VersionedStruct {}
extension mue_model_options: VersionedStruct {
  static var firstSize: Int { MemoryLayout<Self>.offset(of: \.precision) ?? 40 }
}
extension mue_exits: VersionedStruct {}
extension mue_item: VersionedStruct {}
extension mue_request_options: VersionedStruct {}
extension mue_generate_options: VersionedStruct {
  static var firstSize: Int { MemoryLayout<Self>.offset(of: \.nbest) ?? 56 }
}
extension mue_hypothesis: VersionedStruct {}
extension mue_report: VersionedStruct {}

extension VersionedStruct {
  static var firstSize: Int { MemoryLayout<Self>.size }

  /// Reads the struct that a host passed: what it does not know is zero, what we do not know must be zero.
  static func read(_ pointer: UnsafePointer<Self>?, _ argument: String) throws(MueError) -> Self? {
    guard let pointer else { return nil }
    return try read(UnsafeRawPointer(pointer), argument)
  }

  private static func read(_ raw: UnsafeRawPointer, _ argument: String) throws(MueError) -> Self {
    let size = try checkedSize(raw, argument)
    let known = MemoryLayout<Self>.size
    for offset in stride(from: known, to: size, by: 1) where raw.load(fromByteOffset: offset, as: UInt8.self) != 0 {
      throw .argument(
        argument, "\(argument) sets a field at byte \(offset) that this version of MuE (1.0) does not know")
    }
    var value = Self()
    withUnsafeMutableBytes(of: &value) { target in
      target.baseAddress?.copyMemory(from: raw, byteCount: min(size, known))
    }
    return value
  }

  /// Reads an array; all elements carry the same struct_size, which is the distance between them.
  static func readArray(
    _ pointer: UnsafePointer<Self>?, count: Int, _ argument: String
  ) throws(MueError) -> [Self] {
    let count = try boundedCount(count, "the count of \(argument)")
    guard count > 0 else { return [] }
    guard let pointer else { throw .argument(argument, "\(argument) is NULL and its count is not 0") }
    let raw = UnsafeRawPointer(pointer)
    let distance = try checkedSize(raw, "\(argument)[0]")
    var values: [Self] = []
    for index in 0..<count {
      let value = try read(raw + index * distance, "\(argument)[\(index)]")
      guard value.struct_size == distance else {
        throw .argument(argument, "\(argument)[\(index)].struct_size differs from that of \(argument)[0]")
      }
      values.append(value)
    }
    return values
  }

  /// Checks the place that a host gave for this struct to be written.
  static func checkTarget(_ pointer: UnsafeMutablePointer<Self>?, _ argument: String) throws(MueError) {
    let target = try outParameter(pointer, argument)
    _ = try checkedSize(UnsafeRawPointer(target), argument)
  }

  /// Fills the host's struct as far as its struct_size goes; what lies beyond our knowledge becomes zero.
  func write(to pointer: UnsafeMutablePointer<Self>?, _ argument: String) throws(MueError) {
    let target = UnsafeMutableRawPointer(try outParameter(pointer, argument))
    let size = try Self.checkedSize(UnsafeRawPointer(target), argument)
    let known = MemoryLayout<Self>.size
    var value = self
    value.struct_size = size
    withUnsafeBytes(of: &value) { source in
      if let from = source.baseAddress { target.copyMemory(from: from, byteCount: min(size, known)) }
    }
    if size > known { (target + known).initializeMemory(as: UInt8.self, repeating: 0, count: size - known) }
  }

  private static func checkedSize(_ raw: UnsafeRawPointer, _ argument: String) throws(MueError) -> Int {
    guard UInt(bitPattern: raw) % UInt(MemoryLayout<Self>.alignment) == 0 else {
      throw .argument(argument, "\(argument) is not aligned")
    }
    let size = raw.load(as: Int.self)
    guard size >= firstSize else {
      throw .argument(
        argument,
        "\(argument).struct_size is \(size) and must be at least \(firstSize): initialise it with its _INIT macro"
      )
    }
    guard size <= ArgumentBounds.structSize, size % MemoryLayout<Self>.alignment == 0 else {
      throw .argument(argument, "\(argument).struct_size is \(size), which no version of MuE has")
    }
    return size
  }
}
