import Tensor

extension Attributes {
  /// A list of sizes (pads, strides, kernels, ...) that later arithmetic cannot overflow on.
  func sizes(_ name: String) throws(MueError) -> [Int]? {
    guard let values = try ints(name) else { return nil }
    for value in values where abs(value.clamped) > Int(Int32.max) {
      throw MueError(.limitExceeded, "attribute '\(name)' holds \(value)", at: .init(field: name))
    }
    return values
  }

  /// A flag written as an integer.
  func flag(_ name: String, default value: Bool = false) throws(MueError) -> Bool {
    try int(name, default: value ? 1 : 0) != 0
  }
}

extension Int {
  /// This value within ±2^42, more than any dimension, so that sums of a few cannot overflow.
  var clamped: Int { Swift.min(Swift.max(self, -(1 << 42)), 1 << 42) }
}

extension Inference {
  /// The integer elements of an input whose value decides a shape, each within ±2^42.
  func clampedIntegers(_ index: Int) throws(MueError) -> [Int] { try integers(index).map { $0.clamped } }

  /// Throws unless input `index` has one of `types`.
  func require(_ index: Int, _ types: ElementType...) throws(MueError) {
    let type = try input(index).type
    guard types.contains(type) else {
      // A float type that an operator lacks is legal in ONNX; anything else is a wrong model.
      throw MueError(
        type.isFloatingPoint ? .unsupported : .invalidModel, "input \(index) has elements of type \(type.name)")
    }
  }
}

extension Call {
  /// The integer elements of an input that decided a shape, each within ±2^42.
  func clampedIntegers(_ index: Int) throws(MueError) -> [Int] {
    guard let constant = try input(index).constant else {
      throw MueError(.unsupported, "input \(index) decides a shape but depends on data")
    }
    return try constant.integers().map { $0.clamped }
  }

  /// The only output that most operators have.
  func output() throws(MueError) -> Operand {
    guard let first = outputs.first else { throw MueError(.invalidModel, "the node has no output") }
    return first
  }

  /// What inference saw of this call's node.
  var inference: Inference {
    Inference(inputs: inputs.map { $0?.info }, attributes: attributes, opset: opset, outputCount: outputs.count)
  }
}
