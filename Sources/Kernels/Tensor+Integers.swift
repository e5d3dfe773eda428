import Tensor

extension Tensor {
  /// The elements of an integer (or bool) tensor, widened; throws for other types and for values beyond Int.
  public func integers() throws(MueError) -> [Int] {
    switch type {
    case .int64: return try elements(as: Int64.self).map { Int($0) }
    case .int32: return try elements(as: Int32.self).map { Int($0) }
    case .int16: return try elements(as: Int16.self).map { Int($0) }
    case .int8: return try elements(as: Int8.self).map { Int($0) }
    case .uint8, .bool: return try elements(as: UInt8.self).map { Int($0) }
    case .uint16: return try elements(as: UInt16.self).map { Int($0) }
    case .uint32: return try elements(as: UInt32.self).map { Int($0) }
    default: throw MueError(.invalidModel, "expected integers, not \(type.name)")
    }
  }
}
