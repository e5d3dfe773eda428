import Exit
import Graph
import Kernels
import Plan
import Streams
import Tensor

/// Runs the encoder's streams layer by layer until each saturates, then the bridge to the decoder.
///
/// Every sample runs in plans of batch 1: a sample's result cannot depend on its neighbours, and no padding is needed.
final class EncoderRunner {
  private let unified: UnifiedGraph
  private let context: ComputeContext
  private let shared: SharedState
  // Streams have tens of layers, and requests a few shapes.
  private let plans = PlanCache(capacity: 512)
  private var arena: Arena { context.workspace.encoderArena }
  /// nil while nothing is traced.
  private var trace: TraceRecorder? { context.workspace.trace }

  init(_ unified: UnifiedGraph, shared: SharedState, context: ComputeContext) {
    self.unified = unified
    self.shared = shared
    self.context = context
  }

  /// A stream of one sample on its way through the layers.
  private struct Progress {
    /// [1, rows, width]
    var state: Tensor
    var preludes: [ValueID: Tensor]
    var layer = 0
    var isDone = false
    var similarities: [Double] = []
    /// Rows that count for the similarity.
    var counts: [Bool]
    var multiplyAdds = 0
    var fullMultiplyAdds = 0
    var stemMilliseconds = 0.0
    var layersMilliseconds = 0.0
  }

  func encode(_ samples: [SampleInput], options: RunOptions) throws(MueError) -> [EncodedSample] {
    reclaimArena()
    var results = samples.map { EncodedSample(shape: $0.shape) }
    var ends = [[ValueID: Tensor]](repeating: [:], count: samples.count)
    for partition in unified.encoderStreams {
      var streams = samples.map { kept($0, partition.stream.kind, options) }
      let missing = streams.indices.filter { streams[$0] == nil }
      let made = try run(partition, missing.map { samples[$0] }, options)
      for (index, stream) in zip(missing, made) {
        streams[index] = stream
        results[index].charge(stream)
        if let key = promptKey(samples[index], partition.stream.kind, options) { shared.prompts.keep(stream, for: key) }
      }
      for (index, stream) in streams.enumerated() {
        guard let stream else { throw MueError(.internal, "a sample was not encoded") }
        ends[index][partition.stream.last] = stream.state
        results[index].exits[partition.stream.kind] = stream.layer
        if options.recordsSimilarities { results[index].similarities[partition.stream.kind] = stream.similarities }
      }
    }
    for index in samples.indices { try bridge(samples[index], ends[index], &results[index], options) }
    return results
  }

  /// The image stream of one picture, whatever will be asked about it.
  ///
  /// - Parameter pixelValues: float32 [1, channels, height, width].
  /// - Throws: `.unsupported` when image and text attend to each other in the encoder.
  func encode(image pixelValues: Tensor, options: RunOptions) throws(MueError) -> EncodedStream {
    guard let partition = unified.encoderStreams.first(where: { $0.stream.kind == .image }) else {
      throw MueError(
        .unsupported,
        "the encoder attends across image and text, so an image has no encoding of its own; a decomposed one is needed")
    }
    reclaimArena()
    // The ids serve shapes alone: nothing in this stream depends on them.
    let sample = try SampleInput(pixelValues: pixelValues, inputIDs: [0], padding: nil)
    guard let stream = try run(partition, [sample], options).first else {
      throw MueError(.internal, "a sample was not encoded")
    }
    return stream
  }

  /// What earlier requests lent of the plans' memory is theirs again; plans over memory that somebody still holds go.
  private func reclaimArena() {
    if !arena.reclaim() { plans.removeAll() }
  }

  private func kept(_ sample: SampleInput, _ kind: Stream.Kind, _ options: RunOptions) -> EncodedStream? {
    if kind == .image, let stream = sample.image { return stream }
    return promptKey(sample, kind, options).flatMap { shared.prompts.stream($0) }
  }

  /// nil when the stream is not one that follows from the prompt alone.
  private func promptKey(_ sample: SampleInput, _ kind: Stream.Kind, _ options: RunOptions) -> PromptCache.Key? {
    guard kind == .text, options.rule == .row else { return nil }
    return PromptCache.Key(
      ids: sample.inputIDs, threshold: options.thresholds.text, recordsSimilarities: options.recordsSimilarities)
  }

  private func run(
    _ partition: EncoderPartition, _ samples: [SampleInput], _ options: RunOptions
  ) throws(MueError) -> [EncodedStream] {
    // Before anything else takes memory: making these takes more than keeping them.
    for sample in samples { _ = try sizeValues(partition, Self.shape(sample.shape, seenBy: partition.stream.kind)) }
    var progress: [Progress] = []
    for sample in samples {
      let watch = Stopwatch()
      progress.append(try embed(partition, sample, options))
      progress[progress.count - 1].stemMilliseconds = watch.milliseconds
    }
    try runLayers(partition, samples, &progress, options)
    return progress.map { stream in
      EncodedStream(
        state: stream.state, layer: stream.layer, similarities: stream.similarities,
        multiplyAdds: stream.multiplyAdds, fullMultiplyAdds: stream.fullMultiplyAdds,
        stemMilliseconds: stream.stemMilliseconds, layersMilliseconds: stream.layersMilliseconds)
    }
  }

  /// Pixels or ids to v_0, and what the layers share.
  private func embed(
    _ partition: EncoderPartition, _ sample: SampleInput, _ options: RunOptions
  ) throws(MueError) -> Progress {
    trace?.begin("\(partition.stream.kind) stem")
    defer { trace?.end() }
    let inputs: Set<ValueID> = [unified.roles.pixelValues.value, unified.roles.inputIDs.value]
    let shape = Self.shape(sample.shape, seenBy: partition.stream.kind)
    let plan = try plans.plan([partition.stream.first, -1] + key(shape)) { () throws(MueError) in
      try Plan(
        unified.graph, outputs: [partition.stream.first] + partition.preludes,
        feeds: unified.inputFeeds(shape, data: inputs), context: context, arena: arena)
    }
    try load(sample, into: plan, ids: partition.stream.kind != .image)
    try plan.run(isCancelled: options.isCancelled)
    var preludes: [ValueID: Tensor] = [:]
    for value in partition.preludes { preludes[value] = try plan.copy(of: value) }
    let state = try plan.copy(of: partition.stream.first)
    var progress = Progress(
      state: state, preludes: preludes, counts: Self.counted(partition.stream.kind, sample, state))
    progress.multiplyAdds = plan.multiplyAdds
    progress.fullMultiplyAdds = plan.multiplyAdds
    return progress
  }

  private static func counted(_ kind: Stream.Kind, _ sample: SampleInput, _ state: Tensor) -> [Bool] {
    let rows = state.shape.count == 3 ? state.shape[1] : 0
    switch kind {
    case .text where rows == sample.isToken.count: return sample.isToken
    // Image first, then text.
    case .joint where rows >= sample.isToken.count:
      return [Bool](repeating: true, count: rows - sample.isToken.count) + sample.isToken
    default: return [Bool](repeating: true, count: rows)
    }
  }

  private func runLayers(
    _ partition: EncoderPartition, _ samples: [SampleInput], _ progress: inout [Progress], _ options: RunOptions
  ) throws(MueError) {
    let stream = partition.stream
    let threshold = stream.kind == .text ? options.thresholds.text : options.thresholds.image
    let needsSimilarity = threshold < 1 || options.recordsSimilarities
    for layer in 1...stream.layerCount {
      var joint = StateSimilarity()
      for index in samples.indices where !progress[index].isDone {
        let watch = Stopwatch()
        trace?.begin("\(stream.kind) layer \(layer)")
        defer { trace?.end() }
        let plan = try layerPlan(partition, layer, samples[index].shape, progress[index])
        try plan.load(stream.states[layer - 1], from: progress[index].state.pointer)
        for (value, tensor) in progress[index].preludes { try plan.load(value, from: tensor.pointer) }
        try plan.run(isCancelled: options.isCancelled)
        let before = try floats(plan, stream.states[layer - 1])
        let after = try floats(plan, stream.states[layer])
        if needsSimilarity {
          let similarity = similarity(before, after, progress[index], &joint, rule: options.rule)
          progress[index].similarities.append(similarity)
          if options.rule == .row, similarity > threshold { progress[index].isDone = true }
        }
        progress[index].state.pointer.copyMemory(from: after, byteCount: progress[index].state.byteCount)
        progress[index].layer = layer
        progress[index].multiplyAdds += plan.multiplyAdds
        progress[index].fullMultiplyAdds += plan.multiplyAdds
        progress[index].layersMilliseconds += watch.milliseconds
      }
      if options.rule == .joint, needsSimilarity {
        let similarity = joint.value()
        for index in progress.indices {
          progress[index].similarities[progress[index].similarities.count - 1] = similarity
        }
        if similarity > threshold {
          for index in progress.indices { progress[index].isDone = true }
        }
      }
      if progress.allSatisfy(\.isDone) { break }
    }
    for index in samples.indices {
      // Layers of a stream are alike: what ran tells what the others would have cost.
      let plan = try layerPlan(partition, 1, samples[index].shape, progress[index])
      progress[index].fullMultiplyAdds += plan.multiplyAdds * (stream.layerCount - progress[index].layer)
    }
  }

  private func similarity(
    _ before: UnsafePointer<Float>, _ after: UnsafePointer<Float>, _ progress: Progress,
    _ joint: inout StateSimilarity, rule: ExitRule
  ) -> Double {
    let width = progress.state.shape.last ?? 0
    if rule == .joint {
      joint.append(before, after, width: width, counts: progress.counts)
      return 0
    }
    if progress.counts.allSatisfy({ $0 }) {
      return StateSimilarity.between(before, after, count: progress.state.count)
    }
    var counted = StateSimilarity()
    counted.append(before, after, width: width, counts: progress.counts)
    return counted.value()
  }

  private func sizeValues(_ partition: EncoderPartition, _ shape: RequestShape) throws(MueError) -> [ValueID: Tensor] {
    try shared.sizeValues.values(
      .init(stream: partition.stream.first, shape: shape), wanted: partition.sizeValues, unified: unified,
      context: context)
  }

  private func layerPlan(
    _ partition: EncoderPartition, _ layer: Int, _ shape: RequestShape, _ progress: Progress
  ) throws(MueError) -> Plan {
    let stream = partition.stream
    let shape = Self.shape(shape, seenBy: stream.kind)
    return try plans.plan([stream.first, layer] + key(shape)) { () throws(MueError) in
      var feeds = unified.inputFeeds(shape)
      feeds[stream.states[layer - 1]] = .buffer(progress.state.type, progress.state.shape)
      for (value, tensor) in progress.preludes { feeds[value] = .buffer(tensor.type, tensor.shape) }
      for (value, tensor) in try sizeValues(partition, shape) { feeds[value] = .constant(tensor) }
      return try Plan(unified.graph, outputs: [stream.states[layer]], feeds: feeds, context: context, arena: arena)
    }
  }

  /// From the streams' exit states to everything that several decoder layers share.
  private func bridge(
    _ sample: SampleInput, _ ends: [ValueID: Tensor], _ result: inout EncodedSample, _ options: RunOptions
  ) throws(MueError) {
    guard let values = unified.decoder?.bridge, !values.isEmpty else { return }
    let watch = Stopwatch()
    trace?.begin("bridge to the decoder")
    defer { trace?.end() }
    let inputs: Set<ValueID> = [unified.roles.pixelValues.value, unified.roles.inputIDs.value]
    let plan = try plans.plan([-1, -1] + key(sample.shape)) { () throws(MueError) in
      var feeds = unified.inputFeeds(sample.shape, data: inputs)
      for (value, tensor) in ends { feeds[value] = .buffer(tensor.type, tensor.shape) }
      return try Plan(unified.graph, outputs: values, feeds: feeds, context: context, arena: arena)
    }
    try load(sample, into: plan, ids: true)
    for (value, tensor) in ends { try plan.load(value, from: tensor.pointer) }
    try plan.run(isCancelled: options.isCancelled)
    for value in values { result.bridge[value] = try plan.copy(of: value) }
    result.multiplyAdds += plan.multiplyAdds
    result.fullMultiplyAdds += plan.multiplyAdds
    result.layersMilliseconds += watch.milliseconds
  }

  private func load(_ sample: SampleInput, into plan: Plan, ids: Bool) throws(MueError) {
    try plan.load(unified.roles.pixelValues.value, from: sample.pixelValues.pointer)
    if ids { try plan.load(ids: sample.inputIDs, into: unified.roles.inputIDs.value) }
  }

  /// The image stream does not see the prompt: prompts of all lengths share its plans.
  private static func shape(_ shape: RequestShape, seenBy kind: Stream.Kind) -> RequestShape {
    var shape = shape
    if kind == .image { shape.text = 1 }
    return shape
  }

  private func floats(_ plan: Plan, _ value: ValueID) throws(MueError) -> UnsafePointer<Float> {
    UnsafePointer(try plan.operand(value).pointer.assumingMemoryBound(to: Float.self))
  }

  private func key(_ shape: RequestShape) -> [Int] { [shape.height, shape.width, shape.channels, shape.text] }
}
