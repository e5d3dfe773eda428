/// Writes protobuf messages, so that the samples owe nothing to the reader under test.
struct ProtoWriter {
  private(set) var bytes: [UInt8] = []

  mutating func varint(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(rest & 0x7f) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  mutating func tag(_ field: Int, _ wireType: Int) {
    varint(UInt64(field) << 3 | UInt64(wireType))
  }

  mutating func raw(_ more: [UInt8]) { bytes += more }

  mutating func int(_ field: Int, _ value: Int) {
    tag(field, 0)
    varint(UInt64(bitPattern: Int64(value)))
  }

  mutating func float(_ field: Int, _ value: Float) {
    tag(field, 5)
    fixed(value.bitPattern)
  }

  mutating func data(_ field: Int, _ value: [UInt8]) {
    tag(field, 2)
    varint(UInt64(value.count))
    bytes += value
  }

  mutating func string(_ field: Int, _ value: String) { data(field, Array(value.utf8)) }

  mutating func message(_ field: Int, _ body: (inout ProtoWriter) -> Void) {
    var inner = ProtoWriter()
    body(&inner)
    data(field, inner.bytes)
  }

  mutating func ints(_ field: Int, _ values: [Int], packed: Bool) {
    guard packed else {
      for value in values { int(field, value) }
      return
    }
    message(field) { inner in
      for value in values { inner.varint(UInt64(bitPattern: Int64(value))) }
    }
  }

  mutating func floats(_ field: Int, _ values: [Float], packed: Bool) {
    guard packed else {
      for value in values { float(field, value) }
      return
    }
    message(field) { inner in
      for value in values { inner.fixed(value.bitPattern) }
    }
  }

  mutating func doubles(_ field: Int, _ values: [Double], packed: Bool) {
    guard packed else {
      for value in values {
        tag(field, 1)
        fixed(value.bitPattern)
      }
      return
    }
    message(field) { inner in
      for value in values { inner.fixed(value.bitPattern) }
    }
  }

  mutating func entry(_ field: Int, _ key: String, _ value: String) {
    message(field) { inner in
      inner.string(1, key)
      inner.string(2, value)
    }
  }

  mutating func fixed(_ value: some FixedWidthInteger) {
    withUnsafeBytes(of: value.littleEndian) { bytes += $0 }
  }
}
