import Tensor

/// Where packed weights outlive the model that packed them: a file next to it.
///
/// Used by one thread at a time.
public protocol PackedArchive: AnyObject {
  /// Fills `packed` with what was kept for the same elements in the same layout. False when that is not there, or not whole:
  /// then what is in `packed` means nothing.
  func fill(_ packed: Buffer, _ layout: String, of source: Tensor) -> Bool
  /// Keeps `packed` for the next time.
  func add(_ layout: String, of source: Tensor, packed: Buffer)
}
