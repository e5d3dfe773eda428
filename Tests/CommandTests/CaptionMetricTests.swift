import Testing

@testable import mue

@Suite struct CaptionMetricTests {
  /// Worked by hand. Two pictures, so idf of what one picture has is ln 2, of what both have 0.
  /// Reference "a red dog" against caption "a red cat": unigrams red, dog (a is in both pictures: 0), of them red shared:
  /// tf-idf (ln 2, ln 2) against (ln 2 for red; cat is in the other picture: ln 2), so the cosine is 1/2.
  /// Bigrams: "a red", "red dog" against "a red", "red cat": "red cat" occurs nowhere, whose idf is ln 2 - ln 1 = ln 2: 1/2.
  /// Trigrams differ: 0. Fourgrams: none. Lengths are equal. 10 * (1/2 + 1/2 + 0 + 0) / 4 = 2.5.
  @Test func handWorkedExample() {
    let metric = CaptionMetric(corpus: [["a red dog"], ["a blue cat"]])
    #expect(abs(metric.score("a red cat", references: ["a red dog"]) - 2.5) < 1e-12)
  }

  @Test func lengthPenalty() {
    // One shared unigram and one repeated word: "red red" has tf 2, clipped to the reference's 1.
    // (min(2, 1) * 1 + ...) with vectors (2, 0) and (1, 1) times ln 2: 1 / (2 * sqrt 2); gap 0. Bigrams: "red red" and
    // "red dog" share nothing.
    let metric = CaptionMetric(corpus: [["red dog"], ["x y"]])
    let expected = 10.0 / 4 / (2 * 2.0.squareRoot())
    #expect(abs(metric.score("red red", references: ["red dog"]) - expected) < 1e-12)
    // "red" against "red dog": cosine 1 / sqrt 2, and the gap of one word costs exp(-1 / 72).
    let short = 10.0 / 4 / 2.0.squareRoot() * 0.986207116
    #expect(abs(metric.score("red", references: ["red dog"]) - short) < 1e-8)
  }

  @Test func identityAndNothing() {
    let metric = CaptionMetric(corpus: [["one two three four five"], ["six seven"]])
    #expect(abs(metric.score("one two three four five", references: ["one two three four five"]) - 10) < 1e-12)
    #expect(metric.score("", references: ["one two three four five"]) == 0)
    #expect(metric.score("one", references: []) == 0)
    // A single picture makes every idf 0.
    #expect(CaptionMetric(corpus: [["a b"]]).score("a b", references: ["a b"]) == 0)
  }
}
