import CKernels
import Tensor

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// ReduceSum, ReduceMean, ReduceMax, ...: axes as an attribute or, since opset 13 (ReduceSum) or 18 (the others), as
/// an input.
private enum Reduction: Sendable {
  case sum, mean, maximum, minimum, product, l1, l2, sumSquare, logSum, logSumExp

  /// The C kernel for float32 rows.
  var kernel: mk_reduction? {
    switch self {
    case .sum: MK_REDUCE_SUM
    case .mean: MK_REDUCE_MEAN
    case .sumSquare: MK_REDUCE_SUM_SQUARE
    case .minimum: MK_REDUCE_MIN
    case .maximum: MK_REDUCE_MAX
    default: nil
    }
  }

  var isDefinedForNothing: Bool {
    switch self {
    case .mean: false
    default: true
    }
  }
}

private struct ReductionVisitor: NumericVisitor {
  let input: Operand
  let output: Operand
  let function: Reduction
  /// Over the kept elements (output, input) and over what each of them reduces (input only).
  let kept: StridedLoop
  let reduced: StridedLoop
  let count: Int

  func visit<Element: NumericElement>(_: Element.Type) -> Step {
    let (source, target) = (input.pointer, output.pointer)
    let isFloat = input.type.isFloatingPoint
    return { [self] () throws(MueError) in
      try kept.run { (at) throws(MueError) in
        var offset = at
        for _ in 0..<kept.inner.extent {
          let from = source + offset[1]
          let result: Element
          switch function {
          case .maximum: result = try extremum(from) { $0 > $1 }
          case .minimum: result = try extremum(from) { $0 < $1 }
          default: result = try isFloat ? Element(converting: float(from, Element.self)) : integer(from)
          }
          target.storeBytes(of: result, toByteOffset: offset[0], as: Element.self)
          offset = offset &+ kept.inner.strides
        }
      }
    }
  }

  /// NaN wins; nothing gives the type's identity, infinite for floats.
  private func extremum<Element: NumericElement>(
    _ from: UnsafeRawPointer, _ wins: (Element, Element) -> Bool
  ) throws(MueError) -> Element {
    let lowest = Element(converting: -.infinity)
    let highest = Element(converting: .infinity)
    var best = wins(highest, lowest) ? lowest : highest
    try fold(from) { (value: Element) in
      if wins(value, best) || value.isNotANumber { best = value }
    }
    return best
  }

  /// Floats are added up in double precision.
  private func float<Element: NumericElement>(_ from: UnsafeRawPointer, _: Element.Type) throws(MueError) -> Double {
    var sum = 0.0
    switch function {
    case .sum, .logSum, .mean: try fold(from) { (value: Element) in sum += value.asDouble }
    case .l1: try fold(from) { (value: Element) in sum += abs(value.asDouble) }
    case .l2, .sumSquare: try fold(from) { (value: Element) in sum += value.asDouble * value.asDouble }
    case .product:
      sum = 1
      try fold(from) { (value: Element) in sum *= value.asDouble }
    case .logSumExp:
      let largest = try extremum(from) { (a: Element, b: Element) in a > b }.asDouble
      if largest.isInfinite { return largest }
      try fold(from) { (value: Element) in sum += exp(value.asDouble - largest) }
      return log(sum) + largest
    case .maximum, .minimum: break
    }
    switch function {
    case .mean: return sum / Double(count)
    case .l2: return sum.squareRoot()
    case .logSum: return log(sum)
    default: return sum
    }
  }

  private func integer<Element: NumericElement>(_ from: UnsafeRawPointer) throws(MueError) -> Element {
    var sum = Element.zero
    switch function {
    case .sum, .mean: try fold(from) { (value: Element) in sum = Element.sum(sum, value) }
    case .l1:
      try fold(from) { (value: Element) in
        sum = value < .zero ? Element.difference(sum, value) : Element.sum(sum, value)
      }
    case .sumSquare: try fold(from) { (value: Element) in sum = Element.sum(sum, Element.product(value, value)) }
    case .product:
      sum = .one
      try fold(from) { (value: Element) in sum = Element.product(sum, value) }
    default: return Element(converting: try float(from, Element.self))
    }
    if function == .mean { return Element.quotient(sum, Element(converting: Double(count))) ?? .zero }
    return sum
  }

  private func fold<Element: NumericElement>(_ from: UnsafeRawPointer, _ body: (Element) -> Void) throws(MueError) {
    try reduced.run { (at) throws(MueError) in
      var offset = at[0]
      for _ in 0..<reduced.inner.extent {
        body(from.load(fromByteOffset: offset, as: Element.self))
        offset &+= reduced.inner.strides[0]
      }
    }
  }
}

extension Operator {
  static let reductions: [Operator] = [
    reduction("ReduceSum", .sum, axesInputSince: 13), reduction("ReduceMean", .mean),
    reduction("ReduceMax", .maximum), reduction("ReduceMin", .minimum), reduction("ReduceProd", .product),
    reduction("ReduceL1", .l1), reduction("ReduceL2", .l2), reduction("ReduceSumSquare", .sumSquare),
    reduction("ReduceLogSum", .logSum), reduction("ReduceLogSumExp", .logSumExp),
  ]

  private static func reduction(_ name: String, _ function: Reduction, axesInputSince: Int = 18) -> Operator {
    Operator(
      name,
      infer: { node throws(MueError) in
        let input = try node.input(0)
        let given =
          node.opset >= axesInputSince
          ? node.optional(1) == nil ? nil : try node.integers(1) : try node.attributes.ints("axes")
        let axes = try reducedAxes(given, input.shape.count, node.attributes)
        let keeps = try node.attributes.flag("keepdims", default: true)
        let count = axes.reduce(1) { $0 &* input.shape[$1] }
        guard count > 0 || function.isDefinedForNothing else {
          throw MueError(.invalidModel, "the mean of nothing in \(input.shape)")
        }
        let shape = input.shape.indices.filter { keeps || !axes.contains($0) }
          .map { axes.contains($0) ? 1 : input.shape[$0] }
        return [TensorInfo(input.type, shape)]
      },
      prepare: { call throws(MueError) in
        let (input, output) = (try call.input(0), try call.output())
        let given: [Int]?
        if call.opset >= axesInputSince {
          given = call.optional(1) == nil ? nil : try call.clampedIntegers(1)
        } else {
          given = try call.attributes.ints("axes")
        }
        let axes = try reducedAxes(given, input.shape.count, call.attributes)
        return try reductionStep(function, axes, input, output, call)
      })
  }

  private static func reductionStep(
    _ function: Reduction, _ axes: Set<Int>, _ input: Operand, _ output: Operand, _ call: Call
  ) throws(MueError) -> Step {
    let shape = input.shape
    let reduced = shape.indices.filter { axes.contains($0) }
    let kept = shape.indices.filter { !axes.contains($0) }
    let count = reduced.reduce(1) { $0 &* shape[$1] }
    // The last axes of a float32 tensor are rows for the C kernel.
    if let kernel = function.kernel, input.type == .float32, count > 0, reduced == Array(kept.count..<shape.count) {
      let (pool, rows) = (call.context.pool, output.count)
      return { () throws(MueError) in
        mk_reduce_rows(pool, kernel, rows, count, input.floats, output.mutableFloats)
      }
    }
    let width = input.type.byteWidth
    let strides = StridedLoop.byteStrides(shape, width: width)
    let keptShape = kept.map { shape[$0] }
    let type: ElementType = input.type == .bool && (function == .maximum || function == .minimum) ? .uint8 : input.type
    return try type.visit(
      ReductionVisitor(
        input: input, output: output, function: function,
        kept: StridedLoop(
          keptShape, strides: [StridedLoop.byteStrides(keptShape, width: width), kept.map { strides[$0] }]),
        reduced: StridedLoop(reduced.map { shape[$0] }, strides: [reduced.map { strides[$0] }]), count: count))
  }

  /// No axes mean all of them, or none with `noop_with_empty_axes`.
  private static func reducedAxes(
    _ given: [Int]?, _ rank: Int, _ attributes: Attributes
  ) throws(MueError) -> Set<Int> {
    guard let given, !given.isEmpty else {
      return try attributes.flag("noop_with_empty_axes") ? [] : Set(0..<rank)
    }
    var axes = Set<Int>()
    for axis in given { axes.insert(try Shape.normalizedAxis(axis, rank: rank)) }
    return axes
  }
}
