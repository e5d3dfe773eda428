import CKernels
import Tensor

/// LayerNormalization and RMSNormalization over everything from `axis` on.
///
/// Every opset is accepted: the graph passes make these nodes in graphs of older opsets too.
extension Operator {
  static let layerNormalizations: [Operator] = [
    Operator(
      "LayerNormalization", overwritableInputs: [0],
      infer: { node throws(MueError) in
        let (input, rows) = try normalizedRows(node)
        var outputs = [TensorInfo(input.type, input.shape)]
        for _ in 1..<max(node.outputCount, 1) { outputs.append(TensorInfo(.float32, rows)) }
        return outputs
      },
      prepare: { call throws(MueError) in try layerNormalizationStep(call) }),
    rms("RMSNormalization"), rms("SimplifiedLayerNormalization"),
  ]

  private static func rms(_ name: String) -> Operator {
    Operator(
      name, overwritableInputs: [0],
      infer: { node throws(MueError) in
        let (input, rows) = try normalizedRows(node)
        guard node.outputCount < 2 else {
          throw MueError(.unsupported, "statistics of shape \(rows) as an output of \(name)")
        }
        return [TensorInfo(input.type, input.shape)]
      },
      prepare: { call throws(MueError) in
        let (input, scale, output) = (try call.input(0), try call.input(1), try call.output())
        let axis = try Shape.normalizedAxis(call.attributes.int("axis", default: -1), rank: input.shape.count)
        let epsilon = try call.attributes.float("epsilon", default: 1e-5)
        let (rows, n) = (input.shape[..<axis].reduce(1, &*), input.shape[axis...].reduce(1, &*))
        let gamma = try FullParameter(scale, input.shape, axis)
        let pool = call.context.pool
        guard output.count > 0 else { return {} }
        return { () throws(MueError) in
          try gamma.refresh()
          mk_rms_norm(pool, rows, n, input.floats, nil, gamma.pointer, epsilon, nil, output.mutableFloats)
        }
      })
  }

  /// The input, and its shape with the normalised axes set to 1.
  private static func normalizedRows(_ node: Inference) throws(MueError) -> (TensorInfo, [Int]) {
    let input = try node.input(0)
    let axis = try Shape.normalizedAxis(node.attributes.int("axis", default: -1), rank: input.shape.count)
    _ = try node.input(1)
    for index in 0...2 {
      guard let operand = node.optional(index) else { continue }
      guard operand.type == .float32 else {
        throw MueError(.unsupported, "normalisation of \(operand.type.name) elements")
      }
      if index > 0 {
        guard try Shape.broadcast(operand.shape, Array(input.shape[axis...])) == Array(input.shape[axis...]) else {
          throw MueError(.invalidModel, "input \(index) of shape \(operand.shape) for rows of \(input.shape[axis...])")
        }
      }
    }
    return (input, input.shape[..<axis] + [Int](repeating: 1, count: input.shape.count - axis))
  }

  private static func layerNormalizationStep(_ call: Call) throws(MueError) -> Step {
    let (input, output) = (try call.input(0), try call.output())
    let axis = try Shape.normalizedAxis(call.attributes.int("axis", default: -1), rank: input.shape.count)
    let epsilon = try call.attributes.float("epsilon", default: 1e-5)
    let (rows, n) = (input.shape[..<axis].reduce(1, &*), input.shape[axis...].reduce(1, &*))
    let gamma = try FullParameter(call.input(1), input.shape, axis)
    let beta: FullParameter?
    if let bias = call.optional(2) { beta = try FullParameter(bias, input.shape, axis) } else { beta = nil }
    let pool = call.context.pool
    let means = call.outputs.count > 1 ? call.outputs[1] : nil
    let deviations = call.outputs.count > 2 ? call.outputs[2] : nil
    guard output.count > 0 else { return {} }
    return { () throws(MueError) in
      // The statistics come first: the output may share the input's memory.
      if means != nil || deviations != nil {
        for row in 0..<rows {
          let x = input.floats + row &* n
          var sum = 0.0
          for column in 0..<n { sum += Double(x[column]) }
          let mean = sum / Double(n)
          var squares = 0.0
          for column in 0..<n { squares += (Double(x[column]) - mean) * (Double(x[column]) - mean) }
          means?.mutableFloats[row] = Float(mean)
          deviations?.mutableFloats[row] = Float(1 / (squares / Double(n) + Double(epsilon)).squareRoot())
        }
      }
      try gamma.refresh()
      try beta?.refresh()
      mk_layer_norm(
        pool, rows, n, input.floats, nil, gamma.pointer, beta?.pointer, epsilon, nil, output.mutableFloats)
    }
  }
}

/// A scale or bias that is used for each element of a row: as it is, or spread out when it broadcasts within the row.
struct FullParameter {
  private let source: Operand
  private let copy: StridedCopy?
  private let buffer: Buffer?

  init(_ operand: Operand, _ shape: [Int], _ axis: Int) throws(MueError) {
    let row = Array(shape[axis...])
    source = operand
    let count = row.reduce(1, &*)
    guard operand.count != count else {
      copy = nil
      buffer = nil
      return
    }
    copy = StridedCopy(
      row, target: StridedLoop.byteStrides(row, width: 4),
      source: StridedLoop.broadcastStrides(operand.shape, to: row, width: 4), width: 4)
    buffer = try Buffer(byteCount: count &* 4)
  }

  /// Spreads the current values out; call when running, before `pointer` is read.
  func refresh() throws(MueError) {
    if let copy, let buffer { try copy.run(from: source.pointer, to: buffer.base) }
  }

  var pointer: UnsafePointer<Float> {
    buffer.map { UnsafePointer($0.base.assumingMemoryBound(to: Float.self)) } ?? source.floats
  }
}
