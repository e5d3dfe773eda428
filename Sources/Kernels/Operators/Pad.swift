import Tensor

extension Operator {
  /// Modes constant, reflect, edge and wrap (opset 19); negative pads crop.
  static let pads: [Operator] = [
    Operator(
      "Pad", versions: 11...28,
      infer: { node throws(MueError) in
        let input = try node.input(0)
        let axes = node.optional(3) == nil ? nil : try node.clampedIntegers(3)
        let map = try PadMap(
          input.shape, pads: node.clampedIntegers(1), axes: axes,
          mode: node.attributes.string("mode", default: "constant"), opset: node.opset)
        if let value = node.optional(2) {
          guard value.type == input.type, try Shape.elementCount(value.shape) == 1 else {
            throw MueError(.invalidModel, "the padding is not one \(input.type.name) element")
          }
        }
        return [TensorInfo(input.type, map.shape)]
      },
      prepare: { call throws(MueError) in
        let axes = call.optional(3) == nil ? nil : try call.clampedIntegers(3)
        let map = try PadMap(
          call.input(0).shape, pads: call.clampedIntegers(1), axes: axes,
          mode: call.attributes.string("mode", default: "constant"), opset: call.opset)
        return try map.step(call, value: call.optional(2)?.pointer)
      })
  ]
}

/// Where each position of the output comes from, axis by axis.
private struct PadMap {
  let shape: [Int]
  private let before: [Int]
  private let input: [Int]
  private let mode: Mode

  private enum Mode: String { case constant, reflect, edge, wrap }

  init(_ input: [Int], pads: [Int], axes: [Int]?, mode: String, opset: Int) throws(MueError) {
    guard let mode = Mode(rawValue: mode), mode != .wrap || opset >= 19 else {
      throw MueError(.unsupported, "padding mode '\(mode)'", at: .init(field: "mode"))
    }
    let axes = axes ?? Array(input.indices)
    guard pads.count == 2 * axes.count else {
      throw MueError(.invalidModel, "\(pads.count) pads for \(axes.count) axes")
    }
    var before = [Int](repeating: 0, count: input.count)
    var shape = input
    for index in axes.indices {
      let axis = try Shape.normalizedAxis(axes[index], rank: input.count)
      let (low, high) = (pads[index], pads[index + axes.count])
      shape[axis] = input[axis] + low + high
      before[axis] = low
      guard shape[axis] >= 0 else {
        throw MueError(.invalidModel, "pads \(low) and \(high) leave nothing of dimension \(input[axis])")
      }
      if mode != .constant, input[axis] == 0, shape[axis] > 0 {
        throw MueError(.invalidModel, "nothing to repeat along axis \(axis)")
      }
    }
    self.shape = shape
    self.before = before
    self.input = input
    self.mode = mode
  }

  /// The source position along `axis`, or -1 for the constant.
  private func source(_ position: Int, _ axis: Int) -> Int {
    let (at, extent) = (position &- before[axis], input[axis])
    if at >= 0, at < extent { return at }
    switch mode {
    case .constant: return -1
    case .edge: return at < 0 ? 0 : extent &- 1
    case .wrap:
      let rest = at % extent
      return rest < 0 ? rest &+ extent : rest
    case .reflect:
      // The reflection repeats with a period of twice the distance between the ends.
      let period = 2 &* (extent &- 1)
      if period == 0 { return 0 }
      let rest = ((at % period) &+ period) % period
      return rest < extent ? rest : period &- rest
    }
  }

  func step(_ call: Call, value: UnsafeMutableRawPointer?) throws(MueError) -> Step {
    let (from, to) = (try call.input(0), try call.output())
    let width = from.type.byteWidth
    let strides = StridedLoop.byteStrides(input, width: width)
    guard to.count > 0 else { return {} }
    var tables: [[Int]] = []
    for axis in shape.indices {
      tables.append(
        (0..<shape[axis]).map { position in
          let index = source(position, axis)
          return index < 0 ? -1 : index &* strides[axis]
        })
    }
    let writer = PadWriter(
      tables: tables, source: from.pointer, width: width, value: value,
      strides: StridedLoop.byteStrides(shape, width: width))
    return { () throws(MueError) in writer.write(0, 0, to.pointer) }
  }
}

/// Writes the padded tensor axis by axis; runs of neighbours along the last axis are copied at once.
private struct PadWriter {
  let tables: [[Int]]
  let source: UnsafeMutableRawPointer
  let width: Int
  let value: UnsafeMutableRawPointer?
  let strides: [Int]

  /// - Parameter offset: bytes into the source, or -1 when an outer axis is outside.
  func write(_ axis: Int, _ offset: Int, _ target: UnsafeMutableRawPointer) {
    if axis == tables.count {
      target.copyMemory(from: source + offset, byteCount: width)
      return
    }
    let table = tables[axis]
    if axis < tables.count - 1 {
      for position in table.indices {
        let from = offset < 0 || table[position] < 0 ? -1 : offset &+ table[position]
        write(axis + 1, from, target + position &* strides[axis])
      }
      return
    }
    var position = 0
    while position < table.count {
      let to = target + position &* width
      guard offset >= 0, table[position] >= 0 else {
        if let value {
          to.copyMemory(from: value, byteCount: width)
        } else {
          to.initializeMemory(as: UInt8.self, repeating: 0, count: width)
        }
        position += 1
        continue
      }
      var end = position + 1
      while end < table.count, table[end] == table[end - 1] &+ width { end += 1 }
      to.copyMemory(from: source + (offset &+ table[position]), byteCount: (end - position) &* width)
      position = end
    }
  }
}
