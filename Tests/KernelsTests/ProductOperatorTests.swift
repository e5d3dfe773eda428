import CKernels
import Foundation
import Kernels
import Tensor
import Testing

@Suite struct ProductOperatorTests {
  /// a [..., m, k] times b [..., k, n], broadcast.
  private func product(_ a: Reference, _ b: Reference) throws -> Reference {
    let batch = try Shape.broadcast(a.shape.dropLast(2), b.shape.dropLast(2))
    let depth = a.shape[a.shape.count - 1]
    let (m, n) = (a.shape[a.shape.count - 2], b.shape[b.shape.count - 1])
    return Reference(batch + [m, n]) { at in
      let (lead, row, column) = (Array(at.dropLast(2)), at[at.count - 2], at[at.count - 1])
      return (0..<depth).reduce(0.0) { sum, k in
        // Reference's subscript broadcasts axes of one element, so a depth of 1 is fine too.
        sum + a[lead + [row, k]] * b[lead + [k, column]]
      }
    }
  }

  static let shapes: [([Int], [Int])] = [
    ([3, 17], [17, 5]), ([2, 3, 17], [17, 33]), ([2, 3, 5, 7], [2, 3, 7, 9]), ([2, 1, 5, 7], [3, 7, 4]),
    ([1, 4, 1, 19], [2, 1, 19, 6]), ([2, 4, 3], [2, 3, 1]), ([5, 2], [3, 2, 4]), ([1, 64], [64, 129]),
    ([2, 5, 0], [2, 0, 3]), ([0, 3], [3, 2]),
  ]

  @Test(arguments: shapes.indices) func matMul(_ index: Int) throws {
    var random = Seeded(UInt64(index) + 11)
    let (left, right) = Self.shapes[index]
    let (a, b) = (try random.tensor(left), try random.tensor(right))
    let expected = try product(Reference(a), Reference(b))
    #expect(try expected.error(of: Run.dynamic("MatMul", [a, b])) < 2e-6)
    #expect(try expected.error(of: Run.op("MatMul", [a, b])[0]) < 2e-6, "with constant weights")
    let wide = [try Tensor(.float64, left, try doubles(a)), try Tensor(.float64, right, try doubles(b))]
    #expect(try expected.error(of: Run.dynamic("MatMul", wide)) < 1e-12)
  }

  @Test func matMulOfVectors() throws {
    var random = Seeded(3)
    let (v, m, batch) = (try random.tensor([7]), try random.tensor([7, 4]), try random.tensor([3, 5, 7]))
    let (rv, rm, rb) = (try Reference(v), try Reference(m), try Reference(batch))
    let row = try Run.dynamic("MatMul", [v, m])
    #expect(try Reference([4]) { at in (0..<7).reduce(0.0) { $0 + rv[[$1]] * rm[[$1, at[0]]] } }.error(of: row) < 1e-6)
    let column = try Run.dynamic("MatMul", [batch, v])
    #expect(
      try Reference([3, 5]) { at in (0..<7).reduce(0.0) { $0 + rb[[at[0], at[1], $1]] * rv[[$1]] } }
        .error(of: column) < 1e-6)
    let dot = try Run.dynamic("MatMul", [v, v])
    #expect(dot.shape == [])
  }

  @Test(arguments: 0..<8) func gemm(_ index: Int) throws {
    var random = Seeded(UInt64(index) + 40)
    let (transA, transB) = (index & 1, index >> 1 & 1)
    let a = try random.tensor(transA == 1 ? [13, 6] : [6, 13])
    let b = try random.tensor(transB == 1 ? [9, 13] : [13, 9])
    let c = try random.tensor([[9], [6, 1], [6, 9], []][index % 4])
    let (ra, rb, rc) = (try Reference(a), try Reference(b), try Reference(c))
    let (alpha, beta): (Float, Float) = index < 4 ? (1, 1) : (0.5, -1.5)
    let expected = Reference([6, 9]) { at in
      let sum = (0..<13).reduce(0.0) { sum, k in
        sum + (transA == 1 ? ra[[k, at[0]]] : ra[[at[0], k]]) * (transB == 1 ? rb[[at[1], k]] : rb[[k, at[1]]])
      }
      return Double(alpha) * sum + Double(beta) * rc[at]
    }
    let attributes: [String: AttributeValue] = [
      "transA": .int(transA), "transB": .int(transB), "alpha": .float(alpha), "beta": .float(beta),
    ]
    #expect(try expected.error(of: Run.dynamic("Gemm", [a, b, c], attributes)) < 2e-6)
    #expect(try expected.error(of: Run.op("Gemm", [a, b, c], attributes)[0]) < 2e-6)
  }

  @Test(arguments: ["none", "relu", "gelu", "gelu_tanh", "silu", "sigmoid", "tanh"]) func linear(_ activation: String)
    throws
  {
    var random = Seeded(UInt64(activation.utf8.count))
    let function: (Double) -> Double =
      switch activation {
      case "relu": { max($0, 0) }
      case "gelu": { 0.5 * $0 * (1 + erf($0 / 2.0.squareRoot())) }
      case "gelu_tanh": { 0.5 * $0 * (1 + tanh((2 / Double.pi).squareRoot() * ($0 + 0.044715 * $0 * $0 * $0))) }
      case "silu": { $0 / (1 + exp(-$0)) }
      case "sigmoid": { 1 / (1 + exp(-$0)) }
      case "tanh": { tanh($0) }
      default: { $0 }
      }
    for (rows, k, n) in [([2, 3], 19, 21), ([1], 64, 130), ([2, 1, 5], 3, 1)] {
      for transposed in [0, 1] {
        let x = try random.tensor(rows + [k])
        let w = try random.tensor(transposed == 1 ? [n, k] : [k, n], in: -0.5...0.5)
        let (bias, residual) = (try random.tensor([n]), try random.tensor(rows + [n]))
        let (rx, rw, rb, rr) = (try Reference(x), try Reference(w), try Reference(bias), try Reference(residual))
        for (hasBias, hasResidual) in [(false, false), (true, false), (true, true), (false, true)] {
          let expected = Reference(rows + [n]) { at in
            let column = at[at.count - 1]
            let lead = Array(at.dropLast())
            let sum = (0..<k).reduce(0.0) {
              $0 + rx[lead + [$1]] * (transposed == 1 ? rw[[column, $1]] : rw[[$1, column]])
            }
            return function(sum + (hasBias ? rb[[column]] : 0) + (hasResidual ? rr[at] : 0))
          }
          let result = try Run.op(
            "Linear", [x, w, hasBias ? bias : nil, hasResidual ? residual : nil],
            ["transposed": .int(transposed), "activation": .string(activation)], domain: "mue")
          #expect(try expected.error(of: result[0]) < 3e-6, "\(rows) x \(k) x \(n)")
        }
      }
    }
  }

  static let equations: [(String, [[Int]])] = [
    ("bhqd,bhkd->bhqk", [[2, 3, 5, 7], [2, 3, 4, 7]]), ("bhqk,bhkd->bhqd", [[2, 3, 5, 4], [2, 3, 4, 7]]),
    ("bqhd,bkhd->bhqk", [[2, 5, 3, 7], [2, 4, 3, 7]]), ("bhqk,bkhd->bqhd", [[2, 3, 5, 4], [2, 4, 3, 7]]),
    ("bthd,hde->bte", [[2, 3, 4, 5], [4, 5, 6]]), ("ij,jk", [[3, 4], [4, 5]]),
    ("...ij,...jk->...ik", [[2, 3, 4], [1, 4, 5]]),
    ("i,j->ij", [[3], [4]]), ("i,i->", [[7], [7]]), ("ij->ji", [[3, 4]]), ("ii->i", [[4, 4]]), ("bij->b", [[2, 3, 4]]),
    ("ij,k->i", [[3, 4], [5]]), ("b q d, b k d -> b q k", [[2, 3, 4], [2, 5, 4]]),
  ]

  @Test(arguments: equations.indices) func einsum(_ index: Int) throws {
    var random = Seeded(UInt64(index) + 500)
    let (equation, shapes) = Self.equations[index]
    let inputs = try shapes.map { try random.tensor($0) }
    let references = try inputs.map { try Reference($0) }
    // The reference has its own, simpler reading of the equation: the ellipsis is the letter Z.
    let text = equation.replacingOccurrences(of: " ", with: "").replacingOccurrences(of: "...", with: "Z")
    let sides = text.components(separatedBy: "->")
    let terms = sides[0].split(separator: ",", omittingEmptySubsequences: false).map { Array($0) }
    let output = sides.count > 1 ? Array(sides[1]) : Array("ik")
    var extents: [Character: Int] = [:]
    for (term, shape) in zip(terms, shapes) {
      for (label, extent) in zip(term, shape) { extents[label] = max(extents[label] ?? 1, extent) }
    }
    let summed = extents.keys.filter { !output.contains($0) }.sorted()
    let expected = Reference(output.map { extents[$0] ?? 1 }) { at in
      let inner = Reference(summed.map { extents[$0] ?? 1 }) { rest in
        var values: [Character: Int] = [:]
        for (label, value) in zip(output, at) { values[label] = value }
        for (label, value) in zip(summed, rest) { values[label] = value }
        return zip(terms, references).reduce(1.0) { product, pair in product * pair.1[pair.0.map { values[$0] ?? 0 }] }
      }
      return inner.values.reduce(0, +)
    }
    let result = try Run.dynamic("Einsum", inputs, ["equation": .string(equation)])
    #expect(try expected.error(of: result) < 3e-6, "\(equation)")
  }

  @Test(arguments: 0..<12) func attention(_ index: Int) throws {
    var random = Seeded(UInt64(index) + 900)
    let (b, h, tq, tk, d, dv) = (2, 3, index % 3 == 0 ? 1 : 5, 7, 9, 6)
    let layouts = ["BHTD", "BTHD"]
    let (qLayout, vLayout, outLayout) = (layouts[index & 1], layouts[index >> 1 & 1], layouts[(index + 1) & 1])
    let kLayout = ["BHTD", "BTHD", "BHDT"][index % 3]
    func shape(_ layout: String, _ rows: Int, _ depth: Int) -> [Int] {
      layout == "BHTD" ? [b, h, rows, depth] : layout == "BTHD" ? [b, rows, h, depth] : [b, h, depth, rows]
    }
    func at(_ layout: String, _ i: Int, _ head: Int, _ row: Int, _ column: Int) -> [Int] {
      layout == "BHTD" ? [i, head, row, column] : layout == "BTHD" ? [i, row, head, column] : [i, head, column, row]
    }
    let q = try random.tensor(shape(qLayout, tq, d))
    let k = try random.tensor(shape(kLayout, tk, d))
    let v = try random.tensor(shape(vLayout, tk, dv))
    let biasShapes: [([Int]?, [Int]?)] = [
      (nil, nil), ([b, 1, 1, tk], nil), ([1, h, tq, tk], [b, 1, 1, tk]), ([tq, tk], nil), ([b, h, tq, 1], [h, 1, tk]),
      (nil, [b, h, tq, tk]),
    ]
    let (first, second) = biasShapes[index % biasShapes.count]
    let bias0 = try first.map { try random.tensor($0) }
    let bias1 = try second.map { try random.tensor($0) }
    let (rq, rk, rv) = (try Reference(q), try Reference(k), try Reference(v))
    let biases = try [bias0, bias1].compactMap { try $0.map { try Reference($0) } }
    let expected = Reference(outLayout == "BHTD" ? [b, h, tq, dv] : [b, tq, h, dv]) { index in
      let (head, row) = outLayout == "BHTD" ? (index[1], index[2]) : (index[2], index[1])
      let scores = (0..<tk).map { key in
        let dot = (0..<d).reduce(0.0) {
          $0 + rq[at(qLayout, index[0], head, row, $1)] * rk[at(kLayout, index[0], head, key, $1)]
        }
        return dot * Double(Float(0.3)) + biases.reduce(0.0) { $0 + $1[[index[0], head, row, key]] }
      }
      let weights = scores.map { exp($0) }
      let total = weights.reduce(0, +)
      return (0..<tk).reduce(0.0) { $0 + weights[$1] / total * rv[at(vLayout, index[0], head, $1, index[3])] }
    }
    let result = try Run.dynamic(
      "Attention", [q, k, v, bias0, bias1],
      [
        "scale": .float(0.3), "q_layout": .string(qLayout), "k_layout": .string(kLayout), "v_layout": .string(vLayout),
        "out_layout": .string(outLayout),
      ], domain: "mue")
    #expect(try expected.error(of: result) < 3e-6, "\(qLayout) \(kLayout) \(vLayout) \(outLayout) \(first ?? [])")
  }

  /// Many queries meet keys and values as the model's precision has it: rounded where the processor multiplies bfloat16.
  @Test func attentionAtEachPrecision() throws {
    var random = Seeded(78)
    let (heads, t, d) = (3, 60, 13)
    let (q, k, v) = (
      try random.tensor([1, heads, t, d]), try random.tensor([1, heads, t, d]), try random.tensor([1, heads, t, d])
    )
    let scale: [String: AttributeValue] = ["scale": .float(0.2)]
    let exact = try Reference(try Run.dynamic("Attention", [q, k, v], scale, domain: "mue"))
    let rounds = String(cString: mk_isa_name()).hasSuffix("bf16")
    for precision in Precision.allCases {
      let result = try Run.dynamic("Attention", [q, k, v], scale, domain: "mue", precision: precision)
      let error = try exact.error(of: result)
      if precision == .float32 || !rounds { #expect(error == 0) } else { #expect(error > 0 && error < 0.03) }
    }
  }

  @Test func attentionWithoutHeadAxis() throws {
    var random = Seeded(77)
    let (n, tq, tk, d) = (6, 3, 5, 4)
    let (q, k, v) = (try random.tensor([n, tq, d]), try random.tensor([n, d, tk]), try random.tensor([n, tk, d]))
    let bias = try random.tensor([n, tq, tk])
    let (rq, rk, rv, rb) = (try Reference(q), try Reference(k), try Reference(v), try Reference(bias))
    let expected = Reference([n, tq, d]) { at in
      let weights = (0..<tk).map { key in
        exp((0..<d).reduce(0.0) { $0 + rq[[at[0], at[1], $1]] * rk[[at[0], $1, key]] } + rb[[at[0], at[1], key]])
      }
      return (0..<tk).reduce(0.0) { $0 + weights[$1] * rv[[at[0], $1, at[2]]] } / weights.reduce(0, +)
    }
    let result = try Run.dynamic("Attention", [q, k, v, bias], ["k_layout": .string("BHDT")], domain: "mue")
    #expect(try expected.error(of: result) < 3e-6)
  }

  static let convolutions: [(x: [Int], w: [Int], [String: AttributeValue])] = [
    ([2, 3, 9, 11], [5, 3, 3, 3], ["pads": .ints([1, 1, 1, 1])]),
    ([1, 3, 33, 31], [8, 3, 7, 7], ["pads": .ints([3, 3, 3, 3]), "strides": .ints([2, 2])]),
    ([2, 6, 7, 5], [4, 3, 3, 2], ["group": .int(2), "pads": .ints([0, 1, 2, 0])]),
    ([2, 5, 8, 8], [5, 1, 3, 3], ["group": .int(5), "pads": .ints([1, 1, 1, 1])]),
    ([1, 7, 6, 6], [9, 7, 1, 1], ["strides": .ints([2, 1])]),
    ([2, 4, 13], [3, 4, 3], ["dilations": .ints([2]), "pads": .ints([2, 1])]),
    ([1, 3, 16, 16], [6, 3, 4, 4], ["strides": .ints([4, 4])]),
    ([1, 2, 5, 7], [3, 2, 3, 3], ["auto_pad": .string("SAME_UPPER"), "strides": .ints([2, 2])]),
  ]

  @Test(arguments: convolutions.indices) func conv(_ index: Int) throws {
    var random = Seeded(UInt64(index) + 1234)
    let (xShape, wShape, attributes) = Self.convolutions[index]
    let (x, w) = (try random.tensor(xShape), try random.tensor(wShape, in: -0.5...0.5))
    let bias = try random.tensor([wShape[0]])
    let given = Attributes(attributes)
    let axes = xShape.count - 2
    let ones = [Int](repeating: 1, count: axes)
    let strides = try given.ints("strides") ?? ones
    let dilations = try given.ints("dilations") ?? ones
    var pads = try given.ints("pads") ?? [Int](repeating: 0, count: 2 * axes)
    var output = (0..<axes).map {
      (xShape[$0 + 2] + pads[$0] + pads[$0 + axes] - dilations[$0] * (wShape[$0 + 2] - 1) - 1) / strides[$0] + 1
    }
    if try given.string("auto_pad", default: "") == "SAME_UPPER" {
      output = [3, 4]
      pads = [1, 1, 1, 1]
    }
    let groups = try given.int("group", default: 1)
    let (rx, rw, rb) = (try Reference(x), try Reference(w), try Reference(bias))
    let expected = Reference([xShape[0], wShape[0]] + output) { at in
      let group = at[1] / (wShape[0] / groups)
      let window = Reference(Array(wShape.dropFirst())) { k in
        var place = [at[0], group * wShape[1] + k[0]]
        for axis in 0..<axes {
          let position = at[axis + 2] * strides[axis] + k[axis + 1] * dilations[axis] - pads[axis]
          if position < 0 || position >= xShape[axis + 2] { return 0 }
          place.append(position)
        }
        return rx[place] * rw[[at[1]] + k]
      }
      return window.values.reduce(0, +) + rb[[at[1]]]
    }
    #expect(try expected.error(of: Run.op("Conv", [x, w, bias], attributes)[0]) < 5e-6)
    #expect(try expected.error(of: Run.dynamic("Conv", [x, w, bias], attributes)) < 5e-6, "weights not constant")
    let residual = try random.tensor(expected.shape)
    let rr = try Reference(residual)
    var fused = attributes
    fused["activation"] = .string("relu")
    let activated = Reference(expected.shape) { max(0, expected[$0] + rr[$0]) }
    let result = try Run.op("FusedConv", [x, w, bias, residual], fused, domain: "mue")[0]
    #expect(try activated.error(of: result) < 5e-6)
  }

  @Test func multiplyAddsCountProducts() throws {
    func count(_ name: String, _ domain: String, _ shapes: [[Int]], _ output: [Int], _ attributes: Attributes = .init())
      -> Int?
    {
      OperatorTable.find(name: name, domain: domain, opset: 17)?
        .multiplyAdds(shapes.map { TensorInfo(.float32, $0) }, [TensorInfo(.float32, output)], attributes)
    }
    #expect(count("MatMul", "", [[2, 3, 4], [4, 5]], [2, 3, 5]) == 120)
    #expect(count("Gemm", "", [[4, 3], [4, 5]], [3, 5], Attributes(["transA": .int(1)])) == 60)
    #expect(count("Linear", "mue", [[2, 3, 4], [4, 5]], [2, 3, 5]) == 120)
    #expect(count("Conv", "", [[2, 6, 8, 8], [4, 3, 3, 3]], [2, 4, 6, 6]) == 2 * 4 * 36 * 27)
    #expect(
      count("Attention", "mue", [[2, 3, 5, 8], [2, 3, 7, 8], [2, 3, 7, 4]], [2, 3, 5, 4]) == 2 * 3 * 5 * 7 * 12)
    #expect(count("Einsum", "", [[2, 3], [3, 4]], [2, 4], Attributes(["equation": .string("ij,jk->ik")])) == 24)
    #expect(count("Add", "", [[2, 3], [3]], [2, 3]) == 0)
  }
}
