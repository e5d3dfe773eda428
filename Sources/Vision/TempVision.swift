import JSON
import Tensor
public struct RGBImage: Sendable { public let width: Int; public let height: Int
  public init(width: Int, height: Int, rgb: UnsafeRawPointer, rowStride: Int) throws(MueError) { self.width = width; self.height = height } }
public struct ImageLimits: Sendable { public var pixels = 0; public init() {} }
public enum ImageDecoder {
  public static func decode(_ b: UnsafeRawBufferPointer, file: String?, limits: ImageLimits) throws(MueError) -> RGBImage { throw MueError(.internal, "") }
  public static func load(path: String, limits: ImageLimits) throws(MueError) -> RGBImage { throw MueError(.internal, "") }
}
public struct ImagePreprocessor: Sendable {
  public init(json: JSONValue, file: String?) throws(MueError) {}
  public func process(_ i: RGBImage) throws(MueError) -> Tensor { throw MueError(.internal, "") }
}
