import JSON
import Tensor

extension BytePairModel {
  /// The `model` of a tokenizer.json.
  ///
  /// - Throws: `unsupported` for other models and for dropout, `invalidText` for merges of tokens that are not there.
  init(_ node: JSONNode) throws(MueError) {
    if let type = node["type"], try type.string() != "BPE" {
      throw type.failure("tokenizer model \(try type.string()) is not supported, only BPE is", code: .unsupported)
    }
    if let dropout = node["dropout"], try dropout.double() != 0 {
      throw dropout.failure("BPE with dropout is random and not supported", code: .unsupported)
    }
    let vocabulary = try node.required("vocab")
    var tokenIDs: [ByteString: Int32] = [:]
    let members = try vocabulary.object()
    tokenIDs.reserveCapacity(members.count)
    for (token, value) in members {
      guard let id = value.intValue.flatMap({ Int32(exactly: $0) }), id >= 0 else {
        throw vocabulary.failure("the id of token '\(token)' is not a number from 0 to \(Int32.max)")
      }
      tokenIDs[ByteString(token)] = id
    }
    let prefix = try node["continuing_subword_prefix"]?.string() ?? ""

    let mergeList = try node.required("merges")
    guard let pairs = mergeList.value.arrayValue else { throw mergeList.failure("expected an array") }
    var merges = MergeTable(capacity: pairs.count)
    var mergedIDs: [Int32] = []
    mergedIDs.reserveCapacity(pairs.count)
    for (index, value) in pairs.enumerated() {
      func failure(_ message: String) -> MueError {
        JSONNode(value, path: "\(mergeList.path)[\(index)]", file: node.file).failure(message)
      }
      guard let (left, right) = Self.pair(value) else {
        throw failure("expected two tokens, in an array or with a space between them")
      }
      guard right.utf8.starts(with: prefix.utf8) else { throw failure("'\(right)' lacks the prefix '\(prefix)'") }
      let merged = left + String(decoding: right.utf8.dropFirst(prefix.utf8.count), as: UTF8.self)
      guard let leftID = tokenIDs[ByteString(left)], let rightID = tokenIDs[ByteString(right)],
        let mergedID = tokenIDs[ByteString(merged)]
      else { throw failure("merge of '\(left)' and '\(right)': not all of it is in the vocabulary") }
      guard let rank = UInt32(exactly: index) else { throw mergeList.failure("too many merges") }
      merges.insert(leftID, rightID, .init(rank: rank, newID: mergedID))
      mergedIDs.append(mergedID)
    }

    var unknownID: Int32?
    if let unknown = node["unk_token"] {
      unknownID = tokenIDs[ByteString(try unknown.string())]
      if unknownID == nil { throw unknown.failure("the unknown token is not in the vocabulary") }
    }
    let latinIDs = (0..<0x180).map { (value: UInt32) in
      Unicode.Scalar(value).flatMap { tokenIDs[ByteString(String(Character($0)))] } ?? -1
    }
    var fallbackIDs: [Int32] = []
    if try node["byte_fallback"]?.bool() ?? false {
      fallbackIDs = (0..<256).map { byte in
        let digits = String(byte, radix: 16, uppercase: true)
        return tokenIDs[ByteString(byte < 16 ? "<0x0\(digits)>" : "<0x\(digits)>")] ?? -1
      }
    }
    self.init(
      tokenIDs: tokenIDs, latinIDs: latinIDs, merges: merges, mergedIDs: mergedIDs, unknownID: unknownID,
      fusesUnknown: try node["fuse_unk"]?.bool() ?? false, ignoresMerges: try node["ignore_merges"]?.bool() ?? false,
      continuingPrefix: prefix, endOfWordSuffix: try node["end_of_word_suffix"]?.string() ?? "",
      fallbackIDs: fallbackIDs)
  }

  /// `"a b"` or `["a", "b"]`.
  private static func pair(_ value: JSONValue) -> (String, String)? {
    if let text = value.stringValue {
      let parts = text.utf8.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
      guard parts.count == 2 else { return nil }
      return (String(decoding: parts[0], as: UTF8.self), String(decoding: parts[1], as: UTF8.self))
    }
    guard value.arrayValue?.count == 2, let left = value[0]?.stringValue, let right = value[1]?.stringValue else {
      return nil
    }
    return (left, right)
  }
}
