"""Hypotheses, closed sets, normalisation and boxes; the numbers are compared with ONNX Runtime in Tests/python."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import mue

ANSWERS = [" two", " a red wall", " a red cat", " three"]


def test_hypotheses_come_best_first(model: mue.Model, samples: list[dict]) -> None:
    answer = model.generate(samples[0]["path"], beams=4, nbest=4, max_tokens=8, no_repeat_ngram_size=2)
    assert len(answer.hypotheses) == 4 and len({h.tokens for h in answer.hypotheses}) == 4
    scores = [h.score for h in answer.hypotheses]
    assert scores == sorted(scores, reverse=True) and answer.score == scores[0]
    for found in answer.hypotheses:
        assert found.finished and len(found.tokens) <= 8 and found.boxes == ()
        assert len(found.decoder_exits) == len(found.token_logprobs) == len(found.tokens) + 1
        assert found.logprob == pytest.approx(math.fsum(found.token_logprobs))
        assert found.score == pytest.approx(found.logprob / len(found.token_logprobs))
        pairs = list(zip(found.tokens, found.tokens[1:]))
        assert len(pairs) == len(set(pairs))
    assert (answer.text, answer.raw_text, answer.tokens) == (
        answer.hypotheses[0].text, answer.hypotheses[0].raw_text, answer.hypotheses[0].tokens)
    assert answer.exits.decoder == answer.hypotheses[0].decoder_exits
    plain = model.generate(samples[0]["path"], beams=4, nbest=4, max_tokens=8, length_penalty=0)
    assert all(h.score == pytest.approx(h.logprob) for h in plain.hypotheses)
    assert len(model.generate(samples[0]["path"]).hypotheses) == 1


def test_answers_of_a_closed_set(model: mue.Model, samples: list[dict]) -> None:
    path, prompt = samples[1]["path"], samples[1]["question"]["prompt"]
    scoring = model.score(path, prompt, ANSWERS, normalize="answers")
    assert sum(scoring.probabilities.values()) == pytest.approx(1)
    answer = model.generate(path, prompt, answers=ANSWERS, beams=4, nbest=4, length_penalty=0)
    best = [ANSWERS.index(" " + h.text.strip()) for h in answer.hypotheses]
    assert best == sorted(range(4), key=lambda i: -scoring.logprobs[i])
    assert [h.logprob for h in answer.hypotheses] == pytest.approx([scoring.logprobs[i] for i in best], abs=1e-3)
    assert " " + model.generate(path, prompt, answers=ANSWERS, beams=1).text.strip() in ANSWERS
    vocabulary = model.score(path, prompt, ANSWERS, normalize="vocabulary")
    assert vocabulary.logprobs == model.score(path, prompt, ANSWERS).logprobs
    assert vocabulary.logprobs != pytest.approx(scoring.logprobs, abs=1e-6)


def test_what_is_refused(model: mue.Model, samples: list[dict]) -> None:
    path = samples[0]["path"]
    for arguments, argument in [
        ({"nbest": 2}, "nbest"), ({"beams": 65}, "options.beams"), ({"no_repeat_ngram_size": -1}, "no_repeat_ngram_size"),
        ({"length_penalty": -1.0}, "length_penalty"), ({"length_penalty": math.nan}, "options.length_penalty"),
        ({"min_tokens": -1}, "min_tokens"), ({"answers": []}, "answers"), ({"answers": [" a", " a"]}, "answers"),
        ({"answers": [" a red wall"], "max_tokens": 1}, "max_tokens"),
    ]:
        with pytest.raises(mue.InvalidArgumentError) as caught:
            model.generate(path, **arguments)
        assert caught.value.argument == argument
    with pytest.raises(TypeError):
        model.generate(path, answers=" yes")
    with pytest.raises(mue.InvalidArgumentError):
        model.score(path, None, ANSWERS, normalize="words")


def test_a_picture_with_boxes(tmp_path: Path) -> None:
    image_module = pytest.importorskip("PIL.Image")
    pixels = np.full((20, 30, 3), 80, np.uint8)
    picture = mue.Image(pixels)
    picture.save_png(tmp_path / "boxes.png", [mue.Box(5, 4, 20, 15), (0, 0, 2.5, 2.5)])
    with image_module.open(tmp_path / "boxes.png") as opened:
        drawn = np.asarray(opened)
    assert drawn.shape == pixels.shape
    red = (drawn == (255, 0, 0)).all(-1)
    assert red[4, 10] and red[3, 4] and red[0, 0] and not red[9, 12] and (drawn[~red] == 80).all()
    with pytest.raises(mue.ReadError):
        picture.save_png(tmp_path / "missing" / "boxes.png")
    with pytest.raises(mue.InvalidArgumentError):
        picture.save_png(tmp_path / "boxes.png", [(0, 0, math.inf, 1)])
    with pytest.raises(mue.InvalidArgumentError):
        mue.Image(np.zeros((3, 4, 4), np.float32)).save_png(tmp_path / "boxes.png")
