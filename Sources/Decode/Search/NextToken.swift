/// A token that may follow a hypothesis.
struct NextToken {
  var token: Int
  /// Over the allowed tokens, or the whole vocabulary where all are.
  var logProbability: Double
}
