import CKernels
import Exit
import Graph
import Kernels
import Tensor

/// Runs requests on a unified graph for one session: encoder, generation, scoring, teacher-forced passes.
public final class UnifiedRunner {
  public let unified: UnifiedGraph
  private let context: ComputeContext
  private let encoder: EncoderRunner
  private let shared: SharedState
  private var prefixRunners: [RequestShape: PrefixRunner] = [:]
  private var decoderPlans: [RequestShape: DecoderPlans] = [:]

  /// - Parameters:
  ///   - shared: of the model.
  ///   - context: of the session.
  public init(_ unified: UnifiedGraph, shared: SharedState, context: ComputeContext) {
    self.unified = unified
    self.shared = shared
    self.context = context
    encoder = EncoderRunner(unified, shared: shared, context: context)
  }

  public func encode(_ samples: [SampleInput], options: RunOptions) throws(MueError) -> [EncodedSample] {
    try encoder.encode(samples, options: options)
  }

  /// The image stream of one picture, to be kept and asked many prompts; exact for decomposed encoders alone.
  ///
  /// - Parameter pixelValues: float32 [1, channels, height, width].
  /// - Throws: `.unsupported` for an encoder that attends across image and text.
  public func encode(image pixelValues: Tensor, options: RunOptions) throws(MueError) -> EncodedStream {
    try encoder.encode(image: pixelValues, options: options)
  }

  /// Generates text for every sample; samples whose inputs have the same sizes and whose searches have the same options
  /// run side by side.
  ///
  /// - Parameters:
  ///   - prefixes: what the decoder reads before the answer of each sample; never empty.
  ///   - options: of each sample.
  public func generate(
    _ samples: [EncodedSample], prefixes: [[Int]], options: [SearchOptions], run: RunOptions,
    onToken: (_ sample: Int, _ token: Int, _ exit: Int) throws(MueError) -> SearchDecision = { _, _, _ in .proceed }
  ) throws(MueError) -> [SearchOutcome] {
    let decoder = try requireDecoder()
    var outcomes = [SearchOutcome](repeating: SearchOutcome(), count: samples.count)
    var groups: [[Int]] = []
    for index in samples.indices {
      let known = groups.firstIndex { group in
        let first = group[0]
        return samples[first].shape == samples[index].shape && prefixes[first].count == prefixes[index].count
          && options[first] == options[index]
      }
      if let known { groups[known].append(index) } else { groups.append([index]) }
    }
    for group in groups {
      let first = options[group[0]]
      let prefixes = group.map { prefixes[$0] }
      let made = try tokenDecoder(
        decoder, group.map { samples[$0] }, prefixes: prefixes, capacity: prefixes[0].count - 1 + first.steps, run)
      let found: [SearchOutcome]
      if first.beams == 1 {
        found = try GreedySearch.run(
          made, prefixes: prefixes, options: first, run: run
        ) { (row, token, exit) throws(MueError) in
          try onToken(group[row], token, exit)
        }
      } else {
        found = try BeamSearch.run(made, prefixes: prefixes, options: first, run: run)
      }
      for (index, outcome) in zip(group, found) { outcomes[index] = outcome }
    }
    return outcomes
  }

  /// The result of one teacher-forced pass.
  public struct Pass {
    /// float32: [1, positions, vocabulary], or [positions, candidates] when candidates were given.
    public let logits: Tensor
    public let exit: Int
    public let similarities: [Double]
    public let multiplyAdds: Int
    public let fullMultiplyAdds: Int
    public let layersMilliseconds: Double
    public let headMilliseconds: Double
  }

  /// One pass over `ids` with one exit decision.
  ///
  /// - Parameter candidates: token ids whose logits are wanted; nil for the whole vocabulary.
  public func forward(
    _ sample: EncodedSample, ids: [Int], candidates: [Int]? = nil, options: RunOptions
  ) throws(MueError) -> Pass {
    let decoder = try requireDecoder()
    let runner = prefixRunner(decoder, sample.shape)
    var pass = try TeacherForcedPass(runner, decoder, sample: sample, ids: ids, options: options)
    let watch = Stopwatch()
    let logits: Tensor
    let head = try VocabularyRows(unified, decoder, context)
    if let candidates {
      logits = try head.logits(pass.states, candidates: candidates, runner: runner, options: options)
      pass.charge(
        head: runner.takeMultiplyAdds() + head.multiplyAdds(positions: ids.count, candidates: candidates.count))
    } else {
      logits = try head.logits(pass.states, runner: runner, options: options)
      let apart = head.screen == nil ? 0 : logits.count * (pass.states.shape.last ?? 0)
      pass.charge(head: runner.takeMultiplyAdds() + apart)
    }
    return Pass(
      logits: logits, exit: pass.exit, similarities: pass.similarities, multiplyAdds: pass.cost.run,
      fullMultiplyAdds: pass.cost.full, layersMilliseconds: pass.milliseconds, headMilliseconds: watch.milliseconds)
  }

  func requireDecoder() throws(MueError) -> DecoderPartition {
    guard let decoder = unified.decoder else {
      throw MueError(.unsupported, "no decoder layers were found in this graph; name them in mue.json")
    }
    return decoder
  }

  private func prefixRunner(_ decoder: DecoderPartition, _ shape: RequestShape) -> PrefixRunner {
    if let known = prefixRunners[shape] { return known }
    // A handful of shapes serves a request stream; more would be prompts of ever new lengths.
    if prefixRunners.count >= 16 { prefixRunners.removeAll() }
    let runner = PrefixRunner(unified, decoder, shape: shape, context: context)
    prefixRunners[shape] = runner
    return runner
  }

  /// A decoder with one row per sample (all of one shape) that has read each prefix but its last token.
  ///
  /// - Parameter capacity: most tokens that a row will read, the prefix included.
  func tokenDecoder(
    _ decoder: DecoderPartition, _ samples: [EncodedSample], prefixes: [[Int]], capacity: Int, _ run: RunOptions
  ) throws(MueError) -> any TokenDecoder {
    let shape = samples[0].shape
    let runner = prefixRunner(decoder, shape)
    let wasUnknown = shared.check.result == nil
    let isIncremental = try shared.check.isIncremental(decoder) { () throws(MueError) in
      try verify(decoder, samples[0], start: prefixes[0].first ?? 0, capacity: capacity, run, runner)
    }
    // Its plans for whole prefixes are large, and most sessions need them no more.
    if isIncremental, wasUnknown { prefixRunners[shape] = nil }
    let made: any TokenDecoder
    if isIncremental {
      made = try CachedDecoder(
        plans(decoder, shape, positions: capacity), prefixRunner(decoder, shape), samples: samples, capacity: capacity)
    } else {
      made = RecomputingDecoder(unified, decoder, runner: runner, samples: samples)
    }
    try made.read(prefixes.map { Array($0.dropLast()) }, options: run)
    return made
  }

  private func plans(_ decoder: DecoderPartition, _ shape: RequestShape, positions: Int) throws(MueError)
    -> DecoderPlans
  {
    if let known = decoderPlans[shape], known.positions >= positions { return known }
    if decoderPlans.count >= 16 { decoderPlans.removeAll() }
    let made = try DecoderPlans(unified, decoder, shape: shape, positions: positions, context: context)
    decoderPlans[shape] = made
    return made
  }

  /// Decodes a few arbitrary tokens both ways; returns what differs, nil when they agree.
  private func verify(
    _ decoder: DecoderPartition, _ sample: EncodedSample, start: Int, capacity: Int, _ run: RunOptions,
    _ runner: PrefixRunner
  ) throws(MueError) -> String? {
    runner.trace?.begin("check of single tokens")
    defer { runner.trace?.end() }
    let vocabulary = unified.shapes.entries[unified.roles.logits.value]?.shape.last?.base ?? 2
    let count = min(5, capacity)
    var ids = [start]
    while ids.count < count { ids.append((ids.count * 7919 + 13) % max(vocabulary, 1)) }
    let full = RunOptions(isCancelled: run.isCancelled)
    // Rounded operands round again where sums differ in their last places.
    let tolerance: Float = context.weights.precision == .float32 ? 1e-3 : 5e-2
    let cached = try CachedDecoder(
      plans(decoder, sample.shape, positions: capacity), runner, samples: [sample], capacity: capacity)
    // Of a vocabulary that is screened most rows are never read; a sample of them tells as much.
    let screen = cached.plans.vocabulary.screen
    let sampled = screen != nil ? Array(stride(from: 0, to: vocabulary, by: max(vocabulary / 64, 32))) : nil
    defer { screen?.releaseWeights() }
    let prefix = try forward(sample, ids: ids, candidates: sampled, options: full).logits.elements(as: Float.self)
    for (position, id) in ids.enumerated() {
      let step = try cached.step(
        tokens: [id], threshold: 1, options: full, logits: WantedLogits(sampled.map { [$0] }, else: .all))
      var largest: Float = 1e-6
      var difference: Float = 0
      let count = sampled?.count ?? step.vocabulary
      for index in 0..<count {
        let expected = prefix[position * count + index]
        let logit = try step.logit(row: 0, candidate: index, token: sampled?[index] ?? index)
        largest = max(largest, abs(expected))
        difference = max(difference, abs(expected - logit))
      }
      if !(difference <= tolerance * largest) {
        return "logits at position \(position) differ by \(difference) of \(largest)"
      }
    }
    return nil
  }
}
