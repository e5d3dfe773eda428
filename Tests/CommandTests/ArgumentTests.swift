import CMue
import JSON
import Tensor
import Testing

@testable import mue

@Suite struct ArgumentTests {
  @Test func exits() throws {
    #expect(try ExitsArgument.parse("off").mode == MUE_EXITS_OFF)
    #expect(try ExitsArgument.parse("calibrated").mode == MUE_EXITS_CALIBRATED)
    let given = try ExitsArgument.parse("0.5,1,-0.25")
    #expect(given.mode == MUE_EXITS_THRESHOLDS)
    #expect((given.image, given.text, given.decoder) == (0.5, 1, -0.25))
    for wrong in ["abc", "", "0.5", "0.5,0.5", "0.5,0.5,0.5,0.5", "0.5,,0.5", "0.5,0.5,x", "OFF"] {
      #expect(throws: CommandFailure.self) { try ExitsArgument.parse(wrong) }
    }
  }

  @Test(arguments: [
    (0.0, 2, "0.00"), (1.005, 1, "1.0"), (-1.25, 1, "-1.3"), (0.05, 1, "0.1"), (-0.001, 2, "0.00"), (12.5, 0, "13"),
    (123456.789, 3, "123456.789"), (Double.nan, 2, "nan"), (Double.infinity, 2, "inf"),
  ])
  func fixedPoint(value: Double, digits: Int, expected: String) {
    #expect(value.fixed(digits) == expected)
  }

  @Test func dataItems() throws {
    func item(_ text: String) throws -> DataItem { try DataItem(JSONNode(JSONValue.parse(text)), folder: "d") }
    let full = try item(
      #"{"image": "x.png", "prompt": " p", "task": "entailment", "references": ["yes"], "answers": [" yes", " no"]}"#)
    #expect(full.image == "d/x.png")
    #expect(full.prompt == " p")
    #expect(full.task == .entailment)
    #expect(full.answers == [" yes", " no"])
    #expect(try item(#"{"image": "/x.png", "task": "caption", "references": ["a"]}"#).prompt == nil)
    for wrong in [
      #"{"task": "caption", "references": ["a"]}"#, #"{"image": "x", "task": "other", "references": ["a"]}"#,
      #"{"image": "x", "task": "vqa", "references": []}"#, #"{"image": 1, "task": "vqa", "references": ["a"]}"#, "[]",
    ] {
      #expect(throws: MueError.self) { try item(wrong) }
    }
  }

  @Test func trimming() {
    #expect(" \n a b\t".trimmed == "a b")
    #expect("".trimmed == "")
  }
}
