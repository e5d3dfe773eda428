import Tensor

/// What all messages of one file share while it is decoded: its bytes, the limits, and what was used up of them.
final class ModelDecoder {
  let bytes: Buffer
  let limits: ONNXLimits
  var externalFiles: ExternalFiles?
  private var nodeCount = 0
  private var tensorCount = 0
  private var entryCount = 0
  private let entryLimit: Int

  init(bytes: Buffer, limits: ONNXLimits, externalFiles: ExternalFiles?) {
    self.bytes = bytes
    self.limits = limits
    self.externalFiles = externalFiles
    let (limit, overflow) = max(limits.nodes, 4096).multipliedReportingOverflow(by: ONNXLimits.entriesPerNode)
    self.entryLimit = overflow ? .max : limit
  }

  func countNode(at offset: Int) throws(MueError) {
    nodeCount += 1
    guard nodeCount <= limits.nodes else {
      throw MueError(.limitExceeded, "more than \(limits.nodes) nodes", at: .init(byteOffset: offset))
    }
  }

  func countTensor(at offset: Int) throws(MueError) {
    tensorCount += 1
    guard tensorCount <= limits.tensors else {
      throw MueError(.limitExceeded, "more than \(limits.tensors) tensors", at: .init(byteOffset: offset))
    }
  }

  /// Counts what takes memory of its own but a byte or two in the file: names, strings, graphs and key-value pairs.
  func countEntry(at offset: Int) throws(MueError) {
    entryCount += 1
    guard entryCount <= entryLimit else {
      throw MueError(.limitExceeded, "more than \(entryLimit) names and strings", at: .init(byteOffset: offset))
    }
  }

  func string(_ reader: inout WireReader) throws(MueError) -> String {
    try countEntry(at: reader.fieldOffset)
    return try reader.string(limit: limits.stringBytes)
  }

  /// An operator set's domain: ONNX's own has two spellings.
  func domain(_ reader: inout WireReader) throws(MueError) -> String {
    let domain = try string(&reader)
    return domain == "ai.onnx" ? "" : domain
  }

  /// A `StringStringEntryProto`.
  func entry(_ message: WireReader) throws(MueError) -> (key: String, value: String) {
    try countEntry(at: message.position)
    var reader = message
    var key = ""
    var value = ""
    while try reader.next() {
      switch reader.number {
      case 1: key = try within("key") { () throws(MueError) in try string(&reader) }
      case 2: value = try within("value") { () throws(MueError) in try string(&reader) }
      default: try reader.skip()
      }
    }
    return (key, value)
  }

  /// Adds an `OperatorSetIdProto`; two versions of one domain are an error.
  func opsetImport(_ message: WireReader, into imports: inout [String: Int]) throws(MueError) {
    var reader = message
    var name = ""
    var version = 0
    while try reader.next() {
      switch reader.number {
      case 1: name = try within("domain") { () throws(MueError) in try domain(&reader) }
      case 2: version = try within("version") { () throws(MueError) in try reader.int() }
      default: try reader.skip()
      }
    }
    if let other = imports[name], other != version {
      throw MueError(
        .invalidModel, "operator set '\(name)' is imported as version \(other) and \(version)",
        at: .init(byteOffset: message.position))
    }
    imports[name] = version
  }
}
