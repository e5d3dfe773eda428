import Glibc
import JSON
import Tensor
import Testing
import Text

/// Where Tests/python/make_text_samples.py wrote what the `tokenizers` package does.
private let samples: String? = getenv("MUE_PARITY_DATA").map { String(cString: $0) + "/text" }

@Suite(
  .enabled(if: samples != nil, "set MUE_PARITY_DATA to the directory that Tests/python/make_text_samples.py wrote"))
struct TokenizerParityTests {
  private let lines: [String]
  private let folder: String

  init() throws {
    folder = try #require(samples)
    lines = try JSONNode(JSONValue.load(path: folder + "/lines.json")).strings()
    try #require(lines.count > 0)
  }

  @Test(arguments: [
    "demo", "prefix-space", "added-tokens", "lowercase", "characters", "words", "split", "gpt2-files", "gpt2-prefix",
    "ofa",
  ])
  func sameAsTokenizersPackage(name: String) throws {
    let path = "\(folder)/\(name)/expected.json"
    if name.hasPrefix("gpt2") || name == "ofa", access(path, F_OK) != 0 {
      print("skipped \(name): make_text_samples.py found no GPT-2 vocabulary")
      return
    }
    let expected = JSONNode(try JSONValue.load(path: path, limits: JSONLimits(bytes: 1 << 28)))
    let tokenizer = try Tokenizer.load(path: "\(folder)/\(name)")
    #expect(tokenizer.vocabularySize == expected.value["vocabulary"]?.intValue)
    let ids = try #require(expected.value["ids"]?.arrayValue)
    let plain = try #require(expected.value["plain"]?.arrayValue)
    let decoded = try #require(expected.value["decoded"]?.arrayValue)
    let withSpecial = try #require(expected.value["with_special"]?.arrayValue)
    try #require(ids.count == lines.count && plain.count == lines.count)

    var wrong: [String] = []
    for (index, line) in lines.enumerated() {
      let wanted = try JSONNode(ids[index]).ints()
      let found = try tokenizer.encode(line)
      if found != wanted { wrong.append("line \(index) \(line.debugDescription): \(found) is not \(wanted)") }
      if try tokenizer.encode(line, addSpecialTokens: false) != JSONNode(plain[index]).ints() {
        wrong.append("line \(index) without special tokens")
      }
      for (texts, skips) in [(decoded, true), (withSpecial, false)] {
        let text = try tokenizer.decode(wanted, skipSpecialTokens: skips)
        let wantedText = texts[index].stringValue ?? ""
        if !text.utf8.elementsEqual(wantedText.utf8) {
          wrong.append("line \(index) decoded \(text.debugDescription), not \(wantedText.debugDescription)")
        }
        var stream = tokenizer.stream(skipSpecialTokens: skips)
        // Decoders that look at neighbours cost a whole decode a token: long lines would take minutes.
        if wanted.count < 400 {
          let streamed = wanted.map { stream.push($0) }.joined() + stream.finish()
          if !streamed.utf8.elementsEqual(text.utf8) {
            wrong.append("line \(index) streamed as \(streamed.debugDescription)")
          }
        }
      }
    }
    #expect(wrong.isEmpty, "\(wrong.count) differences of \(lines.count) lines, such as \(wrong.prefix(3))")
  }
}
