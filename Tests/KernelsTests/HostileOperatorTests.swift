import Kernels
import Tensor
import Testing

/// Malformed calls end in a MueError that names the operator; none may trap.
@Suite struct HostileOperatorTests {
  struct Case: Sendable {
    let name: String
    let inputs: [Tensor?]
    let attributes: [String: AttributeValue]
    let domain: String
    let opset: Int

    init(
      _ name: String, _ inputs: [Tensor?], _ attributes: [String: AttributeValue] = [:], domain: String = "",
      opset: Int = 18
    ) {
      (self.name, self.inputs, self.attributes, self.domain, self.opset) = (name, inputs, attributes, domain, opset)
    }
  }

  static func cases() throws -> [Case] {
    let x = try Tensor.floats((0..<24).map { Float($0) }, [2, 3, 4])
    let matrix = try Tensor.floats([1, 2, 3, 4, 5, 6], [2, 3])
    let image = try Tensor(.float32, [1, 2, 4, 4])
    let ints = try Tensor.ints([1, 2, 3])
    let scalar = try Tensor.floats([1], [])
    let huge = Int.max
    return [
      Case("Reshape", [x, try .ints([5, 5])]), Case("Reshape", [x, try .ints([-1, -1])]),
      Case("Reshape", [x, try .ints([-2, 12])]), Case("Reshape", [x, try .ints([huge, huge])]),
      Case("Reshape", [x, try .ints([0, 0, 0, 0])]), Case("Reshape", [x, scalar]), Case("Reshape", [x]),
      Case("Reshape", [x, try .ints([0, -1])], ["allowzero": .int(1)]), Case("Flatten", [x], ["axis": .int(4)]),
      Case("Squeeze", [x, try .ints([0])]), Case("Squeeze", [x, try .ints([huge])]), Case("Unsqueeze", [x]),
      Case("Unsqueeze", [x, try .ints([0, 0])]), Case("Unsqueeze", [x, try .ints([Int.min])]),
      Case("Transpose", [x], ["perm": .ints([0, 1])]), Case("Transpose", [x], ["perm": .ints([0, 0, 1])]),
      Case("Transpose", [x], ["perm": .ints([0, 1, huge])]), Case("Transpose", [x], ["perm": .int(1)]),
      Case("Concat", [x, matrix], ["axis": .int(0)]), Case("Concat", [x, x]), Case("Concat", [], ["axis": .int(0)]),
      Case("Concat", [x, nil], ["axis": .int(0)]), Case("Concat", [scalar, scalar], ["axis": .int(0)]),
      Case("Split", [x, try .ints([huge, huge])]), Case("Split", [x, try .ints([-1, 3])]),
      Case("Split", [x], ["num_outputs": .int(0)]), Case("Split", [x], ["axis": .int(Int.min)]),
      Case("Slice", [x, try .ints([0]), try .ints([1]), try .ints([3])]), Case("Slice", [x, ints, try .ints([1])]),
      Case("Slice", [x, try .ints([0]), try .ints([1]), try .ints([0]), try .ints([0])]),
      Case("Slice", [x, try .ints([0, 0]), try .ints([1, 1]), try .ints([0, -3])]),
      Case("Slice", [x, scalar, scalar]), Case("Gather", [x, try .ints([2])]), Case("Gather", [x, try .ints([-3])]),
      Case("Gather", [x, try .ints([huge])]), Case("Gather", [x, try .ints([Int.min])], ["axis": .int(2)]),
      Case("Gather", [x, scalar]), Case("Gather", [scalar, ints]), Case("Gather", [x, ints], ["axis": .int(3)]),
      Case("GatherElements", [x, try .ints([0])]), Case("GatherElements", [x, try .ints([9], [1, 1, 1])]),
      Case("GatherND", [x, try .ints([0, 0, 0, 0], [1, 4])]), Case("GatherND", [x, try .ints([2, 0], [1, 2])]),
      Case("GatherND", [x, try .ints([1], [])]), Case("GatherND", [x, ints], ["batch_dims": .int(-1)]),
      Case("ScatterND", [x, try .ints([5], [1, 1]), try Tensor(.float32, [1, 3, 4])]),
      Case("ScatterND", [x, try .ints([0], [1, 1]), matrix]),
      Case("ScatterElements", [x, try .ints([7], [1, 1, 1]), try .floats([1], [1, 1, 1])]),
      Case(
        "ScatterElements", [x, try .ints([0], [1, 1, 1]), try .floats([1], [1, 1, 1])], ["reduction": .string("xor")]),
      Case("Expand", [x, try .ints([2, 3, 5])]), Case("Expand", [x, try .ints([-1])]),
      Case("Expand", [x, try .ints([huge, 2, 3, 4])]), Case("Tile", [x, try .ints([1, 2])]),
      Case("Tile", [x, try .ints([-1, 1, 1])]), Case("Tile", [x, try .ints([huge, huge, 2])]),
      Case("ConstantOfShape", [try .ints([huge, huge])]), Case("ConstantOfShape", [try .ints([-1])]),
      Case("ConstantOfShape", [ints], ["value": .tensor(ints)]), Case("Constant", []),
      Case("Range", [try .ints([0], []), try .ints([huge], []), try .ints([1], [])]),
      Case("Range", [try .ints([0], []), try .ints([9], []), try .ints([0], [])]),
      Case("Range", [scalar, try .floats([.nan], []), scalar]), Case("Range", [ints, ints, ints]),
      Case("Add", [x, matrix]), Case("Add", [x, ints]), Case("Add", [x]), Case("Add", [x, nil]),
      Case("Add", [try Tensor(.bool, [1], [UInt8(1)]), try Tensor(.bool, [1], [UInt8(1)])]),
      Case("And", [x, x]), Case("Not", [x]), Case("Where", [x, x, x]), Case("Exp", [ints]), Case("Mod", [x, ints]),
      Case("PRelu", [matrix, x]), Case("Clip", [x, matrix]), Case("Clip", [x, try .ints([0], [])]),
      Case("Cast", [x], ["to": .int(99)]), Case("Cast", [x], ["to": .int(huge)]), Case("Cast", [x]),
      Case("Gelu", [x], ["approximate": .string("tan")], opset: 20), Case("IsNaN", [ints]),
      Case("ReduceSum", [x, try .ints([3])]), Case("ReduceSum", [x, scalar]),
      Case("ReduceMax", [x, try .ints([Int.min])]),
      Case("ReduceMean", [try Tensor(.float32, [0, 2])]), Case("ArgMax", [x], ["axis": .int(3)]),
      Case("ArgMax", [try Tensor(.float32, [0, 2])]), Case("TopK", [x, try .ints([5])]),
      Case("TopK", [x, try .ints([-1])]),
      Case("TopK", [x, ints]), Case("CumSum", [x, try .ints([3], [])]), Case("CumSum", [x, ints]),
      Case("Trilu", [ints]), Case("Trilu", [x, ints]), Case("EyeLike", [x]),
      Case("OneHot", [ints, try .ints([huge], []), ints]),
      Case("OneHot", [ints, try .ints([huge], []), try .ints([0, 1])]),
      Case("OneHot", [ints, try .ints([-3], []), try .ints([0, 1])]),
      Case("MatMul", [x, x]), Case("MatMul", [x, scalar]), Case("MatMul", [x, ints]), Case("MatMul", [matrix, matrix]),
      Case("Gemm", [x, x]), Case("Gemm", [matrix, matrix]), Case("Gemm", [matrix, matrix, x], ["transB": .int(1)]),
      Case("Einsum", [matrix, matrix], ["equation": .string("ij,jk->ik")]),
      Case("Einsum", [matrix], ["equation": .string("ij,ij->")]),
      Case("Einsum", [matrix], ["equation": .string("i->i")]),
      Case("Einsum", [matrix], ["equation": .string("ij->iz")]),
      Case("Einsum", [matrix], ["equation": .string("i1->i")]), Case("Einsum", [matrix], ["equation": .string("->->")]),
      Case("Einsum", [matrix], ["equation": .string("....->i")]),
      Case("Einsum", [matrix], ["equation": .string("ij->ii")]),
      Case("Einsum", [matrix, matrix, matrix], ["equation": .string("ij,ij,ij->i")]),
      Case("Einsum", [], ["equation": .string("")]),
      Case("Linear", [x, matrix], domain: "mue"), Case("Linear", [scalar, matrix], domain: "mue"),
      Case("Linear", [x, try Tensor(.float32, [4, 2]), ints], domain: "mue"),
      Case("Linear", [x, try Tensor(.float32, [4, 2])], ["activation": .string("swish9")], domain: "mue"),
      Case("Attention", [x, x], domain: "mue"), Case("Attention", [x, x, matrix], domain: "mue"),
      Case("Attention", [x, try Tensor(.float32, [2, 3, 5]), x], domain: "mue"),
      Case("Attention", [x, x, x, try Tensor(.float32, [7])], domain: "mue"),
      Case("Attention", [image, image, image], ["q_layout": .string("HTBD")], domain: "mue"),
      Case("Conv", [image, try Tensor(.float32, [1, 3, 2, 2])]),
      Case("Conv", [image, try Tensor(.float32, [3, 2, 5, 5])]),
      Case("Conv", [image, try Tensor(.float32, [3, 2, 3, 3]), matrix]), Case("Conv", [x, matrix]),
      Case("Conv", [image, try Tensor(.float32, [3, 2, 3, 3])], ["strides": .ints([0, 1])]),
      Case("Conv", [image, try Tensor(.float32, [3, 2, 3, 3])], ["pads": .ints([huge, huge, huge, huge])]),
      Case("Conv", [image, try Tensor(.float32, [3, 2, 3, 3])], ["dilations": .ints([1 << 31, 1 << 31])]),
      Case("Conv", [image, try Tensor(.float32, [3, 2, 3, 3])], ["group": .int(0)]),
      Case("Conv", [image, try Tensor(.float32, [3, 2, 3, 3])], ["group": .int(Int.min)]),
      Case("Conv", [image, try Tensor(.float32, [0, 2, 0, 3])]),
      Case("Conv", [image, try Tensor(.float32, [3, 2, 3, 3])], ["kernel_shape": .ints([2, 2])]),
      Case("FusedConv", [image, try Tensor(.float32, [3, 2, 3, 3]), nil, x], domain: "mue"),
      Case("MaxPool", [image]), Case("MaxPool", [image], ["kernel_shape": .ints([9, 9])]),
      Case("MaxPool", [matrix], ["kernel_shape": .ints([])]),
      Case("MaxPool", [image], ["kernel_shape": .ints([2, 2]), "auto_pad": .string("X")]),
      Case("AveragePool", [image], ["kernel_shape": .ints([-1, 2])]), Case("GlobalAveragePool", [matrix]),
      Case("GlobalAveragePool", [try Tensor(.float32, [1, 2, 0, 3])]), Case("Softmax", [x], ["axis": .int(3)]),
      Case("Softmax", [ints]),
      Case("LayerNormalization", [x, matrix]), Case("LayerNormalization", [x]),
      Case("LayerNormalization", [x, scalar], ["axis": .int(9)]),
      Case("RMSNormalization", [x, ints]), Case("BatchNormalization", [x, ints, ints, ints, ints]),
      Case("BatchNormalization", [scalar, scalar, scalar, scalar, scalar]),
      Case("InstanceNormalization", [ints, ints, ints]),
      Case("GroupNormalization", [x, scalar, scalar], ["num_groups": .int(2)]),
      Case("GroupNormalization", [x, scalar, scalar]),
      Case("Pad", [x, ints]), Case("Pad", [x, try .ints([-9, 0, 0, 0, 0, 0])]),
      Case("Pad", [x, try .ints([huge, 0, 0, huge, 0, 0])]),
      Case("Pad", [x, try .ints([0, 0, 0, 0, 0, 0])], ["mode": .string("mirror")]),
      Case("Pad", [try Tensor(.float32, [0]), try .ints([1, 1])], ["mode": .string("reflect")]),
      Case("Resize", [image]), Case("Resize", [image, nil, try .floats([1, 1, -1, 2])]),
      Case("Resize", [image, nil, try .floats([1, 1])]),
      Case("Resize", [image, nil, try .floats([1, 1, 1e30, 2])]),
      Case("Resize", [image, nil, nil, try .ints([1, 2, -4, 4])]),
      Case("Resize", [image, nil, nil, try .ints([1, 2, huge, huge])]),
      Case("Resize", [image, nil, try .floats([1, 1, .nan, 2])]),
      Case("Resize", [image, nil, try .floats([1, 1, 2, 2])], ["mode": .string("area")]),
      Case(
        "Resize", [image, nil, try .floats([1, 1, 2, 2])],
        ["mode": .string("linear"), "coordinate_transformation_mode": .string("x")]),
      Case("DepthToSpace", [image], ["blocksize": .int(0)]), Case("DepthToSpace", [image], ["blocksize": .int(huge)]),
      Case("SpaceToDepth", [image], ["blocksize": .int(3)]), Case("SpaceToDepth", [x], ["blocksize": .int(1)]),
      Case("Dropout", [x, scalar, try Tensor(.bool, [], [UInt8(1)])]),
    ]
  }

  @Test func malformedCallsThrow() throws {
    for test in try Self.cases() {
      do throws(MueError) {
        _ = try Run.op(test.name, test.inputs, test.attributes, domain: test.domain, opset: test.opset)
        Issue.record("\(test.name) of \(test.inputs.map { $0?.shape }) with \(test.attributes) did not throw")
      } catch {
        #expect(error.code != .internal, "\(error)")
        #expect(error.location.operatorName == test.name, "\(error)")
      }
    }
  }

  /// Any operator with any small inputs and attributes either works or throws.
  @Test func arbitraryCallsNeverTrap() throws {
    var random = Seeded(4242)
    let shapes: [[Int]] = [
      [], [0], [1], [3], [2, 3], [3, 2], [0, 4], [2, 3, 4], [1, 4, 4], [1, 2, 4, 4], [2, 2, 3, 3], [1, 1, 1, 1, 2],
    ]
    let numbers = [0, 1, 2, 3, -1, -2, 4, 7, Int.max, Int.min, 1 << 40]
    let names = [
      "axis", "axes", "perm", "keepdims", "to", "pads", "strides", "kernel_shape", "dilations", "group", "blocksize",
      "mode",
      "num_groups", "num_outputs", "batch_dims", "split", "starts", "ends", "transA", "transB", "equation", "k",
      "upper",
      "ceil_mode", "auto_pad", "transposed", "q_layout", "k_layout", "out_layout", "reduction", "allowzero", "dtype",
    ]
    let words = [
      "constant", "reflect", "linear", "cubic", "BTHD", "BHDT", "SAME_LOWER", "ij,jk->ik", "ij->ji", "...,...", "add",
      "max",
    ]
    var worked = 0
    let context = try Run.context.get()
    for _ in 0..<4000 {
      guard let op = OperatorTable.all.randomElement(using: &random) else { return }
      var inputs: [Tensor?] = []
      for _ in 0..<Int.random(in: 0...5, using: &random) {
        guard let shape = shapes.randomElement(using: &random) else { return }
        let count = shape.reduce(1, *)
        switch Int.random(in: 0..<8, using: &random) {
        case 0: inputs.append(nil)
        case 1, 2: inputs.append(try .ints((0..<count).map { _ in numbers.randomElement(using: &random) ?? 0 }, shape))
        case 3: inputs.append(try Tensor(.bool, shape, (0..<count).map { UInt8($0 % 2) }))
        case 4: inputs.append(try Tensor(.float64, shape, (0..<count).map { Double($0) }))
        default: inputs.append(try random.tensor(shape))
        }
      }
      var attributes = Attributes()
      for _ in 0..<Int.random(in: 0...4, using: &random) {
        guard let name = names.randomElement(using: &random) else { return }
        switch Int.random(in: 0..<4, using: &random) {
        case 0, 1: attributes.values[name] = .int(numbers.randomElement(using: &random) ?? 0)
        case 2:
          attributes.values[name] = .ints(
            (0..<Int.random(in: 0...4, using: &random)).map { _ in numbers.randomElement(using: &random) ?? 0 })
        default: attributes.values[name] = .string(words.randomElement(using: &random) ?? "")
        }
      }
      do throws(MueError) {
        // What would need more memory than a test should take is planned, not run.
        let infos = inputs.map { $0.map { TensorInfo($0) } }
        let outputs = try op.infer(
          Inference(inputs: infos, attributes: attributes, opset: op.versions.lowerBound, outputCount: 1))
        var bytes = 0
        for output in outputs { bytes += try Shape.byteCount(output.shape, output.type) }
        guard bytes < 1 << 22 else { continue }
        _ = try OperatorTable.evaluate(
          op, inputs: inputs, attributes: attributes, opset: op.versions.lowerBound, context: context)
        worked += 1
      } catch {
        #expect(error.code != .internal || op.name == "TopK", "\(op.name): \(error)")
      }
    }
    #expect(worked > 100)
  }
}
