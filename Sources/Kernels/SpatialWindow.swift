import CKernels
import Tensor

/// A window that slides over the spatial axes of [batch, channels, ...]: the sizes of convolutions and pools.
struct SpatialWindow {
  let kernel: [Int]
  let strides: [Int]
  let dilations: [Int]
  let padsBefore: [Int]
  let padsAfter: [Int]
  /// Spatial extents of input and output.
  let input: [Int]
  let output: [Int]

  /// - Parameters:
  ///   - shape: the input's.
  ///   - kernel: window extents, or nil for the attribute `kernel_shape`.
  init(_ shape: [Int], kernel given: [Int]?, _ attributes: Attributes, dilates: Bool = true) throws(MueError) {
    guard shape.count >= 3 else { throw MueError(.invalidModel, "a window over \(shape) has no axis to slide along") }
    let input = Array(shape.dropFirst(2))
    let axes = input.count
    let named = try attributes.sizes("kernel_shape")
    guard let kernel = given ?? named, kernel.count == axes, named == nil || named == kernel else {
      throw MueError(.invalidModel, "the kernel does not fit the shape \(shape)", at: .init(field: "kernel_shape"))
    }
    let ones = [Int](repeating: 1, count: axes)
    let strides = try attributes.sizes("strides") ?? ones
    let dilations = dilates ? try attributes.sizes("dilations") ?? ones : ones
    var pads = try attributes.sizes("pads") ?? [Int](repeating: 0, count: 2 * axes)
    guard strides.count == axes, dilations.count == axes, pads.count == 2 * axes,
      (kernel + strides + dilations).allSatisfy({ $0 > 0 && $0 <= Int(Int32.max) }), pads.allSatisfy({ $0 >= 0 })
    else { throw MueError(.invalidModel, "strides \(strides), dilations \(dilations), pads \(pads), kernel \(kernel)") }
    let ceils = try attributes.flag("ceil_mode")
    let auto = try attributes.string("auto_pad", default: "NOTSET")
    var output: [Int] = []
    for axis in 0..<axes {
      let extent = dilations[axis] * (kernel[axis] - 1) + 1
      switch auto {
      case "NOTSET", "VALID":
        if auto == "VALID" { (pads[axis], pads[axis + axes]) = (0, 0) }
        let room = input[axis] + pads[axis] + pads[axis + axes] - extent
        guard room >= 0 else {
          throw MueError(.invalidModel, "a window of \(extent) does not fit dimension \(input[axis]) with its padding")
        }
        var count = room / strides[axis] + 1
        if ceils, room % strides[axis] != 0 {
          // A last window that would start in the padding at the end is dropped.
          if count * strides[axis] < input[axis] + pads[axis] { count += 1 }
        }
        output.append(count)
      case "SAME_UPPER", "SAME_LOWER":
        let count = (input[axis] + strides[axis] - 1) / strides[axis]
        let needed = max(0, (count - 1) * strides[axis] + extent - input[axis])
        let small = needed / 2
        (pads[axis], pads[axis + axes]) =
          auto == "SAME_UPPER" ? (small, needed - small) : (needed - small, small)
        output.append(count)
      default: throw MueError(.unsupported, "auto_pad '\(auto)'", at: .init(field: "auto_pad"))
      }
    }
    self.kernel = kernel
    self.strides = strides
    self.dilations = dilations
    padsBefore = Array(pads[..<axes])
    padsAfter = Array(pads[axes...])
    self.input = input
    self.output = output
  }

  /// The C kernels' description, or nil beyond two spatial axes; one axis becomes the width.
  func kernelShape(batch: Int, channels: Int, outChannels: Int, groups: Int) -> mk_conv_shape? {
    guard kernel.count <= 2 else { return nil }
    let (y, x) = (kernel.count - 2, kernel.count - 1)
    var shape = mk_conv_shape()
    shape.batch = batch
    shape.channels = channels
    shape.height = y < 0 ? 1 : input[y]
    shape.width = input[x]
    shape.out_channels = outChannels
    shape.out_height = y < 0 ? 1 : output[y]
    shape.out_width = output[x]
    shape.kernel_h = y < 0 ? 1 : kernel[y]
    shape.kernel_w = kernel[x]
    shape.stride_h = y < 0 ? 1 : strides[y]
    shape.stride_w = strides[x]
    shape.dilation_h = y < 0 ? 1 : dilations[y]
    shape.dilation_w = dilations[x]
    shape.pad_top = y < 0 ? 0 : padsBefore[y]
    shape.pad_left = padsBefore[x]
    shape.groups = groups
    return shape
  }
}
