import CKernels
import Graph
import Kernels
import Tensor

/// A slice of a graph made ready to run for fixed shapes: buffers placed in one arena and a flat list of kernel calls.
///
/// Running allocates nothing. A plan belongs to one session and shares its memory with the other plans of an arena: load
/// the feeds right before each run, and take the outputs before another plan is loaded.
public final class Plan {
  /// Makes the step of a node in place of its operator: how decoding puts its cache into attention.
  public typealias Override = (Call) throws(MueError) -> Step

  /// Multiply-adds of one run.
  public private(set) var multiplyAdds = 0
  public var stepCount: Int { steps.count }
  /// Bytes of what follows from sizes alone and that the plan keeps: position biases.
  public var heldByteCount: Int {
    operands.reduce(0) { sum, entry in
      guard let constant = entry.value.constant, graph.values[entry.key].constant == nil else { return sum }
      return sum + constant.byteCount
    }
  }

  /// Multiply-adds of a run of overridden steps, by node, for traces.
  public var overrideCosts: [Int: () -> Int] = [:]
  /// Bytes of the arena that this plan's values need.
  public private(set) var arenaByteCount = 0

  private var steps: [(step: Step, node: Int)] = []
  /// Of each step, for traces; made when first needed.
  private var labels: [OperatorLabel] = []
  private var operands: [ValueID: Operand] = [:]
  /// Shared with the arena's other plans.
  private var memory: Buffer?
  private let graph: Graph
  private let workspace: Workspace

  /// - Parameters:
  ///   - outputs: the values to compute; one may also be a feed or a constant.
  ///   - feeds: what is given; the walk back from `outputs` stops there.
  ///   - overrides: nodes (by index) whose step is made by the caller; their multiply-adds are the caller's too.
  ///   - arena: where values lie; nil: in the arena of most of the session's plans.
  public init(
    _ graph: Graph, outputs: [ValueID], feeds: [ValueID: Feed], overrides: [Int: Override] = [:],
    context: ComputeContext, arena: Arena? = nil
  ) throws(MueError) {
    self.graph = graph
    workspace = context.workspace
    let depth = workspace.trace?.depth ?? 0
    workspace.trace?.begin("plan")
    defer { workspace.trace?.end(downTo: depth) }
    let indices = graph.slice(to: outputs, from: Set(feeds.keys))
    let specialization = try Specialization(
      graph, nodes: indices, feeds: feeds.mapValues(\.info), outputs: Set(outputs), context: context)
    let dataNodes = specialization.dataNodes
    bind(feeds, read: Set(dataNodes.flatMap { graph.nodes[$0].inputs.compactMap { $0 } }).union(outputs))
    try place(dataNodes, outputs: outputs, feeds: feeds, infos: specialization.infos, arena: arena ?? workspace.arena)
    for index in dataNodes {
      do {
        try prepare(index, infos: specialization.infos, override: overrides[index], context: context)
      } catch {
        throw error.located(graph.location(of: graph.nodes[index]))
      }
    }
    for output in outputs where operands[output] == nil {
      guard let constant = specialization.infos[output]?.constant ?? graph.values[output].constant else {
        throw MueError(.internal, "'\(graph.values[output].name)' was not planned")
      }
      operands[output] = Operand(constant.type, constant.shape, constant.pointer, constant: constant)
    }
  }

  /// The memory of an output or of a feed.
  public func operand(_ value: ValueID) throws(MueError) -> Operand {
    guard let operand = operands[value] else {
      throw MueError(.internal, "'\(graph.values[value].name)' is not part of this plan")
    }
    return operand
  }

  /// Copies elements into a feed; they stand until another plan of the session is loaded or runs.
  public func load(_ value: ValueID, from source: UnsafeRawPointer) throws(MueError) {
    let target = try operand(value)
    target.pointer.copyMemory(from: source, byteCount: target.count * target.type.byteWidth)
  }

  /// An output's elements, copied out of the plan.
  ///
  /// - Parameter spares: where its memory comes from; nil: from the system.
  public func copy(of value: ValueID, from spares: SpareMemory? = nil) throws(MueError) -> Tensor {
    let source = try operand(value)
    let tensor: Tensor
    if let spares {
      tensor = try spares.tensor(source.type, source.shape)
    } else {
      tensor = try Tensor(source.type, source.shape)
    }
    tensor.pointer.copyMemory(from: source.pointer, byteCount: tensor.byteCount)
    return tensor
  }

  /// Runs all steps; throws `.cancelled` between two of them once `isCancelled` says so.
  public func run(isCancelled: () -> Bool = { false }) throws(MueError) {
    if let trace = workspace.trace, trace.detail == .operators { return try run(tracedBy: trace, isCancelled) }
    for (step, node) in steps {
      if isCancelled() { throw MueError(.cancelled, "the request was cancelled") }
      do {
        try step()
      } catch {
        throw error.located(graph.location(of: graph.nodes[node]))
      }
    }
  }

  private func run(tracedBy trace: TraceRecorder, _ isCancelled: () -> Bool) throws(MueError) {
    if labels.isEmpty { labels = steps.map { label($0.node) } }
    for (index, (step, node)) in steps.enumerated() {
      if isCancelled() { throw MueError(.cancelled, "the request was cancelled") }
      let begin = Clock.now()
      do {
        try step()
      } catch {
        throw error.located(graph.location(of: graph.nodes[node]))
      }
      trace.record(labels[index], since: begin, multiplyAdds: overrideCosts[node]?())
    }
  }

  /// What a trace says of the node at `index`.
  private func label(_ index: Int) -> OperatorLabel {
    let node = graph.nodes[index]
    let inputs = node.inputs.map { $0.flatMap { operands[$0]?.info } }
    let outputs = node.outputs.compactMap { $0.flatMap { operands[$0]?.info } }
    let kernel = overrideCosts[index] == nil ? graph.kernel(of: node) : nil
    return OperatorLabel(
      name: node.name, operatorName: node.operatorName, inputs: inputs, outputs: outputs,
      multiplyAdds: kernel?.multiplyAdds(inputs, outputs, node.attributes),
      nodes: { [graph] in graph.origins?.names(of: node) ?? [node.name] })
  }

  /// - Parameter read: of constants, others are not kept.
  private func bind(_ feeds: [ValueID: Feed], read: Set<ValueID>) {
    for (value, feed) in feeds {
      switch feed {
      case .memory(let type, let shape, let pointer):
        operands[value] = Operand(type, shape, pointer)
      case .constant(let tensor):
        guard read.contains(value) else { continue }
        operands[value] = Operand(tensor.type, tensor.shape, tensor.pointer, constant: tensor)
      case .shape, .buffer: break
      }
    }
  }

  /// Gives every value that the steps make its place. Views share the memory of what they view.
  private func place(
    _ dataNodes: [Int], outputs: [ValueID], feeds: [ValueID: Feed], infos: [TensorInfo?], arena: Arena
  ) throws(MueError) {
    var roots: [ValueID: ValueID] = [:]
    var first: [ValueID: Int] = [:]
    var last: [ValueID: Int] = [:]
    func root(_ value: ValueID) -> ValueID { Self.root(value, roots) }
    for (step, index) in dataNodes.enumerated() {
      let node = graph.nodes[index]
      for case let input? in node.inputs { last[root(input)] = step }
      if graph.kernel(of: node)?.isView == true, case let input?? = node.inputs.first,
        case let output?? = node.outputs.first
      {
        roots[output] = root(input)
        continue
      }
      for case let output? in node.outputs {
        first[output] = step
        last[output] = step
      }
    }
    for output in outputs { last[root(output)] = dataNodes.count }
    overwrite(dataNodes, infos, &roots, first: &first, last: &last)
    // A feed is loaded before the first step, and may be read after the last one.
    for case (let value, .buffer) in feeds {
      first[value] = 0
      last[value] = dataNodes.count
    }
    let made = first.keys.sorted()
    var requests: [MemoryPlanner.Request] = []
    for value in made {
      guard let info = infos[value], let start = first[value], let end = last[value] else {
        throw MueError(.internal, "'\(graph.values[value].name)' has no shape")
      }
      requests.append(.init(byteCount: try Shape.byteCount(info.shape, info.type), lifetime: start...end))
    }
    let planner = try MemoryPlanner(requests)
    let block = try arena.memory(byteCount: planner.byteCount)
    memory = block
    arenaByteCount = planner.byteCount
    for (value, offset) in zip(made, planner.offsets) {
      guard let info = infos[value] else { continue }
      operands[value] = Operand(info.type, info.shape, block.base + offset)
    }
    for index in dataNodes {
      // In graph order, so that a view of a view finds its source.
      for case let output? in graph.nodes[index].outputs {
        guard roots[output] != nil, let info = infos[output] else { continue }
        let source = root(output)
        let memory: UnsafeMutableRawPointer
        if let operand = operands[source] {
          memory = operand.pointer
        } else {
          memory = try constantPointer(source, infos)
        }
        operands[output] = Operand(info.type, info.shape, memory)
      }
    }
  }

  private static func root(_ value: ValueID, _ roots: [ValueID: ValueID]) -> ValueID {
    var value = value
    while let next = roots[value] { value = next }
    return value
  }

  /// Lets results take the place of what dies with the step and may be overwritten: a residual, a term of a sum.
  private func overwrite(
    _ dataNodes: [Int], _ infos: [TensorInfo?], _ roots: inout [ValueID: ValueID], first: inout [ValueID: Int],
    last: inout [ValueID: Int]
  ) {
    func byteCount(_ value: ValueID) -> Int? {
      guard let info = infos[value] else { return nil }
      return try? Shape.byteCount(info.shape, info.type)
    }
    for (step, index) in dataNodes.enumerated() {
      let node = graph.nodes[index]
      guard let kernel = graph.kernel(of: node), !kernel.overwritableInputs.isEmpty, node.outputs.count == 1,
        let output = node.outputs[0], let end = last[output], first[output] == step
      else { continue }
      for slot in kernel.overwritableInputs where slot < node.inputs.count {
        guard let input = node.inputs[slot], infos[input]?.shape == infos[output]?.shape,
          infos[input]?.type == infos[output]?.type
        else { continue }
        let source = Self.root(input, roots)
        // Made by a step of this plan, as large, read for the last time, and by no other operand.
        guard let start = first[source], start < step, last[source] == step, byteCount(source) == byteCount(output),
          node.inputs.enumerated().allSatisfy({ other, value in
            other == slot || value.map { Self.root($0, roots) != source } ?? true
          })
        else { continue }
        roots[output] = source
        last[source] = end
        (first[output], last[output]) = (nil, nil)
        break
      }
    }
  }

  private func constantPointer(_ value: ValueID, _ infos: [TensorInfo?]) throws(MueError) -> UnsafeMutableRawPointer {
    guard let constant = infos[value]?.constant ?? graph.values[value].constant else {
      throw MueError(.internal, "'\(graph.values[value].name)' has no memory")
    }
    return constant.pointer
  }

  private func prepare(
    _ index: Int, infos: [TensorInfo?], override: Override?, context: ComputeContext
  ) throws(MueError) {
    let node = graph.nodes[index]
    guard let kernel = graph.kernel(of: node) else {
      throw MueError(.unsupported, "operator \(node.operatorName) is not supported at opset \(graph.opset)")
    }
    if kernel.isView { return }
    var inputs: [Operand?] = []
    for input in node.inputs {
      guard let input else {
        inputs.append(nil)
        continue
      }
      if let operand = operands[input] {
        inputs.append(operand)
      } else if let constant = infos[input]?.constant ?? graph.values[input].constant {
        let operand = Operand(constant.type, constant.shape, constant.pointer, constant: constant)
        operands[input] = operand
        inputs.append(operand)
      } else if override != nil {
        // An override may bring the elements itself.
        inputs.append(nil)
      } else {
        throw MueError(.internal, "the elements of '\(graph.values[input].name)' are not given")
      }
    }
    var outputs: [Operand] = []
    for (position, output) in node.outputs.enumerated() {
      guard let output, let operand = operands[output] else {
        throw MueError(.unsupported, "output \(position) is omitted")
      }
      outputs.append(operand)
    }
    let call = Call(
      inputs: inputs, outputs: outputs, attributes: node.attributes, opset: graph.opset, context: context,
      scratch: context.workspace.scratch)
    if let override {
      steps.append((try override(call), index))
      return
    }
    steps.append((try kernel.prepare(call), index))
    let (sum, overflow) = multiplyAdds.addingReportingOverflow(
      kernel.multiplyAdds(inputs.map { $0?.info }, outputs.map(\.info), node.attributes))
    multiplyAdds = overflow ? Int.max : sum
  }
}
