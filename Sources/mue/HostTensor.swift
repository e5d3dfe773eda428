import CMue

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A `mue_tensor` over an array from a file, at fixed addresses.
final class HostTensor {
  let pointer: UnsafePointer<mue_tensor>
  private let memory = UnsafeMutablePointer<mue_tensor>.allocate(capacity: 1)
  private let shape: UnsafeMutablePointer<Int64>
  private let strides: UnsafeMutablePointer<Int64>
  private let name: UnsafeMutablePointer<CChar>?
  private let array: NumPyArray

  init(_ array: NumPyArray, name: String?) {
    self.array = array
    self.name = name.flatMap { strdup($0) }
    let rank = array.shape.count
    shape = .allocate(capacity: max(rank, 1))
    strides = .allocate(capacity: max(rank, 1))
    for axis in 0..<rank {
      shape[axis] = Int64(array.shape[axis])
      strides[axis] = Int64(array.strides[axis])
    }
    memory.initialize(
      to: mue_tensor(
        struct_size: MemoryLayout<mue_tensor>.size, name: self.name.map { UnsafePointer($0) },
        name_length: name?.utf8.count ?? 0, data: array.data, dtype: array.type.rawValue, rank: Int32(rank),
        shape: shape, strides: strides))
    pointer = UnsafePointer(memory)
  }

  deinit {
    memory.deallocate()
    shape.deallocate()
    strides.deallocate()
    free(name)
  }
}
