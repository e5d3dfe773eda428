import JSON
import Tensor
import Text

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A model directory: the files that people already have, and mue.json. Source: docs/architecture.md.
struct Bundle: Sendable {
  let directory: String
  let modelPath: String
  let configuration: JSONValue?
  let generation: JSONValue?
  let preprocessor: JSONValue?
  let mue: JSONValue?
  let tokenizer: Tokenizer?

  init(directory: String) throws(MueError) {
    self.directory = directory
    func path(_ name: String) -> String { directory + "/" + name }
    let candidates = ["model.onnx", "onnx/model.onnx"].map(path)
    guard let model = candidates.first(where: Self.exists) else {
      if Self.exists(path("encoder_model.onnx")) || Self.exists(path("onnx/encoder_model.onnx")) {
        throw MueError(
          .unsupported,
          "this bundle has its encoder and decoder in separate ONNX files; a unified model.onnx is needed",
          at: .init(file: directory))
      }
      throw MueError(.notFound, "the folder has no model.onnx", at: .init(file: directory))
    }
    modelPath = model
    func json(_ name: String) throws(MueError) -> JSONValue? {
      Self.exists(path(name)) ? try JSONValue.load(path: path(name)) : nil
    }
    configuration = try json("config.json")
    generation = try json("generation_config.json")
    preprocessor = try json("preprocessor_config.json")
    mue = try json("mue.json")
    let hasTokenizer = ["tokenizer.json", "vocab.json"].contains { Self.exists(path($0)) }
    tokenizer = hasTokenizer ? try Tokenizer.load(path: directory) : nil
  }

  static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  static func isDirectory(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && (status.st_mode & S_IFMT) == S_IFDIR
  }

  /// An integer setting: generation_config.json goes before config.json.
  func setting(_ name: String) -> Int? { generation?[name]?.intValue ?? configuration?[name]?.intValue }
}
