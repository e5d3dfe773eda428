import JSON
import Tensor
import Testing

@Suite struct JSONNodeTests {
  let root: JSONNode

  init() throws {
    let value = try JSONValue.parse(
      #"{"size": {"height": 224.0, "width": "x"}, "mean": [0.5, 1], "none": null, "f": 1.5}"#)
    root = JSONNode(value, file: "c.json")
  }

  @Test func typedAccess() throws {
    #expect(try root.required("size").required("height").int(in: 1...224) == 224)
    #expect(try root["mean"]?.doubles() == [0.5, 1])
    #expect(root["none"] == nil)
    #expect(root["nothing"]?["more"] == nil)
  }

  private func field(_ body: () throws(MueError) -> Void) -> String? {
    do {
      try body()
      return "no error"
    } catch {
      #expect(error.location.file == "c.json")
      #expect(error.code == .invalidText)
      return error.location.field
    }
  }

  @Test func errorsNameTheField() {
    #expect(field { () throws(MueError) in _ = try root.required("size").required("width").int() } == "size.width")
    #expect(field { () throws(MueError) in _ = try root.required("size").required("depth") } == "size")
    #expect(field { () throws(MueError) in _ = try root.required("mean").ints() } == "mean[0]")
    #expect(field { () throws(MueError) in _ = try root.required("none") } == nil)
    #expect(
      field { () throws(MueError) in _ = try root.required("size").required("height").int(in: 1...2) } == "size.height")
    #expect(field { () throws(MueError) in _ = try root.required("f").string() } == "f")
  }
}
