import Graph

/// The product of the decoder's last state with the vocabulary, of which scoring needs only a few rows.
public struct VocabularyProduct: Sendable {
  /// [batch, rows, width]
  public let hidden: ValueID
  /// The Linear node that makes the logits.
  public let node: Int
}
