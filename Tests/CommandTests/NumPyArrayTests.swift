import CMue
import JSON
import Tensor
import Testing

@testable import mue

@Suite struct NumPyArrayTests {
  /// A file as numpy.save writes it, by hand from the format's description.
  static func file(_ header: String, _ elements: [UInt8], version: UInt8 = 1) throws -> Buffer {
    var bytes: [UInt8] = [0x93] + Array("NUMPY".utf8) + [version, 0]
    let length = header.utf8.count
    bytes += [UInt8(length & 255), UInt8(length >> 8)]
    if version > 1 { bytes += [0, 0] }
    bytes += Array(header.utf8) + elements
    let buffer = try Buffer(byteCount: bytes.count)
    bytes.withUnsafeBytes { source in
      if let from = source.baseAddress { buffer.base.copyMemory(from: from, byteCount: bytes.count) }
    }
    return buffer
  }

  @Test func readsBothOrdersAndVersions() throws {
    let elements: [UInt8] = (0..<24).map { $0 }
    for version: UInt8 in [1, 2, 3] {
      let c = try NumPyArray(
        Self.file("{'descr': '<i2', 'fortran_order': False, 'shape': (3, 4), }\n", elements, version: version),
        file: "x")
      #expect(c.type == .int16)
      #expect(c.shape == [3, 4])
      #expect(c.strides == [8, 2])
      #expect(c.data.loadUnaligned(fromByteOffset: 8 + 2, as: Int16.self) == 0x0B0A)
    }
    let fortran = try NumPyArray(
      Self.file("{'descr': '<i2', 'fortran_order': True, 'shape': (3, 4), }\n", elements), file: "x")
    #expect(fortran.strides == [2, 6])
    let scalar = try NumPyArray(Self.file("{'shape': (), 'fortran_order': False, 'descr': '<f8'}", elements), file: "x")
    #expect(scalar.shape == [])
    let vector = try NumPyArray(
      Self.file("{'descr': '|b1', 'fortran_order': False, 'shape': (5,), }", elements), file: "x")
    #expect(vector.shape == [5])
    #expect(vector.type == .bool)
  }

  @Test(
    arguments: [
      "", "{}", "{'descr': '<f4', 'fortran_order': False, 'shape': (7, 1), }",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (4000000000, 4000000000), }",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (1",
      "{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }",
      "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }",
      "{'descr': '<f4', 'fortran_order': 1, 'shape': (1,), }",
    ])
  func refusesWhatItCannotRead(header: String) throws {
    let buffer = try Self.file(header, [UInt8](repeating: 0, count: 24))
    #expect(throws: CommandFailure.self) { try NumPyArray(buffer, file: "x") }
  }

  @Test func refusesCutFiles() throws {
    let whole = try Self.file(
      "{'descr': '<f4', 'fortran_order': False, 'shape': (6,), }", [UInt8](repeating: 0, count: 24))
    for count in 0..<whole.byteCount {
      let cut = Buffer(borrowing: UnsafeRawPointer(whole.base), byteCount: count, owner: whole)
      #expect(throws: CommandFailure.self) { try NumPyArray(cut, file: "x") }
    }
  }

  @Test func writesWhatItReads() throws {
    let elements: [Int64] = [1, -2, 3, -4, 5, -6]
    let shape: [Int64] = [2, 1, 3]
    let bytes = try elements.withUnsafeBytes { data in
      try shape.withUnsafeBufferPointer { shape in
        var tensor = mue_tensor()
        tensor.data = data.baseAddress
        tensor.dtype = MUE_INT64
        tensor.rank = 3
        tensor.shape = shape.baseAddress
        return try NumPyArray.encode(tensor)
      }
    }
    // NumPy wants the elements at a multiple of 64.
    #expect((bytes.count - 48) % 64 == 0)
    let buffer = try Buffer(byteCount: bytes.count)
    bytes.withUnsafeBytes { source in
      if let from = source.baseAddress { buffer.base.copyMemory(from: from, byteCount: bytes.count) }
    }
    let array = try NumPyArray(buffer, file: "x")
    #expect(array.type == .int64)
    #expect(array.shape == [2, 1, 3])
    for index in 0..<6 {
      #expect(array.data.loadUnaligned(fromByteOffset: 8 * index, as: Int64.self) == elements[index])
    }
  }
}
