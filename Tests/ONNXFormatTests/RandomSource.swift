import Glibc

/// SplitMix64. Tests draw a new seed each time and print it when they fail; MUE_TEST_SEED repeats a run.
struct RandomSource: RandomNumberGenerator {
  let seed: UInt64
  private var state: UInt64

  init() {
    let given = getenv("MUE_TEST_SEED").flatMap { UInt64(String(cString: $0)) }
    self.init(seed: given ?? .random(in: 0...UInt64.max))
  }

  init(seed: UInt64) {
    self.seed = seed
    self.state = seed
  }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  mutating func int(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &self) }
  mutating func bool() -> Bool { next() & 1 == 1 }
  mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) } }

  /// Any integer, small ones and the extremes more often than chance.
  mutating func anyInt() -> Int {
    switch int(0...4) {
    case 0: [Int.min, Int.max, -1, 0, 1, 127, 128, Int(Int32.max), Int(Int32.min)].randomElement(using: &self) ?? 0
    case 1: Int(truncatingIfNeeded: next())
    default: int(-300...300)
    }
  }

  mutating func name() -> String {
    let alphabet = Array("abcXYZ019_./:- \"%é漢🙂")
    return String((0..<int(1...14)).map { _ in alphabet[int(0...alphabet.count - 1)] })
  }
}
