import CKernels

/// How the constant operands of products are kept, and at `int8` those of 1 x 1 convolutions. Where the processor
/// multiplies bfloat16, attention over many queries does so at `bf16` and `int8`, and most convolutions do at `bf16`.
/// Everything else is float32 at every precision.
public enum Precision: String, Sendable, CaseIterable {
  case float32 = "f32"
  /// Weights rounded to bfloat16; where the processor multiplies bfloat16, what they multiply is rounded too.
  case bfloat16 = "bf16"
  /// Weights of 8 bits with a scale for each column, or for each output channel of a 1 x 1 convolution. What they
  /// multiply has a scale for each row or pixel: few rows (decoding) keep 13 to 16 bits, many rows and pixels 8.
  case int8

  public var storage: mk_weights {
    switch self {
    case .float32: MK_WEIGHTS_F32
    case .bfloat16: MK_WEIGHTS_BF16
    case .int8: MK_WEIGHTS_INT8
    }
  }

  /// The same numbers in fewer bits, for few rows that wait for memory; nil: there is no such form.
  var codedStorage: mk_weights? {
    switch self {
    case .float32: MK_WEIGHTS_F32_CODED
    case .bfloat16: MK_WEIGHTS_BF16_CODED
    case .int8: nil
    }
  }
}
