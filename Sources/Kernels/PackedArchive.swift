import Tensor

/// Where packed weights outlive the model that packed them: a file next to it.
///
/// Used by one thread at a time.
public protocol PackedArchive: AnyObject {
  /// What was kept for the same elements in the same layout; nil when that is not there, or not whole.
  func find(_ layout: String, of source: Tensor, byteCount: Int) -> Buffer?
  /// Keeps `packed` for the next time.
  func add(_ layout: String, of source: Tensor, packed: Buffer)
}
