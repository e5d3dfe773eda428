import CKernels
import Decode
import Exit
import Graph
import JSON
import Kernels
import ONNXFormat
import Streams
import Tensor
import Text
import Vision

/// A loaded model: immutable, shared by any number of sessions on any threads.
public final class Model: Sendable {
  public let options: ModelOptions
  let context: ComputeContext
  /// The graph as the file has it, for `Session.run`.
  let graph: Graph
  let bundle: Bundle?
  /// nil when the graph is not a unified encoder-decoder.
  let unified: UnifiedGraph?
  let preprocessor: ImagePreprocessor?
  let tasks: [TaskTemplate]
  let calibratedExits: ExitThresholds?
  /// What keeps a model that was opened for inspection from running.
  let unsupportedNodes: [UnsupportedNode]
  let shared = SharedState()
  /// What the host may want to know of the opening, beside errors.
  public let notes: [String]

  /// Opens a bundle directory, or a single ONNX file (then only `Session.run` and `forward` work).
  public static func open(path: String, options: ModelOptions = .init()) throws(MueError) -> Model {
    guard Bundle.exists(path) else { throw MueError(.notFound, "no such file or folder", at: .init(file: path)) }
    guard Bundle.isDirectory(path) else {
      let model = try ONNXModel.open(path: path, limits: options.limits.onnx)
      return try Model(model, file: path, bundle: nil, options: options)
    }
    let bundle = try Bundle(directory: path)
    let model = try ONNXModel.open(path: bundle.modelPath, limits: options.limits.onnx)
    return try Model(model, file: bundle.modelPath, bundle: bundle, options: options)
  }

  /// A graph from the bytes of an ONNX file without external data.
  public static func parse(onnx bytes: Buffer, options: ModelOptions = .init()) throws(MueError) -> Model {
    let model = try ONNXModel.parse(bytes, file: nil, externalDirectory: nil, limits: options.limits.onnx)
    return try Model(model, file: nil, bundle: nil, options: options)
  }

  private init(_ model: ONNXModel, file: String?, bundle: Bundle?, options: ModelOptions) throws(MueError) {
    self.options = options
    self.bundle = bundle
    context = try ComputeContext(
      threads: options.threads > 0 ? options.threads : Int(mk_processor_count()),
      weights: PackedWeights(precision: options.precision))
    var graph = try GraphImporter.importGraph(
      model, file: file, nesting: options.limits.nesting, nodeLimit: options.limits.nodes)
    unsupportedNodes = options.isForInspection ? graph.unsupportedNodes() : []
    if unsupportedNodes.isEmpty {
      try graph.requireSupported()
      try GraphOptimizer.simplify(&graph, context: context)
    }
    self.graph = graph
    preprocessor = try bundle?.preprocessor.map { (json) throws(MueError) in
      try ImagePreprocessor(json: json, file: (bundle?.directory ?? "") + "/preprocessor_config.json")
    }
    let mueFile = (bundle?.directory ?? "") + "/mue.json"
    tasks = try TaskTemplate.all(bundle?.mue, file: mueFile)
    calibratedExits = try CalibratedExits.read(bundle?.mue, file: mueFile)
    unified =
      unsupportedNodes.isEmpty
      ? try UnifiedGraph(graph, imageSize: Self.imageSize(bundle), configuration: bundle?.mue, context: context) : nil
    if let unified { notes = try Self.pack(unified, file: file, options, context) } else { notes = [] }
  }

  /// Packs all weights, by way of the file next to the model when the host wants one. Returns what went wrong with it.
  private static func pack(
    _ unified: UnifiedGraph, file: String?, _ options: ModelOptions, _ context: ComputeContext
  ) throws(MueError) -> [String] {
    guard let file, options.keepsPackedWeights else {
      try unified.packWeights(context: context)
      return []
    }
    let archive = PackedFile(
      path: PackedFile.path(model: file, precision: options.precision), pool: context.pool)
    context.weights.use(archive)
    defer { context.weights.use(nil) }
    try unified.packWeights(context: context)
    // The model is whole without it.
    do throws(MueError) { try archive.save() } catch { return [error.description] }
    return []
  }

  /// Height and width of the images, as far as the configuration tells.
  private static func imageSize(_ bundle: Bundle?) -> (height: Int, width: Int) {
    let size = bundle?.preprocessor?["size"]
    let square = size?.intValue ?? size?["shortest_edge"]?.intValue ?? bundle?.configuration?["image_size"]?.intValue
    return (size?["height"]?.intValue ?? square ?? 224, size?["width"]?.intValue ?? square ?? 224)
  }

  /// The graph's inputs, in the file's order.
  public var inputs: [TensorDescription] { graph.inputs.map(TensorDescription.init) }
  public var outputs: [TensorDescription] { graph.outputs.map(TensorDescription.init) }
  public var threads: Int { context.threads }
  /// True when the model has a decoder, a tokenizer and image preprocessing: then it generates and scores.
  public var canGenerate: Bool { unified?.decoder != nil && bundle?.tokenizer != nil && preprocessor != nil }
}

extension TensorDescription {
  init(_ port: Graph.Port) {
    let dimensions = port.shape ?? []
    self.init(
      name: port.name, type: port.type ?? .float32,
      shape: dimensions.map { dimension in
        if case .fixed(let size) = dimension { return size }
        return nil
      },
      dimensionNames: dimensions.map { dimension in
        if case .symbolic(let name) = dimension { return name }
        return ""
      })
  }
}

extension EngineLimits {
  var onnx: ONNXLimits {
    var limits = ONNXLimits()
    limits.modelBytes = modelBytes
    limits.nodes = nodes
    limits.tensorElements = tensorElements
    limits.nesting = nesting
    return limits
  }
}
