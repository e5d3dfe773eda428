import CKernels
import Tensor

/// The saturation signal: the cosine of a stream's state before and after a layer, flattened over all rows that count.
///
/// Source: mue.md, "Exit rule".
public struct StateSimilarity {
  private var before: [Float] = []
  private var after: [Float] = []

  public init() {}

  /// The similarity of one contiguous pair of states of `count` floats.
  public static func between(
    _ before: UnsafePointer<Float>, _ after: UnsafePointer<Float>, count: Int
  ) -> Double {
    mk_similarity(before, after, count)
  }

  /// Adds the rows of one sample's state, [rows, width]; rows for which `counts` is false (padding) are left out.
  public mutating func append(
    _ before: UnsafePointer<Float>, _ after: UnsafePointer<Float>, width: Int, counts: [Bool]
  ) {
    for (row, isCounted) in counts.enumerated() where isCounted {
      self.before.append(contentsOf: UnsafeBufferPointer(start: before + row * width, count: width))
      self.after.append(contentsOf: UnsafeBufferPointer(start: after + row * width, count: width))
    }
  }

  /// The similarity of everything that was added, as one vector.
  public func value() -> Double { mk_similarity(before, after, before.count) }
}
