import JSON
import Tensor

/// Text to token ids and back, as Hugging Face's `tokenizers` does it for byte pair encodings.
///
///     let tokenizer = try Tokenizer.load(path: "model")
///     let ids = try tokenizer.encode("what does the image describe?")
///     let text = try tokenizer.decode(ids)
///
/// Immutable, so any number of threads may share one. Truncation and padding that a file asks for are left to the
/// caller, as `transformers` does.
public final class Tokenizer: Sendable {
  let addedTokens: [Int: AddedToken]
  let addedVocabulary: AddedVocabulary
  let preTokenizer: PreTokenizer?
  let model: BytePairModel
  let postProcessor: PostProcessor?
  let decoder: TokenDecoder?
  let tokens: [Int: String]

  /// One more than the largest token id.
  public let vocabularySize: Int

  /// `json` is the content of a tokenizer.json.
  ///
  /// - Throws: `invalidText` for malformed files, `unsupported` for what the engine lacks, both with the field.
  public init(json: JSONValue, file: String? = nil) throws(MueError) {
    let root = JSONNode(json, file: file)
    model = try BytePairModel(root.required("model"))
    preTokenizer = try root["pre_tokenizer"].map { node throws(MueError) in try PreTokenizer(node) }
    postProcessor = try root["post_processor"].map { node throws(MueError) in try PostProcessor(node) }
    decoder = try root["decoder"].map { node throws(MueError) in try TokenDecoder(node) }
    let normalizer = try root["normalizer"].map { node throws(MueError) in try Normalizer(node) }

    var tokens: [Int: String] = [:]
    tokens.reserveCapacity(model.tokenIDs.count)
    for (token, id) in model.tokenIDs { tokens[Int(id)] = token.string }
    var added: [Int: AddedToken] = [:]
    for node in try root["added_tokens"]?.array() ?? [] {
      var token = try AddedToken(node)
      if token.content.isEmpty { continue }
      // As in the reference the model's own id counts where the two disagree.
      if let id = model.tokenID(token.content) { token.id = Int(id) }
      added[token.id] = token
      tokens[token.id] = token.content
    }
    addedTokens = added
    addedVocabulary = try AddedVocabulary(added.values.sorted { $0.id < $1.id }, normalizer: normalizer)
    addedIDs = Dictionary(added.values.map { (ByteString($0.content), $0.id) }) { max($0, $1) }
    self.tokens = tokens
    vocabularySize = (tokens.keys.max() ?? -1) + 1
  }

  private let addedIDs: [ByteString: Int]

  /// The id of a token as the vocabulary spells it.
  public func tokenID(_ token: String) -> Int? {
    addedIDs[ByteString(token)] ?? model.tokenID(token).map(Int.init)
  }

  /// How the vocabulary spells a token; `nil` when no token has this id.
  public func token(_ id: Int) -> String? { tokens[id] }

  /// Whether decoding leaves this token out by default.
  public func isSpecial(_ id: Int) -> Bool { addedTokens[id]?.isSpecial ?? false }

  /// The ids of a text, with the special tokens that the file puts around it unless `addSpecialTokens` is false.
  ///
  /// - Parameter limit: The most bytes the text may have in UTF-8.
  /// - Throws: `limitExceeded`.
  public func encode(
    _ text: String, addSpecialTokens: Bool = true, limit: Int = 1 << 20
  ) throws(MueError) -> [Int] {
    var text = text
    let bytes = text.withUTF8 { Array($0) }
    guard bytes.count <= limit else {
      throw MueError(
        .limitExceeded, "the text has \(bytes.count) bytes, more than the \(limit) allowed",
        at: .init(argument: "text"))
    }
    var ids: [Int] = []
    for part in try addedVocabulary.parts(of: bytes) {
      switch part {
      case .token(let id): ids.append(id)
      case .text(let text):
        let whole = Pieces(whole: text)
        (preTokenizer?.split(whole) ?? whole).visit { model.encode($0, into: &ids) }
      }
    }
    guard let postProcessor else { return ids }
    return addSpecialTokens ? postProcessor.processed(ids) : postProcessor.withoutSpecialTokens(ids)
  }

  /// The text of some ids; bytes that are no UTF-8 become U+FFFD.
  ///
  /// - Throws: `invalidArgument` for an id that no token has.
  public func decode(_ ids: [Int], skipSpecialTokens: Bool = true) throws(MueError) -> String {
    var spelled: [[UInt8]] = []
    for (position, id) in ids.enumerated() {
      guard let token = tokens[id] else {
        throw MueError(
          .invalidArgument, "no token has the id \(id) (at position \(position))", at: .init(argument: "ids"))
      }
      if !skipSpecialTokens || !isSpecial(id) { spelled.append(Array(token.utf8)) }
    }
    return String(decoding: try bytes(of: spelled), as: UTF8.self)
  }

  /// The bytes that tokens, as the vocabulary spells them, stand for.
  func bytes(of tokens: [[UInt8]]) throws(MueError) -> [UInt8] {
    guard let decoder else { return Array(tokens.joined(separator: " ".utf8)) }
    return Array(try decoder.decoded(tokens).joined())
  }
}
