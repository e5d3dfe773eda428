import CKernels
import Foundation
import Testing

extension CKernels {
  /// A function, its double-precision form, where it is tried, and its bound: ulp of the result plus an absolute error.
  struct Unary: Sendable, CustomTestStringConvertible {
    let name: String
    let op: mk_unary_op
    let range: ClosedRange<Float>
    let ulp: Double
    let absolute: Double
    let exact: @Sendable (Double) -> Double
    var testDescription: String { name }

    init(
      _ name: String, _ op: mk_unary_op, _ range: ClosedRange<Float>, ulp: Double, absolute: Double = 0,
      _ exact: @escaping @Sendable (Double) -> Double
    ) {
      (self.name, self.op, self.range, self.ulp, self.absolute, self.exact) = (name, op, range, ulp, absolute, exact)
    }
  }

  static let unaries: [Unary] = [
    Unary("relu", MK_RELU, -9...9, ulp: 0) { max($0, 0) },
    // 1 + erf is computed as a sum where |x| < 1.31, and as 0 below -5.66.
    Unary("gelu erf", MK_GELU_ERF, -20...20, ulp: 5, absolute: 1e-7) { 0.5 * $0 * erfc(-$0 / 2.0.squareRoot()) },
    Unary("gelu tanh", MK_GELU_TANH, -20...20, ulp: 8, absolute: 1e-7) { x in
      0.5 * x * (1 + tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
    },
    Unary("sigmoid", MK_SIGMOID, -100...100, ulp: 4, absolute: 1e-44) { 1 / (1 + exp(-$0)) },
    Unary("tanh", MK_TANH, -12...12, ulp: 4) { tanh($0) },
    Unary("exp", MK_EXP, -104...88.7, ulp: 2, absolute: 1.5e-45) { exp($0) },
    Unary("log", MK_LOG, 1e-30...1e30, ulp: 1) { log($0) },
    Unary("sqrt", MK_SQRT, 0...1e30, ulp: 0.5) { $0.squareRoot() },
    Unary("reciprocal", MK_RECIPROCAL, -100...100, ulp: 0.5) { 1 / $0 },
    Unary("erf", MK_ERF, -5...5, ulp: 3) { erf($0) },
    Unary("neg", MK_NEG, -9...9, ulp: 0) { -$0 },
    Unary("abs", MK_ABS, -9...9, ulp: 0) { abs($0) },
    Unary("silu", MK_SILU, -80...80, ulp: 5) { $0 / (1 + exp(-$0)) },
    Unary("softplus", MK_SOFTPLUS, -80...80, ulp: 3) { max($0, 0) + log1p(exp(-abs($0))) },
    Unary("sin", MK_SIN, -100...100, ulp: 1) { sin($0) },
    Unary("cos", MK_COS, -100...100, ulp: 1) { cos($0) },
    Unary("floor", MK_FLOOR, -1e4...1e4, ulp: 0) { $0.rounded(.down) },
    Unary("ceil", MK_CEIL, -1e4...1e4, ulp: 0) { $0.rounded(.up) },
    Unary("round", MK_ROUND, -1e4...1e4, ulp: 0) { $0.rounded(.toNearestOrEven) },
    Unary("square", MK_SQUARE, -1e4...1e4, ulp: 0.5) { $0 * $0 },
    Unary("sign", MK_SIGN, -9...9, ulp: 0) { $0 > 0 ? 1 : $0 < 0 ? -1 : $0 },
    Unary("mish", MK_MISH, -20...20, ulp: 6) { $0 * tanh(max($0, 0) + log1p(exp(-abs($0)))) },
    Unary("hard swish", MK_HARD_SWISH, -9...9, ulp: 3, absolute: 3e-7) { $0 * min(max($0 / 6 + 0.5, 0), 1) },
    Unary("softsign", MK_SOFTSIGN, -9...9, ulp: 1.5) { $0 / (1 + abs($0)) },
    Unary("tan", MK_TAN, -1.5...1.5, ulp: 2) { tan($0) },
    Unary("asin", MK_ASIN, -1...1, ulp: 2) { asin($0) },
    Unary("acos", MK_ACOS, -1...1, ulp: 2) { acos($0) },
    Unary("atan", MK_ATAN, -50...50, ulp: 2) { atan($0) },
    Unary("sinh", MK_SINH, -50...50, ulp: 3) { sinh($0) },
    Unary("cosh", MK_COSH, -50...50, ulp: 2) { cosh($0) },
    Unary("asinh", MK_ASINH, -50...50, ulp: 3) { asinh($0) },
    Unary("acosh", MK_ACOSH, 1...50, ulp: 3) { acosh($0) },
    Unary("atanh", MK_ATANH, -0.999...0.999, ulp: 3) { atanh($0) },
  ]

  /// The size of the last place of a float near `value`.
  static func ulp(_ value: Double) -> Double { Double(Float(value).ulp) }

  @Test(arguments: instructionSets, unaries)
  func unary(isa: Int32, f: Unary) {
    let pool = mk_pool_create(2)
    defer { mk_pool_destroy(pool) }
    Self.with(isa) {
      var randoms = Randoms(17)
      // More than one piece for the threads, and a tail.
      let n = 17003
      let x = randoms.floats(n, f.range.lowerBound, f.range.upperBound)
      // Many small arguments, integers and halves.
      for i in 0..<n {
        var v = x[i]
        switch i % 8 {
        case 0: v *= 0.01
        case 1: v *= 1e-6
        case 2: v = (v * 2).rounded() / 2
        default: break
        }
        if f.range.contains(v) { x[i] = v }
      }
      let y = Floats(n)
      mk_unary(pool, f.op, n, x.p, y.p)
      var worst = (error: 0.0, x: Float(0), y: Float(0))
      for i in 0..<n {
        let expected = f.exact(Double(x[i]))
        let error = abs(Double(y[i]) - expected)
        let excess = (error - f.absolute) / Self.ulp(expected)
        if y[i].isNaN != expected.isNaN || excess > worst.error {
          worst = (y[i].isNaN ? .infinity : excess, x[i], y[i])
        }
      }
      #expect(worst.error <= f.ulp, "isa \(isa) \(f.name)(\(worst.x)) = \(worst.y): \(worst.error) ulp")
      #expect(y.intact)
      // Every length, in place.
      for m in 1...40 {
        let z = Floats(m)
        for i in 0..<m { z[i] = x[i] }
        mk_unary(nil, f.op, m, z.p, z.p)
        #expect((0..<m).allSatisfy { z[$0] == y[$0] } && z.intact, "isa \(isa) \(f.name) n \(m)")
      }
    }
  }

  /// Infinities give limits, NaN gives NaN.
  @Test(arguments: instructionSets)
  func unarySpecialValues(isa: Int32) {
    let limits: [(mk_unary_op, low: Float, high: Float)] = [
      (MK_RELU, 0, .infinity), (MK_GELU_ERF, 0, .infinity), (MK_GELU_TANH, 0, .infinity), (MK_SIGMOID, 0, 1),
      (MK_TANH, -1, 1), (MK_EXP, 0, .infinity), (MK_ERF, -1, 1), (MK_SILU, 0, .infinity),
      (MK_NEG, .infinity, -.infinity),
      (MK_ABS, .infinity, .infinity), (MK_SOFTPLUS, 0, .infinity), (MK_FLOOR, -.infinity, .infinity),
      (MK_ROUND, -.infinity, .infinity), (MK_RECIPROCAL, 0, 0),
    ]
    Self.with(isa) {
      for (op, low, high) in limits {
        for n in [3, 8, 16, 21] {
          let x = Floats(n, filledWith: .nan)
          (x[0], x[1]) = (-.infinity, .infinity)
          mk_unary(nil, op, n, x.p, x.p)
          #expect(x[0] == low && x[1] == high && (2..<n).allSatisfy { x[$0].isNaN }, "isa \(isa) op \(op) n \(n)")
          // Large finite values behave like infinities.
          (x[0], x[1]) = (-Float.greatestFiniteMagnitude, Float.greatestFiniteMagnitude)
          mk_unary(nil, op, 2, x.p, x.p)
          #expect(!x[0].isNaN && !x[1].isNaN, "isa \(isa) op \(op)")
          if low == 0 { #expect(abs(x[0]) < 1e-30) }
        }
      }
      let edge = Floats(2)
      (edge[0], edge[1]) = (88.72283, 88.72284)  // the largest argument whose exponential is finite, and the next
      mk_unary(nil, MK_EXP, 2, edge.p, edge.p)
      #expect(edge[0].isFinite && edge[1] == .infinity)
    }
  }

  @Test(arguments: instructionSets)
  func parameters(isa: Int32) {
    Self.with(isa) {
      var randoms = Randoms(4)
      for n in [1, 15, 33, 17000] {
        let x = randoms.floats(n, -5, 5)
        let y = Floats(n)
        let cases: [(mk_param_op, (Double) -> Double)] = [
          (MK_LEAKY_RELU, { $0 < 0 ? 0.25 * $0 : $0 }), (MK_ELU, { $0 < 0 ? 0.25 * expm1($0) : $0 }),
          (MK_HARD_SIGMOID, { min(max(0.25 * $0 + 1.5, 0), 1) }), (MK_CLIP, { min(max($0, 0.25), 1.5) }),
          (MK_AFFINE, { 0.25 * $0 + 1.5 }),
        ]
        for (op, exact) in cases {
          mk_unary_param(nil, op, n, x.p, 0.25, 1.5, y.p)
          #expect((0..<n).allSatisfy { abs(Double(y[$0]) - exact(Double(x[$0]))) < 3e-7 }, "\(op) n \(n)")
          #expect(y.intact)
        }
      }
    }
  }

  static let binaries: [(mk_binary_op, @Sendable (Float, Float) -> Float)] = [
    (MK_ADD, { $0 + $1 }), (MK_SUB, { $0 - $1 }), (MK_MUL, { $0 * $1 }), (MK_DIV, { $0 / $1 }),
    (MK_MIN, { $0.isNaN || $1.isNaN ? .nan : min($0, $1) }), (MK_MAX, { $0.isNaN || $1.isNaN ? .nan : max($0, $1) }),
    (MK_POW, { Float(pow(Double($0), Double($1))) }),
  ]

  /// Random shapes in which each axis of each operand is whole, broadcast or strided.
  @Test(arguments: instructionSets)
  func binary(isa: Int32) {
    let pool = mk_pool_create(2)
    defer { mk_pool_destroy(pool) }
    Self.with(isa) {
      for round in 0..<150 {
        var randoms = Randoms(UInt64(round))
        let rank = randoms.int(0...5)
        var shape = (0..<rank).map { _ in randoms.int(1...5) }
        if rank > 0 { shape[rank - 1] = randoms.int(1...40) }
        if round % 25 == 24 { shape = [3, 9001] }
        let count = shape.reduce(1, *)
        func strides(_ kind: Int) -> [Int] {
          var step = 1
          var strides = [Int](repeating: 0, count: shape.count)
          for i in shape.indices.reversed() {
            strides[i] = kind == 1 || kind == 2 && i % 2 == 0 || kind == 3 && i == shape.count - 1 ? 0 : step
            step *= shape[i] + (kind == 4 ? 1 : 0)
          }
          return strides
        }
        let (sa, sb) = (strides(randoms.int(0...4)), strides(randoms.int(0...4)))
        func size(_ strides: [Int]) -> Int { 1 + zip(shape, strides).reduce(0) { $0 + ($1.0 - 1) * $1.1 } }
        let (op, exact) = Self.binaries[round % 7]
        let a = randoms.floats(size(sa), 0.1, 3)
        let b = randoms.floats(size(sb), 0.1, 3)
        if round % 7 == 4 || round % 7 == 5 {
          a[randoms.int(0...a.count - 1)] = .nan
          b[randoms.int(0...b.count - 1)] = .nan
        }
        let y = Floats(count)
        mk_binary(round % 2 == 0 ? pool : nil, op, Int32(shape.count), shape, a.p, sa, b.p, sb, y.p)
        var wrong = 0
        for i in 0..<count {
          var (rest, u, v) = (i, 0, 0)
          for axis in shape.indices.reversed() {
            u += rest % shape[axis] * sa[axis]
            v += rest % shape[axis] * sb[axis]
            rest /= shape[axis]
          }
          let expected = exact(a[u], b[v])
          if expected.isNaN != y[i].isNaN || abs(expected - y[i]) > (op == MK_POW ? 3 * expected.ulp : 0) { wrong += 1 }
        }
        #expect(wrong == 0, "isa \(isa) \(op) \(shape) \(sa) \(sb)")
        #expect(y.intact)
      }
      // Nothing to do.
      mk_binary(nil, MK_ADD, 2, [3, 0], Floats(1).p, [0, 0], Floats(1).p, [0, 0], Floats(1).p)
    }
  }
}
