import Tensor

/// One operator: how its output shapes follow from its inputs, and how a call of fixed shapes is made ready to run.
///
/// An operator is one file that defines one `Operator` value, one line in `OperatorTable`, and its test.
public struct Operator: Sendable {
  /// ONNX's name, or the name of a fused operator of ours.
  public let name: String
  /// "" for ONNX's own domain, `mue` for fused operators.
  public let domain: String
  /// The opset versions whose meaning is implemented (the model's opset, not the operator's "since").
  public let versions: ClosedRange<Int>
  /// True when output 0 is input 0 under another shape: the planner then shares the memory and runs nothing.
  public let isView: Bool
  /// True when output 0 may lie where an input of its type and shape lies.
  public let mayOverwrite: Bool
  /// The inputs that output 0 may be written over while they are read, where they have its type and shape.
  public let overwritableInputs: [Int]
  public let infer: @Sendable (Inference) throws(MueError) -> [TensorInfo]
  public let prepare: @Sendable (Call) throws(MueError) -> Step
  /// Multiply-adds of one call; 0 for everything that is not a product.
  public let multiplyAdds: @Sendable (_ inputs: [TensorInfo?], _ outputs: [TensorInfo], _ attributes: Attributes) -> Int
  /// Brings the constant operand, input 1, into the kernel's layout and keeps them with the context's weights, ahead of `prepare`,
  /// which does so itself where it was not done; `forFewRows` where decoding reads it. nil when there is nothing to pack.
  public let pack: Packing?

  public typealias Packing =
    @Sendable (Inference, ComputeContext, _ forFewRows: Bool) throws(MueError) -> Void

  public init(
    _ name: String, domain: String = "", versions: ClosedRange<Int> = 1...28, isView: Bool = false,
    mayOverwrite: Bool = false, overwritableInputs: [Int]? = nil,
    infer: @escaping @Sendable (Inference) throws(MueError) -> [TensorInfo],
    multiplyAdds: @escaping @Sendable ([TensorInfo?], [TensorInfo], Attributes) -> Int = { _, _, _ in 0 },
    pack: Packing? = nil,
    prepare: @escaping @Sendable (Call) throws(MueError) -> Step
  ) {
    self.name = name
    self.domain = domain
    self.versions = versions
    self.isView = isView
    self.mayOverwrite = mayOverwrite
    self.overwritableInputs = overwritableInputs ?? (mayOverwrite ? [0, 1] : [])
    self.infer = { node throws(MueError) in
      do throws(MueError) {
        for case let input? in node.inputs { _ = try Shape.elementCount(input.shape) }
        let outputs = try infer(node)
        // Every size that follows goes through here once, so that operators may multiply dimensions freely.
        for output in outputs { _ = try Shape.elementCount(output.shape) }
        return outputs
      } catch {
        throw error.located(.init(operatorName: name))
      }
    }
    self.prepare = { call throws(MueError) in
      do throws(MueError) {
        // Packing reads weights wherever they lie.
        let step = try prepare(pack == nil ? call.aligned() : call.aligned(except: 1))
        return { () throws(MueError) in
          do throws(MueError) { try step() } catch { throw error.located(.init(operatorName: name)) }
        }
      } catch {
        throw error.located(.init(operatorName: name))
      }
    }
    self.multiplyAdds = multiplyAdds
    self.pack = pack
  }
}

/// A kernel call that is ready to run, any number of times, on the memory it was prepared for; allocates nothing.
public typealias Step = () throws(MueError) -> Void

/// What shape inference sees of a node.
public struct Inference {
  /// nil for an omitted optional input.
  public let inputs: [TensorInfo?]
  public let attributes: Attributes
  public let opset: Int
  public let outputCount: Int

  public init(inputs: [TensorInfo?], attributes: Attributes, opset: Int, outputCount: Int) {
    self.inputs = inputs
    self.attributes = attributes
    self.opset = opset
    self.outputCount = outputCount
  }

  /// The input at `index`; throws when the node does not have it.
  public func input(_ index: Int) throws(MueError) -> TensorInfo {
    guard index < inputs.count, let info = inputs[index] else {
      throw MueError(.invalidModel, "input \(index) is missing")
    }
    return info
  }

  public func optional(_ index: Int) -> TensorInfo? { index < inputs.count ? inputs[index] : nil }

  /// The integer elements of an input whose value decides a shape; throws when it is not known before running.
  public func integers(_ index: Int) throws(MueError) -> [Int] {
    guard let constant = try input(index).constant else {
      throw MueError(.unsupported, "input \(index) decides a shape but depends on data")
    }
    return try constant.integers()
  }
}

/// One call to be prepared: operands with their final shapes and addresses.
public struct Call {
  public let inputs: [Operand?]
  public let outputs: [Operand]
  public let attributes: Attributes
  public let opset: Int
  public let context: ComputeContext
  public let scratch: Scratch
  /// Where packed constants are kept: the model's, unless the call is a single one that packs for itself.
  public let weights: PackedWeights

  public init(
    inputs: [Operand?], outputs: [Operand], attributes: Attributes, opset: Int, context: ComputeContext,
    scratch: Scratch, weights: PackedWeights? = nil
  ) {
    self.inputs = inputs
    self.outputs = outputs
    self.attributes = attributes
    self.opset = opset
    self.context = context
    self.scratch = scratch
    self.weights = weights ?? context.weights
  }

  public func input(_ index: Int) throws(MueError) -> Operand {
    guard index < inputs.count, let operand = inputs[index] else {
      throw MueError(.invalidModel, "input \(index) is missing")
    }
    return operand
  }

  public func optional(_ index: Int) -> Operand? { index < inputs.count ? inputs[index] : nil }
}

/// A contiguous tensor at a fixed address. Constants may be unaligned.
public struct Operand {
  public let type: ElementType
  public let shape: [Int]
  public let pointer: UnsafeMutableRawPointer
  /// Set when the operand never changes, so that it can be packed or read while preparing.
  public let constant: Tensor?

  public init(_ type: ElementType, _ shape: [Int], _ pointer: UnsafeMutableRawPointer, constant: Tensor? = nil) {
    self.type = type
    self.shape = shape
    self.pointer = pointer
    self.constant = constant
  }

  public var info: TensorInfo { TensorInfo(type, shape, constant: constant) }
  /// Elements; shapes reach here only after checked inference, so the product cannot overflow.
  public var count: Int { shape.reduce(1, &*) }
}
