import Graph
import Plan
import Tensor

/// The sizes of one sample's inputs.
public struct RequestShape: Hashable, Sendable {
  public var height: Int
  public var width: Int
  public var channels: Int
  /// Prompt tokens.
  public var text: Int

  public init(height: Int, width: Int, channels: Int, text: Int) {
    self.height = height
    self.width = width
    self.channels = channels
    self.text = text
  }
}

extension UnifiedGraph {
  /// Feeds for the graph's inputs when a plan needs their shapes only.
  ///
  /// - Parameters:
  ///   - data: inputs whose elements the plan reads; they become buffers of the plan.
  ///   - rows: batch size of the decoder's ids; that of the encoder's inputs is `samples`.
  func inputFeeds(
    _ shape: RequestShape, samples: Int = 1, rows: Int = 1, positions: Int = 1, data: Set<ValueID> = []
  ) -> [ValueID: Feed] {
    func feed(_ port: Graph.Port, _ fallback: ElementType, _ dimensions: [Int]) -> Feed {
      data.contains(port.value) ? .buffer(port.type ?? fallback, dimensions) : .shape(port.type ?? fallback, dimensions)
    }
    return [
      roles.pixelValues.value: feed(roles.pixelValues, .float32, [samples, shape.channels, shape.height, shape.width]),
      roles.inputIDs.value: feed(roles.inputIDs, .int64, [samples, shape.text]),
      roles.decoderInputIDs.value: feed(roles.decoderInputIDs, .int64, [rows, positions]),
    ]
  }
}

extension Plan {
  /// Writes token ids into a feed of 32- or 64-bit integers.
  func load(ids: [Int], into value: ValueID) throws(MueError) {
    let target = try operand(value)
    guard target.count == ids.count else { throw MueError(.internal, "\(ids.count) ids for a feed of \(target.count)") }
    switch target.type {
    case .int64:
      let pointer = target.pointer.assumingMemoryBound(to: Int64.self)
      for (index, id) in ids.enumerated() { pointer[index] = Int64(id) }
    case .int32:
      let pointer = target.pointer.assumingMemoryBound(to: Int32.self)
      for (index, id) in ids.enumerated() { pointer[index] = Int32(truncatingIfNeeded: id) }
    default:
      throw MueError(.unsupported, "token ids of type \(target.type.name)")
    }
  }
}
