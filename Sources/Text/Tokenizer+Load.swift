import JSON
import Tensor

extension Tokenizer {
  /// Reads a tokenizer.json, or a folder with a tokenizer.json or with vocab.json and merges.txt.
  public static func load(path: String) throws(MueError) -> Tokenizer {
    if let file = try json("\(path)/tokenizer.json") {
      return try Tokenizer(json: file, file: "\(path)/tokenizer.json")
    }
    if let vocabulary = try json("\(path)/vocab.json") { return try fromVocabulary(vocabulary, folder: path) }
    do throws(MueError) {
      return try Tokenizer(json: JSONValue.load(path: path), file: path)
    } catch  where error.code == .inputOutput {
      throw MueError(
        .notFound, "the folder has neither tokenizer.json nor vocab.json and merges.txt", at: .init(file: path))
    }
  }

  /// `nil` when there is no such file.
  private static func json(_ path: String) throws(MueError) -> JSONValue? {
    do throws(MueError) {
      return try JSONValue.load(path: path)
    } catch  where error.code == .notFound {
      return nil
    }
  }

  /// Writes what a tokenizer.json would say for the older files of GPT-2, RoBERTa and BART, and loads that.
  private static func fromVocabulary(_ vocabulary: JSONValue, folder: String) throws(MueError) -> Tokenizer {
    let mergesPath = "\(folder)/merges.txt"
    let buffer = try FileReader.bytes(path: mergesPath, limit: JSONLimits().bytes)
    let text = UnsafeRawBufferPointer(start: buffer.base, count: buffer.byteCount)
    guard let lines = String(validating: text, as: UTF8.self) else {
      throw MueError(.invalidText, "not valid UTF-8", at: .init(file: mergesPath))
    }
    let merges = lines.utf8.split(separator: UInt8(ascii: "\n")).lazy
      .map { $0.last == UInt8(ascii: "\r") ? $0.dropLast() : $0 }
      .filter { !$0.isEmpty && !$0.starts(with: "#version".utf8) }
      .map { JSONValue.string(String(decoding: $0, as: UTF8.self)) }

    let configuration = try json("\(folder)/tokenizer_config.json")
    let addsPrefixSpace = configuration?["add_prefix_space"]?.boolValue ?? false
    let members = vocabulary.objectValue ?? JSONObject()
    var added: [JSONValue] = []
    func add(_ token: String, _ id: JSONValue, takesSpaceLeft: Bool = false) {
      added.append(
        ["id": id, "content": .string(token), "special": true, "normalized": false, "lstrip": .bool(takesSpaceLeft)])
    }
    for token in ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "<|endoftext|>"] {
      // RoBERTa's and BART's mask stands for a word together with the space before it.
      if let id = members[token] { add(token, id, takesSpaceLeft: token == "<mask>") }
    }
    for (token, id) in try json("\(folder)/added_tokens.json")?.objectValue ?? JSONObject() { add(token, id) }

    var root: JSONObject = [
      "added_tokens": .array(added),
      "pre_tokenizer": ["type": "ByteLevel", "add_prefix_space": .bool(addsPrefixSpace)],
      "decoder": ["type": "ByteLevel"],
      "model": ["type": "BPE", "vocab": vocabulary, "merges": .array(Array(merges))],
    ]
    if let start = members["<s>"], let end = members["</s>"] {
      root["post_processor"] = ["type": "RobertaProcessing", "sep": ["</s>", end], "cls": ["<s>", start]]
    }
    return try Tokenizer(json: .object(root), file: folder)
  }
}
