import CKernels
import Tensor

extension Operator {
  static let convolutions: [Operator] = [
    convolution("Conv", domain: ""),
    // ONNX's Conv with a residual of the output's shape (input 3) and an activation.
    convolution("FusedConv", domain: "mue"),
  ]

  private static func convolution(_ name: String, domain: String) -> Operator {
    Operator(
      name, domain: domain, overwritableInputs: domain == "mue" ? [3] : [],
      infer: { node throws(MueError) in
        let (x, w) = (try node.input(0), try node.input(1))
        for index in node.inputs.indices where node.optional(index) != nil {
          guard try node.input(index).type == .float32 else {
            throw MueError(.unsupported, "convolution of \(try node.input(index).type.name) elements")
          }
        }
        let shape = try convolutionShape(x.shape, w.shape, node.attributes)
        if let bias = node.optional(2), bias.shape != [w.shape[0]] {
          throw MueError(.invalidModel, "a bias of shape \(bias.shape) for \(w.shape[0]) channels")
        }
        if domain == "mue" {
          _ = try node.attributes.activation()
          if let residual = node.optional(3), residual.shape != shape.output {
            throw MueError(.invalidModel, "a residual of shape \(residual.shape) for \(shape.output)")
          }
        }
        return [TensorInfo(.float32, shape.output)]
      },
      multiplyAdds: { inputs, outputs, _ in
        guard inputs.count > 1, let w = inputs[1], let output = outputs.first else { return 0 }
        return output.shape.reduce(w.shape.dropFirst().reduce(1, &*), &*)
      },
      pack: { node, context, _ throws(MueError) in
        guard let weights = try node.input(1).constant else { return }
        let shape = try convolutionShape(node.input(0).shape, weights.shape, node.attributes).kernel
        _ = try packedWeights(weights, shape, context.weights.precision.storage, context.weights, context.pool)
      },
      prepare: { call throws(MueError) in
        let (x, w, output) = (try call.input(0), try call.input(1), try call.output())
        var shape = try convolutionShape(x.shape, w.shape, call.attributes).kernel
        let residual = domain == "mue" ? call.optional(3) : nil
        let activation = domain == "mue" ? try call.attributes.activation() : MK_ACT_NONE
        guard output.count > 0 else { return {} }
        let (pool, scratch, bias) = (call.context.pool, call.scratch, call.optional(2))
        let packsEachTime = w.constant == nil
        let storage = packsEachTime ? MK_WEIGHTS_F32 : call.weights.precision.storage
        try scratch.reserve(Int(clamping: mk_conv_scratch(pool, storage, &shape)))
        let packed: Buffer
        if let weights = w.constant {
          packed = try packedWeights(weights, shape, storage, call.weights, pool)
        } else {
          packed = try Buffer(byteCount: Int(clamping: mk_conv_packed_bytes(storage, &shape)))
        }
        let ready = shape
        return { () throws(MueError) in
          var shape = ready
          if packsEachTime { mk_conv_pack(pool, storage, &shape, w.floats, packed.base) }
          mk_conv(
            pool, storage, &shape, x.floats, packed.base, bias?.floats, activation, residual?.floats,
            output.mutableFloats, scratch.base)
        }
      })
  }

  private static func packedWeights(
    _ weights: Tensor, _ shape: mk_conv_shape, _ storage: mk_weights, _ store: PackedWeights, _ pool: OpaquePointer
  ) throws(MueError) -> Buffer {
    var shape = shape
    let byteCount = Int(clamping: mk_conv_packed_bytes(storage, &shape))
    let layout = layoutKey(shape, storage)
    return try store.packed(.init(layout, weights), of: weights, byteCount: byteCount) { target in
      mk_conv_pack(pool, storage, &shape, UnsafePointer(weights.pointer.assumingMemoryBound(to: Float.self)), target)
    }
  }

  /// What the packed weights depend on: the format, the layout, which differs between instruction sets, and the sizes. Those of images do not count, so plans of all shapes share them.
  private static func layoutKey(_ shape: mk_conv_shape, _ storage: mk_weights) -> String {
    var s = shape
    let format =
      switch mk_conv_weights(storage, &s) {
      case MK_WEIGHTS_INT8: "int8"
      case MK_WEIGHTS_BF16: "bf16"
      default: "f32"
      }
    let sizes = [
      s.channels, s.out_channels, s.groups, s.kernel_h, s.kernel_w, s.stride_h, s.stride_w, s.dilation_h, s.dilation_w,
    ]
    return "conv.\(format).layout\(mk_conv_layout())." + sizes.map { String($0) }.joined(separator: ".")
  }

  private static func convolutionShape(
    _ x: [Int], _ w: [Int], _ attributes: Attributes
  ) throws(MueError) -> (output: [Int], kernel: mk_conv_shape) {
    let groups = try attributes.int("group", default: 1)
    guard x.count >= 3, w.count == x.count, groups > 0, w[0] % groups == 0, x[1] / groups == w[1], x[1] % groups == 0
    else {
      throw MueError(.invalidModel, "weights of shape \(w) with \(groups) groups do not fit the input \(x)")
    }
    let window = try SpatialWindow(x, kernel: Array(w.dropFirst(2)), attributes)
    let output = [x[0], w[0]] + window.output
    _ = try Shape.elementCount(output)
    guard let kernel = window.kernelShape(batch: x[0], channels: x[1], outChannels: w[0], groups: groups) else {
      throw MueError(.unsupported, "convolution over \(x.count - 2) axes")
    }
    return (output, kernel)
  }
}
