import JSON
import Testing

@Suite struct JSONSerializeTests {
  @Test func compactAndPretty() {
    let value: JSONValue = ["a": [1, 2.5, nil, true], "b": [:], "c": [], "d": "x\"\\\n\u{1}é"]
    #expect(value.serialized() == #"{"a":[1,2.5,null,true],"b":{},"c":[],"d":"x\"\\\n\u0001é"}"#)
    #expect(
      value.serialized(pretty: true) == """
        {
          "a": [
            1,
            2.5,
            null,
            true
          ],
          "b": {},
          "c": [],
          "d": "x\\"\\\\\\n\\u0001é"
        }
        """)
  }

  @Test func numbersReadBackExactly() throws {
    #expect(
      JSONValue.array([.double(.nan), .double(.infinity), .double(-.infinity)]).serialized() == "[null,null,null]")
    for _ in 0..<2000 {
      let number = Double(bitPattern: .random(in: 0...UInt64.max))
      guard number.isFinite else { continue }
      #expect(try JSONValue.parse(JSONValue.double(number).serialized()).doubleValue == number)
    }
    for number in [Int.min, -1, 0, Int.max] {
      #expect(try JSONValue.parse(JSONValue.int(number).serialized()) == .int(number))
    }
  }

  @Test func equalityIgnoresTheOrderOfMembers() {
    #expect(["a": 1, "b": 2] as JSONValue == ["b": 2, "a": 1])
    #expect(["a": 1, "b": 2] as JSONValue != ["b": 2, "a": 2])
    #expect(["a": 1] as JSONValue != ["a": 1, "b": 2])
  }
}
