import Tensor

/// One change of an image on its way to a model, with all sizes worked out.
enum ImageStep: Sendable, Equatable {
  case resize(width: Int, height: Int, Resampling)
  /// A window at (left, top), black where it lies outside the image.
  case window(left: Int, top: Int, width: Int, height: Int)
  /// By 90 degrees, clockwise.
  case rotateRight

  /// The middle of an image, with Hugging Face's roundings: down for the offset of a crop, up for the offset of an
  /// image in a larger frame.
  static func centerCrop(
    of size: (width: Int, height: Int), to crop: (width: Int, height: Int)
  ) -> ImageStep {
    let fits = crop.width <= size.width && crop.height <= size.height
    func offset(_ side: Int, _ wanted: Int) -> Int {
      // `>> 1` rounds down for negative numbers too.
      let start = (side - wanted) >> 1
      if fits { return start }
      let frame = max(wanted, side)
      let border = (frame - side + 1) / 2
      return max(start + border, 0) - border
    }
    return .window(
      left: offset(size.width, crop.width), top: offset(size.height, crop.height), width: crop.width,
      height: crop.height)
  }

  func size(after size: (width: Int, height: Int)) -> (width: Int, height: Int) {
    switch self {
    case .resize(let width, let height, _), .window(_, _, let width, let height): (width, height)
    case .rotateRight: (size.height, size.width)
    }
  }

  func apply(to image: RGBImage) throws(MueError) -> RGBImage {
    switch self {
    case .resize(let width, let height, let filter): try image.resized(width: width, height: height, filter)
    case .window(let left, let top, let width, let height):
      try image.window(left: left, top: top, width: width, height: height)
    case .rotateRight: try image.oriented(6)
    }
  }
}
