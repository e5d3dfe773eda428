import CKernels
import Tensor

/// MaxPool, AveragePool and their global forms over [batch, channels, ...].
extension Operator {
  static let pools: [Operator] = [
    pool("MaxPool", takesMaximum: true), pool("AveragePool", takesMaximum: false),
    globalPool("GlobalAveragePool", MK_REDUCE_MEAN), globalPool("GlobalMaxPool", MK_REDUCE_MAX),
  ]

  private static func pool(_ name: String, takesMaximum: Bool) -> Operator {
    Operator(
      name,
      infer: { node throws(MueError) in
        let input = try node.input(0)
        try node.require(0, .float32, .float64, .float16, .int8, .uint8)
        let window = try SpatialWindow(input.shape, kernel: nil, node.attributes)
        let output = TensorInfo(input.type, input.shape.prefix(2) + window.output)
        return takesMaximum && node.outputCount > 1 ? [output, TensorInfo(.int64, output.shape)] : [output]
      },
      prepare: { call throws(MueError) in
        let (input, output) = (try call.input(0), try call.output())
        let window = try SpatialWindow(input.shape, kernel: nil, call.attributes)
        let countsPadding = try call.attributes.flag("count_include_pad")
        let ceils = try call.attributes.flag("ceil_mode")
        guard output.count > 0 else { return {} }
        if input.type == .float32, call.outputs.count == 1, !(ceils && countsPadding),
          let shape = window.kernelShape(
            batch: input.shape[0], channels: input.shape[1], outChannels: input.shape[1], groups: 1)
        {
          let pool = call.context.pool
          return { () throws(MueError) in
            var shape = shape
            if takesMaximum {
              mk_max_pool(pool, &shape, input.floats, output.mutableFloats)
            } else {
              mk_average_pool(pool, &shape, countsPadding ? 1 : 0, input.floats, output.mutableFloats)
            }
          }
        }
        return try input.type.visit(
          PoolVisitor(
            window: window, input: input, output: output, indices: call.outputs.count > 1 ? call.outputs[1] : nil,
            takesMaximum: takesMaximum, countsPadding: countsPadding,
            isColumnMajor: call.attributes.flag("storage_order")))
      })
  }

  private static func globalPool(_ name: String, _ function: mk_reduction) -> Operator {
    Operator(
      name,
      infer: { node throws(MueError) in
        let input = try node.input(0)
        try node.require(0, .float32)
        guard input.shape.count >= 3, !input.shape.dropFirst(2).contains(0) else {
          throw MueError(.invalidModel, "no space to pool in \(input.shape)")
        }
        return [
          TensorInfo(.float32, input.shape.prefix(2) + [Int](repeating: 1, count: input.shape.count - 2))
        ]
      },
      prepare: { call throws(MueError) in
        let (input, output) = (try call.input(0), try call.output())
        let (pool, rows, area) = (call.context.pool, output.count, input.shape.dropFirst(2).reduce(1, &*))
        return { () throws(MueError) in
          mk_reduce_rows(pool, function, rows, area, input.floats, output.mutableFloats)
        }
      })
  }
}

/// Any number of axes and any element type, one window at a time.
private struct PoolVisitor: NumericVisitor {
  let window: SpatialWindow
  let input: Operand
  let output: Operand
  let indices: Operand?
  let takesMaximum: Bool
  let countsPadding: Bool
  let isColumnMajor: Bool

  func visit<Element: NumericElement>(_ type: Element.Type) -> Step {
    let planes = input.shape[0] &* input.shape[1]
    let area = window.input.reduce(1, &*)
    let outputArea = window.output.reduce(1, &*)
    let steps = window.kernel.reduce(1, &*)
    let (inputStrides, outputStrides) = (Shape.strides(window.input), Shape.strides(window.output))
    let kernelStrides = Shape.strides(window.kernel)
    let columnStrides = Array(Shape.strides(window.input.reversed()).reversed())
    let width = MemoryLayout<Element>.stride
    return { [self] () throws(MueError) in
      for plane in 0..<planes {
        for place in 0..<outputArea {
          var best: Element?
          var bestIndex = 0
          var sum = 0.0
          var counted = 0
          for step in 0..<steps {
            var offset = 0
            var columnOffset = 0
            var isInside = true
            var isPadding = true
            for axis in window.kernel.indices {
              let start = place / outputStrides[axis] % window.output[axis] &* window.strides[axis]
              let position =
                start &+ step / kernelStrides[axis] % window.kernel[axis] &* window.dilations[axis]
                &- window.padsBefore[axis]
              isInside = isInside && position >= 0 && position < window.input[axis]
              isPadding = isPadding && position < window.input[axis] &+ window.padsAfter[axis]
              offset &+= position &* inputStrides[axis]
              columnOffset &+= position &* columnStrides[axis]
            }
            if !isInside {
              if countsPadding, isPadding { counted &+= 1 }
              continue
            }
            let value = input.pointer.load(fromByteOffset: (plane &* area &+ offset) &* width, as: type)
            sum += value.asDouble
            counted &+= 1
            if let current = best, !(value > current) { continue }
            best = value
            bestIndex = plane &* area &+ (isColumnMajor ? columnOffset : offset)
          }
          let target = plane &* outputArea &+ place
          let value =
            takesMaximum ? best ?? Element(converting: -.infinity) : Element(converting: sum / Double(max(counted, 1)))
          output.pointer.storeBytes(of: value, toByteOffset: target &* width, as: type)
          indices?.pointer.storeBytes(of: Int64(bestIndex), toByteOffset: target &* 8, as: Int64.self)
        }
      }
    }
  }
}
