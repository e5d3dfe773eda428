import Tensor

/// GatherElements and ScatterElements: one index for every element.
extension Operator {
  static let gatherElements = Operator(
    "GatherElements", versions: 11...28,
    infer: { node throws(MueError) in
      let (data, indices) = (try node.input(0), try node.input(1))
      try node.require(1, .int64, .int32)
      _ = try elementAxis(data.shape, indices.shape, node.attributes)
      return [TensorInfo(data.type, indices.shape)]
    },
    prepare: { call throws(MueError) in
      let (data, output) = (try call.input(0), try call.output())
      let (reader, shape) = (try IndexReader(call.input(1)), try call.input(1).shape)
      let axis = try elementAxis(data.shape, shape, call.attributes)
      let width = data.type.byteWidth
      let extent = data.shape[axis]
      var strides = StridedLoop.byteStrides(data.shape, width: width)
      let step = strides[axis]
      strides[axis] = 0
      let loop = StridedLoop(shape, strides: [StridedLoop.byteStrides(shape, width: 1), strides])
      return { () throws(MueError) in
        try loop.run { (at) throws(MueError) in
          var offset = at
          for _ in 0..<loop.inner.extent {
            let index = try reader.index(offset[0], below: extent)
            (output.pointer + offset[0] &* width).copyMemory(
              from: data.pointer + (offset[1] &+ index &* step), byteCount: width)
            offset = offset &+ loop.inner.strides
          }
        }
      }
    })

  static let scatterElements = Operator(
    "ScatterElements", versions: 11...28,
    infer: { node throws(MueError) in
      let (data, indices, updates) = (try node.input(0), try node.input(1), try node.input(2))
      try node.require(1, .int64, .int32)
      _ = try elementAxis(data.shape, indices.shape, node.attributes)
      guard updates.shape == indices.shape, updates.type == data.type else {
        throw MueError(.invalidModel, "updates \(updates.shape) do not match indices \(indices.shape)")
      }
      return [TensorInfo(data.type, data.shape)]
    },
    prepare: { call throws(MueError) in
      let (data, updates, output) = (try call.input(0), try call.input(2), try call.output())
      let (reader, shape) = (try IndexReader(call.input(1)), try call.input(1).shape)
      let axis = try elementAxis(data.shape, shape, call.attributes)
      let reduction = try ScatterReduction(call.attributes)
      let width = data.type.byteWidth
      let extent = data.shape[axis]
      var strides = StridedLoop.byteStrides(data.shape, width: width)
      let step = strides[axis]
      strides[axis] = 0
      let loop = StridedLoop(shape, strides: [StridedLoop.byteStrides(shape, width: 1), strides])
      let copy = try copyStep(call)
      let write = try reduction.writer(data.type)
      return { () throws(MueError) in
        try copy()
        try loop.run { (at) throws(MueError) in
          var offset = at
          for _ in 0..<loop.inner.extent {
            let index = try reader.index(offset[0], below: extent)
            write(output.pointer + (offset[1] &+ index &* step), updates.pointer + offset[0] &* width, 1)
            offset = offset &+ loop.inner.strides
          }
        }
      }
    })

  /// Indices have the data's rank and stay within it on every axis but `axis`.
  private static func elementAxis(
    _ data: [Int], _ indices: [Int], _ attributes: Attributes
  ) throws(MueError) -> Int {
    let axis = try Shape.normalizedAxis(attributes.int("axis", default: 0), rank: data.count)
    guard indices.count == data.count, data.indices.allSatisfy({ $0 == axis || indices[$0] <= data[$0] }) else {
      throw MueError(.invalidModel, "indices of shape \(indices) do not fit data of shape \(data)")
    }
    return axis
  }
}

/// How a scattered update meets what is there.
struct ScatterReduction {
  private let name: String

  init(_ attributes: Attributes) throws(MueError) {
    name = try attributes.string("reduction", default: "none")
  }

  /// Combines `count` elements at the second address into the first.
  typealias Writer = (UnsafeMutableRawPointer, UnsafeMutableRawPointer, Int) -> Void

  func writer(_ type: ElementType) throws(MueError) -> Writer {
    let width = type.byteWidth
    switch name {
    case "none": return { $0.copyMemory(from: $1, byteCount: $2 &* width) }
    case "add": return try type.visit(WriterMaker(function: .add))
    case "mul": return try type.visit(WriterMaker(function: .multiply))
    case "min": return try type.visit(WriterMaker(function: .minimum))
    case "max": return try type.visit(WriterMaker(function: .maximum))
    default: throw MueError(.unsupported, "reduction '\(name)'", at: .init(field: "reduction"))
    }
  }

  private struct WriterMaker: NumericVisitor {
    let function: BinaryArithmetic

    func visit<Element: NumericElement>(_: Element.Type) -> Writer {
      let function = function
      return { target, source, count in
        for index in 0..<count {
          let offset = index &* MemoryLayout<Element>.stride
          let old = target.load(fromByteOffset: offset, as: Element.self)
          let new = source.load(fromByteOffset: offset, as: Element.self)
          target.storeBytes(of: function.apply(old, new) ?? old, toByteOffset: offset, as: Element.self)
        }
      }
    }
  }
}
