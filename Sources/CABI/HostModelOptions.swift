import CMue
import Engine
import Kernels
import Tensor

/// `mue_model_options`, checked.
struct HostModelOptions {
  var engine = ModelOptions()
  private var callback: mue_log_callback?
  private var user: UnsafeMutableRawPointer?

  init(_ pointer: UnsafePointer<mue_model_options>?) throws(MueError) {
    guard let options = try mue_model_options.read(pointer, "options") else { return }
    guard options.threads >= 0, options.threads <= 1024 else {
      throw .argument("options.threads", "options.threads is \(options.threads) and must be 0 to 1024")
    }
    engine.threads = Int(options.threads)
    engine.isForInspection = try code(options.inspect_only, below: 2, "options.inspect_only") == 1
    let precision = try code(options.precision, below: Int32(Self.precisions.count), "options.precision")
    engine.precision = Self.precisions[Int(precision)]
    engine.keepsPackedWeights = try code(options.packed_cache, below: 2, "options.packed_cache") == 1
    if let limits = try mue_limits.read(options.limits, "options.limits") { engine.limits.apply(limits) }
    callback = options.log
    user = options.log_user
  }

  /// Tells the host's log what was loaded, on the calling thread.
  func log(opened model: Model, from source: String) throws(MueError) {
    guard callback != nil else { return }
    try log(
      MUE_LOG_INFO,
      "opened \(source): \(model.inputs.count) inputs, \(model.outputs.count) outputs, \(model.threads) threads"
    )
    for note in model.notes { try log(MUE_LOG_WARNING, note) }
    for line in try model.inspect()["unsupported"]?.arrayValue ?? [] {
      try log(MUE_LOG_WARNING, line.serialized())
    }
  }

  /// In the order of `MUE_PRECISION_*`.
  private static let precisions: [Precision] = [.float32, .bfloat16, .int8]

  private func log(_ level: Int32, _ line: String) throws(MueError) {
    guard let callback else { return }
    let text = try copiedText(line)
    callback(level, text, line.utf8.count, user)
    freeMemory(text)
  }
}

extension EngineLimits {
  /// Takes over every limit that is not zero; one beyond Int.max is as good as none.
  fileprivate mutating func apply(_ limits: mue_limits) {
    func take(_ value: UInt64, _ limit: inout Int) { if value != 0 { limit = Int(clamping: value) } }
    take(limits.model_bytes, &modelBytes)
    take(limits.nodes, &nodes)
    take(limits.tensor_elements, &tensorElements)
    take(limits.nesting, &nesting)
    take(limits.sequence_length, &sequenceLength)
    take(limits.image_pixels, &imagePixels)
    take(limits.batch, &batch)
  }
}
