/// What kind of file some bytes are, by their first bytes.
enum ImageFormat: Equatable {
  case jpeg
  case png
  /// A known format that the engine does not decode.
  case other(String)
  case unknown

  init(_ bytes: UnsafeRawBufferPointer) {
    func has(_ signature: [UInt8], at offset: Int = 0) -> Bool {
      bytes.count >= offset + signature.count && bytes[offset..<offset + signature.count].elementsEqual(signature)
    }
    func has(_ text: String, at offset: Int = 0) -> Bool { has(Array(text.utf8), at: offset) }
    if has([0xFF, 0xD8, 0xFF]) {
      self = .jpeg
    } else if has([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) {
      self = .png
    } else if has("GIF8") {
      self = .other("GIF")
    } else if has("RIFF") && has("WEBP", at: 8) {
      self = .other("WebP")
    } else if has("II*\0") || has("MM\0*") || has("II+\0") || has("MM\0+") {
      self = .other("TIFF")
    } else if has("ftypavif", at: 4) || has("ftypavis", at: 4) {
      self = .other("AVIF")
    } else if has("ftyphei", at: 4) || has("ftyphev", at: 4) || has("ftypmif1", at: 4) || has("ftypmsf1", at: 4) {
      self = .other("HEIF")
    } else if has([0xFF, 0x0A]) || has("JXL ", at: 4) {
      self = .other("JPEG XL")
    } else if has([0xFF, 0x4F, 0xFF, 0x51]) || has("jP  ", at: 4) {
      self = .other("JPEG 2000")
    } else if has("BM") {
      self = .other("BMP")
    } else if has("8BPS") {
      self = .other("Photoshop")
    } else if has("%PDF") {
      self = .other("PDF")
    } else if has("<svg") || has("<?xml") {
      self = .other("SVG or other XML")
    } else if has([0, 0, 1, 0]) {
      self = .other("ICO")
    } else if has("P"), bytes.count > 2, (UInt8(ascii: "1")...UInt8(ascii: "7")).contains(bytes[1]),
      bytes[2] == 0x0A || bytes[2] == 0x20
    {
      self = .other("PNM")
    } else {
      self = .unknown
    }
  }
}
