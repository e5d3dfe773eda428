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
  private let check: IncrementalCheck
  private var prefixRunners: [RequestShape: PrefixRunner] = [:]
  private var decoderPlans: [RequestShape: DecoderPlans] = [:]

  /// - Parameters:
  ///   - check, prompts: shared by all sessions of a model.
  public init(_ unified: UnifiedGraph, check: IncrementalCheck, prompts: PromptCache, context: ComputeContext) {
    self.unified = unified
    self.check = check
    self.context = context
    encoder = EncoderRunner(unified, prompts: prompts, context: context)
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

  /// Generates text for every sample; samples whose inputs have the same sizes run side by side.
  public func generate(
    _ samples: [EncodedSample], options: SearchOptions,
    onToken: (_ sample: Int, _ token: Int, _ exit: Int) throws(MueError) -> SearchDecision = { _, _, _ in .proceed }
  ) throws(MueError) -> [SearchResult] {
    let decoder = try requireDecoder()
    var results = [SearchResult](repeating: SearchResult(), count: samples.count)
    var groups: [(shape: RequestShape, members: [Int])] = []
    for (index, sample) in samples.enumerated() {
      if let known = groups.firstIndex(where: { $0.shape == sample.shape }) {
        groups[known].members.append(index)
      } else {
        groups.append((sample.shape, [index]))
      }
    }
    for group in groups {
      let members = group.members.map { samples[$0] }
      let made = try tokenDecoder(decoder, group.shape, members, options)
      let found: [SearchResult]
      if options.beams == 1 {
        found = try GreedySearch.run(made, options: options) { (row, token, exit) throws(MueError) in
          try onToken(group.members[row], token, exit)
        }
      } else {
        found = try BeamSearch.run(made, samples: members.count, options: options)
      }
      for (index, result) in zip(group.members, found) { results[index] = result }
    }
    return results
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
    if let candidates {
      let head = VocabularyRows(unified, decoder)
      logits = try head.logits(pass.states, candidates: candidates, runner: runner, options: options)
      pass.charge(
        head: runner.takeMultiplyAdds() + head.multiplyAdds(positions: ids.count, candidates: candidates.count))
    } else {
      logits = try runner.head(
        pass.states, output: unified.roles.logits.value, isCancelled: options.isCancelled)
      pass.charge(head: runner.takeMultiplyAdds())
    }
    return Pass(
      logits: logits, exit: pass.exit, similarities: pass.similarities, multiplyAdds: pass.cost.run,
      fullMultiplyAdds: pass.cost.full, layersMilliseconds: pass.milliseconds, headMilliseconds: watch.milliseconds)
  }

  private func requireDecoder() throws(MueError) -> DecoderPartition {
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

  private func tokenDecoder(
    _ decoder: DecoderPartition, _ shape: RequestShape, _ samples: [EncodedSample], _ options: SearchOptions
  ) throws(MueError) -> any TokenDecoder {
    let runner = prefixRunner(decoder, shape)
    let isIncremental = try check.isIncremental(decoder) { () throws(MueError) in
      try verify(decoder, samples[0], options, runner)
    }
    guard isIncremental else {
      return RecomputingDecoder(unified, decoder, runner: runner, samples: samples, rowsPerSample: options.beams)
    }
    return try CachedDecoder(
      plans(decoder, shape, positions: options.maxTokens), samples: samples, rowsPerSample: options.beams)
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
    _ decoder: DecoderPartition, _ sample: EncodedSample, _ options: SearchOptions, _ runner: PrefixRunner
  ) throws(MueError) -> String? {
    let vocabulary = unified.shapes.entries[unified.roles.logits.value]?.shape.last?.base ?? 2
    let count = min(5, options.maxTokens)
    var ids = [options.startToken]
    while ids.count < count { ids.append((ids.count * 7919 + 13) % max(vocabulary, 1)) }
    let full = RunOptions(isCancelled: options.run.isCancelled)
    let cached = try CachedDecoder(
      plans(decoder, sample.shape, positions: options.maxTokens), samples: [sample], rowsPerSample: 1)
    let prefix = try forward(sample, ids: ids, options: full).logits.elements(as: Float.self)
    for (position, id) in ids.enumerated() {
      let step = try cached.step(tokens: [id], threshold: 1, options: full)
      let logits = try step.logits(row: 0)
      var largest: Float = 1e-6
      var difference: Float = 0
      for token in 0..<step.vocabulary {
        let expected = prefix[position * step.vocabulary + token]
        largest = max(largest, abs(expected))
        difference = max(difference, abs(expected - logits[token]))
      }
      if !(difference <= 1e-3 * largest) {
        return "logits at position \(position) differ by \(difference) of \(largest)"
      }
    }
    return nil
  }
}
