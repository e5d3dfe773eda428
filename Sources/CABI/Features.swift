// The functions have the names of include/mue.h.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

import CMue
import Engine
import Tensor

/// What a `mue_image_features *` holds.
final class FeaturesBox: HandleObject, Sendable {
  /// "MuEfeats", little-endian.
  static var tag: UInt64 { 0x7374_6165_6645_754d }
  static var name: String { "mue_image_features" }

  let features: ImageFeatures

  init(_ features: ImageFeatures) { self.features = features }
}

@c @implementation
public func mue_session_encode_image(
  _ session: OpaquePointer?, _ image: OpaquePointer?, _ options: UnsafePointer<mue_request_options>?,
  _ features: UnsafeMutablePointer<OpaquePointer?>?
) -> OpaquePointer? {
  reporting { () throws(MueError) in
    let target = try outParameter(features, "features")
    let box = try SessionBox.take(session, "session")
    let image = try ImageBox.take(image, "image")
    let options = try RequestOptions(host: options)
    let made = try box.exclusively { session throws(MueError) in
      try session.encode(image: image.input, options: options)
    }
    target.pointee = try FeaturesBox(made).makeHandle()
  }
}

@c @implementation
public func mue_image_features_exit_layer(_ features: OpaquePointer?) -> Int32 {
  FeaturesBox.peek(features).map { Int32(clamping: $0.features.exitLayer) } ?? 0
}

@c @implementation
public func mue_image_features_free(_ features: OpaquePointer?) { FeaturesBox.free(features) }
