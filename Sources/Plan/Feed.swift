import Kernels
import Tensor

/// What a plan is given for a value it starts from.
public enum Feed {
  /// The caller fills it before each run.
  case buffer(ElementType, [Int])
  /// Memory of the caller, at a fixed address for the life of the plan.
  case memory(ElementType, [Int], UnsafeMutableRawPointer)
  /// Elements that never change: everything that follows from them is computed while planning.
  case constant(Tensor)
  /// Only the shape is known: enough for a graph input whose elements the slice does not read.
  case shape(ElementType, [Int])

  public var info: TensorInfo {
    switch self {
    case .buffer(let type, let shape), .memory(let type, let shape, _), .shape(let type, let shape):
      TensorInfo(type, shape)
    case .constant(let tensor): TensorInfo(tensor)
    }
  }
}
