import Tensor

extension Operator {
  /// Indices outside -depth..<depth give rows of the off value, as ONNX has it.
  static let oneHot = Operator(
    "OneHot", versions: 9...28,
    infer: { node throws(MueError) in
      let (indices, values) = (try node.input(0), try node.input(2))
      guard let depthTensor = try node.input(1).constant else {
        throw MueError(.unsupported, "the depth decides a shape but depends on data")
      }
      guard depthTensor.count == 1 else { throw MueError(.invalidModel, "the depth is not one number") }
      guard values.shape == [2] else { throw MueError(.invalidModel, "values of shape \(values.shape)") }
      let depth = Int(converting: try depthTensor.type.visit(ScalarReader(tensor: depthTensor))).clamped
      let axis = try Shape.normalizedAxis(node.attributes.int("axis", default: -1), rank: indices.shape.count + 1)
      var shape = indices.shape
      shape.insert(depth, at: axis)
      return [TensorInfo(values.type, shape)]
    },
    prepare: { call throws(MueError) in
      let (indices, values, output) = (try call.input(0), try call.input(2), try call.output())
      let axis = try Shape.normalizedAxis(call.attributes.int("axis", default: -1), rank: output.shape.count)
      let depth = output.shape[axis]
      let inner = output.shape[(axis + 1)...].reduce(1, &*)
      let outer = output.shape[..<axis].reduce(1, &*)
      let width = output.type.byteWidth
      let read = try indices.type.visit(ElementReader(pointer: indices.pointer))
      return { () throws(MueError) in
        for block in 0..<outer {
          for column in 0..<inner {
            let index = Int(converting: read(block &* inner &+ column))
            let hot = index < 0 ? index &+ depth : index
            for level in 0..<depth {
              let to = output.pointer + ((block &* depth &+ level) &* inner &+ column) &* width
              to.copyMemory(from: values.pointer + (level == hot ? width : 0), byteCount: width)
            }
          }
        }
      }
    })
}

extension Int: NumericElement {}

/// The one element of a numeric tensor.
struct ScalarReader: NumericVisitor {
  let tensor: Tensor

  func visit<Element: NumericElement>(_: Element.Type) -> Double {
    tensor.pointer.loadUnaligned(as: Element.self).asDouble
  }
}

/// Reads elements of any numeric type as doubles.
struct ElementReader: NumericVisitor {
  let pointer: UnsafeMutableRawPointer

  func visit<Element: NumericElement>(_: Element.Type) -> (Int) -> Double {
    let pointer = pointer
    return { pointer.load(fromByteOffset: $0 &* MemoryLayout<Element>.stride, as: Element.self).asDouble }
  }
}
