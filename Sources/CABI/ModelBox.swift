import CMue
import Engine
import Tensor

/// What a `mue_model *` holds: the model, and the descriptions that its getters lend out.
final class ModelBox: HandleObject, Sendable {
  /// "MuEmodel", little-endian.
  static var tag: UInt64 { 0x6c65_646f_6d45_754d }
  static var name: String { "mue_model" }

  let model: Model
  private let storage = BorrowedStorage()
  let inputs: [DescriptionLoan]
  let outputs: [DescriptionLoan]

  init(_ model: Model) throws(MueError) {
    self.model = model
    var inputs: [DescriptionLoan] = []
    var outputs: [DescriptionLoan] = []
    for input in model.inputs { inputs.append(try DescriptionLoan(input, in: storage)) }
    for output in model.outputs { outputs.append(try DescriptionLoan(output, in: storage)) }
    self.inputs = inputs
    self.outputs = outputs
  }
}

/// A graph's input or output in the form that a host sees.
///
/// Sendable by contract: what it points at is only read.
struct DescriptionLoan: @unchecked Sendable {
  private let view: mue_tensor_info

  init(_ description: TensorDescription, in storage: BorrowedStorage) throws(MueError) {
    var names: [UnsafePointer<CChar>?] = []
    for axis in description.shape.indices {
      let name = axis < description.dimensionNames.count ? description.dimensionNames[axis] : ""
      names.append(try storage.text(name))
    }
    view = mue_tensor_info(
      struct_size: MemoryLayout<mue_tensor_info>.size, name: try storage.text(description.name),
      dtype: description.type.rawValue, rank: Int32(description.shape.count),
      shape: try storage.array(description.shape.map { Int64($0 ?? -1) }).baseAddress,
      dimension_names: try storage.array(names).baseAddress)
  }

  func write(to target: UnsafeMutablePointer<mue_tensor_info>?) throws(MueError) {
    try view.write(to: target, "info")
  }
}
