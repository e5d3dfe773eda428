import Kernels
import ONNXFormat
import Tensor

/// Turns a parsed ONNX model into the engine's graph: names become values, local functions are inlined, `Constant`
/// nodes become constants.
public struct GraphImporter {
  var graph: Graph
  var functions: [String: ONNXFunction] = [:]
  let nesting: Int
  let nodeLimit: Int

  /// Imports `model`; operators that the engine lacks are kept, for `unsupportedNodes` to report.
  public static func importGraph(
    _ model: ONNXModel, file: String?, nesting: Int = 16, nodeLimit: Int = 1 << 20
  ) throws(MueError) -> Graph {
    guard let opset = model.opsetImports[""] else {
      throw MueError(
        .invalidModel, "the model imports no version of ONNX's operators", at: .init(file: file, field: "opset_import"))
    }
    var importer = GraphImporter(graph: Graph(opset: opset, file: file), nesting: nesting, nodeLimit: nodeLimit)
    for function in model.functions {
      importer.functions[Self.key(function.domain, function.name, function.overload)] = function
    }
    try importer.importBody(model.graph)
    try importer.graph.checkInvariants()
    return importer.graph
  }

  private init(graph: Graph, nesting: Int, nodeLimit: Int) {
    self.graph = graph
    self.nesting = nesting
    self.nodeLimit = nodeLimit
  }

  private static func key(_ domain: String, _ name: String, _ overload: String) -> String {
    "\(domain)\u{0}\(name)\u{0}\(overload)"
  }

  private mutating func importBody(_ body: ONNXGraph) throws(MueError) {
    var scope: [String: ValueID] = [:]
    for initializer in body.initializers {
      guard scope[initializer.name] == nil else {
        throw MueError(.invalidModel, "initializer '\(initializer.name)' is there twice", at: .init(file: graph.file))
      }
      scope[initializer.name] = graph.addValue(initializer.name, constant: try initializer.tensor)
    }
    // Before IR version 4 every initializer was an input too; those are constants here.
    for input in body.inputs where scope[input.name] == nil {
      scope[input.name] = graph.addInput(input.name, type: input.elementType, shape: Self.dimensions(input.shape))
    }
    try importNodes(body.nodes, scope: &scope, references: [:], depth: 0, prefix: "")
    for output in body.outputs {
      guard let value = scope[output.name] else {
        throw MueError(.invalidModel, "output '\(output.name)' is never defined", at: .init(file: graph.file))
      }
      graph.addOutput(output.name, value: value, type: output.elementType, shape: Self.dimensions(output.shape))
    }
  }

  private static func dimensions(_ shape: [ONNXDimension]?) -> [Graph.Dimension]? {
    shape?.map { dimension in
      switch dimension {
      case .fixed(let size): .fixed(size)
      case .symbolic(let name): .symbolic(name)
      case .unknown: .unknown
      }
    }
  }

  private mutating func importNodes(
    _ nodes: [ONNXNode], scope: inout [String: ValueID], references: [String: AttributeValue], depth: Int,
    prefix: String
  ) throws(MueError) {
    for (index, node) in nodes.enumerated() {
      let name = prefix + (node.name.isEmpty ? "\(node.opType)_\(index)" : node.name)
      let place = MueError.Location(file: graph.file, node: name, operatorName: node.opType)
      do {
        try importNode(node, name: name, scope: &scope, references: references, depth: depth)
      } catch {
        throw error.located(place)
      }
    }
  }

  private mutating func importNode(
    _ node: ONNXNode, name: String, scope: inout [String: ValueID], references: [String: AttributeValue], depth: Int
  ) throws(MueError) {
    guard graph.nodes.count < nodeLimit else {
      throw MueError(.limitExceeded, "the graph has more than \(nodeLimit) nodes")
    }
    var inputs: [ValueID?] = []
    for input in node.inputs {
      if input.isEmpty {
        inputs.append(nil)
      } else if let value = scope[input] {
        inputs.append(value)
      } else {
        throw MueError(.invalidModel, "'\(input)' is read before it is defined")
      }
    }
    let domain = node.domain == "ai.onnx" ? "" : node.domain
    let attributes = try AttributeImporter.attributes(of: node, references: references)
    if let function = functions[Self.key(node.domain, node.opType, node.overload)] {
      guard depth < nesting else { throw MueError(.limitExceeded, "functions call each other too deeply") }
      try inline(function, node: node, name: name, inputs: inputs, attributes: attributes, scope: &scope, depth: depth)
      return
    }
    if domain.isEmpty, node.opType == "Constant", let constant = try AttributeImporter.constant(attributes) {
      guard let output = node.outputs.first, scope[output] == nil else {
        throw MueError(.invalidModel, "a Constant defines one new value")
      }
      scope[output] = graph.addValue(output, constant: constant)
      return
    }
    var outputs: [ValueID?] = []
    for output in node.outputs {
      if output.isEmpty {
        outputs.append(nil)
        continue
      }
      guard scope[output] == nil else { throw MueError(.invalidModel, "'\(output)' is defined twice") }
      let value = graph.addValue(output)
      scope[output] = value
      outputs.append(value)
    }
    graph.append(
      Graph.Node(node.opType, domain: domain, name: name, inputs: inputs, outputs: outputs, attributes: attributes))
  }

  /// Copies the body of a local function in place of its call; inner names live in a scope of their own.
  private mutating func inline(
    _ function: ONNXFunction, node: ONNXNode, name: String, inputs: [ValueID?], attributes: Attributes,
    scope: inout [String: ValueID], depth: Int
  ) throws(MueError) {
    var inner: [String: ValueID] = [:]
    for (position, parameter) in function.inputs.enumerated() where position < inputs.count {
      if let value = inputs[position] { inner[parameter] = value }
    }
    var references = attributes.values
    for attribute in function.attributeDefaults where references[attribute.name] == nil {
      references[attribute.name] = try AttributeImporter.value(of: attribute, references: [:])
    }
    try importNodes(
      function.nodes, scope: &inner, references: references, depth: depth + 1, prefix: "\(name)/")
    for (position, output) in node.outputs.enumerated() where !output.isEmpty {
      guard position < function.outputs.count, let value = inner[function.outputs[position]] else {
        throw MueError(.invalidModel, "function '\(function.name)' does not define output \(position)")
      }
      guard scope[output] == nil else { throw MueError(.invalidModel, "'\(output)' is defined twice") }
      scope[output] = value
    }
  }
}
