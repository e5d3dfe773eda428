import Tensor
import Testing

@testable import Decode

@Suite struct PromptCacheTests {
  private func stream(_ layer: Int) throws -> EncodedStream {
    EncodedStream(state: try Tensor(.float32, [1, 1, 1], [Float(layer)]), layer: layer, similarities: [])
  }

  private func key(_ ids: [Int], threshold: Double = 0.9, similarities: Bool = false) -> PromptCache.Key {
    .init(ids: ids, threshold: threshold, recordsSimilarities: similarities)
  }

  @Test func everythingThatDecidesTheStreamIsPartOfTheKey() throws {
    let cache = PromptCache()
    cache.keep(try stream(3), for: key([1, 2]))
    #expect(cache.stream(key([1, 2]))?.layer == 3)
    #expect(cache.stream(key([1])) == nil)
    #expect(cache.stream(key([1, 2], threshold: 0.8)) == nil)
    #expect(cache.stream(key([1, 2], similarities: true)) == nil)
  }

  @Test func theLeastRecentlyUsedGoesFirst() throws {
    let cache = PromptCache(capacity: 2)
    cache.keep(try stream(1), for: key([1]))
    cache.keep(try stream(2), for: key([2]))
    #expect(cache.stream(key([1]))?.layer == 1)
    cache.keep(try stream(3), for: key([3]))
    #expect(cache.stream(key([2])) == nil)
    #expect(cache.stream(key([1]))?.layer == 1 && cache.stream(key([3]))?.layer == 3)
  }
}
