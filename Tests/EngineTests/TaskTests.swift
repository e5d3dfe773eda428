import Decode
import JSON
import Tensor
import Testing
import Vision

@testable import Engine

@Suite struct TaskTests {
  private func tasks() throws(MueError) -> [TaskTemplate] {
    try TaskTemplate.all(
      [
        "tasks": [
          "caption": [
            "prompt": " what does the image describe?", "max_tokens": 16, "beams": 5, "no_repeat_ngram_size": 3,
            "length_penalty": 0, "min_tokens": 2, "remove_punctuation": true,
          ],
          "entailment": [
            "prompt": " does the image describe \" {hypothesis} \"?", "answers": [" yes", " no"],
            "decoder_prefix": "prompt",
          ],
          "entailment_with_caption": [
            "prompt": " can image and text1 \" {caption} \" imply text2 \" {hypothesis} \"?",
            "decoder_prefix": "prompt",
          ],
          "grounding": [
            "prompt": " which region does the text \" {expression} \" describe?", "output": "boxes", "bins": 100,
            "max_image_size": 256, "constraint": "<bin_0>..<bin_99>",
          ],
          "vqa": ["prompt": " {question}", "max_tokens": 4, "normalize_over": "answers"],
          "something else": ["kind": 3],
        ]
      ], file: "mue.json")
  }

  @Test func theTaskIsTheOneWithTheMostOfItsOwnWords() throws {
    let tasks = try tasks()
    func name(_ text: String) -> String? { TaskTemplate.matching(text, among: tasks)?.name }
    #expect(name(" what does the image describe?") == "caption")
    #expect(name(" does the image describe \" there is a cat \"?") == "entailment")
    #expect(name(" can image and text1 \" a dog \" imply text2 \" a cat \"?") == "entailment_with_caption")
    #expect(name(" can image and text1 \" a \" imply text2 \" b \" imply text2 \" c \"?") == "entailment_with_caption")
    #expect(name(" can image and text1 \" a dog \"?") == "vqa")
    #expect(name(" which region does the text \" the red one \" describe?") == "grounding")
    #expect(name(" how many cats are there?") == "vqa")
    #expect(name("no leading space") == nil)
    #expect(tasks.count == 5)
  }

  @Test func settingsAreRead() throws {
    let tasks = try tasks()
    let caption = try #require(tasks.first { $0.name == "caption" })
    #expect((caption.beams, caption.maxTokens, caption.minTokens) == (5, 16, 2))
    #expect((caption.noRepeatNgramSize, caption.lengthPenalty) == (3, 0))
    #expect(caption.removesPunctuation && !caption.decoderReadsPrompt && caption.normalization == .vocabulary)
    let grounding = try #require(tasks.first { $0.name == "grounding" })
    #expect(grounding.constraint == ["<bin_0>..<bin_99>"])
    #expect(grounding.boxes?.bins == 100)
    #expect(tasks.first { $0.name == "vqa" }?.normalization == .answers)
  }

  @Test(
    arguments: [
      ["beams": 0], ["beams": 65], ["beams": "five"], ["max_tokens": 0], ["length_penalty": -1], ["output": "picture"],
      ["output": "boxes", "bins": 1], ["output": "boxes", "max_image_size": 0], ["normalize_over": "x"],
      ["constraint": [1]],
    ] as [JSONValue])
  func badSettingsAreNamed(task: JSONValue) throws {
    var task = task.objectValue ?? JSONObject()
    task["prompt"] = "p"
    do {
      _ = try TaskTemplate.all(["tasks": ["bad": .object(task)]], file: "mue.json")
      Issue.record("\(task) was taken")
    } catch {
      #expect(error.location.file == "mue.json")
      #expect(error.location.field?.hasPrefix("tasks.bad") == true)
    }
  }

  @Test(arguments: [
    ("a{x}b", "a b", 2), ("a{x}b", "ab", 2), ("a{x}b", "abc", nil), ("{x}", "", 0), ("{x}", "anything", 0),
    ("{x}-{y}-{z}", "1-2-3", 2), ("{x}-{y}-{z}", "1-2", nil), ("{x}-{y}-{z}", "1-2-3-4", 2), ("aa{x}aa", "aaa", nil),
    ("{a}{b}", "x", 0), ("no { open", "no { open", 9), ("a{x}b{y}b", "ab", nil), ("é{x}é", "é é", 4),
  ])
  func placeholdersStandForAnyText(pattern: String, text: String, expected: Int?) {
    #expect(PromptPattern(pattern).match(Array(text.utf8)) == expected)
  }

  @Test func binsBecomeBoxes() throws {
    let output = try BoxOutput(JSONNode(["bins": 1000, "max_image_size": 512]))
    let ratio = (width: 384.0 / 640, height: 384.0 / 480)
    let tokens = ["<bin_0>", "<bin_999>", "<bin_500>", "<bin_250>", " a", "<bin_1>", "<bin_2>", " b", "<bin_1000>"]
    let boxes = output.boxes(tokens.map { Optional($0) } + [nil, "<bin_x>", "<bin_-1>"], ratio: ratio)
    // OFA: hyps / (num_bins - 1) * max_image_size, then divided by the resize ratios.
    #expect(boxes.count == 1)
    let box = try #require(boxes.first)
    #expect(abs(box.x0) < 1e-9)
    #expect(abs(box.y0 - 512 / (384.0 / 480)) < 1e-9)
    #expect(abs(box.x1 - 500.0 / 999 * 512 / (384.0 / 640)) < 1e-9)
    #expect(abs(box.y1 - 250.0 / 999 * 512 / (384.0 / 480)) < 1e-9)
    #expect(output.boxes(["<bin_1>", "<bin_2>", "<bin_3>"], ratio: ratio) == [])
    #expect(output.boxes([String?](repeating: "<bin_7>", count: 9), ratio: ratio).count == 2)
  }

  @Test(arguments: [
    (" A man, with a hat.", "A man with a hat"), ("it's \u{2019} no. 1!\n", "its \u{2019} no 1"), ("...", ""),
    ("", ""), ("\u{A0}a-b\u{1F}", "ab"), (##"!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~x y"##, "x y"), (" é ", "é"),
  ])
  func punctuationIsRemovedAsInPython(text: String, expected: String) {
    #expect(AnswerText.withoutPunctuation(text) == expected)
  }
}
