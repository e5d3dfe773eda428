import Kernels
import Tensor

/// A small fixed-seed generator (SplitMix64), so that a failing case can be run again.
struct Seeded: RandomNumberGenerator {
  private var state: UInt64

  init(_ seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  mutating func floats(_ count: Int, in range: ClosedRange<Float> = -2...2) -> [Float] {
    (0..<count).map { _ in Float.random(in: range, using: &self) }
  }

  mutating func tensor(_ shape: [Int], in range: ClosedRange<Float> = -2...2) throws(MueError) -> Tensor {
    try Tensor(.float32, shape, floats(shape.reduce(1, *), in: range))
  }
}

/// Runs operators by name, on a pool that the tests share.
enum Run {
  static let context: Result<ComputeContext, MueError> = {
    do throws(MueError) { return .success(try ComputeContext(threads: 2)) } catch { return .failure(error) }
  }()

  static func op(
    _ name: String, _ inputs: [Tensor?], _ attributes: [String: AttributeValue] = [:], domain: String = "",
    opset: Int = 18, outputs: Int = 1
  ) throws(MueError) -> [Tensor] {
    guard let op = OperatorTable.find(name: name, domain: domain, opset: opset) else {
      throw MueError(.unsupported, "no operator \(name)")
    }
    return try OperatorTable.evaluate(
      op, inputs: inputs, attributes: Attributes(attributes), opset: opset, outputCount: outputs,
      context: context.get())
  }

  /// The same call with inputs that are not known when planning, as activations are.
  static func dynamic(
    _ name: String, _ inputs: [Tensor?], _ attributes: [String: AttributeValue] = [:], domain: String = "",
    opset: Int = 18, precision: Precision = .float32
  ) throws(MueError) -> Tensor {
    guard let op = OperatorTable.find(name: name, domain: domain, opset: opset) else {
      throw MueError(.unsupported, "no operator \(name)")
    }
    let infos = inputs.map { $0.map { TensorInfo($0.type, $0.shape) } }
    let inferred = try op.infer(
      Inference(inputs: infos, attributes: Attributes(attributes), opset: opset, outputCount: 1))
    guard let info = inferred.first else { throw MueError(.internal, "no output") }
    let output = try Tensor(info.type, info.shape)
    let step = try op.prepare(
      Call(
        inputs: inputs.map { $0.map { Operand($0.type, $0.shape, $0.pointer) } },
        outputs: [Operand(info.type, info.shape, output.pointer)], attributes: Attributes(attributes), opset: opset,
        context: context.get(), scratch: Scratch(), weights: PackedWeights(precision: precision)))
    // Twice: a step must leave nothing behind that changes the next run.
    try step()
    try step()
    withExtendedLifetime(inputs) {}
    return output
  }
}

extension Tensor {
  static func ints(_ values: [Int], _ shape: [Int]? = nil) throws(MueError) -> Tensor {
    try Tensor(.int64, shape ?? [values.count], values.map { Int64($0) })
  }
  static func floats(_ values: [Float], _ shape: [Int]? = nil) throws(MueError) -> Tensor {
    try Tensor(.float32, shape ?? [values.count], values)
  }
}

/// A tensor in double precision with plain indexing: what references are written in.
struct Reference {
  let shape: [Int]
  var values: [Double]

  init(_ shape: [Int], _ values: [Double]) {
    self.shape = shape
    self.values = values
  }

  init(_ tensor: Tensor) throws(MueError) { self.init(tensor.shape, try doubles(tensor)) }

  /// A reference whose elements `body` computes from their coordinates.
  init(_ shape: [Int], _ body: ([Int]) -> Double) {
    var values: [Double] = []
    let count = shape.reduce(1, *)
    for flat in 0..<count {
      var rest = flat
      var index = [Int](repeating: 0, count: shape.count)
      for axis in shape.indices.reversed() {
        index[axis] = rest % shape[axis]
        rest /= shape[axis]
      }
      values.append(body(index))
    }
    self.init(shape, values)
  }

  /// The element at `index`, broadcast: missing leading axes and axes of one element are ignored.
  subscript(_ index: [Int]) -> Double {
    var flat = 0
    let missing = index.count - shape.count
    for axis in shape.indices { flat = flat * shape[axis] + (shape[axis] == 1 ? 0 : index[axis + missing]) }
    return values[flat]
  }

  /// The largest difference from `tensor`, relative to the larger of 1 and the value; infinite when shapes differ.
  func error(of tensor: Tensor) throws(MueError) -> Double {
    guard tensor.shape == shape else { return .infinity }
    var largest = 0.0
    for (expected, actual) in zip(values, try doubles(tensor)) {
      if expected == actual || (expected.isNaN && actual.isNaN) { continue }
      let difference = abs(expected - actual) / max(1, abs(expected))
      largest = difference.isNaN ? .infinity : max(largest, difference)
    }
    return largest
  }
}
