import Decode
import Tensor
import Text
import Vision

extension Hypothesis {
  /// What a search found, in the words and boxes of its task.
  init(
    _ result: SearchResult, task: TaskTemplate?, tokenizer: Tokenizer, picture: PictureSize
  ) throws(MueError) {
    self.init()
    tokens = result.isFinished ? Array(result.tokens.dropLast()) : result.tokens
    rawText = try tokenizer.decode(tokens)
    text = task?.removesPunctuation == true ? AnswerText.withoutPunctuation(rawText) : rawText
    tokenLogProbabilities = result.logProbabilities
    logProbability = result.logProbabilities.reduce(0, +)
    score = result.score
    isFinished = result.isFinished
    decoderExits = result.exits
    if let output = task?.boxes {
      boxes = output.boxes(tokens.map { tokenizer.token($0) }, ratio: picture.ratio)
    }
  }
}
