import JSON
import Tensor
import Testing
import Text

/// A byte-level tokenizer with the 256 byte tokens (ids 4 to 259, in byte order), the merges of "the" and " the", and
/// the special tokens of models/demo.
private func byteLevelJSON(_ changes: (inout JSONObject) -> Void = { _ in }) -> JSONValue {
  var vocabulary: JSONObject = ["<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3]
  var next: UInt32 = 0x100
  for byte in UInt32(0)...255 {
    let isPrintable = (0x21...0x7E).contains(byte) || (0xA1...0xFF).contains(byte) && byte != 0xAD
    let scalar = Unicode.Scalar(isPrintable ? byte : next)!
    if !isPrintable { next += 1 }
    vocabulary[String(Character(scalar))] = .int(Int(byte) + 4)
  }
  for (index, token) in ["th", "the", "Ġthe", "Ġt"].enumerated() { vocabulary[token] = .int(260 + index) }
  var root: JSONObject = [
    "added_tokens": .array(
      ["<s>", "<pad>", "</s>"].enumerated().map {
        ["id": .int($0.offset), "content": .string($0.element), "special": true, "normalized": false]
      }),
    "pre_tokenizer": ["type": "ByteLevel", "add_prefix_space": false],
    "post_processor": [
      "type": "TemplateProcessing",
      "single": [
        ["SpecialToken": ["id": "<s>", "type_id": 0]], ["Sequence": ["id": "A", "type_id": 0]],
        ["SpecialToken": ["id": "</s>", "type_id": 0]],
      ],
      "special_tokens": ["<s>": ["ids": [0]], "</s>": ["ids": [2]]],
    ],
    "decoder": ["type": "ByteLevel"],
    "model": [
      "type": "BPE", "vocab": .object(vocabulary), "merges": ["t h", ["th", "e"], ["Ġ", "the"], "Ġ t"],
    ],
  ]
  changes(&root)
  return .object(root)
}

private func failure(_ json: JSONValue) -> MueError? {
  do {
    _ = try Tokenizer(json: json, file: "t.json")
    return nil
  } catch {
    return error
  }
}

@Suite struct TokenizerTests {
  @Test func mergesByRankAndFramesTheText() throws {
    let tokenizer = try Tokenizer(json: byteLevelJSON())
    #expect(tokenizer.vocabularySize == 264)
    #expect(try tokenizer.encode("the the") == [0, 261, 262, 2])
    // "Ġ t" has a higher rank than "t h": " th" is " " + "th".
    #expect(try tokenizer.encode(" th t", addSpecialTokens: false) == [0x20 + 4, 260, 263])
    #expect(try tokenizer.encode("") == [0, 2])
    #expect(try tokenizer.encode("a\0é", addSpecialTokens: false) == [0x61 + 4, 4, 0xC3 + 4, 0xA9 + 4])
    #expect(try tokenizer.encode("a</s>b", addSpecialTokens: false) == [0x61 + 4, 2, 0x62 + 4])
    #expect(tokenizer.tokenID("</s>") == 2)
    #expect(tokenizer.tokenID("Ġthe") == 262)
    #expect(tokenizer.tokenID("nothing") == nil)
    #expect(tokenizer.token(260) == "th")
    #expect(tokenizer.token(264) == nil)
  }

  @Test func prefixSpaceIsPerPartBetweenAddedTokens() throws {
    let tokenizer = try Tokenizer(
      json: byteLevelJSON { $0["pre_tokenizer"] = ["type": "ByteLevel", "add_prefix_space": true] })
    #expect(try tokenizer.encode("the</s>the</s> the", addSpecialTokens: false) == [262, 2, 262, 2, 262])
    #expect(try tokenizer.encode("", addSpecialTokens: false) == [])
  }

  /// The words that GPT-2's pattern cuts, seen as the places where a merge across them does not happen.
  @Test(arguments: [
    ("a b", ["a", " b"]), ("a  b", ["a", " ", " b"]), ("a   ", ["a", "   "]), ("it's", ["it", "'s"]),
    ("we'll've", ["we", "'ll", "'ve"]), ("'x", ["'", "x"]), ("'S", ["'", "S"]), ("a\tb", ["a", "\t", "b"]),
    ("a \tb", ["a", " ", "\t", "b"]), ("ab12!?é", ["ab", "12", "!?", "é"]), (" 12", [" 12"]), ("  ", ["  "]),
    ("\n\n a", ["\n\n", " a"]), ("a\u{A0}b", ["a", "\u{A0}", "b"]), ("e\u{301}", ["e", "\u{301}"]),
    ("a' s", ["a", "'", " s"]), ("", []), ("½ⅷ٣", ["½ⅷ٣"]), ("!'re", ["!'", "re"]),
  ])
  func gpt2Words(text: String, words: [String]) throws {
    // With `ignore_merges` a word that is in the vocabulary is one token, whatever the merges are.
    let tokenizer = try Tokenizer(
      json: byteLevelJSON { root in
        var vocabulary: JSONObject = [:]
        for word in Set(words) { vocabulary[word] = .int(vocabulary.count) }
        root["added_tokens"] = []
        root["post_processor"] = .null
        root["decoder"] = ["type": "Fuse"]
        root["pre_tokenizer"] = [
          "type": "Split", "behavior": "Isolated", "invert": false,
          "pattern": ["Regex": #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#],
        ]
        root["model"] = ["type": "BPE", "vocab": .object(vocabulary), "merges": [], "ignore_merges": true]
      })
    #expect(try tokenizer.encode(text).map { tokenizer.token($0) } == words)
  }

  @Test func longWordsTakeNoQuadraticTime() throws {
    let tokenizer = try Tokenizer(json: byteLevelJSON())
    let count = 50_000
    // Quadratic time would be 2 * 10^10 steps.
    let ids = try tokenizer.encode(String(repeating: "the", count: count), addSpecialTokens: false)
    #expect(ids == Array(repeating: 261, count: count))
  }

  @Test func textLimit() throws {
    let tokenizer = try Tokenizer(json: byteLevelJSON())
    #expect(try tokenizer.encode("éé", addSpecialTokens: false, limit: 4).count == 4)
    let error = #expect(throws: MueError.self) { try tokenizer.encode("ééa", limit: 4) }
    #expect(error?.code == .limitExceeded)
  }

  @Test func decodingSkipsSpecialTokensAndRefusesUnknownIDs() throws {
    let tokenizer = try Tokenizer(json: byteLevelJSON())
    #expect(try tokenizer.decode([0, 261, 262, 2]) == "the the")
    #expect(try tokenizer.decode([0, 261, 2], skipSpecialTokens: false) == "<s>the</s>")
    #expect(try tokenizer.decode([]) == "")
    #expect(try tokenizer.decode([0xC3 + 4, 261]) == "\u{FFFD}the")
    for id in [-1, 264, Int.max, Int.min] {
      let error = #expect(throws: MueError.self) { try tokenizer.decode([261, id]) }
      #expect(error?.code == .invalidArgument)
    }
  }

  @Test func streamHoldsBackIncompleteCharacters() throws {
    let tokenizer = try Tokenizer(json: byteLevelJSON())
    var stream = tokenizer.stream()
    let pushed = [0, 0xF0, 0x9F, 0x98, 0x80, 0x41, 0xC3, 0x42, 0xE2, 0x82].enumerated().map {
      stream.push($0.offset == 0 ? 0 : $0.element + 4)
    }
    #expect(pushed == ["", "", "", "", "😀", "A", "", "\u{FFFD}B", "", ""])
    #expect(stream.push(99999) == "")
    #expect(stream.push(-1) == "")
    #expect(stream.finish() == "\u{FFFD}")
    #expect(stream.finish() == "")
  }

  /// Whatever the bytes are, the streamed text is the decoded one.
  @Test func streamEqualsDecode() throws {
    let tokenizer = try Tokenizer(json: byteLevelJSON())
    let starts = [0x41, 0x80, 0xBF, 0xC0, 0xC3, 0xE0, 0xE2, 0xED, 0xEF, 0xF0, 0xF4, 0xF8, 0xFF, 0x9F, 0xA0, 0x90, 0x8F]
    for _ in 0..<3000 {
      let ids = (0..<Int.random(in: 0...9)).map { _ in (starts.randomElement() ?? 0) + 4 }
      var stream = tokenizer.stream()
      let text = ids.map { stream.push($0) }.joined() + stream.finish()
      #expect(try text.unicodeScalars.elementsEqual(tokenizer.decode(ids).unicodeScalars), "\(ids)")
    }
  }

  @Test func unsupportedPartsAreNamed() {
    let cases: [(String, JSONValue, String)] = [
      ("normalizer", ["type": "NFKC"], "NFKC"),
      ("normalizer", ["type": "Sequence", "normalizers": [["type": "Precompiled"]]], "Precompiled"),
      ("pre_tokenizer", ["type": "Metaspace"], "Metaspace"),
      ("pre_tokenizer", ["type": "Split", "behavior": "Isolated", "pattern": ["Regex": "x+"]], "x+"),
      ("post_processor", ["type": "Odd"], "Odd"),
      ("decoder", ["type": "WordPiece"], "WordPiece"),
      ("model", ["type": "Unigram"], "Unigram"),
      ("model", ["type": "BPE", "dropout": 0.1], "dropout"),
    ]
    for (field, value, name) in cases {
      let error = failure(byteLevelJSON { $0[field] = value })
      #expect(error?.code == .unsupported)
      #expect(error?.message.contains(name) == true, "\(String(describing: error))")
      #expect(error?.location.field?.hasPrefix(field) == true)
      #expect(error?.location.file == "t.json")
    }
  }

  @Test func malformedFiles() {
    let cases: [(String, JSONValue)] = [
      ("model", ["vocab": ["a": -1], "merges": []]), ("model", ["vocab": ["a": 1.5], "merges": []]),
      ("model", ["vocab": ["a": 4_294_967_296], "merges": []]), ("model", ["vocab": [], "merges": []]),
      ("model", ["vocab": ["a": 0], "merges": ["a a"]]), ("model", ["vocab": ["a": 0], "merges": ["a"]]),
      ("model", ["vocab": ["a": 0], "merges": [["a"]]]), ("model", ["vocab": ["a": 0], "merges": 3]),
      ("model", ["vocab": ["a": 0], "merges": [], "unk_token": "b"]), ("model", .null),
      ("added_tokens", [["id": -1, "content": "x"]]), ("added_tokens", [["content": "x"]]), ("added_tokens", "x"),
      ("post_processor", ["type": "RobertaProcessing", "cls": ["x"], "sep": ["x", 1]]),
      (
        "post_processor",
        ["type": "TemplateProcessing", "single": [["SpecialToken": ["id": "x"]]], "special_tokens": [:]]
      ),
      ("post_processor", ["type": "TemplateProcessing", "single": [], "special_tokens": [:]]),
      ("decoder", ["type": "Strip", "content": "", "start": 1, "stop": 0]),
      ("normalizer", ["type": 1]), ("pre_tokenizer", ["type": "Split", "behavior": "Odd", "pattern": ["String": "x"]]),
    ]
    for (field, value) in cases {
      let error = failure(byteLevelJSON { $0[field] = value })
      #expect(error?.code == .invalidText, "\(field) \(value)")
    }
    #expect(failure([:])?.code == .invalidText)
    #expect(failure(3)?.code == .invalidText)
  }

  @Test func aReplacementCannotBlowUpTheText() throws {
    let tokenizer = try Tokenizer(
      json: byteLevelJSON {
        let step: JSONValue = [
          "type": "Replace", "pattern": ["String": "a"], "content": .string(String(repeating: "a", count: 1000)),
        ]
        $0["normalizer"] = ["type": "Sequence", "normalizers": [step, step, step]]
      })
    let error = #expect(throws: MueError.self) { try tokenizer.encode("a") }
    #expect(error?.code == .limitExceeded)
  }
}
