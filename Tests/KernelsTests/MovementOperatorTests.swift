import Kernels
import Tensor
import Testing

@Suite struct MovementOperatorTests {
  static let types: [ElementType] = [.float32, .int64, .bool, .float16]

  /// 0, 1, 2, ... in a type, so that every element can be told apart (bytes: up to 255).
  private func counting(_ type: ElementType, _ shape: [Int]) throws -> (Tensor, Reference) {
    let count = shape.reduce(1, *)
    let tensor: Tensor
    switch type {
    case .float32: tensor = try Tensor(type, shape, (0..<count).map { Float($0) })
    case .int64: tensor = try Tensor(type, shape, (0..<count).map { Int64($0) })
    case .float16: tensor = try Tensor(type, shape, (0..<count).map { Float16($0) })
    default: tensor = try Tensor(type, shape, (0..<count).map { UInt8(truncatingIfNeeded: $0) })
    }
    return (tensor, try Reference(tensor))
  }

  @Test(arguments: types) func transpose(_ type: ElementType) throws {
    for (shape, order) in [
      ([2, 3, 5], [2, 0, 1]), ([3, 4, 2, 5], [0, 2, 1, 3]), ([7], [0]), ([33, 65], [1, 0]), ([0, 3], [1, 0]),
    ] {
      let (x, reference) = try counting(type, shape)
      let result = try Run.dynamic("Transpose", [x], ["perm": .ints(order)])
      let expected = Reference(order.map { shape[$0] }) { at in
        var from = at
        for (axis, source) in order.enumerated() { from[source] = at[axis] }
        return reference[from]
      }
      #expect(try expected.error(of: result) == 0, "\(shape) \(order)")
    }
  }

  @Test(arguments: types) func concatAndSplit(_ type: ElementType) throws {
    for axis in 0..<3 {
      let (whole, reference) = try counting(type, [4, 7, 6])
      var sizes = [[1, 3, 0], [2, 4, 1], [3, 1, 2]][axis]
      let parts = try Run.op("Split", [whole, try Tensor.ints(sizes)], ["axis": .int(axis - 3)], outputs: 3)
      var start = 0
      for (part, size) in zip(parts, sizes) {
        var shape = [4, 7, 6]
        shape[axis] = size
        let expected = Reference(shape) { at in
          var from = at
          from[axis] += start
          return reference[from]
        }
        #expect(try expected.error(of: part) == 0)
        start += size
      }
      #expect(try reference.error(of: Run.dynamic("Concat", parts, ["axis": .int(axis)])) == 0)
      sizes = [2]
      #expect(throws: MueError.self) {
        try Run.op("Split", [whole, try Tensor.ints(sizes)], ["axis": .int(axis)], outputs: 2)
      }
    }
    // Uneven parts since opset 18.
    let (line, _) = try counting(type, [7])
    #expect(try Run.op("Split", [line], ["num_outputs": .int(3)], outputs: 3).map(\.shape) == [[3], [3], [1]])
    #expect(throws: MueError.self) { try Run.op("Split", [line], opset: 13, outputs: 3) }
  }

  @Test(arguments: types) func slices(_ type: ElementType) throws {
    let (x, reference) = try counting(type, [5, 6, 7])
    let cuts: [([Int], [Int], [Int], [Int])] = [
      ([1], [4], [0], [1]), ([-3, 1], [Int.max, -1], [2, 1], [1, 2]), ([-1], [Int.min], [1], [-2]),
      ([9], [20], [0], [1]),
      ([4, 5, 6], [-9, -9, -9], [0, 1, 2], [-1, -3, -2]),
    ]
    for (starts, ends, axes, steps) in cuts {
      let result = try Run.op(
        "Slice", [x, try .ints(starts), try .ints(ends), try .ints(axes), try .ints(steps)])[0]
      // Python's slice, written down once more from its definition: walk from the start while before the end.
      var positions = [Array(0..<5), Array(0..<6), Array(0..<7)]
      for index in axes.indices {
        let (extent, step) = (positions[axes[index]].count, steps[index])
        func bounded(_ value: Int) -> Int {
          let shifted = value < 0 ? max(value, -100) + extent : min(value, 100)
          return step > 0 ? min(max(shifted, 0), extent) : min(max(shifted, -1), extent - 1)
        }
        let (from, to) = (bounded(starts[index]), bounded(ends[index]))
        positions[axes[index]] = Array(stride(from: from, to: to, by: step))
      }
      let expected = Reference(positions.map(\.count)) { at in
        reference[[positions[0][at[0]], positions[1][at[1]], positions[2][at[2]]]]
      }
      #expect(try expected.error(of: result) == 0, "\(starts) \(ends) \(axes) \(steps)")
    }
  }

  @Test(arguments: types) func expandTileAndPad(_ type: ElementType) throws {
    let (x, reference) = try counting(type, [3, 1, 5])
    let expanded = try Run.op("Expand", [x, try .ints([2, 1, 4, 1])])[0]
    #expect(try Reference([2, 3, 4, 5]) { reference[$0] }.error(of: expanded) == 0)
    let tiled = try Run.op("Tile", [x, try .ints([2, 3, 2])])[0]
    #expect(try Reference([6, 3, 10]) { reference[[$0[0] % 3, 0, $0[2] % 5]] }.error(of: tiled) == 0)
    let modes: [(String, @Sendable (Int, Int) -> Int)] = [
      ("constant", { at, _ in at }), ("edge", { at, n in min(max(at, 0), n - 1) }),
      ("reflect", { at, n in at < 0 ? -at : at >= n ? 2 * (n - 1) - at : at }), ("wrap", { at, n in (at + n) % n }),
    ]
    for (mode, source) in modes {
      let padded = try Run.op(
        "Pad", [x, try .ints([1, 0, 2, 2, 0, -1])], ["mode": .string(mode)], opset: 19)[0]
      let expected = Reference([6, 1, 6]) { at in
        let (row, column) = (source(at[0] - 1, 3), source(at[2] - 2, 5))
        return row < 0 || row >= 3 || column < 0 || column >= 5 ? 0 : reference[[row, 0, column]]
      }
      #expect(try expected.error(of: padded) == 0, "\(mode)")
    }
  }

  @Test(arguments: types) func gathers(_ type: ElementType) throws {
    let (x, reference) = try counting(type, [5, 4, 3])
    for axis in 0..<3 {
      let indices = try Tensor.ints([0, -1, 2, -3, 1, 0], [2, 3])
      let result = try Run.dynamic("Gather", [x, indices], ["axis": .int(axis)])
      var shape = [5, 4, 3]
      let extent = shape[axis]
      shape.replaceSubrange(axis...axis, with: [2, 3])
      let list = try indices.integers().map { $0 < 0 ? $0 + extent : $0 }
      let expected = Reference(shape) { at in
        reference[Array(at[..<axis]) + [list[at[axis] * 3 + at[axis + 1]]] + Array(at[(axis + 2)...])]
      }
      #expect(try expected.error(of: result) == 0)
      // One index per element, and the way back.
      let elements = try Tensor.ints((0..<12).map { $0 * 7 % 3 - ($0 % 2 == 0 ? 3 : 0) }, [2, 2, 3])
      let picked = try Run.dynamic("GatherElements", [x, elements], ["axis": .int(axis)])
      let chosen = try Reference(elements)
      let expectedElements = Reference([2, 2, 3]) { at in
        var from = at
        from[axis] = Int(chosen[at]) < 0 ? Int(chosen[at]) + extent : Int(chosen[at])
        return reference[from]
      }
      #expect(try expectedElements.error(of: picked) == 0)
    }
    let pairs = try Tensor.ints([4, 3, 0, 0, -1, 1], [3, 2])
    let blocks = try Run.dynamic("GatherND", [x, pairs])
    let rows = [[4, 3], [0, 0], [4, 1]]
    #expect(try Reference([3, 3]) { reference[rows[$0[0]] + [$0[1]]] }.error(of: blocks) == 0)
    let updates = try counting(type, [3, 3])
    let scattered = try Run.dynamic("ScatterND", [x, pairs, updates.0])
    let expected = Reference([5, 4, 3]) { at in
      if let row = rows.firstIndex(of: [at[0], at[1]]) { return updates.1[[row, at[2]]] }
      return reference[at]
    }
    #expect(try expected.error(of: scattered) == 0)
  }

  @Test func viewsKeepTheirMemory() throws {
    let x = try Tensor.floats((0..<24).map { Float($0) }, [2, 1, 3, 4])
    let cases: [(String, Tensor?, [String: AttributeValue], Int, [Int])] = [
      ("Reshape", try .ints([0, -1]), [:], 14, [2, 12]), ("Reshape", try .ints([4, 3, 2]), [:], 14, [4, 3, 2]),
      ("Flatten", nil, ["axis": .int(-1)], 13, [6, 4]), ("Flatten", nil, ["axis": .int(0)], 13, [1, 24]),
      ("Squeeze", try .ints([1]), [:], 13, [2, 3, 4]), ("Squeeze", nil, ["axes": .ints([1])], 11, [2, 3, 4]),
      ("Squeeze", nil, [:], 13, [2, 3, 4]), ("Unsqueeze", try .ints([0, -1]), [:], 13, [1, 2, 1, 3, 4, 1]),
      ("Unsqueeze", nil, ["axes": .ints([2])], 11, [2, 1, 1, 3, 4]), ("Identity", nil, [:], 16, [2, 1, 3, 4]),
      ("Dropout", nil, [:], 13, [2, 1, 3, 4]),
    ]
    for (name, argument, attributes, opset, shape) in cases {
      let result = try Run.op(name, argument == nil ? [x] : [x, argument], attributes, opset: opset)[0]
      #expect(result.shape == shape && result.pointer == x.pointer, "\(name)")
      #expect(OperatorTable.find(name: name, domain: "", opset: opset)?.isView == true)
    }
  }

  @Test func shapesBecomeConstants() throws {
    let x = try Tensor(.float32, [2, 3, 5])
    #expect(try Run.op("Shape", [x])[0].integers() == [2, 3, 5])
    #expect(try Run.op("Shape", [x], ["start": .int(-2), "end": .int(-1)])[0].integers() == [3])
    #expect(try Run.op("Size", [x])[0].integers() == [30])
    #expect(
      try Run.op("ConstantOfShape", [.ints([2, 2])], ["value": .tensor(.ints([7]))])[0].integers() == [7, 7, 7, 7])
    #expect(try Run.op("Range", [.ints([5], []), .ints([-4], []), .ints([-3], [])])[0].integers() == [5, 2, -1])
    #expect(try Run.op("NonZero", [.floats([0, 1, -2, 0, 0, 3], [2, 3])])[0].integers() == [0, 0, 1, 1, 2, 2])
    #expect(
      try Run.op("Trilu", [.ints(Array(1...9), [3, 3])], ["upper": .int(0)])[0].integers() == [
        1, 0, 0, 4, 5, 0, 7, 8, 9,
      ])
    #expect(
      try Run.op("OneHot", [.ints([1, -1, 9]), .ints([3], []), .ints([0, 5])])[0].integers() == [
        0, 5, 0, 0, 0, 5, 0, 0, 0,
      ])
  }

  @Test func constantsMayLieUnaligned() throws {
    let values: [Float] = [1, 2, 3, 4, 5, 6]
    let buffer = try Buffer(byteCount: 25)
    values.withUnsafeBytes { bytes in
      if let base = bytes.baseAddress { (buffer.base + 1).copyMemory(from: base, byteCount: 24) }
    }
    let crooked = try Tensor(.float32, [2, 3], buffer: buffer, byteOffset: 1)
    let straight = try Tensor.floats(values, [2, 3])
    for name in ["Add", "Mul", "Pow"] {
      let (a, b) = (try Run.op(name, [crooked, crooked])[0], try Run.op(name, [straight, straight])[0])
      #expect(try doubles(a) == doubles(b))
    }
    let moved = try Run.op("Transpose", [crooked])[0]
    #expect(try moved.elements(as: Float.self) == [1, 4, 2, 5, 3, 6])
  }
}
