import CKernels
import Foundation
import Testing

/// Tests of the C kernels against double precision, on every instruction set that this processor has.
///
/// Serialized, because the instruction set is one choice per process.
@Suite(.serialized)
struct CKernels {
  /// The instruction sets that can be forced here, slowest first.
  static let instructionSets: [Int32] = (0...Int32(MK_ISA_WIDEST.rawValue)).filter { isa in
    defer { mk_isa_force(-1) }
    return mk_isa_force(Int32(isa)) == 1
  }.map { Int32($0) }

  /// Runs `body` with one instruction set in use.
  static func with(_ isa: Int32, _ body: () throws -> Void) rethrows {
    #expect(mk_isa_force(isa) == 1)
    defer { mk_isa_force(-1) }
    try body()
  }

  @Test func portableIsAlwaysThere() {
    #expect(Self.instructionSets.contains(0))
    Self.with(0) { #expect(String(cString: mk_isa_name()) == "portable") }
    #expect(mk_isa_force(99) == 0)
    // Whatever runs the tests is chosen again.
    guard getenv("MUE_ISA") == nil else { return }
    let names = ["portable", "neon", "avx2", "avx2-vnni", "avx512", "avx512-vnni", "avx512-vnni-bf16"]
    #expect(String(cString: mk_isa_name()) == names[Int(Self.instructionSets.last ?? 0)])
    #expect(String(cString: mk_isa_note()) == "")
  }
}

/// Random numbers that every run repeats (SplitMix64).
struct Randoms {
  private var state: UInt64
  init(_ seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1 }

  mutating func bits() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// Uniform in low..<high.
  mutating func float(_ low: Float = -1, _ high: Float = 1) -> Float {
    low + (high - low) * Float(bits() >> 40) / 16_777_216
  }

  /// Uniform in the range.
  mutating func int(_ range: ClosedRange<Int>) -> Int { range.lowerBound + Int(bits() % UInt64(range.count)) }

  mutating func floats(_ count: Int, _ low: Float = -1, _ high: Float = 1) -> Floats {
    let floats = Floats(count)
    for i in 0..<count { floats[i] = float(low, high) }
    return floats
  }
}

/// Floats on the heap that start at an address that is a multiple of 4 but of nothing larger, between guard values that
/// `intact` looks at.
final class Floats {
  private static let guardValue: Float = -12345.675
  private static let guardCount = 19
  private let memory: UnsafeMutablePointer<Float>
  let p: UnsafeMutablePointer<Float>
  let count: Int

  init(_ count: Int, filledWith value: Float = .nan) {
    self.count = count
    let total = count + 2 * Self.guardCount
    memory = .allocate(capacity: total)
    memory.initialize(repeating: Self.guardValue, count: total)
    // allocate aligns to 16: an odd number of floats behind it is a multiple of 4 only.
    p = memory + Self.guardCount
    for i in 0..<count { p[i] = value }
  }

  deinit { memory.deallocate() }

  subscript(i: Int) -> Float {
    get { p[i] }
    set { p[i] = newValue }
  }

  /// Nothing has written in front of the first element or behind the last.
  var intact: Bool {
    (0..<Self.guardCount).allSatisfy {
      memory[$0] == Self.guardValue && p[count + $0] == Self.guardValue
    }
  }

  func copy() -> Floats {
    let other = Floats(count)
    for i in 0..<count { other[i] = self[i] }
    return other
  }
}

/// Scratch or packed memory: 64-byte aligned, exactly as large as asked for.
final class Bytes {
  let base: UnsafeMutableRawPointer
  private let size: Int

  init(_ count: Int) {
    size = count
    base = .allocate(byteCount: count + 64, alignment: 64)
    base.initializeMemory(as: UInt8.self, repeating: 0xFF, count: count + 64)
  }

  deinit { base.deallocate() }

  /// Nothing was written behind the end.
  var intact: Bool { (size..<size + 64).allSatisfy { base.load(fromByteOffset: $0, as: UInt8.self) == 0xFF } }
}

/// The bound of a sum of `terms` rounded products whose magnitudes add up to `magnitude`.
func productBound(_ terms: Int, _ magnitude: Double) -> Double { Double(terms + 6) * 0x1p-24 * magnitude + 1e-30 }
