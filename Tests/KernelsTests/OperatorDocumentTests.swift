import Foundation
import Kernels
import Tensor
import Testing

/// docs/operators.md is made from the table itself: versions from it, types by running each operator on each type.
///
/// `MUE_WRITE_DOCS=1 swift test --filter OperatorDocumentTests` writes the file.
@Suite struct OperatorDocumentTests {
  @Test func documentMatchesTheTable() throws {
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let file = root.appending(path: "docs/operators.md")
    let text = try document()
    if ProcessInfo.processInfo.environment["MUE_WRITE_DOCS"] != nil {
      try text.write(to: file, atomically: true, encoding: .utf8)
    }
    let written = try String(contentsOf: file, encoding: .utf8)
    #expect(written == text, "docs/operators.md is out of date: set MUE_WRITE_DOCS=1 and run this test")
  }

  @Test func everyOperatorHasAnExampleThatRuns() throws {
    for op in OperatorTable.all { #expect(try !types(op).isEmpty, "\(op.name)") }
    let notes = Set(Self.limits.keys).subtracting(OperatorTable.all.map(\.name))
    #expect(notes.isEmpty, "notes on operators that do not exist: \(notes)")
  }

  private func document() throws -> String {
    var lines = [
      "# Operators", "",
      "Made by `OperatorDocumentTests` from `OperatorTable`; the types are those that a small call of the operator ran on.",
      "Opset means the version of ONNX's own domain that the model imports. Everything else is refused with an error that",
      "names the node. Shapes must follow from the shapes of the model's inputs: an operator whose output size depends on",
      "data is refused unless that data is constant.", "",
    ]
    for domain in ["", "mue"] {
      lines += [domain.isEmpty ? "## ONNX" : "## Fused operators (domain `mue`, made by the graph passes)", ""]
      lines += ["| operator | opsets | types | limits |", "|---|---|---|---|"]
      for op in OperatorTable.all.filter({ $0.domain == domain }).sorted(by: {
        ($0.name, $0.versions.lowerBound) < ($1.name, $1.versions.lowerBound)
      }) {
        var notes: [String] = []
        if op.isView { notes.append("a view, runs nothing") }
        if let note = Self.limits[op.name] { notes.append(note) }
        let opsets = domain == "mue" ? "all" : "\(op.versions.lowerBound)-\(op.versions.upperBound)"
        lines.append("| \(op.name) | \(opsets) | \(try types(op)) | \(notes.joined(separator: "; ")) |")
      }
      lines.append("")
    }
    return lines.joined(separator: "\n")
  }

  /// The types of input 0 (of the output, for what makes tensors) that a call of the operator accepts.
  private func types(_ op: Operator) throws -> String {
    let context = try Run.context.get()
    let accepted = try ElementType.allCases.filter { type in
      let (inputs, attributes) = try example(op, type)
      do throws(MueError) {
        _ = try OperatorTable.evaluate(
          op, inputs: inputs, attributes: Attributes(attributes), opset: op.versions.upperBound,
          outputCount: op.name == "TopK" ? 2 : 1, context: context)
        return true
      } catch {
        return false
      }
    }
    let names = accepted.map(\.name)
    if accepted.count == ElementType.allCases.count { return "all" }
    let numeric = ElementType.allCases.filter { $0 != .bool && $0 != .bfloat16 }
    return accepted == numeric ? "all but bool, bfloat16" : names.joined(separator: ", ")
  }

  /// A call with ones in every input.
  private func example(_ op: Operator, _ type: ElementType) throws -> ([Tensor?], [String: AttributeValue]) {
    func ones(_ shape: [Int]) throws -> Tensor {
      let tensor = try Tensor.floats([Float](repeating: 1, count: shape.reduce(1, *)), shape)
      return try Run.op("Cast", [tensor], ["to": .int(Int(type.rawValue))])[0]
    }
    let usesAttributes = op.versions.upperBound < 11
    let image = try ones([1, 4, 4, 4])
    let matrix = try ones([2, 2])
    let to: [String: AttributeValue] = ["to": .int(1)]
    switch op.name {
    case "Cast": return ([matrix], to)
    case "Reshape": return ([matrix, try .ints([4])], [:])
    case "Unsqueeze", "ReduceSum", "ReduceMean": return ([matrix, try .ints([0])], [:])
    case "Squeeze": return ([image, try .ints([0])], [:])
    case "Expand": return ([matrix, try .ints([1, 2, 2])], [:])
    case "Tile": return ([matrix, try .ints([1, 2])], [:])
    case "Slice":
      let range: [String: AttributeValue] = ["starts": .ints([0]), "ends": .ints([1])]
      return usesAttributes ? ([matrix], range) : ([matrix, try .ints([0]), try .ints([1])], [:])
    case "Split": return ([matrix], ["num_outputs": .int(1)])
    case "Concat": return ([matrix, matrix], ["axis": .int(0)])
    case "Pad": return ([matrix, try .ints([0, 1, 1, 0])], [:])
    case "Resize": return ([image, nil, try .floats([1, 1, 2, 2])], [:])
    case "Gather": return ([matrix, try .ints([0])], [:])
    case "GatherElements": return ([matrix, try .ints([0], [1, 1])], [:])
    case "GatherND": return ([matrix, try .ints([0, 1], [1, 2])], [:])
    case "ScatterElements": return ([matrix, try .ints([0], [1, 1]), try ones([1, 1])], [:])
    case "ScatterND": return ([matrix, try .ints([0, 1], [1, 2]), try ones([1])], [:])
    case "Where": return ([try Tensor(.bool, [1], [UInt8(1)]), matrix, matrix], [:])
    case "TopK": return ([matrix, try .ints([1])], [:])
    case "CumSum": return ([matrix, try .ints([0], [])], [:])
    case "OneHot": return ([matrix, try .ints([2], []), try .floats([0, 1])], [:])
    case "Constant", "ConstantOfShape":
      return (op.name == "Constant" ? [] : [try .ints([2])], ["value": .tensor(try ones([1]))])
    case "Range": return ([try ones([]), try ones([]), try ones([])], [:])
    case "DepthToSpace", "SpaceToDepth": return ([image], ["blocksize": .int(2)])
    case "MaxPool", "AveragePool": return ([image], ["kernel_shape": .ints([2, 2])])
    case "GlobalAveragePool", "GlobalMaxPool": return ([image], [:])
    case "Conv", "FusedConv": return ([image, try ones([2, 4, 3, 3])], [:])
    case "BatchNormalization": return ([image] + [Tensor?](repeating: try ones([4]), count: 4), [:])
    case "InstanceNormalization", "GroupNormalization":
      return ([image, try ones([4]), try ones([4])], ["num_groups": .int(2)])
    case "LayerNormalization": return ([matrix, try ones([2]), try ones([2])], [:])
    case "RMSNormalization", "SimplifiedLayerNormalization": return ([matrix, try ones([2])], [:])
    case "Attention": return ([image, image, image], [:])
    case "AttentionPanels": return ([matrix], ["extent": .int(2)])
    case "Einsum": return ([matrix, matrix], ["equation": .string("ij,jk->ik")])
    default:
      let binary = [
        "Add", "Sub", "Mul", "Div", "Mod", "Pow", "PRelu", "Min", "Max", "Sum", "Mean", "Equal", "Greater", "Less",
        "GreaterOrEqual", "LessOrEqual", "And", "Or", "Xor", "MatMul", "Gemm", "Linear", "CastLike",
      ]
      return (binary.contains(op.name) ? [matrix, matrix] : [matrix], [:])
    }
  }

  private static let limits: [String: String] = [
    "Attention": "layouts BHTD and BTHD, keys also BHDT; up to two additive biases, and one looked up in a table",
    "AttentionPanels": "biases, or indices of a table, in the order in which Attention reads them",
    "BatchNormalization": "inference only", "CastLike": "floats to integers saturate",
    "Cast": "floats to integers saturate",
    "Constant": "no strings, no sparse tensors", "Conv": "one or two spatial axes",
    "Dropout": "inference only", "Einsum": "one or two operands; batched products go to the product kernel",
    "FusedConv": "Conv, then a residual (input 3) and `activation`",
    "LayerNormalization": "float32; accepted below opset 17 too, for graphs that the passes rewrote",
    "Linear": "x W + bias + residual, then `activation`: none, relu, gelu, gelu_tanh, silu, sigmoid, tanh; W constant",
    "NonZero": "the input must be constant", "Range": "the inputs must be constant or follow from shapes",
    "RMSNormalization": "float32; accepted below opset 23 too", "Resize": "interpolation of float32 only",
    "Slice": "starts, ends, axes and steps must be constant or follow from shapes",
    "SimplifiedLayerNormalization": "ONNX Runtime's name for RMSNormalization",
    "TopK": "k must be constant; always sorted", "Pow": "the exponent may have another type",
    "OneHot": "types are those of the indices; the depth must be constant",
    "Pad": "constant, reflect, edge, wrap (opset 19)",
  ]
}
