import CMue
import Tensor

/// A result's tensor in the form that a host sees, with the pointers it lends out.
///
/// Sendable by contract: the tensor and the storage are only read.
struct TensorLoan: @unchecked Sendable {
  let tensor: Tensor
  let name: String
  private let view: mue_tensor

  init(_ name: String, _ tensor: Tensor, in storage: BorrowedStorage) throws(MueError) {
    self.tensor = try tensor.aligned()
    self.name = name
    let strides = Shape.strides(tensor.shape).map { Int64($0 * tensor.type.byteWidth) }
    view = mue_tensor(
      struct_size: MemoryLayout<mue_tensor>.size, name: try storage.text(name), name_length: name.utf8.count,
      data: UnsafeRawPointer(self.tensor.pointer), dtype: tensor.type.rawValue, rank: Int32(tensor.shape.count),
      shape: try storage.array(tensor.shape.map(Int64.init)).baseAddress,
      strides: try storage.array(strides).baseAddress)
  }

  func write(to target: UnsafeMutablePointer<mue_tensor>?) throws(MueError) {
    try view.write(to: target, "tensor")
  }
}

extension Tensor {
  /// The same elements at an address that is a multiple of 64.
  fileprivate func aligned() throws(MueError) -> Tensor {
    guard UInt(bitPattern: pointer) % 64 != 0 else { return self }
    let copy = try Tensor(type, shape)
    copy.pointer.copyMemory(from: pointer, byteCount: byteCount)
    return copy
  }
}
