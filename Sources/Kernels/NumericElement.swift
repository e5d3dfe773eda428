import Tensor

/// A Swift type that tensors of one element type hold, with arithmetic that never traps: integers wrap around,
/// and dividing an integer by zero has no value.
protocol NumericElement: BitwiseCopyable, Comparable, Sendable {
  static var zero: Self { get }
  static var one: Self { get }
  static func sum(_ a: Self, _ b: Self) -> Self
  static func difference(_ a: Self, _ b: Self) -> Self
  static func product(_ a: Self, _ b: Self) -> Self
  /// nil for an integer divided by zero.
  static func quotient(_ a: Self, _ b: Self) -> Self?
  /// The remainder with the divisor's sign (Python's %); nil for an integer divisor of zero.
  static func modulo(_ a: Self, _ b: Self) -> Self?
  /// The remainder with the dividend's sign (C's fmod); nil for an integer divisor of zero.
  static func remainder(_ a: Self, _ b: Self) -> Self?
  var isNotANumber: Bool { get }
  var asDouble: Double { get }
  /// Truncated towards zero and clamped for integers (NaN becomes 0), rounded for floats.
  init(converting value: Double)
}

extension NumericElement where Self: FixedWidthInteger {
  static var one: Self { 1 }
  static func sum(_ a: Self, _ b: Self) -> Self { a &+ b }
  static func difference(_ a: Self, _ b: Self) -> Self { a &- b }
  static func product(_ a: Self, _ b: Self) -> Self { a &* b }
  static func quotient(_ a: Self, _ b: Self) -> Self? { b == 0 ? nil : a.dividedReportingOverflow(by: b).partialValue }
  static func modulo(_ a: Self, _ b: Self) -> Self? {
    guard let rest = remainder(a, b) else { return nil }
    return rest != 0 && (rest < 0) != (b < 0) ? rest &+ b : rest
  }
  static func remainder(_ a: Self, _ b: Self) -> Self? {
    b == 0 ? nil : a.remainderReportingOverflow(dividingBy: b).partialValue
  }
  var isNotANumber: Bool { false }
  var asDouble: Double { Double(self) }
  init(converting value: Double) {
    if value.isNaN {
      self = 0
    } else if value <= Double(Self.min) {
      self = Self.min
    } else if value >= Double(Self.max) {
      // Double(Self.max) may round up to a value that does not fit: anything from there on is the maximum.
      self = Self.max
    } else {
      self = Self(value)
    }
  }
}

extension NumericElement where Self: BinaryFloatingPoint {
  static var one: Self { 1 }
  static func sum(_ a: Self, _ b: Self) -> Self { a + b }
  static func difference(_ a: Self, _ b: Self) -> Self { a - b }
  static func product(_ a: Self, _ b: Self) -> Self { a * b }
  static func quotient(_ a: Self, _ b: Self) -> Self? { a / b }
  static func modulo(_ a: Self, _ b: Self) -> Self? {
    let rest = a.truncatingRemainder(dividingBy: b)
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest
  }
  static func remainder(_ a: Self, _ b: Self) -> Self? { a.truncatingRemainder(dividingBy: b) }
  var isNotANumber: Bool { isNaN }
  var asDouble: Double { Double(self) }
  init(converting value: Double) { self = Self(value) }
}

extension Float: NumericElement {}
extension Double: NumericElement {}
extension Float16: NumericElement {}
extension Int64: NumericElement {}
extension Int32: NumericElement {}
extension Int16: NumericElement {}
extension Int8: NumericElement {}
extension UInt64: NumericElement {}
extension UInt32: NumericElement {}
extension UInt16: NumericElement {}
extension UInt8: NumericElement {}

/// Code that is written once and compiled for every numeric element type.
protocol NumericVisitor {
  associatedtype Result
  func visit<Element: NumericElement>(_: Element.Type) throws(MueError) -> Result
}

extension ElementType {
  /// Runs `visitor` for the Swift type of this element type; bfloat16 and bool have no arithmetic.
  func visit<Visitor: NumericVisitor>(_ visitor: Visitor) throws(MueError) -> Visitor.Result {
    switch self {
    case .float32: return try visitor.visit(Float.self)
    case .float64: return try visitor.visit(Double.self)
    case .float16: return try visitor.visit(Float16.self)
    case .int64: return try visitor.visit(Int64.self)
    case .int32: return try visitor.visit(Int32.self)
    case .int16: return try visitor.visit(Int16.self)
    case .int8: return try visitor.visit(Int8.self)
    case .uint64: return try visitor.visit(UInt64.self)
    case .uint32: return try visitor.visit(UInt32.self)
    case .uint16: return try visitor.visit(UInt16.self)
    case .uint8: return try visitor.visit(UInt8.self)
    case .bool, .bfloat16: throw MueError(.unsupported, "no arithmetic on \(name) elements")
    }
  }
}
