import ArgumentParser

/// `--image` and `--prompt`, each as often as needed.
struct QuestionArguments: ParsableArguments {
  @Option(help: ArgumentHelp("A JPEG or PNG file; may be repeated.", valueName: "file"))
  var image: [String] = []

  @Option(
    help: ArgumentHelp("The question; may be repeated. Without it: the model's caption prompt.", valueName: "text"))
  var prompt: [String] = []

  func validate() throws {
    guard !image.isEmpty else { throw ValidationError("--image is missing") }
    guard prompt.count <= 1 || image.count == 1 || image.count == prompt.count else {
      throw ValidationError(
        "\(image.count) images and \(prompt.count) prompts: give one of either, or as many of both")
    }
  }

  /// One prompt serves all images, one image all prompts; otherwise they go in pairs.
  func questions() throws(CommandFailure) -> [Question] {
    var images: [ImageHandle] = []
    for path in image { images.append(try ImageHandle(path: path)) }
    return (0..<max(images.count, prompt.count)).map { index in
      Question(
        image: images[images.count == 1 ? 0 : index],
        prompt: prompt.isEmpty ? nil : prompt[prompt.count == 1 ? 0 : index])
    }
  }
}
