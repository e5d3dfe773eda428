import CKernels
import Kernels
import Tensor

/// The rows of a screened vocabulary that one request reads, in memory of its own: beams and steps that follow each other
/// want mostly the same few, and the pages of the file that they lie in leave this process' memory from time to time.
struct VocabularyRowCache {
  /// 3 MB for a width of 768. A row has one place, by its token.
  static let capacity = 1 << 10

  private let weights: VocabularyWeights
  private let spares: SpareMemory
  /// [capacity, width]
  private var memory: Tensor?
  private var tokens: [Int] = []
  /// The call that last used a place: what it reads there must stay.
  private var calls: [Int] = []
  private var call = 0
  /// Of one call: where rows are, and where they are copied to.
  private var rows: [UnsafePointer<Float>?] = []
  private var copies: [UnsafeMutablePointer<Float>?] = []
  /// Rows that came from the file since this was set to zero.
  var readCount = 0

  /// - Parameters:
  ///   - weights: row-major.
  ///   - spares: where memory comes from.
  init(_ weights: VocabularyWeights, _ spares: SpareMemory) {
    self.weights = weights
    self.spares = spares
  }

  /// Leaves the memory to others; the cache is empty then.
  mutating func giveBack() {
    if let memory = memory.take() { spares.keep(memory) }
  }

  /// The logits of `count` different tokens of the vocabulary from one state [width], each in double precision and rounded
  /// once.
  mutating func logits(
    _ state: UnsafePointer<Float>, tokens wanted: UnsafePointer<mk_int>, count: Int,
    into logits: UnsafeMutablePointer<Float>, _ pool: OpaquePointer
  ) throws(MueError) {
    let places = try places()
    call += 1
    rows.resize(to: count, with: nil)
    copies.resize(to: count, with: nil)
    for index in 0..<count { find(wanted[index], at: index, in: places) }
    mk_rows_at(pool, weights.width, state, count, rows, copies, weights.biases, wanted, logits)
  }

  private mutating func find(_ token: Int, at index: Int, in places: UnsafeMutablePointer<Float>) {
    let place = token % Self.capacity
    let kept = places + place * weights.width
    copies[index] = nil
    if tokens[place] == token {
      rows[index] = UnsafePointer(kept)
    } else {
      rows[index] = weights.row(token)
      readCount += 1
      guard calls[place] != call else { return }
      copies[index] = kept
      tokens[place] = token
    }
    calls[place] = call
  }

  private mutating func places() throws(MueError) -> UnsafeMutablePointer<Float> {
    if let memory { return memory.pointer.assumingMemoryBound(to: Float.self) }
    let made = try spares.tensor(.float32, [Self.capacity, weights.width], isLent: false)
    memory = made
    tokens = [Int](repeating: -1, count: Self.capacity)
    calls = [Int](repeating: 0, count: Self.capacity)
    return made.pointer.assumingMemoryBound(to: Float.self)
  }
}
