import Tensor

/// Gathers the fields of a `ModelProto`.
struct ModelFields {
  private var irVersion: Int?
  private var producerName = ""
  private var producerVersion = ""
  private var opsetImports: [String: Int] = [:]
  private var graph: GraphFields?
  private var functions: [ONNXFunction] = []
  private var metadata: [String: String] = [:]
  private var opsetImportCount = 0
  private var metadataCount = 0

  mutating func merge(_ message: WireReader, _ decoder: ModelDecoder) throws(MueError) {
    var reader = message
    while try reader.next() {
      switch reader.number {
      case 1: irVersion = try within("ir_version") { () throws(MueError) in try reader.int() }
      case 2: producerName = try within("producer_name") { () throws(MueError) in try decoder.string(&reader) }
      case 3: producerVersion = try within("producer_version") { () throws(MueError) in try decoder.string(&reader) }
      case 7:
        try within("graph") { () throws(MueError) in
          var fields = graph ?? GraphFields(depth: 1)
          graph = nil
          try fields.merge(reader.message(), decoder)
          graph = fields
        }
      case 8:
        try within("opset_import", opsetImportCount) { () throws(MueError) in
          try decoder.opsetImport(reader.message(), into: &opsetImports)
        }
        opsetImportCount += 1
      case 14:
        let entry = try within("metadata_props", metadataCount) { () throws(MueError) in
          try decoder.entry(reader.message())
        }
        metadata[entry.key] = entry.value
        metadataCount += 1
      case 25:
        let function = try within("functions", functions.count) { () throws(MueError) in
          try ONNXFunction(message: reader.message(), decoder)
        }
        functions.append(function)
      default: try reader.skip()
      }
    }
  }

  func model() throws(MueError) -> ONNXModel {
    guard let graph else { throw MueError(.invalidModel, "it has no graph") }
    guard let irVersion, irVersion > 0 else { throw MueError(.invalidModel, "it has no IR version") }
    // Before IR version 3 there was no opset_import, and operators were those of version 1.
    guard irVersion < 3 || !opsetImports.isEmpty else { throw MueError(.invalidModel, "it imports no operator set") }
    return ONNXModel(
      irVersion: irVersion, producerName: producerName, producerVersion: producerVersion,
      opsetImports: opsetImports.isEmpty ? ["": 1] : opsetImports, graph: graph.graph(), functions: functions,
      metadata: metadata)
  }
}
