import Tensor

extension Operator {
  /// Modes nearest, linear and cubic, separable axis by axis, float32.
  static let resize = Operator(
    "Resize", versions: 11...28,
    infer: { node throws(MueError) in
      let input = try node.input(0)
      let plan = try ResizePlan(node)
      guard input.type == .float32 || plan.isNearest else {
        throw MueError(.unsupported, "interpolation of \(input.type.name) elements")
      }
      return [TensorInfo(input.type, plan.shape)]
    },
    prepare: { call throws(MueError) in
      let (input, output) = (try call.input(0), try call.output())
      let plan = try ResizePlan(call.inference)
      guard output.count > 0 else { return {} }
      return try plan.step(call, input, output)
    })
}

/// The sizes of one Resize, from scales or sizes.
private struct ResizePlan {
  let shape: [Int]
  private let input: [Int]
  private let scales: [Double]
  private let regions: [(Double, Double)]
  private let options: ResizeAxis.Options
  private let extrapolation: Float

  var isNearest: Bool { options.mode == .nearest }

  init(_ node: Inference) throws(MueError) {
    let attributes = node.attributes
    let input = try node.input(0).shape
    let rank = input.count
    var options = ResizeAxis.Options()
    let mode = try attributes.string("mode", default: "nearest")
    guard let known = ResizeAxis.Mode(rawValue: mode) else {
      throw MueError(.unsupported, "mode '\(mode)'", at: .init(field: "mode"))
    }
    options.mode = known
    options.coordinates = try attributes.string("coordinate_transformation_mode", default: "half_pixel")
    options.nearest = try attributes.string("nearest_mode", default: "round_prefer_floor")
    options.cubicCoefficient = Double(try attributes.float("cubic_coeff_a", default: -0.75))
    options.excludesOutside = try attributes.flag("exclude_outside")
    options.antialiases = try attributes.flag("antialias")
    var axes = Array(0..<rank)
    if let given = try attributes.ints("axes") {
      axes = []
      for axis in given { axes.append(try Shape.normalizedAxis(axis, rank: rank)) }
    }
    var scales = [Double](repeating: 1, count: rank)
    var regions = [(Double, Double)](repeating: (0, 1), count: rank)
    var shape = input
    if let given = node.optional(3), try Shape.elementCount(given.shape) > 0 {
      let sizes = try node.clampedIntegers(3)
      guard sizes.count == axes.count, sizes.allSatisfy({ $0 >= 0 }) else {
        throw MueError(.invalidModel, "sizes \(sizes) for \(axes.count) axes", at: .init(argument: "sizes"))
      }
      let quotients = axes.indices.map { Double(sizes[$0]) / Double(max(input[axes[$0]], 1)) }
      let policy = try attributes.string("keep_aspect_ratio_policy", default: "stretch")
      guard let common = policy == "not_larger" ? quotients.min() : policy == "not_smaller" ? quotients.max() : 0 else {
        throw MueError(.invalidModel, "no axes to resize")
      }
      guard policy == "stretch" || common > 0 else {
        throw MueError(.unsupported, "policy '\(policy)'", at: .init(field: "keep_aspect_ratio_policy"))
      }
      for (index, axis) in axes.enumerated() {
        if policy == "stretch" {
          shape[axis] = sizes[index]
          scales[axis] = quotients[index]
        } else {
          shape[axis] = Int(converting: (common * Double(input[axis])).rounded(.toNearestOrAwayFromZero)).clamped
          scales[axis] = common
        }
      }
    } else {
      guard let given = try node.input(2).constant, given.type == .float32 else {
        throw MueError(.unsupported, "the scales decide a shape but depend on data")
      }
      let values = try given.elements(as: Float.self)
      guard values.count == axes.count, values.allSatisfy({ $0 > 0 && $0.isFinite }) else {
        throw MueError(.invalidModel, "scales \(values) for \(axes.count) axes", at: .init(argument: "scales"))
      }
      for (index, axis) in axes.enumerated() {
        scales[axis] = Double(values[index])
        shape[axis] = Int(converting: (Double(input[axis]) * Double(values[index])).rounded(.down)).clamped
      }
    }
    if options.coordinates == "tf_crop_and_resize" {
      guard let roi = node.optional(1)?.constant, roi.type == .float32, roi.count == 2 * axes.count else {
        throw MueError(.unsupported, "a region that is not known when planning", at: .init(argument: "roi"))
      }
      let values = try roi.elements(as: Float.self)
      for (index, axis) in axes.enumerated() {
        regions[axis] = (Double(values[index]), Double(values[index + axes.count]))
      }
    }
    for axis in 0..<rank where input[axis] == 0 && shape[axis] > 0 {
      throw MueError(.invalidModel, "nothing to resize along axis \(axis)")
    }
    _ = try Shape.elementCount(shape)
    self.shape = shape
    self.input = input
    self.scales = scales
    self.regions = regions
    self.options = options
    extrapolation = try attributes.float("extrapolation_value", default: 0)
  }

  /// One pass per axis that changes, each reading the one before; all but the last write to scratch.
  func step(_ call: Call, _ source: Operand, _ target: Operand) throws(MueError) -> Step {
    var passes: [ResizePass] = []
    var current = input
    var resized: [(axis: Int, table: ResizeAxis)] = []
    for axis in shape.indices
    where shape[axis] != input[axis] || scales[axis] != 1 || options.coordinates == "tf_crop_and_resize" {
      let table = try ResizeAxis(
        input[axis], shape[axis], scale: scales[axis], region: regions[axis], options)
      resized.append((axis, table))
    }
    // Axes that shrink come first: less to do for the others.
    resized.sort { Double(shape[$0.axis]) * Double(input[$1.axis]) < Double(shape[$1.axis]) * Double(input[$0.axis]) }
    var largest = 0
    for (axis, table) in resized {
      let outer = current[..<axis].reduce(1, &*)
      let inner = current[(axis + 1)...].reduce(1, &*)
      current[axis] = shape[axis]
      let count = try Shape.elementCount(current)
      largest = max(largest, count)
      passes.append(ResizePass(table: table, outer: outer, inner: inner))
    }
    let width = source.type.byteWidth
    guard !passes.isEmpty else { return try Operator.copyStep(call) }
    // Two halves of scratch take turns.
    let half = (largest &* width &+ 63) & ~63
    let scratch = call.scratch
    if passes.count > 1 { try scratch.reserve(half &* (passes.count > 2 ? 2 : 1)) }
    let all = passes
    let fill = OutsideFill(tables: resized, shape: shape, value: extrapolation)
    let isCropping = options.coordinates == "tf_crop_and_resize" && source.type == .float32
    return { () throws(MueError) in
      var from = source.pointer
      for index in all.indices {
        var to = target.pointer
        if index < all.count - 1, let base = scratch.base { to = base + (index % 2) &* half }
        all[index].run(from: from, to: to, width: width)
        from = to
      }
      if isCropping { fill.run(target.mutableFloats, target.count) }
    }
  }
}

/// Resampling along one axis of [outer, length, inner].
private struct ResizePass {
  let table: ResizeAxis
  let outer: Int
  let inner: Int

  func run(from source: UnsafeMutableRawPointer, to target: UnsafeMutableRawPointer, width: Int) {
    if table.taps == 1 {
      let bytes = inner &* width
      for block in 0..<outer {
        for index in 0..<table.outputLength {
          (target + (block &* table.outputLength &+ index) &* bytes).copyMemory(
            from: source + (block &* table.inputLength &+ table.positions[index]) &* bytes, byteCount: bytes)
        }
      }
      return
    }
    let (x, y) = (source.assumingMemoryBound(to: Float.self), target.assumingMemoryBound(to: Float.self))
    for block in 0..<outer {
      for index in 0..<table.outputLength {
        let row = y + (block &* table.outputLength &+ index) &* inner
        for tap in 0..<table.taps {
          let weight = table.weights[index &* table.taps &+ tap]
          let from = x + (block &* table.inputLength &+ table.positions[index &* table.taps &+ tap]) &* inner
          if tap == 0 {
            for column in 0..<inner { row[column] = weight * from[column] }
          } else if weight != 0 {
            for column in 0..<inner { row[column] += weight * from[column] }
          }
        }
      }
    }
  }
}

/// Gives elements whose coordinates lie outside the input the extrapolation value.
private struct OutsideFill {
  let tables: [(axis: Int, table: ResizeAxis)]
  let shape: [Int]
  let value: Float

  func run(_ target: UnsafeMutablePointer<Float>, _ count: Int) {
    for entry in tables {
      let inner = shape[(entry.axis + 1)...].reduce(1, &*)
      for index in 0..<count where entry.table.outside[index / inner % shape[entry.axis]] { target[index] = value }
    }
  }
}
