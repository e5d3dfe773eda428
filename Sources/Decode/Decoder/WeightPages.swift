import CKernels

/// Whether the pages of a screened vocabulary, whose weights lie in the model's file, may leave this process' memory when
/// few of its rows have been read. All sessions of a model read the same pages.
final class WeightPages: @unchecked Sendable {
  /// nil where there was no memory for it: then nothing is given back.
  private let areAllInUse = mk_flag_create()

  deinit { if let areAllInUse { mk_flag_destroy(areAllInUse) } }

  /// A whole product is computed, and others will be: from now on everything stays, or one session would take from another
  /// what it needs for every token.
  func keepAll() { if let areAllInUse { mk_flag_set(areAllInUse) } }

  func release(_ weights: VocabularyWeights) {
    guard let areAllInUse, mk_flag_get(areAllInUse) == 0 else { return }
    weights.releasePages()
  }
}
