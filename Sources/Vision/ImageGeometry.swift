import JSON
import Tensor

/// The part of a preprocessor_config.json that decides which pixels are seen: which steps, and how large.
struct ImageGeometry: Sendable {
  /// The `size` of a configuration.
  enum Size: Sendable {
    case exact(width: Int, height: Int)
    case shortestEdge(Int)
    case longestEdge(Int)
  }

  private let resizing: (size: Size, filter: Resampling)?
  private let crop: (width: Int, height: Int)?
  /// Donut's steps around the resize, all towards an exact size.
  private let document: (width: Int, height: Int, aligns: Bool, resizes: Bool, shrinks: Bool, pads: Bool)?

  init(_ root: JSONNode) throws(MueError) {
    try Self.refuseUnsupported(root)
    let resizes = try root["do_resize"]?.bool() ?? true
    var size: Size?
    if let node = root["size"] { size = try Self.size(node, root) }
    if resizes, size == nil { throw root.failure("the field 'size' is missing") }
    var filter = Resampling.bilinear
    if resizes {
      let node = try root.required("resample")
      guard let known = Resampling(rawValue: try node.int()) else { throw node.failure("an unknown filter") }
      filter = known
    }
    let pads = try root["do_pad"]?.bool() ?? false
    if root["do_thumbnail"] != nil || root["do_align_long_axis"] != nil {
      guard case .exact(let width, let height) = size else {
        throw root.failure("do_thumbnail and do_align_long_axis need a size with height and width")
      }
      document = (
        width, height, try root["do_align_long_axis"]?.bool() ?? false, resizes,
        try root["do_thumbnail"]?.bool() ?? false, pads
      )
      resizing = (.exact(width: width, height: height), filter)
      crop = nil
      return
    }
    if pads { throw root.failure("do_pad is supported only together with do_thumbnail", code: .unsupported) }
    document = nil
    resizing = resizes ? size.map { ($0, filter) } : nil
    crop =
      try root["do_center_crop"]?.bool() ?? false
      ? try Self.exactSize(root.required("crop_size")) : nil
  }

  /// Settings that change pixels in ways the engine does not know.
  private static func refuseUnsupported(_ root: JSONNode) throws(MueError) {
    for key in ["do_image_splitting", "do_convert_grayscale", "do_flip_channel_order", "do_color_quantize"] {
      if let node = root[key], try node.bool() { throw node.failure("\(key) is not supported", code: .unsupported) }
    }
    for key in ["size_divisor", "crop_pct", "max_patches", "min_pixels", "max_pixels", "image_grid_pinpoints"] {
      if let node = root[key] { throw node.failure("\(key) is not supported", code: .unsupported) }
    }
    if let node = root["offset"], try node.bool() { throw node.failure("offset is not supported", code: .unsupported) }
  }

  private static let sides = 1...65_535

  private static func exactSize(_ node: JSONNode) throws(MueError) -> (width: Int, height: Int) {
    if node.value.intValue != nil {
      let side = try node.int(in: sides)
      return (side, side)
    }
    return (try node.required("width").int(in: sides), try node.required("height").int(in: sides))
  }

  private static func size(_ node: JSONNode, _ root: JSONNode) throws(MueError) -> Size {
    if node.value.intValue != nil {
      // Old files: a bare number is the shorter side for CLIP, both sides for all others.
      let kind = (root["image_processor_type"] ?? root["feature_extractor_type"])?.value.stringValue ?? ""
      let side = try node.int(in: sides)
      return kind.hasPrefix("CLIP") ? .shortestEdge(side) : .exact(width: side, height: side)
    }
    switch (node["shortest_edge"], node["longest_edge"]) {
    case (let shortest?, nil): return .shortestEdge(try shortest.int(in: sides))
    case (nil, let longest?): return .longestEdge(try longest.int(in: sides))
    case (.some, .some):
      throw node.failure("a size with both shortest_edge and longest_edge is not supported", code: .unsupported)
    case (nil, nil):
      let (width, height) = try exactSize(node)
      return .exact(width: width, height: height)
    }
  }

  /// The steps for an image of this size.
  func steps(width: Int, height: Int) throws(MueError) -> [ImageStep] {
    if let document { return try documentSteps(width: width, height: height, document) }
    var steps: [ImageStep] = []
    var size = (width: width, height: height)
    if let resizing {
      size = Self.resized(size, to: resizing.size)
      steps.append(.resize(width: size.width, height: size.height, resizing.filter))
    }
    if let crop { steps.append(.centerCrop(of: size, to: crop)) }
    return steps
  }

  private static func resized(_ size: (width: Int, height: Int), to wanted: Size) -> (width: Int, height: Int) {
    switch wanted {
    case .exact(let width, let height): (width, height)
    case .shortestEdge(let side):
      size.width <= size.height
        ? (side, scaled(side, size.height, size.width)) : (scaled(side, size.width, size.height), side)
    case .longestEdge(let side):
      size.width >= size.height
        ? (side, scaled(side, size.height, size.width)) : (scaled(side, size.width, size.height), side)
    }
  }

  /// side * numerator / denominator, rounded down, at least 1; all of them are at most 65535.
  private static func scaled(_ side: Int, _ numerator: Int, _ denominator: Int) -> Int {
    max(side * numerator / denominator, 1)
  }

  /// Donut's order: turned so that the long sides agree, resized by the shorter side, shrunk to fit, padded.
  private func documentSteps(
    width: Int, height: Int,
    _ target: (width: Int, height: Int, aligns: Bool, resizes: Bool, shrinks: Bool, pads: Bool)
  ) throws(MueError) -> [ImageStep] {
    let filter = resizing?.filter ?? .bilinear
    var steps: [ImageStep] = []
    var size = (width: width, height: height)
    let isTurned =
      target.width < target.height && width > height || target.width > target.height && width < height
    if target.aligns, isTurned {
      steps.append(.rotateRight)
      size = (height, width)
    }
    if target.resizes {
      size = Self.resized(size, to: .shortestEdge(min(target.width, target.height)))
      steps.append(.resize(width: size.width, height: size.height, filter))
    }
    let fitting = Self.fitting(size, into: (target.width, target.height))
    if target.shrinks, fitting != size {
      // From a factor of 4 on, the reference averages blocks of pixels first (`reducing_gap`).
      guard size.width < 4 * fitting.width, size.height < 4 * fitting.height else {
        throw MueError(
          .unsupported, "shrinking an image of \(width) x \(height) pixels by 4 or more after resizing is not supported"
        )
      }
      size = fitting
      steps.append(.resize(width: size.width, height: size.height, filter))
    }
    if target.pads {
      guard size.width <= target.width, size.height <= target.height else {
        throw MueError(.unsupported, "padding an image that is larger than the size is not supported")
      }
      steps.append(
        .window(
          left: -((target.width - size.width) / 2), top: -((target.height - size.height) / 2), width: target.width,
          height: target.height))
    }
    return steps
  }

  private static func fitting(
    _ size: (width: Int, height: Int), into target: (width: Int, height: Int)
  ) -> (width: Int, height: Int) {
    let height = min(size.height, target.height)
    let width = min(size.width, target.width)
    if height == size.height, width == size.width { return size }
    if size.height > size.width { return (scaled(size.width, height, size.height), height) }
    if size.width > size.height { return (width, scaled(size.height, width, size.width)) }
    return (width, height)
  }
}
