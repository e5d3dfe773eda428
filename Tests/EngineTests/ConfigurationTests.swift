import Exit
import JSON
import Tensor
import Testing

@testable import Engine

@Suite struct ConfigurationTests {
  @Test func thresholdsComeFromTheConfiguration() throws {
    let exits = try CalibratedExits.read(
      [
        "exits": [
          "calibrated": [
            "image": 0.98, "text": 0.9, "decoder": ["theta": 0.95, "schedule": "paper", "beta": 0.9, "tau": 2],
          ]
        ]
      ], file: "mue.json")
    #expect(exits?.image == 0.98)
    #expect(exits?.decoder == DecoderThreshold(theta: 0.95, schedule: .paper, beta: 0.9, tau: 2))
    #expect(try CalibratedExits.read(["version": 1], file: "mue.json") == nil)
  }

  @Test func badThresholdsAreNamed() throws {
    let bad: JSONValue = ["exits": ["calibrated": ["image": 0.9, "text": "high", "decoder": ["theta": 0.9]]]]
    do {
      _ = try CalibratedExits.read(bad, file: "mue.json")
      Issue.record("a text was taken for a threshold")
    } catch {
      #expect(error.location.file == "mue.json")
      #expect(error.location.field?.contains("text") == true)
    }
    let schedule: JSONValue = [
      "exits": ["calibrated": ["image": 0.9, "text": 0.9, "decoder": ["theta": 0.9, "schedule": "soon"]]]
    ]
    #expect(throws: MueError.self) { try CalibratedExits.read(schedule, file: "mue.json") }
  }

  @Test func whatIsNoModelIsRefused() {
    #expect(throws: MueError.self) { try Model.open(path: "/nonexistent/model") }
    #expect(throws: MueError.self) {
      let bytes = Array("this is a text file".utf8)
      let buffer = try Buffer(byteCount: bytes.count)
      bytes.withUnsafeBytes { buffer.base.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
      _ = try Model.parse(onnx: buffer)
    }
  }
}
