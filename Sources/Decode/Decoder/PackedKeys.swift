import CKernels
import Graph
import Kernels
import Tensor

/// Keys and values of one cross-attention, stored as the model stores its weights, for the steps that read them: fewer
/// bytes for each token.
struct PackedKeys {
  /// [bytes]
  let memory: Tensor

  /// - Parameters:
  ///   - keys, values: of one sample, in the layouts that `attributes`, those of the attention, tell.
  init(
    _ attributes: Attributes, keys: Operand, values: Operand, context: ComputeContext
  ) throws(MueError) {
    let (keyLayout, valueLayout) = (
      try AttentionLayout(attributes, "k_layout"), try AttentionLayout(attributes, "v_layout")
    )
    let (rows, heads, channels) = try keyLayout.sizes(keys.shape)
    let (valueRows, valueHeads, valueChannels) = try valueLayout.sizes(values.shape)
    let (keyStride, valueStride) = (try keyLayout.strides(keys.shape), try valueLayout.strides(values.shape))
    guard keys.type == .float32, values.type == .float32, keyStride.channel == 1, valueStride.channel == 1,
      valueRows == rows, valueHeads == heads
    else { throw MueError(.unsupported, "cross keys of shape \(keys.shape) with values of \(values.shape)") }
    let type = context.weights.precision.storage
    let spares = context.workspace.spares
    memory = try spares.tensor(.uint8, [mk_attention_packed_bytes(type, heads, rows, channels, valueChannels)])
    var arguments = mk_attention_args()
    (arguments.heads, arguments.tk, arguments.dqk, arguments.dv) = (heads, rows, channels, valueChannels)
    (arguments.k_head, arguments.k_row) = (keyStride.head, keyStride.row)
    (arguments.v_head, arguments.v_row) = (valueStride.head, valueStride.row)
    let scratch = try spares.tensor(.uint8, [mk_attention_pack_scratch(context.pool, type, &arguments)])
    let key: UnsafePointer<Float>? = UnsafePointer(keys.pointer.assumingMemoryBound(to: Float.self))
    let value: UnsafePointer<Float>? = UnsafePointer(values.pointer.assumingMemoryBound(to: Float.self))
    withUnsafePointer(to: key) { key in
      withUnsafePointer(to: value) { value in
        (arguments.k, arguments.v) = (key, value)
        mk_attention_pack(context.pool, type, &arguments, memory.pointer, scratch.pointer)
      }
    }
    spares.keep(scratch)
  }
}
