import Kernels
import Tensor

/// The axis order of a four-dimensional attention operand.
enum AttentionLayout: String {
  /// [batch, rows, heads, channels]
  case rowMajor = "BTHD"
  /// [batch, heads, rows, channels]
  case headMajor = "BHTD"
  /// [batch, heads, channels, rows]: keys that the graph has already transposed.
  case transposed = "BHDT"

  init(_ attributes: Attributes, _ name: String) throws(MueError) {
    let text = try attributes.string(name, default: AttentionLayout.headMajor.rawValue)
    guard let layout = AttentionLayout(rawValue: text) else {
      throw MueError(.internal, "unknown attention layout \(text)")
    }
    self = layout
  }

  /// rows, heads and channels of an operand of this layout.
  func sizes(_ shape: [Int]) throws(MueError) -> (rows: Int, heads: Int, channels: Int) {
    guard shape.count == 4 else { throw MueError(.internal, "attention operand of rank \(shape.count)") }
    switch self {
    case .rowMajor: return (shape[1], shape[2], shape[3])
    case .headMajor: return (shape[2], shape[1], shape[3])
    case .transposed: return (shape[3], shape[1], shape[2])
    }
  }

  /// Elements from one row, head and channel to the next.
  func strides(_ shape: [Int]) throws(MueError) -> (row: Int, head: Int, channel: Int) {
    let (rows, heads, channels) = try sizes(shape)
    switch self {
    case .rowMajor: return (heads * channels, channels, 1)
    case .headMajor: return (channels, rows * channels, 1)
    case .transposed: return (1, channels * rows, rows)
    }
  }

  /// Copies rows of batch item 0 into [row][head][channel].
  func copyRows(
    _ source: UnsafePointer<Float>, _ shape: [Int], _ range: Range<Int>, to target: UnsafeMutablePointer<Float>
  ) throws(MueError) {
    let (_, heads, channels) = try sizes(shape)
    let stride = try strides(shape)
    if self == .rowMajor {
      target.update(from: source + range.lowerBound * stride.row, count: range.count * stride.row)
      return
    }
    var to = target
    for row in range {
      for head in 0..<heads {
        for channel in 0..<channels {
          to.pointee = source[row * stride.row + head * stride.head + channel * stride.channel]
          to += 1
        }
      }
    }
  }
}
