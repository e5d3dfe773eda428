import CMue

/// A `mue_image *` and its lifetime.
final class ImageHandle {
  let pointer: OpaquePointer
  let path: String

  init(path: String) throws(CommandFailure) {
    var image: OpaquePointer?
    try check(mue_image_from_file(path, path.utf8.count, &image))
    guard let image else { throw CommandFailure("mue_image_from_file returned neither an image nor an error") }
    pointer = image
    self.path = path
  }

  /// Writes the picture with the outlines of `boxes` as a PNG file.
  func writePNG(path: String, boxes: [mue_box]) throws(CommandFailure) {
    try check(mue_image_write_png(pointer, boxes, boxes.count, path, path.utf8.count))
  }

  deinit { mue_image_free(pointer) }
}
