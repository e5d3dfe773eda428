import Tensor

extension Operator {
  /// One or two operands. Two that form a batched matrix product go to the product kernel, after transposes where
  /// needed; everything else (diagonals, sums, broadcast labels) through one plain loop.
  static let einsum = Operator(
    "Einsum", versions: 12...28,
    infer: { node throws(MueError) in
      let first = try node.input(0)
      var shapes: [[Int]] = []
      for index in node.inputs.indices {
        let input = try node.input(index)
        guard input.type == first.type else { throw MueError(.invalidModel, "operands differ in type") }
        shapes.append(input.shape)
      }
      guard shapes.count <= 2 else { throw MueError(.unsupported, "\(shapes.count) operands of Einsum") }
      let equation = try EinsumEquation(node.attributes.string("equation", default: ""), shapes)
      return [TensorInfo(first.type, equation.outputShape)]
    },
    multiplyAdds: { inputs, _, attributes in
      let shapes = inputs.compactMap { $0?.shape }
      guard shapes.count == 2, let text = try? attributes.string("equation", default: ""),
        let equation = try? EinsumEquation(text, shapes)
      else { return 0 }
      return equation.extents.values.reduce(1, &*)
    },
    prepare: { call throws(MueError) in
      var operands: [Operand] = []
      for index in call.inputs.indices { operands.append(try call.input(index)) }
      let equation = try EinsumEquation(
        call.attributes.string("equation", default: ""), operands.map(\.shape))
      let output = try call.output()
      if operands.count == 2, let product = EinsumProduct(equation, operands[0].shape, operands[1].shape) {
        return try product.step(call, operands[0], operands[1], output)
      }
      return try output.type.visit(EinsumVisitor(equation: equation, operands: operands, output: output))
    })
}

/// A two-operand einsum as a batched matrix product: labels in both operands and the output are the batch, those of
/// one operand and the output its rows or columns, and those of both operands only what is summed over.
private struct EinsumProduct {
  private let equation: EinsumEquation
  private let batch: [Int]
  private let rows: [Int]
  private let columns: [Int]
  private let inner: [Int]

  init?(_ equation: EinsumEquation, _ a: [Int], _ b: [Int]) {
    let (left, right, output) = (Set(equation.operands[0]), Set(equation.operands[1]), Set(equation.output))
    // Repeated labels, broadcast extents and labels of one operand alone are left to the plain loop.
    guard left.count == a.count, right.count == b.count,
      zip(equation.operands[0], a).allSatisfy({ equation.extents[$0] == $1 }),
      zip(equation.operands[1], b).allSatisfy({ equation.extents[$0] == $1 }),
      left.union(right).allSatisfy({ output.contains($0) || (left.contains($0) && right.contains($0)) })
    else { return nil }
    self.equation = equation
    batch = equation.output.filter { left.contains($0) && right.contains($0) }
    rows = equation.output.filter { left.contains($0) && !right.contains($0) }
    columns = equation.output.filter { right.contains($0) && !left.contains($0) }
    inner = equation.operands[0].filter { right.contains($0) && !output.contains($0) }
  }

  private func count(_ labels: [Int]) -> Int { labels.reduce(1) { $0 &* (equation.extents[$1] ?? 1) } }

  func step(_ call: Call, _ a: Operand, _ b: Operand, _ output: Operand) throws(MueError) -> Step {
    let (m, n, k, items) = (count(rows), count(columns), count(inner), count(batch))
    let width = output.type.byteWidth
    var product = MatrixProduct(m: m, n: n, k: k)
    let scratch = call.scratch
    // Scratch: the operands in product order where they are not already, then the product before its transpose.
    var bytes = 0
    func arranged(
      _ operand: Operand, _ labels: [Int], _ order: [Int]
    ) -> (StridedCopy, UnsafeMutableRawPointer, Int)? {
      if labels == order { return nil }
      let strides = StridedLoop.byteStrides(operand.shape, width: width)
      let shape = order.map { equation.extents[$0] ?? 1 }
      let source = order.map { label in labels.firstIndex(of: label).map { strides[$0] } ?? 0 }
      let copy = StridedCopy(
        shape, target: StridedLoop.byteStrides(shape, width: width), source: source, width: width,
        pool: call.context.pool)
      defer { bytes &+= (operand.count &* width &+ 63) & ~63 }
      return (copy, operand.pointer, bytes)
    }
    let left = arranged(a, equation.operands[0], batch + rows + inner)
    // Columns before the inner labels is a transposed right-hand side, which the kernel takes as it is.
    product.transposesB = equation.operands[1] == batch + columns + inner && !inner.isEmpty
    let right = product.transposesB ? nil : arranged(b, equation.operands[1], batch + inner + columns)
    let natural = batch + rows + columns
    let isInOrder = natural == equation.output
    let productAt = bytes
    if !isInOrder { bytes &+= (output.count &* width &+ 63) & ~63 }
    try scratch.reserve(bytes)
    product.offsetsA = (0..<items).map { $0 &* m &* k }
    product.offsetsB = (0..<items).map { $0 &* k &* n }
    func place(_ offset: Int) -> () -> UnsafeMutableRawPointer {
      { scratch.base.map { $0 + offset } ?? output.pointer }
    }
    let (leftAt, rightAt) = (place(left?.2 ?? 0), place(right?.2 ?? 0))
    let multiply = try product.step(
      output.type, call, scratchOffset: bytes, a: left == nil ? { a.pointer } : leftAt,
      b: right == nil ? { b.pointer } : rightAt, c: isInOrder ? { output.pointer } : place(productAt))
    let shape = natural.map { equation.extents[$0] ?? 1 }
    let strides = StridedLoop.byteStrides(shape, width: width)
    let back = StridedCopy(
      output.shape, target: StridedLoop.byteStrides(output.shape, width: width),
      source: equation.output.map { label in natural.firstIndex(of: label).map { strides[$0] } ?? 0 }, width: width,
      pool: call.context.pool)
    let productPlace = place(productAt)
    return { () throws(MueError) in
      if let left { try left.0.run(from: left.1, to: leftAt()) }
      if let right { try right.0.run(from: right.1, to: rightAt()) }
      try multiply()
      if !isInOrder { try back.run(from: productPlace(), to: output.pointer) }
    }
  }
}

/// The sum over all labels, one output element at a time.
private struct EinsumVisitor: NumericVisitor {
  let equation: EinsumEquation
  let operands: [Operand]
  let output: Operand

  func visit<Element: NumericElement>(_ type: Element.Type) -> Step {
    let width = MemoryLayout<Element>.stride
    func strides(_ operand: Int, _ labels: [Int]) -> [Int] {
      let own = StridedLoop.byteStrides(operands[operand].shape, width: width)
      return labels.map { label in
        // A label that occurs twice walks the diagonal; a broadcast one stays.
        zip(equation.operands[operand], own.indices).reduce(0) { sum, axis in
          axis.0 == label && operands[operand].shape[axis.1] != 1 ? sum &+ own[axis.1] : sum
        }
      }
    }
    let last = operands.count - 1
    let kept = StridedLoop(
      output.shape,
      strides: [
        StridedLoop.byteStrides(output.shape, width: width), strides(0, equation.output),
        strides(last, equation.output),
      ])
    let summed = StridedLoop(
      equation.summed.map { equation.extents[$0] ?? 1 },
      strides: [strides(0, equation.summed), strides(last, equation.summed)])
    let (target, left, right) = (output.pointer, operands[0].pointer, operands[last].pointer)
    let isProduct = operands.count == 2
    return { () throws(MueError) in
      try kept.run { (at) throws(MueError) in
        var offset = at
        for _ in 0..<kept.inner.extent {
          var sum = Element.zero
          try summed.run { (inner) throws(MueError) in
            var (x, y) = (offset[1] &+ inner[0], offset[2] &+ inner[1])
            for _ in 0..<summed.inner.extent {
              let value = left.load(fromByteOffset: x, as: type)
              sum = Element.sum(
                sum, isProduct ? Element.product(value, right.load(fromByteOffset: y, as: type)) : value)
              x &+= summed.inner.strides[0]
              y &+= summed.inner.strides[1]
            }
          }
          target.storeBytes(of: sum, toByteOffset: offset[0], as: type)
          offset = offset &+ kept.inner.strides
        }
      }
    }
  }
}
