import Kernels
import Tensor
import Testing

@testable import Decode

@Suite struct VocabularyRowCacheTests {
  /// More tokens than places, so that some of a call share one, and later calls find rows of others there.
  @Test func logitsAreThoseOfTheWeightsWhateverIsKept() throws {
    let (count, width) = (3 * VocabularyRowCache.capacity + 7, 5)
    let context = try ComputeContext(threads: 2)
    let matrix = (0..<count * width).map { Float($0 * 7919 % 1009) / 1009 - 0.5 }
    let weights = VocabularyWeights(try Tensor(.float32, [count, width], matrix), bias: nil, transposed: true)
    var cache = VocabularyRowCache(weights, context.workspace.spares)
    defer { cache.giveBack() }
    let same = VocabularyRowCache.capacity
    // Of tokens that share a place the first of a call is kept, and stays for that call.
    let calls = [
      [3, 3 + same, 4], [3, 4, 3 + 2 * same], [3 + 2 * same, 3, 5 + same], Array(stride(from: 1, to: count, by: 41)),
    ]
    let read = [3, 4, 7]
    for (number, tokens) in calls.enumerated() {
      let state = (0..<width).map { Float($0 * (number + 2)) - 3 }
      var logits = [Float](repeating: .nan, count: tokens.count)
      try cache.logits(state, tokens: tokens, count: tokens.count, into: &logits, context.pool)
      for (logit, token) in zip(logits, tokens) {
        let exact = (0..<width).reduce(0.0) { $0 + Double(state[$1]) * Double(matrix[token * width + $1]) }
        #expect(logit == Float(exact))
      }
      if number < read.count { #expect(cache.readCount == read[number]) }
    }
    let before = cache.readCount
    var again = [Float](repeating: 0, count: 1)
    let state = [Float](repeating: 1, count: width)
    try cache.logits(state, tokens: [calls[3][0]], count: 1, into: &again, context.pool)
    #expect(cache.readCount == before)
  }
}
