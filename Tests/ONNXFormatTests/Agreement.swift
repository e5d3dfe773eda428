import COnnxCheck
import ONNXFormat
import Tensor
import Testing

/// libonnx's view of a model; nil when its protobuf refuses the bytes.
func dumpOfReference(_ bytes: [UInt8], folder: String? = nil) -> [String]? {
  var text: UnsafeMutablePointer<CChar>?
  let result = onnx_check_dump(bytes, bytes.count, folder, &text)
  defer { onnx_check_free(text) }
  guard result == ONNX_CHECK_VALID, let text else { return nil }
  return String(cString: text).split(separator: "\n").map(String.init)
}

/// A buffer with a copy of `bytes`.
func buffer(_ bytes: [UInt8]) throws -> Buffer {
  let buffer = try Buffer(byteCount: bytes.count)
  bytes.withUnsafeBytes { source in
    if let from = source.baseAddress { buffer.base.copyMemory(from: from, byteCount: source.count) }
  }
  return buffer
}

func parse(_ bytes: [UInt8], folder: String? = nil, limits: ONNXLimits = .init()) throws -> ONNXModel {
  try ONNXModel.parse(buffer(bytes), file: "sample.onnx", externalDirectory: folder, limits: limits)
}

/// Records where two dumps part.
func expectSame(
  _ ours: [String], _ theirs: [String], _ what: String, sourceLocation: SourceLocation = #_sourceLocation
) {
  guard ours != theirs else { return }
  let index = zip(ours, theirs).enumerated().first { $1.0 != $1.1 }?.offset ?? min(ours.count, theirs.count)
  let our = index < ours.count ? ours[index] : "(nothing)"
  let their = index < theirs.count ? theirs[index] : "(nothing)"
  Issue.record("\(what), line \(index):\n  ours    \(our)\n  libonnx \(their)", sourceLocation: sourceLocation)
}

/// The error that `body` throws.
func failure(_ body: () throws -> Void, sourceLocation: SourceLocation = #_sourceLocation) throws -> MueError {
  do {
    try body()
  } catch {
    return try #require(error as? MueError, sourceLocation: sourceLocation)
  }
  Issue.record("nothing was thrown", sourceLocation: sourceLocation)
  return MueError(.internal, "nothing was thrown")
}
