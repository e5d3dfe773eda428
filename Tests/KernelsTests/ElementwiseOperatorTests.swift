import Foundation
import Kernels
import Tensor
import Testing

@Suite struct ElementwiseOperatorTests {
  /// Pairs as models have them: same shape, bias, mask, head mask, column, scalar, both sides broadcast.
  static let pairs: [([Int], [Int])] = [
    ([3, 7, 5], [3, 7, 5]), ([3, 7, 65], [65]), ([2, 3, 5, 9], [2, 1, 1, 9]), ([2, 3, 5, 9], [1, 3, 5, 9]),
    ([4, 6, 11], [4, 6, 1]), ([2, 33], []), ([5, 1, 7], [3, 1]), ([1, 1, 3, 1, 2], [2, 2, 1, 5, 1]), ([0, 4], [1, 4]),
  ]

  @Test(arguments: pairs.indices) func binaryBroadcasts(_ index: Int) throws {
    var random = Seeded(UInt64(index) + 1)
    let (left, right) = Self.pairs[index]
    let functions: [(String, @Sendable (Double, Double) -> Double)] = [
      ("Add", { $0 + $1 }), ("Sub", { $0 - $1 }), ("Mul", { $0 * $1 }), ("Div", { $0 / $1 }), ("Pow", { pow($0, $1) }),
      ("Min", { min($0, $1) }), ("Max", { max($0, $1) }),
    ]
    for (a, b) in [(left, right), (right, left)] {
      let (x, y) = (try random.tensor(a, in: 0.5...2), try random.tensor(b, in: 0.5...2))
      let (rx, ry) = (try Reference(x), try Reference(y))
      for (name, function) in functions {
        let result = try Run.dynamic(name, [x, y])
        let expected = Reference(try Shape.broadcast(a, b)) { function(rx[$0], ry[$0]) }
        #expect(try expected.error(of: result) < 2e-6, "\(name) of \(a) and \(b)")
      }
      let less = try Run.dynamic("Less", [x, y])
      #expect(try Reference(less.shape) { rx[$0] < ry[$0] ? 1 : 0 }.error(of: less) == 0)
      let chosen = try Run.dynamic("Where", [less, x, y])
      #expect(try Reference(less.shape) { min(rx[$0], ry[$0]) }.error(of: chosen) == 0)
    }
  }

  @Test func integersWrapAndNeverTrap() throws {
    let x = try Tensor.ints([Int.max, Int.min, -7, 7, Int.min])
    let y = try Tensor.ints([1, 1, 3, -3, -1])
    #expect(try Run.op("Add", [x, y])[0].integers() == [Int.min, Int.min + 1, -4, 4, Int.max])
    #expect(try Run.op("Div", [x, y])[0].integers() == [Int.max, Int.min, -2, -2, Int.min])
    #expect(try Run.op("Mod", [x, y])[0].integers() == [0, 0, 2, -2, 0])
    #expect(try Run.op("Mod", [x, y], ["fmod": .int(1)])[0].integers() == [0, 0, -1, 1, 0])
    #expect(try Run.op("Neg", [x])[0].integers() == [-Int.max, Int.min, 7, -7, Int.min])
    #expect(try Run.op("Abs", [x])[0].integers() == [Int.max, Int.min, 7, 7, Int.min])
    #expect(throws: MueError.self) { try Run.op("Div", [x, try Tensor.ints([0])]) }
    #expect(throws: MueError.self) { try Run.op("Mod", [x, try Tensor.ints([0])]) }
    #expect(
      try Run.op("Pow", [try Tensor.ints([3, -2, 5]), try Tensor.ints([4, 3, -1])])[0].integers() == [81, -8, 0])
  }

  static let functions: [(String, String, ClosedRange<Float>, @Sendable (Double) -> Double)] = [
    ("Sqrt", "", 0...9, { $0.squareRoot() }), ("Reciprocal", "", 0.1...4, { 1 / $0 }), ("Exp", "", -9...5, { exp($0) }),
    ("Log", "", 0.01...9, { log($0) }), ("Erf", "", -4...4, { erf($0) }), ("Tanh", "", -9...9, { tanh($0) }),
    ("Sigmoid", "", -20...20, { 1 / (1 + exp(-$0)) }), ("Relu", "", -2...2, { max($0, 0) }),
    ("Softplus", "", -9...9, { log1p(exp($0)) }), ("Softsign", "", -9...9, { $0 / (1 + abs($0)) }),
    ("HardSwish", "", -5...5, { $0 * max(0, min(1, $0 / 6 + 0.5)) }), ("Sin", "", -9...9, { sin($0) }),
    ("Cos", "", -9...9, { cos($0) }), ("Tan", "", -1...1, { tan($0) }), ("Atan", "", -9...9, { atan($0) }),
    ("Floor", "", -9...9, { floor($0) }), ("Ceil", "", -9...9, { ceil($0) }),
    ("Round", "", -9...9, { $0.rounded(.toNearestOrEven) }), ("Neg", "", -2...2, { -$0 }),
    ("Abs", "", -2...2, { abs($0) }),
    ("Sign", "", -2...2, { $0 > 0 ? 1 : $0 < 0 ? -1 : 0 }), ("Silu", "mue", -9...9, { $0 / (1 + exp(-$0)) }),
    ("Gelu", "mue", -6...6, { 0.5 * $0 * (1 + erf($0 / 2.0.squareRoot())) }),
    ("LeakyRelu", "", -2...2, { $0 < 0 ? Double(Float(0.01)) * $0 : $0 }),
    ("Elu", "", -4...4, { $0 < 0 ? expm1($0) : $0 }),
    ("HardSigmoid", "", -4...4, { max(0, min(1, Double(Float(0.2)) * $0 + 0.5)) }),
    ("Selu", "", -4...4, { 1.0507010221481323 * ($0 > 0 ? $0 : 1.6732631921768188 * expm1($0)) }),
  ]

  @Test(arguments: functions.indices) func unaryFunctions(_ index: Int) throws {
    let (name, domain, range, function) = Self.functions[index]
    var random = Seeded(UInt64(index) + 77)
    for shape in [[3, 5, 7], [1], [0, 3], [2, 129]] {
      let x = try random.tensor(shape, in: range)
      let expected = Reference(shape, try doubles(x).map(function))
      #expect(try expected.error(of: Run.dynamic(name, [x], domain: domain)) < 1e-6, "\(name) of \(shape)")
      let wide = try Tensor(.float64, shape, try doubles(x))
      #expect(try expected.error(of: Run.dynamic(name, [wide], domain: domain)) < 1e-13, "\(name) in double")
    }
  }

  @Test func variadicAndClip() throws {
    var random = Seeded(5)
    let parts = [try random.tensor([3, 1, 5]), try random.tensor([4, 5]), try random.tensor([1])]
    let references = try parts.map { try Reference($0) }
    let mean = try Run.dynamic("Mean", parts)
    let sum = try Run.dynamic("Sum", parts)
    let least = try Run.dynamic("Min", parts)
    #expect(try Reference([3, 4, 5]) { at in references.map { $0[at] }.reduce(0, +) / 3 }.error(of: mean) < 1e-6)
    #expect(try Reference([3, 4, 5]) { at in references.map { $0[at] }.reduce(0, +) }.error(of: sum) < 1e-6)
    #expect(try Reference([3, 4, 5]) { at in references.map { $0[at] }.min() ?? 0 }.error(of: least) == 0)
    let low = try Tensor(.float32, [], [Float(-0.5)])
    let clipped = try Run.dynamic("Clip", [parts[1], low, nil])
    #expect(try Reference([4, 5], references[1].values.map { max($0, -0.5) }).error(of: clipped) == 0)
  }

  @Test func castsCoverEveryPairOfTypes() throws {
    let source = try Tensor.floats([0, 1, -1, 2.75, 100])
    for from in ElementType.allCases {
      let x = try Run.op("Cast", [source], ["to": .int(Int(from.rawValue))])[0]
      for to in ElementType.allCases {
        let y = try Run.op("Cast", [x], ["to": .int(Int(to.rawValue))])[0]
        #expect(y.type == to && y.shape == [5])
        // 0, 1 and 100 survive every type but bool.
        let values = try doubles(y)
        #expect(values[0] == 0 && values[1] == 1)
        #expect(values[4] == (from == .bool || to == .bool ? 1 : 100))
      }
    }
    let extremes = try Tensor.floats([.infinity, -.infinity, .nan, 3e9, -1e30])
    let cast = try Run.op("Cast", [extremes], ["to": .int(6)])[0]
    #expect(try cast.integers() == [Int(Int32.max), Int(Int32.min), 0, Int(Int32.max), Int(Int32.min)])
  }
}
