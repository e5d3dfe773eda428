import Tensor

/// GatherND and ScatterND: the last axis of the indices holds coordinates into the data.
extension Operator {
  static let gatherND = Operator(
    "GatherND", versions: 11...28,
    infer: { node throws(MueError) in
      let data = try node.input(0)
      try node.require(1, .int64)
      let layout = try CoordinateLayout(
        data.shape, node.input(1).shape, batch: node.attributes.int("batch_dims", default: 0))
      return [TensorInfo(data.type, layout.gatheredShape)]
    },
    prepare: { call throws(MueError) in
      let (data, output) = (try call.input(0), try call.output())
      let indices = try call.input(1)
      let layout = try CoordinateLayout(
        data.shape, indices.shape, batch: call.attributes.int("batch_dims", default: 0))
      let reader = try IndexReader(indices)
      let bytes = layout.blockCount &* data.type.byteWidth
      return { () throws(MueError) in
        for item in 0..<layout.itemCount {
          let block = try layout.block(item, reader)
          (output.pointer + item &* bytes).copyMemory(from: data.pointer + block &* bytes, byteCount: bytes)
        }
      }
    })

  static let scatterND = Operator(
    "ScatterND", versions: 11...28,
    infer: { node throws(MueError) in
      let (data, updates) = (try node.input(0), try node.input(2))
      try node.require(1, .int64)
      let layout = try CoordinateLayout(data.shape, node.input(1).shape, batch: 0)
      guard updates.type == data.type, updates.shape == layout.gatheredShape else {
        throw MueError(.invalidModel, "updates of shape \(updates.shape) where \(layout.gatheredShape) are expected")
      }
      return [TensorInfo(data.type, data.shape)]
    },
    prepare: { call throws(MueError) in
      let (data, updates, output) = (try call.input(0), try call.input(2), try call.output())
      let layout = try CoordinateLayout(data.shape, call.input(1).shape, batch: 0)
      let reader = try IndexReader(call.input(1))
      let bytes = layout.blockCount &* data.type.byteWidth
      let copy = try copyStep(call)
      let write = try ScatterReduction(call.attributes).writer(data.type)
      return { () throws(MueError) in
        try copy()
        for item in 0..<layout.itemCount {
          let block = try layout.block(item, reader)
          write(output.pointer + block &* bytes, updates.pointer + item &* bytes, layout.blockCount)
        }
      }
    })
}

/// How coordinates lead to blocks of the data.
private struct CoordinateLayout {
  let gatheredShape: [Int]
  /// Coordinate tuples, and elements of the block that each one names.
  let itemCount: Int
  let blockCount: Int
  private let depth: Int
  private let extents: [Int]
  /// In blocks.
  private let strides: [Int]
  private let itemsPerBatch: Int
  private let blocksPerBatch: Int

  init(_ data: [Int], _ indices: [Int], batch: Int) throws(MueError) {
    guard let depth = indices.last, batch >= 0, batch < data.count, batch < indices.count, depth >= 1,
      depth <= data.count - batch, data[..<batch] == indices[..<batch]
    else {
      throw MueError(.invalidModel, "indices of shape \(indices) do not fit data of shape \(data)")
    }
    self.depth = depth
    let blockAxis = batch + depth
    gatheredShape = indices.dropLast() + data[blockAxis...]
    extents = Array(data[batch..<blockAxis])
    strides = Shape.strides(extents)
    itemCount = try Shape.elementCount(indices.dropLast())
    blockCount = try Shape.elementCount(data[blockAxis...])
    itemsPerBatch = max(1, try Shape.elementCount(indices[batch...].dropLast()))
    blocksPerBatch = try Shape.elementCount(extents)
  }

  /// Which block of the data coordinate tuple `item` names.
  @inline(__always)
  func block(_ item: Int, _ reader: IndexReader) throws(MueError) -> Int {
    var block = item / itemsPerBatch &* blocksPerBatch
    for axis in 0..<depth {
      block = try block &+ reader.index(item &* depth &+ axis, below: extents[axis]) &* strides[axis]
    }
    return block
  }
}
