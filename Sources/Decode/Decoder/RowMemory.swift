import Kernels
import Tensor

/// What one decoded row remembers: keys and values of every layer, and the state that each token left the layers with.
/// All of it is one block, so that rows change places by changing pointers.
final class RowMemory {
  let layout: CacheLayout
  private var memory: Tensor?
  private let floats: UnsafeMutablePointer<Float>
  private let spares: SpareMemory
  /// By layer: positions whose keys and values are here.
  var filled: [Int]

  /// - Parameter spares: where its memory comes from, and goes.
  init(_ layout: CacheLayout, _ spares: SpareMemory) throws(MueError) {
    let memory = try spares.tensor(.float32, [layout.count], isLent: false)
    floats = memory.pointer.assumingMemoryBound(to: Float.self)
    self.layout = layout
    self.memory = memory
    self.spares = spares
    filled = [Int](repeating: 0, count: layout.layers.count)
  }

  deinit {
    if let memory = memory.take() { spares.keep(memory) }
  }

  /// - Parameter layer: from 0.
  func key(_ layer: Int, _ slot: Int, position: Int = 0) -> UnsafeMutablePointer<Float> {
    let attention = layout.layers[layer][slot]
    return floats + attention.keys + position * attention.keyWidth
  }

  func value(_ layer: Int, _ slot: Int, position: Int = 0) -> UnsafeMutablePointer<Float> {
    let attention = layout.layers[layer][slot]
    return floats + attention.values + position * attention.valueWidth
  }

  /// The state that the token at `position` left with, [width].
  func state(_ position: Int) -> UnsafeMutablePointer<Float> { floats + layout.states + position * layout.width }

  /// Becomes what `other`, of the same layout, is after `count` positions.
  func copy(_ other: RowMemory, count: Int) {
    var complete = count
    for layer in layout.layers.indices {
      let filled = min(other.filled[layer], count)
      self.filled[layer] = filled
      complete = min(complete, filled)
      for (slot, attention) in layout.layers[layer].enumerated() {
        key(layer, slot).update(from: other.key(layer, slot), count: filled * attention.keyWidth)
        value(layer, slot).update(from: other.value(layer, slot), count: filled * attention.valueWidth)
      }
    }
    // Of tokens that every layer has seen, no state is needed any more.
    state(complete).update(from: other.state(complete), count: (count - complete) * layout.width)
  }

  /// Ready for a new row.
  func clear() { for layer in filled.indices { filled[layer] = 0 } }
}

/// The rows' memory of one request: what a row leaves, another one takes.
final class RowMemoryPool {
  let layout: CacheLayout
  private let spares: SpareMemory
  private var spare: [RowMemory] = []

  /// - Parameter spares: where memory comes from.
  init(_ layout: CacheLayout, _ spares: SpareMemory) {
    self.layout = layout
    self.spares = spares
  }

  func take() throws(MueError) -> RowMemory {
    guard let memory = spare.popLast() else { return try RowMemory(layout, spares) }
    memory.clear()
    return memory
  }

  func give(_ memory: RowMemory) { spare.append(memory) }
}
