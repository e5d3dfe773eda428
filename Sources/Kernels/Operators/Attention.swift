import CKernels
import Tensor

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

extension Operator {
  /// softmax(scale * q k^T + bias0 + bias1) v per head.
  ///
  /// Inputs q, k, v (float32, rank 4, or rank 3 without a head axis), bias0 and bias1 (optional, broadcast to
  /// [B, H, Tq, Tk], or [B, Tq, Tk] for rank 3). Attributes: `scale`; `q_layout`, `k_layout`, `v_layout`, `out_layout`:
  /// BHTD (default) or BTHD; k may be BHDT, already transposed. With `bias0_layout` panels, bias0 is what
  /// `AttentionPanels` makes of [B or 1, H or 1, Tq, Tk].
  ///
  /// A third bias may be looked up: input 5 is a table [H, n] and input 6 says, in panels of [Tq, Tk], which element of
  /// the head's row it is; the indices are those of `AttentionPanels` with an extent of n.
  static let attention = Operator(
    "Attention", domain: "mue",
    infer: { node throws(MueError) in
      let sizes = try AttentionSizes(inputs: node.inputs.map { $0 }, attributes: node.attributes)
      return [TensorInfo(.float32, sizes.outputShape)]
    },
    multiplyAdds: { inputs, _, attributes in
      guard let sizes = try? AttentionSizes(inputs: inputs, attributes: attributes) else { return 0 }
      return sizes.batch &* sizes.heads &* sizes.tq &* sizes.tk &* (sizes.depth &+ sizes.valueDepth)
    },
    prepare: { call throws(MueError) in
      let sizes = try AttentionSizes(inputs: call.inputs.map { $0?.info }, attributes: call.attributes)
      return try attentionStep(call, sizes)
    })

  private static func attentionStep(_ call: Call, _ sizes: AttentionSizes) throws(MueError) -> Step {
    let (q, k, v, output) = (try call.input(0), try call.input(1), try call.input(2), try call.output())
    let outputBytes = output.count &* 4
    guard outputBytes > 0 else { return {} }
    guard sizes.tk > 0, sizes.depth > 0 else {
      if sizes.tk == 0 { return { () throws(MueError) in memset(output.pointer, 0, outputBytes) } }
      throw MueError(.invalidModel, "queries of no elements")
    }
    let (batch, tk, depth) = (sizes.batch, sizes.tk, sizes.depth)
    // Scratch: transposed keys, spread biases, then the kernel's own.
    var scratchBytes = 0
    func take(_ bytes: Int) -> Int {
      defer { scratchBytes &+= (bytes &+ 63) & ~63 }
      return scratchBytes
    }
    var keyLayout = sizes.k
    var transposeKeys: StridedCopy?
    let keysAt = sizes.keysAreTransposed ? take(batch &* sizes.heads &* tk &* depth &* 4) : 0
    if sizes.keysAreTransposed {
      keyLayout = AttentionLayout(batch: sizes.heads &* tk &* depth, head: tk &* depth, row: depth)
      transposeKeys = StridedCopy(
        [batch, sizes.heads, tk, depth],
        target: StridedLoop.byteStrides([batch, sizes.heads, tk, depth], width: 4),
        source: [sizes.k.batch &* 4, sizes.k.head &* 4, 4, tk &* 4], width: 4, pool: call.context.pool)
    }
    var arguments = mk_attention_args()
    arguments.batch = batch
    arguments.heads = sizes.heads
    arguments.tq = sizes.tq
    arguments.tk = tk
    arguments.dqk = depth
    arguments.dv = sizes.valueDepth
    arguments.scale = try call.attributes.float("scale", default: 1)
    arguments.products = call.weights.precision.storage
    arguments.q = q.floats
    (arguments.q_batch, arguments.q_head, arguments.q_row) = (sizes.q.batch, sizes.q.head, sizes.q.row)
    (arguments.k_head, arguments.k_row) = (keyLayout.head, keyLayout.row)
    (arguments.v_head, arguments.v_row) = (sizes.v.head, sizes.v.row)
    arguments.out = output.mutableFloats
    (arguments.out_batch, arguments.out_head, arguments.out_row) = (sizes.out.batch, sizes.out.head, sizes.out.row)

    var spreads: [(copy: StridedCopy, from: UnsafeMutableRawPointer, at: Int, index: Int)] = []
    for index in 0..<2 {
      guard let operand = call.optional(3 + index) else { continue }
      if index == 0, sizes.hasPanels {
        arguments.bias.0 = sizes.panelBias(operand)
        arguments.bias_in_panels = 1
        continue
      }
      let shape = sizes.biasShape(operand.shape)
      let strides = StridedLoop.broadcastStrides(shape, to: [batch, sizes.heads, sizes.tq, tk], width: 1)
      var bias = mk_attention_bias(p: operand.floats, batch: strides[0], head: strides[1], row: strides[2])
      if shape[3] != tk {
        // One value for all keys of a row: the kernel wants them side by side.
        let target = [shape[0], shape[1], shape[2], tk]
        let at = take(target.reduce(4, &*))
        let copy = StridedCopy(
          target, target: StridedLoop.byteStrides(target, width: 4),
          source: StridedLoop.broadcastStrides(shape, to: target, width: 4), width: 4)
        spreads.append((copy, operand.pointer, at, index))
        let wide = StridedLoop.broadcastStrides(target, to: [batch, sizes.heads, sizes.tq, tk], width: 1)
        bias = mk_attention_bias(p: operand.floats, batch: wide[0], head: wide[1], row: wide[2])
      }
      if index == 0 { arguments.bias.0 = bias } else { arguments.bias.1 = bias }
    }
    if let table = call.optional(5), let index = call.optional(6) {
      try checkIndices(index, below: table.shape[1])
      arguments.table = UnsafePointer(table.floats)
      arguments.table_head = table.shape[1]
      arguments.table_index = UnsafePointer(index.pointer.assumingMemoryBound(to: Int32.self))
    }
    let kernelAt = take(0)
    let (pool, scratch) = (call.context.pool, call.scratch)
    let starts = try Buffer(byteCount: 2 &* batch &* MemoryLayout<UnsafePointer<Float>?>.stride)
    let keys = starts.base.bindMemory(to: UnsafePointer<Float>?.self, capacity: 2 &* batch)
    let values = keys + batch
    for item in 0..<batch {
      keys[item] = k.floats + item &* keyLayout.batch
      values[item] = v.floats + item &* sizes.v.batch
    }
    arguments.k = UnsafePointer(keys)
    arguments.v = UnsafePointer(values)
    try scratch.reserve(scratchBytes &+ Int(clamping: mk_attention_scratch(pool, &arguments)))
    let (ready, keyStride, copyKeys, biasCopies) = (arguments, keyLayout.batch, transposeKeys, spreads)
    return { () throws(MueError) in
      guard let base = scratch.base else {
        var arguments = ready
        withExtendedLifetime(starts) { mk_attention(pool, &arguments, nil) }
        return
      }
      var arguments = ready
      if let copyKeys {
        let place = base + keysAt
        try copyKeys.run(from: k.pointer, to: place)
        let floats = UnsafePointer(place.assumingMemoryBound(to: Float.self))
        for item in 0..<batch { keys[item] = floats + item &* keyStride }
      }
      for spread in biasCopies {
        let place = base + spread.at
        try spread.copy.run(from: spread.from, to: place)
        let floats = UnsafePointer(place.assumingMemoryBound(to: Float.self))
        if spread.index == 0 { arguments.bias.0.p = floats } else { arguments.bias.1.p = floats }
      }
      withExtendedLifetime(starts) { mk_attention(pool, &arguments, base + kernelAt) }
    }
  }
}

/// The kernel trusts the indices of its table: they are known now, and all of them are looked at.
private func checkIndices(_ index: Operand, below extent: Int) throws(MueError) {
  guard index.constant != nil else { throw MueError(.unsupported, "indices of a bias that depend on data") }
  let extent = UInt32(clamping: extent)
  let indices = UnsafeBufferPointer(start: index.pointer.assumingMemoryBound(to: UInt32.self), count: index.count)
  var largest: UInt32 = 0
  // A negative one is a large one.
  for index in indices { largest = max(largest, index) }
  guard largest < extent else { throw IndexReader.outside(Int(Int32(bitPattern: largest)), Int(extent)) }
}

/// Element strides of a [batch, head, row, depth] operand; the depth is contiguous.
private struct AttentionLayout {
  var batch: Int
  var head: Int
  var row: Int
}

/// The sizes of one attention, checked against each other.
private struct AttentionSizes {
  let batch: Int
  let heads: Int
  let tq: Int
  let tk: Int
  let depth: Int
  let valueDepth: Int
  let q: AttentionLayout
  /// Of transposed keys: batch and head as they are stored; the row is unused.
  let k: AttentionLayout
  let v: AttentionLayout
  let out: AttentionLayout
  let keysAreTransposed: Bool
  let outputShape: [Int]
  /// Bias 0 is in panels of queries.
  let hasPanels: Bool
  private let hasHeads: Bool

  init(inputs: [TensorInfo?], attributes: Attributes) throws(MueError) {
    guard inputs.count >= 3, let q = inputs[0], let k = inputs[1], let v = inputs[2] else {
      throw MueError(.invalidModel, "queries, keys or values are missing")
    }
    let rank = q.shape.count
    guard rank == 3 || rank == 4, k.shape.count == rank, v.shape.count == rank else {
      throw MueError(.invalidModel, "queries \(q.shape), keys \(k.shape), values \(v.shape)")
    }
    for case let input? in inputs.prefix(6) where input.type != .float32 {
      throw MueError(.unsupported, "attention on \(input.type.name) elements")
    }
    hasHeads = rank == 4
    let queries = try Self.sizes(q.shape, attributes.string("q_layout", default: "BHTD"))
    let keyName = try attributes.string("k_layout", default: "BHTD")
    keysAreTransposed = keyName == "BHDT"
    let keys = try Self.sizes(k.shape, keysAreTransposed ? "BHTD" : keyName)
    let values = try Self.sizes(v.shape, attributes.string("v_layout", default: "BHTD"))
    (batch, heads, tq, depth) = (queries.batch, queries.heads, queries.rows, queries.depth)
    tk = keysAreTransposed ? keys.depth : keys.rows
    valueDepth = values.depth
    let keyDepth = keysAreTransposed ? keys.rows : keys.depth
    guard keys.batch == batch, values.batch == batch, keys.heads == heads, values.heads == heads, keyDepth == depth,
      values.rows == tk
    else {
      throw MueError(.invalidModel, "queries \(q.shape), keys \(k.shape) and values \(v.shape) do not fit together")
    }
    (self.q, self.k, self.v) = (queries.layout, keys.layout, values.layout)
    let name = try attributes.string("out_layout", default: "BHTD")
    let shape = name == "BTHD" ? [batch, tq, heads, valueDepth] : [batch, heads, tq, valueDepth]
    outputShape = rank == 4 ? shape : [batch, tq, valueDepth]
    out = try Self.sizes(outputShape, name).layout
    hasPanels = try attributes.string("bias0_layout", default: "rows") == "panels"
    try checkTable(inputs.count > 5 ? inputs[5] : nil, inputs.count > 6 ? inputs[6] : nil)
    for index in 3..<5 {
      guard index < inputs.count, let bias = inputs[index] else { continue }
      if index == 3, hasPanels {
        try checkPanels(bias)
        continue
      }
      guard bias.shape.count <= 4,
        try Shape.broadcast(biasShape(bias.shape), [batch, heads, tq, tk]) == [batch, heads, tq, tk]
      else {
        throw MueError(.invalidModel, "bias \(bias.shape) does not broadcast to \([batch, heads, tq, tk])")
      }
    }
  }

  /// Panels of queries of one head: [panels, keys, 16].
  private var panelShape: [Int] { [(tq &+ Operator.panelWidth &- 1) / Operator.panelWidth, tk, Operator.panelWidth] }

  private func checkPanels(_ bias: TensorInfo) throws(MueError) {
    guard bias.shape.count == 5, Array(bias.shape[2...]) == panelShape, [1, batch].contains(bias.shape[0]),
      [1, heads].contains(bias.shape[1])
    else {
      throw MueError(.invalidModel, "panels \(bias.shape) for \([batch, heads, tq, tk])")
    }
  }

  private func checkTable(_ table: TensorInfo?, _ index: TensorInfo?) throws(MueError) {
    guard table != nil || index != nil else { return }
    guard let table, let index, table.shape.count == 2, table.shape[0] == heads, table.shape[1] > 0,
      index.type == .int32, index.shape == panelShape
    else {
      throw MueError(.invalidModel, "a table \(table?.shape ?? []) and indices \(index?.shape ?? [])")
    }
  }

  /// The bias whose panels are `operand`.
  func panelBias(_ operand: Operand) -> mk_attention_bias {
    let head = panelShape.reduce(1, &*)
    return mk_attention_bias(
      p: operand.floats, batch: operand.shape[0] > 1 ? operand.shape[1] &* head : 0,
      head: operand.shape[1] > 1 ? head : 0, row: tk)
  }

  /// A bias of lower rank as [batch, head, query, key].
  func biasShape(_ shape: [Int]) -> [Int] {
    if !hasHeads, shape.count == 3 { return [shape[0], 1, shape[1], shape[2]] }
    return [Int](repeating: 1, count: max(0, 4 - shape.count)) + shape
  }

  private static func sizes(
    _ shape: [Int], _ name: String
  ) throws(MueError) -> (batch: Int, heads: Int, rows: Int, depth: Int, layout: AttentionLayout) {
    if shape.count == 3 {
      return (
        shape[0], 1, shape[1], shape[2],
        AttentionLayout(batch: shape[1] &* shape[2], head: 0, row: shape[2])
      )
    }
    let strides = Shape.strides(shape)
    switch name {
    case "BHTD":
      return (
        shape[0], shape[1], shape[2], shape[3],
        AttentionLayout(batch: strides[0], head: strides[1], row: strides[2])
      )
    case "BTHD":
      return (
        shape[0], shape[2], shape[1], shape[3],
        AttentionLayout(batch: strides[0], head: strides[2], row: strides[1])
      )
    default: throw MueError(.unsupported, "attention layout '\(name)'")
    }
  }
}
