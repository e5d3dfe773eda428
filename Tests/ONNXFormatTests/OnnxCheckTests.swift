import COnnxCheck
import Testing

/// libonnx's opinion through the C face.
@Suite struct OnnxCheckTests {
  private func check(_ path: String?) -> (onnx_check_result, String?) {
    var message: UnsafeMutablePointer<CChar>?
    let result = onnx_check_model(path, &message)
    defer { onnx_check_free(message) }
    return (result, message.map { String(cString: $0) })
  }

  /// A model that ONNX's checker accepts, but for what is asked.
  private func model(irVersion: Int = 8, opset: Int = 17, opType: String = "Relu") -> [UInt8] {
    var writer = ProtoWriter()
    writer.int(1, irVersion)
    writer.message(8) { inner in
      inner.string(1, "")
      inner.int(2, opset)
    }
    writer.message(7) { graph in
      graph.message(1) { node in
        node.string(1, "x")
        node.string(2, "y")
        node.string(4, opType)
      }
      graph.string(2, "g")
      for (field, name) in [(11, "x"), (12, "y")] {
        graph.message(field) { value in
          value.string(1, name)
          value.message(2) {
            $0.message(1) { tensor in
              tensor.int(1, 1)
              tensor.message(2) { $0.message(1) { $0.int(1, 3) } }
            }
          }
        }
      }
    }
    return writer.bytes
  }

  @Test func results() throws {
    let folder = try TemporaryFolder()
    #expect(try check(folder.write("valid.onnx", model())) == (ONNX_CHECK_VALID, nil))
    let (invalid, why) = try check(folder.write("invalid.onnx", model(opType: "Rleu")))
    #expect(invalid == ONNX_CHECK_INVALID)
    #expect(why?.contains("Rleu") == true)
    let (newer, which) = try check(folder.write("ir.onnx", model(irVersion: 10)))
    #expect(newer == ONNX_CHECK_UNKNOWN_VERSION)
    #expect(which?.contains("10") == true)
    #expect(try check(folder.write("opset.onnx", model(opset: 21))).0 == ONNX_CHECK_UNKNOWN_VERSION)
    #expect(try check(folder.write("text.onnx", Array("no model".utf8))).0 == ONNX_CHECK_UNREADABLE)
    #expect(check(folder.path + "/absent.onnx") == (ONNX_CHECK_UNREADABLE, "No such file or directory"))
    #expect(check(folder.path).0 == ONNX_CHECK_UNREADABLE)
    #expect(check(nil).0 == ONNX_CHECK_UNREADABLE)
  }

  @Test func spoiledModelsLeaveNoException() throws {
    let folder = try TemporaryFolder()
    var random = RandomSource()
    let bytes = model()
    for _ in 0..<200 {
      var spoiled = bytes
      spoiled[random.int(0...bytes.count - 1)] = UInt8(truncatingIfNeeded: random.next())
      let (result, message) = try check(folder.write("spoiled.onnx", spoiled))
      #expect(result == ONNX_CHECK_VALID || message != nil)
    }
  }
}
