"""Full depth equals ONNX Runtime on the same model.onnx: logits, greedy tokens, beam search, scores."""

from __future__ import annotations

import numpy as np
import pytest
from ort_reference import log_softmax, relative_difference

TOLERANCE = 1e-4  # of the largest logit
CAPTION_TOKENS, ANSWER_TOKENS = 24, 4


def expected_text(ort, tokens):
    return [t for t in tokens if t != ort.end]


@pytest.mark.parametrize("batch, text, decoder", [(1, 1, 1), (1, 2, 7), (3, 13, 5), (3, 7, 1), (2, 31, 24), (3, 1, 17)])
def test_logits_of_random_inputs(mue, ort, bundle, batch, text, decoder):
    generator = np.random.default_rng([batch, text, decoder])
    size, vocabulary = ort.config["image_size"], ort.config["vocab_size"]
    pixels = generator.standard_normal((batch, 3, size, size), np.float32)
    ids = generator.integers(4, vocabulary, (batch, text))
    decoder_ids = generator.integers(4, vocabulary, (batch, decoder))
    logits, reports = mue.forward(bundle, pixels, ids, decoder_ids)
    assert relative_difference(logits, ort.logits(pixels, ids, decoder_ids)) < TOLERANCE
    depth = (ort.config["encoder_layers"], ort.config["decoder_layers"])
    assert [(r["exits"]["image"], r["exits"]["text"], r["exits"]["decoder"]) for r in reports] == [
        (depth[0], depth[0], [depth[1]])] * batch


@pytest.mark.parametrize("lengths", [(9, 4, 7), (1, 12, 5)])
def test_logits_with_padded_prompts(mue, ort, bundle, lengths):
    generator = np.random.default_rng(lengths)
    size, vocabulary = ort.config["image_size"], ort.config["vocab_size"]
    pixels = generator.standard_normal((3, 3, size, size), np.float32)
    ids = generator.integers(4, vocabulary, (3, max(lengths)))
    for row, length in zip(ids, lengths):
        row[length:] = ort.pad
    decoder_ids = generator.integers(4, vocabulary, (3, 6))
    expected = ort.logits(pixels, ids, decoder_ids)
    logits, _ = mue.forward(bundle, pixels, ids, decoder_ids)
    assert relative_difference(logits, expected) < TOLERANCE
    # The padding must matter to the check: tokens in its place give something else.
    other = np.where(ids == ort.pad, 4, ids)
    assert relative_difference(ort.logits(pixels, other, decoder_ids), expected) > 100 * TOLERANCE


def test_the_whole_graph_as_it_stands(mue, ort, bundle):
    generator = np.random.default_rng(5)
    size, vocabulary = ort.config["image_size"], ort.config["vocab_size"]
    inputs = {"pixel_values": generator.standard_normal((3, 3, size, size), np.float32),
              "input_ids": generator.integers(4, vocabulary, (3, 11)),
              "decoder_input_ids": generator.integers(4, vocabulary, (3, 5))}
    inputs["input_ids"][1, 6:] = ort.pad
    found = mue.run_graph(bundle / "model.onnx", inputs)
    assert relative_difference(found["logits"], ort.logits(*inputs.values())) < TOLERANCE


def test_logits_of_pictures(mue, ort, bundle, questions):
    """Teacher-forced logits of every picture, its caption as ONNX Runtime gives it."""
    pixels = np.concatenate([ort.pixels(q.image) for q in questions])
    ids = np.repeat(ort.source(questions[0].caption), len(questions), 0)
    decoder_ids = np.full((len(questions), CAPTION_TOKENS), ort.start)
    for length in range(1, CAPTION_TOKENS):
        decoder_ids[:, length] = ort.logits(pixels, ids, decoder_ids[:, :length])[:, -1].argmax(-1)
    expected = ort.logits(pixels, ids, decoder_ids)
    logits, _ = mue.forward(bundle, pixels, ids, decoder_ids)
    worst = max(relative_difference(a, b) for a, b in zip(logits, expected))
    print(f"{len(questions)} pictures: logits differ by at most {worst:.1e} of the largest")
    assert worst < TOLERANCE


def test_greedy_tokens_of_pictures(mue, ort, bundle, questions):
    """From the picture file to the tokens, captions and answers in one batch of mixed prompts."""
    images = [q.image for q in questions for _ in range(2)]
    prompts = [p for q in questions for p in (q.caption, q.question)]
    reports = mue.generate(bundle, images, prompts, max_tokens=CAPTION_TOKENS)
    texts = set()
    for report, image, prompt in zip(reports, images, prompts, strict=True):
        tokens, rows = ort.greedy(ort.pixels(image), ort.source(prompt), CAPTION_TOKENS)
        assert report["tokens"] == expected_text(ort, tokens), f"{image.name} {prompt}"
        assert report["finished"] == (tokens[-1] == ort.end)
        assert report["text"] == ort.tokenizer.decode(expected_text(ort, tokens))
        chosen = [log_softmax(row)[token] for row, token in zip(rows, tokens)]
        assert report["token_logprobs"] == pytest.approx(chosen, abs=2e-3)
        texts.add(report["text"])
    print(f"{len(reports)} answers with the tokens of ONNX Runtime, {len(texts)} different ones")
    assert len(texts) > len(questions) / 4  # a model that answers always alike would prove little


def test_cut_generation(mue, ort, bundle, questions):
    q = questions[0]
    for length in (1, 3):
        tokens, _ = ort.greedy(ort.pixels(q.image), ort.source(q.caption), length)
        report = mue.generate(bundle, [q.image], [q.caption], max_tokens=length)[0]
        assert (report["tokens"], report["finished"]) == (tokens, False)


def test_batches_equal_single_requests(mue, bundle, questions):
    chosen = questions[:4]
    images = [q.image for q in chosen for _ in q.prompts]
    prompts = [p for q in chosen for p in q.prompts]
    for settings in ({}, {"exits": (0.95, 0.9, 0.97)}, {"beams": 3}, {"beams": 3, "exits": (0.95, 0.9, 0.97)}):
        together = mue.generate(bundle, images, prompts, max_tokens=CAPTION_TOKENS, **settings)
        for index in range(0, len(images), 3):
            alone = mue.generate(bundle, images[index:index + 1], prompts[index:index + 1],
                                 max_tokens=CAPTION_TOKENS, **settings)[0]
            assert (together[index]["tokens"], together[index]["exits"]) == (alone["tokens"], alone["exits"])


def test_scores_of_single_token_answers(mue, ort, bundle, questions):
    """Entailment: the decoder reads the prompt without its end, the answers compete for the next token."""
    answers = [" yes", " no", " maybe"]
    ids = [ort.tokenizer.encode(a, add_special_tokens=False).ids for a in answers]
    assert all(len(i) == 1 for i in ids)
    images = [q.image for q in questions for _ in q.hypotheses]
    prompts = [p for q in questions for p in q.hypotheses]
    best = set()
    for report, image, prompt in zip(mue.score(bundle, images, prompts, answers), images, prompts, strict=True):
        source = ort.source(prompt)
        row = ort.logits(ort.pixels(image), source, source[:, :-1])[0, -1, [i[0] for i in ids]]
        assert report["logprobs"] == pytest.approx(log_softmax(row), abs=1e-3)
        best.add(int(row.argmax()))
    assert len(best) > 1


def test_scores_of_longer_answers(mue, ort, bundle, questions):
    """From <s>: the log-probability of an answer's tokens and of its end, normalised over the answers."""
    answers = [" two", " a red wall", " yes"]
    tokens = [[*ort.tokenizer.encode(a, add_special_tokens=False).ids, ort.end] for a in answers]
    assert len({len(t) for t in tokens}) > 1
    chosen = questions[:5]
    reports = mue.score(bundle, [q.image for q in chosen], [q.question for q in chosen], answers)
    for report, q in zip(reports, chosen, strict=True):
        sums = []
        for ids in tokens:
            decoder_ids = np.array([[ort.start, *ids[:-1]]])
            rows = log_softmax(ort.logits(ort.pixels(q.image), ort.source(q.question), decoder_ids)[0])
            sums.append(sum(rows[i, t] for i, t in enumerate(ids)))
        assert report["logprobs"] == pytest.approx(log_softmax(np.array(sums)), abs=5e-3)
