import Foundation
import Kernels
import ONNXFormat
import Tensor
import Testing

/// ONNX's own node cases, written by Tests/python/export_node_cases.py to the folder `MUE_ONNX_NODE_DATA`.
@Suite struct NodeCaseOperatorTests {
  static let folder = ProcessInfo.processInfo.environment["MUE_ONNX_NODE_DATA"]

  enum Outcome {
    case passed
    /// The engine says that it lacks something; the reason.
    case refused(String)
    case failed(String)
  }

  @Test func everyCaseOfOurOperatorsPassesOrIsRefused() throws {
    guard let folder = Self.folder else {
      print("skipped: MUE_ONNX_NODE_DATA is not set (see Tests/python/export_node_cases.py)")
      return
    }
    let context = try ComputeContext(threads: 2)
    let names = try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasSuffix(".onnx") }.sorted()
    #expect(!names.isEmpty)
    var passed = 0
    var refused: [String: [String]] = [:]
    for name in names {
      let outcome: Outcome
      do throws(MueError) {
        outcome = try run(ONNXModel.open(path: "\(folder)/\(name)"), context)
      } catch {
        outcome = error.code == .unsupported ? .refused(error.message) : .failed("\(error)")
      }
      switch outcome {
      case .passed: passed += 1
      case .refused(let reason): refused[reason, default: []].append(String(name.dropLast(5)))
      case .failed(let reason): Issue.record("\(name): \(reason)")
      }
    }
    let total = refused.values.reduce(0) { $0 + $1.count }
    print("\(names.count) cases: \(passed) pass, \(total) refused")
    for (reason, cases) in refused.sorted(by: { $0.value.count > $1.value.count }) {
      print("  \(cases.count) x \(reason): \(cases.prefix(4).joined(separator: " "))")
    }
    #expect(passed > 0)
  }

  private func run(_ model: ONNXModel, _ context: ComputeContext) throws(MueError) -> Outcome {
    let opset = model.opsetImports[""] ?? 0
    var values: [String: Tensor] = [:]
    var expected: [String: Tensor] = [:]
    for initializer in model.graph.initializers {
      if initializer.name.hasPrefix("expected/") {
        expected[String(initializer.name.dropFirst(9))] = try initializer.tensor
      } else {
        values[initializer.name] = try initializer.tensor
      }
    }
    for node in model.graph.nodes {
      guard let op = OperatorTable.find(name: node.opType, domain: node.domain, opset: opset) else {
        let known = OperatorTable.all.contains { $0.name == node.opType }
        return .refused(known ? "opset \(opset) of \(node.opType)" : "no operator \(node.domain)\(node.opType)")
      }
      var attributes = Attributes()
      for attribute in node.attributes {
        switch attribute.value {
        case .int(let value): attributes.values[attribute.name] = .int(value)
        case .float(let value): attributes.values[attribute.name] = .float(value)
        case .string(let value): attributes.values[attribute.name] = .string(value)
        case .tensor(let value): attributes.values[attribute.name] = .tensor(try value.tensor)
        case .ints(let value): attributes.values[attribute.name] = .ints(value)
        case .floats(let value): attributes.values[attribute.name] = .floats(value)
        case .strings(let value): attributes.values[attribute.name] = .strings(value)
        default: return .refused("an attribute that is a graph or the like")
        }
      }
      let outputs = try OperatorTable.evaluate(
        op, inputs: node.inputs.map { $0.isEmpty ? nil : values[$0] }, attributes: attributes, opset: opset,
        outputCount: node.outputs.count, context: context)
      guard outputs.count >= node.outputs.count else {
        return .failed("\(outputs.count) outputs instead of \(node.outputs.count)")
      }
      for (name, output) in zip(node.outputs, outputs) where !name.isEmpty { values[name] = output }
    }
    let relative = Double(model.metadata["rtol"] ?? "") ?? 1e-3
    let absolute = Double(model.metadata["atol"] ?? "") ?? 1e-7
    for (name, tensor) in expected {
      guard let actual = values[name] else { return .failed("no output \(name)") }
      guard actual.type == tensor.type, actual.shape == tensor.shape else {
        return .failed("\(name) is \(actual.type.name) \(actual.shape), not \(tensor.type.name) \(tensor.shape)")
      }
      for (index, (x, y)) in zip(try doubles(actual), try doubles(tensor)).enumerated() {
        // Half precision may be off by its last bit, which is a little more than ONNX's 1e-3.
        let bound = absolute + max(relative, tensor.type == .float16 ? 0x1p-9 : 0) * abs(y)
        let isClose = x == y || x.isNaN && y.isNaN || abs(x - y) <= bound
        if !isClose { return .failed("\(name)[\(index)] is \(x), not \(y)") }
      }
    }
    return .passed
  }
}

/// The elements of any tensor as doubles.
func doubles(_ tensor: Tensor) throws(MueError) -> [Double] {
  switch tensor.type {
  case .float32: try tensor.elements(as: Float.self).map { Double($0) }
  case .float64: try tensor.elements(as: Double.self)
  case .float16: try tensor.elements(as: Float16.self).map { Double($0) }
  case .bfloat16: try tensor.elements(as: UInt16.self).map { Double(Float(bitPattern: UInt32($0) << 16)) }
  case .uint64: try tensor.elements(as: UInt64.self).map { Double($0) }
  default: try tensor.integers().map { Double($0) }
  }
}
