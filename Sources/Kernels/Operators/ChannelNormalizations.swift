import CKernels
import Tensor

/// BatchNormalization (inference), InstanceNormalization and GroupNormalization over [batch, channels, ...], float32.
extension Operator {
  static let channelNormalizations: [Operator] = [batchNormalization, instanceNormalization, groupNormalization]

  private static let batchNormalization = Operator(
    "BatchNormalization", versions: 7...28,
    infer: { node throws(MueError) in
      guard try !node.attributes.flag("training_mode") else {
        throw MueError(.unsupported, "training mode", at: .init(field: "training_mode"))
      }
      let input = try channelInput(node)
      let channels = input.shape.count > 1 ? input.shape[1] : 1
      for index in 1...4 { try requireFloats(node, index, count: channels) }
      return [TensorInfo(input.type, input.shape)]
    },
    prepare: { call throws(MueError) in
      let (input, output) = (try call.input(0), try call.output())
      let (scale, bias, mean, variance) = (
        try call.input(1), try call.input(2), try call.input(3), try call.input(4)
      )
      let epsilon = try call.attributes.float("epsilon", default: 1e-5)
      let (batch, channels, area) = channelLayout(input.shape)
      return { () throws(MueError) in
        for plane in 0..<batch &* channels {
          let channel = plane % channels
          let factor = scale.floats[channel] / (variance.floats[channel] + epsilon).squareRoot()
          let shift = bias.floats[channel] - mean.floats[channel] * factor
          mk_unary_param(
            nil, MK_AFFINE, area, input.floats + plane &* area, factor, shift, output.mutableFloats + plane &* area)
        }
      }
    })

  private static let instanceNormalization = Operator(
    "InstanceNormalization", versions: 6...28,
    infer: { node throws(MueError) in
      let input = try channelInput(node)
      guard input.shape.count >= 2 else { throw MueError(.invalidModel, "no channels in \(input.shape)") }
      for index in 1...2 { try requireFloats(node, index, count: input.shape[1]) }
      return [TensorInfo(input.type, input.shape)]
    },
    prepare: { call throws(MueError) in
      try groupStep(call, groups: call.input(0).shape[1], perGroup: false)
    })

  /// Scale and bias have one element per group at opsets 18 to 20, one per channel since 21.
  private static let groupNormalization = Operator(
    "GroupNormalization", versions: 18...28,
    infer: { node throws(MueError) in
      let input = try channelInput(node)
      let groups = try node.attributes.int("num_groups", default: 0)
      guard input.shape.count >= 2, groups > 0, input.shape[1] % groups == 0 else {
        throw MueError(.invalidModel, "\(groups) groups for the shape \(input.shape)")
      }
      for index in 1...2 { try requireFloats(node, index, count: node.opset < 21 ? groups : input.shape[1]) }
      return [TensorInfo(input.type, input.shape)]
    },
    prepare: { call throws(MueError) in
      try groupStep(call, groups: call.attributes.int("num_groups", default: 1), perGroup: call.opset < 21)
    })

  private static func channelInput(_ node: Inference) throws(MueError) -> TensorInfo {
    let input = try node.input(0)
    guard input.type == .float32 else {
      throw MueError(.unsupported, "normalisation of \(input.type.name) elements")
    }
    guard !input.shape.isEmpty else { throw MueError(.invalidModel, "a scalar has no channels") }
    return input
  }

  private static func requireFloats(_ node: Inference, _ index: Int, count: Int) throws(MueError) {
    let info = try node.input(index)
    guard info.type == .float32, info.shape == [count] else {
      throw MueError(.invalidModel, "input \(index), \(info.type.name) \(info.shape), is not \(count) floats")
    }
  }

  private static func channelLayout(_ shape: [Int]) -> (batch: Int, channels: Int, area: Int) {
    (shape[0], shape.count > 1 ? shape[1] : 1, shape.dropFirst(2).reduce(1, &*))
  }

  private static func groupStep(_ call: Call, groups: Int, perGroup: Bool) throws(MueError) -> Step {
    let (input, scale, bias, output) = (try call.input(0), try call.input(1), try call.input(2), try call.output())
    let epsilon = try call.attributes.float("epsilon", default: 1e-5)
    let (batch, channels, area) = channelLayout(input.shape)
    let perGroupChannels = channels / max(groups, 1)
    guard output.count > 0 else { return {} }
    return { () throws(MueError) in
      for block in 0..<batch &* groups {
        let start = block &* perGroupChannels &* area
        let count = perGroupChannels &* area
        var sum = 0.0
        var squares = 0.0
        for index in 0..<count { sum += Double(input.floats[start &+ index]) }
        let mean = sum / Double(count)
        for index in 0..<count {
          let centred = Double(input.floats[start &+ index]) - mean
          squares += centred * centred
        }
        let inverse = 1 / (squares / Double(count) + Double(epsilon)).squareRoot()
        for member in 0..<perGroupChannels {
          let group = block % groups
          let parameter = perGroup ? group : group &* perGroupChannels &+ member
          let factor = Double(scale.floats[parameter]) * inverse
          let shift = Double(bias.floats[parameter]) - mean * factor
          let offset = start &+ member &* area
          mk_unary_param(
            nil, MK_AFFINE, area, input.floats + offset, Float(factor), Float(shift), output.mutableFloats + offset)
        }
      }
    }
  }
}
