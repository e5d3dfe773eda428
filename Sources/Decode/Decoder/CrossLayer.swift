import Graph
import Kernels
import Tensor

/// What steps read of one encoded sample in one decoder layer.
struct CrossLayer {
  /// Cross keys and values are not among them where they are packed.
  var values: [ValueID: Tensor]
  /// By the partition's cross-attentions; empty where keys and values are in `values`.
  var packed: [PackedKeys] = []
  /// Types and shapes of all encoder values.
  var infos: [ValueID: TensorInfo]
}
