import Glibc
import Testing

/// Models that Tests/python/make_onnx_samples.py writes, run by MUE_PYTHON, else by the repository's .venv.
enum PythonSamples {
  static let repository = String(
    #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/"))

  /// nil when there is no Python with the onnx package.
  static func make() throws -> TemporaryFolder? {
    let environment = "\(repository)/.venv/bin/python"
    let python =
      getenv("MUE_PYTHON").map { String(cString: $0) } ?? (access(environment, X_OK) == 0 ? environment : "python3")
    guard system("'\(python)' -c 'import onnx' 2>/dev/null") == 0 else { return nil }
    let folder = try TemporaryFolder()
    let script = "\(repository)/Tests/python/make_onnx_samples.py"
    try #require(system("'\(python)' '\(script)' '\(folder.path)' >'\(folder.path)/log' 2>&1") == 0)
    return folder
  }

  /// The .onnx files in `folder` and in its folders.
  static func models(in folder: String) throws -> [String] {
    var paths: [String] = []
    for pattern in ["\(folder)/*.onnx", "\(folder)/*/*.onnx"] {
      var found = glob_t()
      defer { globfree(&found) }
      guard glob(pattern, 0, nil, &found) == 0 else { continue }
      for index in 0..<Int(found.gl_pathc) {
        if let path = found.gl_pathv[index] { paths.append(String(cString: path)) }
      }
    }
    return paths
  }
}
