import JSON
import Tensor
import Testing

private func failure(_ text: String, limits: JSONLimits = JSONLimits()) -> MueError? {
  do {
    _ = try JSONValue.parse(text, file: "f.json", limits: limits)
    return nil
  } catch {
    return error
  }
}

@Suite struct JSONParseTests {
  @Test func valuesOfEveryKind() throws {
    let value = try JSONValue.parse(
      #" {"a": [1, -2, 0, -0, 1.5, 1e3, 2.5E-3, 9223372036854775807, 9223372036854775808], "b": {"c": null, "d": true}, "e": false, "f": ""} "#
    )
    #expect(value["a"]?.arrayValue?.map(\.doubleValue) == [1, -2, 0, 0, 1.5, 1000, 0.0025, 0x1p63, 0x1p63])
    #expect(value["a"]?[7] == .int(.max))
    #expect(value["a"]?[8] == .double(0x1p63))
    #expect(value["a"]?[9] == nil)
    #expect(value["b"]?["c"] == .null)
    #expect(value["b"]?["d"]?.boolValue == true)
    #expect(value["e"]?.boolValue == false)
    #expect(value["f"]?.stringValue == "")
    #expect(value.objectValue?.keys == ["a", "b", "e", "f"])
  }

  @Test func escapesAndSurrogates() throws {
    let value = try JSONValue.parse(#""\"\\\/\b\f\n\r\t\u0041\u00e9\u20ac\ud83d\ude00 \u0000é😀""#)
    #expect(value.stringValue == "\"\\/\u{8}\u{C}\n\r\tAé€😀 \0é😀")
  }

  @Test func lastOfDuplicateKeysWinsAndKeepsItsPlace() throws {
    let value = try JSONValue.parse(#"{"a": 1, "b": 2, "a": 3}"#)
    #expect(value.objectValue?.keys == ["a", "b"])
    #expect(value["a"] == 3)
  }

  @Test func keysThatDifferOnlyByNormalisationStayApart() throws {
    // U+00E9 against e + U+0301, in a small object (searched in order) and in a large one (hashed).
    for extra in [0, 40] {
      let others = (0..<extra).map { ",\"k\($0)\": \($0)" }.joined()
      let value = try JSONValue.parse("{\"\u{E9}\": 1, \"e\u{301}\": 2\(others)}")
      #expect(value["\u{E9}"] == 1)
      #expect(value["e\u{301}"] == 2)
      #expect(value.objectValue?.count == 2 + extra)
      if extra > 0 { #expect(value["k39"] == 39) }
    }
  }

  @Test(arguments: [
    ("", 0), ("  ", 2), ("nul", 0), ("[1,]", 3), ("[1 2]", 3), ("{\"a\" 1}", 5), ("{\"a\":1,}", 7), ("{a:1}", 1),
    ("01", 0), ("-", 0), ("1.", 0), ("1e", 0), (".5", 0), ("+1", 0), ("NaN", 0), ("1e999", 0), ("1 2", 2),
    ("\"abc", 0), ("\"a\u{1}\"", 2), ("\"\\x\"", 1), ("\"\\u12g4\"", 1), ("\"\\ud800\"", 1), ("\"\\ude00\"", 1),
    ("\"\\ud800\\u0041\"", 1), ("\u{FEFF}1", 0), ("[", 1), ("{", 1), ("[1", 2), ("\"\\", 1), ("\"\\u", 1),
  ])
  func malformedTextSaysWhere(text: String, offset: Int) {
    let error = failure(text)
    #expect(error?.code == .invalidText)
    #expect(error?.location.byteOffset == offset, "\(text)")
    #expect(error?.location.file == "f.json")
  }

  @Test func errorsNameTheField() {
    #expect(failure(#"{"a": {"b": [1, {"c": tru}]}}"#)?.location.field == "a.b[1].c")
    #expect(failure(#"[[0, x]]"#)?.location.field == "[0][1]")
  }

  @Test func invalidUTF8() {
    for bytes in [[0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xE2, 0x82], [0xF5, 0x80, 0x80, 0x80]] as [[UInt8]] {
      #expect(throws: MueError.self) { try JSONValue.parse([0x22] + bytes + [0x22]) }
      #expect(throws: MueError.self) { try JSONValue.parse([0x22, 0x5C, 0x6E] + bytes + [0x22]) }
    }
  }

  @Test func limits() throws {
    let deep = String(repeating: "[", count: 64) + String(repeating: "]", count: 64)
    #expect(failure(deep) == nil)
    let error = failure("[" + deep + "]")
    #expect(error?.code == .limitExceeded)
    #expect(error?.location.byteOffset == 64)
    #expect(failure(String(repeating: "{\"a\":", count: 100_000))?.code == .limitExceeded)
    #expect(failure("[1,2,3]", limits: JSONLimits(bytes: 6))?.code == .limitExceeded)
    // Siblings do not add up.
    #expect(failure("[" + Array(repeating: "[[]]", count: 100).joined(separator: ",") + "]") == nil)
  }

  /// Every truncation and many corruptions of a text either parse or throw; none traps.
  @Test func hostileBytes() {
    let text = Array(
      #"{"model": {"type": "BPE", "n": -1.5e-3, "v": ["\u00e9\ud83d\ude00", null, true, {}]}, "é": []}"#.utf8)
    for end in 0..<text.count { #expect(throws: MueError.self) { try JSONValue.parse(Array(text[..<end])) } }
    var generator = SystemRandomNumberGenerator()
    var refused = 0
    for _ in 0..<2000 {
      var copy = text
      for _ in 0..<Int.random(in: 1...4, using: &generator) {
        copy[Int.random(in: 0..<copy.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
      }
      if (try? JSONValue.parse(copy)) == nil { refused += 1 }
    }
    #expect(refused > 500)
  }
}
