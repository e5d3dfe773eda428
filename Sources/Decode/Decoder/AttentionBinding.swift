import CKernels
import Kernels
import Tensor

/// Attention of one new token per row over keys and values that lie elsewhere: the cache for self-attention, the
/// encoder's for cross-attention. The decoder sets the pointers before each run of the plan that holds the step.
final class AttentionBinding {
  /// Position of the token; its bias is this row.
  var position = 0
  /// Keys that each row attends to.
  var length = 0
  private let keys: UnsafeMutablePointer<UnsafePointer<Float>?>
  private let values: UnsafeMutablePointer<UnsafePointer<Float>?>
  /// Instead of both, by row; all of them or none.
  private let packed: UnsafeMutablePointer<UnsafeRawPointer?>
  let rows: Int
  /// Multiply-adds per row and key.
  private(set) var multiplyAddsPerKey = 0
  /// Of one run, all rows.
  var multiplyAdds: Int { rows * length * multiplyAddsPerKey }
  /// Biases that move with the position, [.., positions, keys], by input slot of the node.
  var positionalBiases: [Int: Tensor] = [:]

  init(rows: Int) {
    self.rows = rows
    keys = .allocate(capacity: rows)
    values = .allocate(capacity: rows)
    packed = .allocate(capacity: rows)
    keys.initialize(repeating: nil, count: rows)
    values.initialize(repeating: nil, count: rows)
    packed.initialize(repeating: nil, count: rows)
  }

  deinit {
    keys.deallocate()
    values.deallocate()
    packed.deallocate()
  }

  func bind(row: Int, keys key: UnsafePointer<Float>, values value: UnsafePointer<Float>) {
    keys[row] = key
    values[row] = value
    packed[row] = nil
  }

  func bind(row: Int, packed memory: UnsafeRawPointer) { packed[row] = memory }

  /// Self-attention: appends the new key and value of each row to its cache, then attends to all of it.
  func cachedStep(_ call: Call) throws(MueError) -> Step { try step(call, appends: true) }

  /// Attention over the encoder's output.
  func encoderStep(_ call: Call) throws(MueError) -> Step { try step(call, appends: false) }

  private func step(_ call: Call, appends: Bool) throws(MueError) -> Step {
    let query = try call.input(0)
    let (tq, heads, channels) = try AttentionLayout(call.attributes, "q_layout").sizes(query.shape)
    guard tq == 1, query.shape[0] == rows, query.type == .float32 else {
      throw MueError(.unsupported, "incremental attention takes one float row per step")
    }
    let output = call.outputs[0]
    let outSizes = try AttentionLayout(call.attributes, "out_layout").sizes(output.shape)
    let valueChannels = outSizes.channels
    multiplyAddsPerKey = heads * (channels + valueChannels)
    var arguments = mk_attention_args()
    arguments.batch = rows
    arguments.heads = heads
    arguments.tq = 1
    arguments.dqk = channels
    arguments.dv = valueChannels
    arguments.scale = try call.attributes.float("scale", default: 1)
    // One row: the layouts agree in memory, [batch][head][channel].
    arguments.q = UnsafePointer(query.pointer.assumingMemoryBound(to: Float.self))
    arguments.q_batch = heads * channels
    arguments.q_head = channels
    arguments.q_row = channels
    arguments.k_head = channels
    arguments.k_row = heads * channels
    arguments.v_head = valueChannels
    arguments.v_row = heads * valueChannels
    arguments.out = output.pointer.assumingMemoryBound(to: Float.self)
    arguments.out_batch = heads * valueChannels
    arguments.out_head = valueChannels
    arguments.out_row = valueChannels
    arguments.k = UnsafePointer(keys)
    arguments.v = UnsafePointer(values)
    arguments.packed_type = call.context.weights.precision.storage
    let biases = try [3, 4].map { (slot) throws(MueError) in try bias(call, slot) }
    let newKey = appends ? try call.input(1).pointer.assumingMemoryBound(to: Float.self) : nil
    let newValue = appends ? try call.input(2).pointer.assumingMemoryBound(to: Float.self) : nil
    let template = arguments
    let pool = call.context.pool
    let scratch = call.scratch
    try scratch.reserve(scratchBytes(template, pool))
    return { [unowned self] () throws(MueError) in
      var arguments = template
      arguments.tk = length
      if packed[0] != nil { arguments.packed = UnsafePointer(packed) }
      arguments.bias.0 = biases[0].map { $0(position) } ?? mk_attention_bias()
      arguments.bias.1 = biases[1].map { $0(position) } ?? mk_attention_bias()
      if let newKey, let newValue { try append(newKey, newValue, template) }
      if appends || !hasNeighbours {
        mk_attention(pool, &arguments, scratch.base)
      } else {
        attendTogether(arguments, pool, scratch)
      }
    }
  }

  /// Whether two neighbouring rows read the same keys: beams or answers of one sample.
  private var hasNeighbours: Bool { (1..<max(rows, 1)).contains { readSame($0, $0 - 1) } }

  private func readSame(_ row: Int, _ other: Int) -> Bool {
    packed[row] == packed[other] && (packed[row] != nil || (keys[row] == keys[other] && values[row] == values[other]))
  }

  /// Rows that read the same keys as so many queries of one attention: the keys, which are long, are read once.
  private func attendTogether(_ all: mk_attention_args, _ pool: OpaquePointer, _ scratch: Scratch) {
    var first = 0
    while first < rows {
      var count = 1
      while first + count < rows, readSame(first + count, first) { count += 1 }
      var arguments = all
      arguments.batch = 1
      arguments.tq = count
      arguments.q = all.q + first * all.q_batch
      arguments.q_row = all.q_batch
      arguments.k = all.k + first
      arguments.v = all.v + first
      arguments.packed = all.packed.map { $0 + first }
      arguments.out = all.out + first * all.out_batch
      arguments.out_row = all.out_batch
      arguments.bias.0 = Self.rows(from: first, of: all.bias.0)
      arguments.bias.1 = Self.rows(from: first, of: all.bias.1)
      mk_attention(pool, &arguments, scratch.base)
      first += count
    }
  }

  /// A bias whose rows are the batch items of `bias`, from `first`.
  private static func rows(from first: Int, of bias: mk_attention_bias) -> mk_attention_bias {
    var rows = bias
    rows.p = bias.p.map { $0 + first * bias.batch }
    rows.row = bias.batch
    rows.batch = 0
    return rows
  }

  /// Most keys that a step will see.
  var capacity = 1

  private func scratchBytes(_ template: mk_attention_args, _ pool: OpaquePointer) -> Int {
    var arguments = template
    arguments.tk = capacity
    var most = 0
    for packed in [nil, UnsafePointer(packed)] {
      arguments.packed = packed
      (arguments.batch, arguments.tq) = (template.batch, 1)
      most = max(most, mk_attention_scratch(pool, &arguments))
      (arguments.batch, arguments.tq) = (1, template.batch)
      most = max(most, mk_attention_scratch(pool, &arguments))
    }
    return most
  }

  private func append(
    _ key: UnsafeMutablePointer<Float>, _ value: UnsafeMutablePointer<Float>, _ arguments: mk_attention_args
  ) throws(MueError) {
    let keyWidth = arguments.heads * arguments.dqk
    let valueWidth = arguments.heads * arguments.dv
    for row in 0..<rows {
      guard let keys = keys[row], let values = values[row] else {
        throw MueError(.internal, "attention runs before its cache is bound")
      }
      UnsafeMutablePointer(mutating: keys + position * keyWidth).update(from: key + row * keyWidth, count: keyWidth)
      UnsafeMutablePointer(mutating: values + position * valueWidth).update(
        from: value + row * valueWidth, count: valueWidth)
    }
  }

  /// The bias of a slot as a function of the position: a row of a positional one, or the operand as it stands.
  private func bias(_ call: Call, _ slot: Int) throws(MueError) -> ((Int) -> mk_attention_bias)? {
    let shape: [Int]
    let pointer: UnsafePointer<Float>
    let isPositional: Bool
    if let tensor = positionalBiases[slot] {
      guard tensor.type == .float32 else { throw MueError(.unsupported, "a bias of type \(tensor.type.name)") }
      (shape, pointer, isPositional) = (
        tensor.shape, UnsafePointer(tensor.pointer.assumingMemoryBound(to: Float.self)), true
      )
    } else if let operand = call.optional(slot) {
      guard operand.type == .float32 else { throw MueError(.unsupported, "a bias of type \(operand.type.name)") }
      (shape, pointer, isPositional) = (
        operand.shape, UnsafePointer(operand.pointer.assumingMemoryBound(to: Float.self)), false
      )
    } else {
      return nil
    }
    let full = [Int](repeating: 1, count: max(0, 4 - shape.count)) + shape
    let strides = Shape.strides(full)
    guard full.count == 4, full[3] > 1 || capacity == 1 else {
      throw MueError(.unsupported, "a bias of shape \(shape) cannot be cut into rows")
    }
    let batch = full[0] > 1 ? strides[0] : 0
    let head = full[1] > 1 ? strides[1] : 0
    let row = isPositional && full[2] > 1 ? strides[2] : 0
    return { position in
      var bias = mk_attention_bias()
      bias.p = pointer + position * row
      bias.batch = batch
      bias.head = head
      bias.row = 0
      return bias
    }
  }
}
