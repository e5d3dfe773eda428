import Foundation
import Kernels
import Tensor
import Testing

@Suite struct NormalizationOperatorTests {
  @Test(arguments: [([3, 5, 7], -1), ([3, 5, 7], 1), ([2, 65], 1), ([4, 1], 1), ([2, 3, 4, 5], -2)])
  func softmax(_ shape: [Int], _ axis: Int) throws {
    var random = Seeded(9)
    let x = try random.tensor(shape, in: -20...20)
    let reference = try Reference(x)
    let position = axis < 0 ? axis + shape.count : axis
    func sum(_ at: [Int]) -> Double {
      (0..<shape[position]).reduce(0.0) { sum, step in
        var other = at
        other[position] = step
        return sum + exp(reference[other])
      }
    }
    let soft = Reference(shape) { exp(reference[$0]) / sum($0) }
    let log = Reference(shape) { reference[$0] - Foundation.log(sum($0)) }
    #expect(try soft.error(of: Run.dynamic("Softmax", [x], ["axis": .int(axis)])) < 1e-6)
    #expect(try log.error(of: Run.dynamic("LogSoftmax", [x], ["axis": .int(axis)])) < 1e-6)
  }

  @Test(arguments: [([3, 5, 7], -1, [7]), ([2, 3, 4, 5], 2, [4, 5]), ([2, 3, 4], 1, [4]), ([3, 130], 1, [130])])
  func layerAndRootMeanSquare(_ shape: [Int], _ axis: Int, _ parameters: [Int]) throws {
    var random = Seeded(10)
    let x = try random.tensor(shape, in: 1...5)
    let (scale, bias) = (try random.tensor(parameters), try random.tensor(parameters))
    let (rx, rs, rb) = (try Reference(x), try Reference(scale), try Reference(bias))
    let position = axis < 0 ? axis + shape.count : axis
    let n = shape[position...].reduce(1, *)
    let means = stride(from: 0, to: rx.values.count, by: n).map { rx.values[$0..<$0 + n].reduce(0, +) / Double(n) }
    let squares = stride(from: 0, to: rx.values.count, by: n).map { start in
      rx.values[start..<start + n].reduce(0.0) { $0 + $1 * $1 } / Double(n)
    }
    let deviations = zip(means, squares).map { 1 / ($1 - $0 * $0 + 1e-5).squareRoot() }
    func row(_ at: [Int]) -> Int { (0..<position).reduce(0) { $0 * shape[$1] + at[$1] } }
    let layer = Reference(shape) { (rx[$0] - means[row($0)]) * deviations[row($0)] * rs[$0] + rb[$0] }
    let root = Reference(shape) { rx[$0] / (squares[row($0)] + 1e-5).squareRoot() * rs[$0] }
    let attributes: [String: AttributeValue] = ["axis": .int(axis)]
    #expect(try layer.error(of: Run.dynamic("LayerNormalization", [x, scale, bias], attributes)) < 5e-6)
    #expect(try root.error(of: Run.dynamic("RMSNormalization", [x, scale], attributes)) < 5e-6)
    let outputs = try Run.op("LayerNormalization", [x, scale, bias], attributes, outputs: 3)
    let statistics = Array(shape[..<position]) + [Int](repeating: 1, count: shape.count - position)
    #expect(try Reference(statistics, means).error(of: outputs[1]) < 1e-6)
    #expect(try Reference(statistics, deviations).error(of: outputs[2]) < 1e-5)
  }

  @Test func channelNormalizations() throws {
    var random = Seeded(11)
    let shape = [2, 6, 3, 5]
    let x = try random.tensor(shape)
    let (scale, bias, mean) = (try random.tensor([6]), try random.tensor([6]), try random.tensor([6]))
    let variance = try random.tensor([6], in: 0.5...2)
    let (rx, rs, rb, rm, rv) = (
      try Reference(x), try Reference(scale), try Reference(bias), try Reference(mean), try Reference(variance)
    )
    let batch = Reference(shape) {
      (rx[$0] - rm[[$0[1]]]) / (rv[[$0[1]]] + 1e-5).squareRoot() * rs[[$0[1]]] + rb[[$0[1]]]
    }
    #expect(try batch.error(of: Run.dynamic("BatchNormalization", [x, scale, bias, mean, variance])) < 5e-6)
    for channels in [1, 3] {
      // Groups of one channel are an instance normalisation.
      func statistics(_ at: [Int]) -> (Double, Double) {
        let first = at[1] / channels * channels
        let all = Reference([channels, 3, 5]) { rx[[at[0], first + $0[0], $0[1], $0[2]]] }.values
        let mean = all.reduce(0, +) / Double(all.count)
        return (mean, all.reduce(0.0) { $0 + ($1 - mean) * ($1 - mean) } / Double(all.count))
      }
      let expected = Reference(shape) { at in
        let (mean, variance) = statistics(at)
        return (rx[at] - mean) / (variance + 1e-5).squareRoot() * rs[[at[1]]] + rb[[at[1]]]
      }
      let result =
        channels == 1
        ? try Run.dynamic("InstanceNormalization", [x, scale, bias])
        : try Run.dynamic("GroupNormalization", [x, scale, bias], ["num_groups": .int(2)], opset: 21)
      #expect(try expected.error(of: result) < 5e-6)
    }
  }

  static let reductions: [(String, @Sendable ([Double]) -> Double)] = [
    ("ReduceSum", { $0.reduce(0, +) }), ("ReduceMean", { $0.reduce(0, +) / Double($0.count) }),
    ("ReduceMax", { $0.max() ?? 0 }), ("ReduceMin", { $0.min() ?? 0 }), ("ReduceProd", { $0.reduce(1, *) }),
    ("ReduceL1", { $0.reduce(0) { $0 + abs($1) } }), ("ReduceL2", { $0.reduce(0) { $0 + $1 * $1 }.squareRoot() }),
    ("ReduceSumSquare", { $0.reduce(0) { $0 + $1 * $1 } }),
    ("ReduceLogSumExp", { log($0.reduce(0) { $0 + exp($1) }) }),
  ]

  @Test(arguments: reductions.indices) func reductionsOverAnyAxes(_ index: Int) throws {
    let (name, function) = Self.reductions[index]
    var random = Seeded(UInt64(index) + 60)
    let shape = [3, 4, 5, 2]
    let x = try random.tensor(shape)
    let rx = try Reference(x)
    for axes in [[3], [2, 3], [1], [0, 2], [0, 1, 2, 3], [-1, 0]] {
      let reduced = axes.map { $0 < 0 ? $0 + 4 : $0 }
      let kept = shape.indices.map { reduced.contains($0) ? 1 : shape[$0] }
      let expected = Reference(kept) { at in
        function(
          Reference(shape.indices.map { reduced.contains($0) ? shape[$0] : 1 }) { inner in
            rx[zip(at, inner).map { $0 + $1 }]
          }.values)
      }
      // Axes as an attribute (opset 11) and as an input (opset 18), with and without the reduced axes.
      let old = try Run.dynamic(name, [x], ["axes": .ints(axes)], opset: 11)
      #expect(try expected.error(of: old) < 5e-6, "\(name) \(axes)")
      let new = try Run.op(name, [x, try Tensor.ints(axes)], ["keepdims": .int(0)])[0]
      let flat = Reference(shape.indices.filter { !reduced.contains($0) }.map { shape[$0] }, expected.values)
      #expect(try flat.error(of: new) < 5e-6, "\(name) \(axes)")
    }
    let none = try Run.op(name, [x, try Tensor.ints([])], ["noop_with_empty_axes": .int(1)])[0]
    #expect(none.shape == shape)
  }

  @Test func extremaAndOrder() throws {
    var random = Seeded(12)
    let shape = [3, 17, 4]
    let x = try Tensor(.float32, shape, random.floats(204).map { ($0 * 4).rounded() })
    let rx = try Reference(x)
    for last in [0, 1] {
      let result = try Run.dynamic("ArgMax", [x], ["axis": .int(1), "select_last_index": .int(last)])
      let expected = Reference([3, 1, 4]) { at in
        let line = (0..<17).map { rx[[at[0], $0, at[2]]] }
        let best = line.max() ?? 0
        return Double((last == 1 ? line.lastIndex(of: best) : line.firstIndex(of: best)) ?? -1)
      }
      #expect(try expected.error(of: result) == 0)
    }
    for largest in [0, 1] {
      let result = try Run.op(
        "TopK", [x, try Tensor.ints([5])], ["axis": .int(1), "largest": .int(largest)], outputs: 2)
      let order = Reference([3, 5, 4]) { at in
        let sorted = (0..<17).sorted { a, b in
          let (x, y) = (rx[[at[0], a, at[2]]], rx[[at[0], b, at[2]]])
          return x == y ? a < b : (x > y) == (largest == 1)
        }
        return Double(sorted[at[1]])
      }
      #expect(try order.error(of: result[1]) == 0)
      #expect(try Reference([3, 5, 4]) { rx[[$0[0], Int(order[$0]), $0[2]]] }.error(of: result[0]) == 0)
    }
    let sums = try Run.op(
      "CumSum", [x, try Tensor.ints([1], [])], ["exclusive": .int(1), "reverse": .int(1)])[0]
    let expected = Reference(shape) { at in ((at[1] + 1)..<17).reduce(0.0) { $0 + rx[[at[0], $1, at[2]]] } }
    #expect(try expected.error(of: sums) < 1e-6)
  }

  @Test(arguments: 0..<6) func pools(_ index: Int) throws {
    var random = Seeded(UInt64(index) + 300)
    let shape = [2, 3, 9, 10]
    let x = try random.tensor(shape)
    let rx = try Reference(x)
    let (kernel, step, pad) = [(3, 2, 1), (2, 2, 0), (3, 1, 1), (4, 3, 2), (2, 1, 0), (5, 5, 2)][index]
    let countsPadding = index % 2 == 1
    let output = [9, 10].map { ($0 + 2 * pad - kernel) / step + 1 }
    func window(_ at: [Int]) -> [Double] {
      var values: [Double] = []
      for i in 0..<kernel {
        for j in 0..<kernel {
          let (row, column) = (at[2] * step + i - pad, at[3] * step + j - pad)
          if row >= 0, row < 9, column >= 0, column < 10 { values.append(rx[[at[0], at[1], row, column]]) }
        }
      }
      return values
    }
    let attributes: [String: AttributeValue] = [
      "kernel_shape": .ints([kernel, kernel]), "strides": .ints([step, step]), "pads": .ints([pad, pad, pad, pad]),
      "count_include_pad": .int(countsPadding ? 1 : 0),
    ]
    let maximum = Reference([2, 3] + output) { window($0).max() ?? 0 }
    let average = Reference([2, 3] + output) { at in
      let values = window(at)
      return values.reduce(0, +) / Double(countsPadding ? kernel * kernel : values.count)
    }
    #expect(try maximum.error(of: Run.dynamic("MaxPool", [x], attributes)) == 0)
    #expect(try average.error(of: Run.dynamic("AveragePool", [x], attributes)) < 1e-6)
    // The plain path, which other element types take, agrees.
    let wide = try Tensor(.float64, shape, try doubles(x))
    #expect(try maximum.error(of: Run.dynamic("MaxPool", [wide], attributes)) == 0)
    #expect(try average.error(of: Run.dynamic("AveragePool", [wide], attributes)) < 1e-12)
    let global = Reference([2, 3, 1, 1]) { at in
      Reference([9, 10]) { rx[[at[0], at[1], $0[0], $0[1]]] }.values.reduce(0, +) / 90
    }
    #expect(try global.error(of: Run.dynamic("GlobalAveragePool", [x])) < 1e-6)
  }
}
