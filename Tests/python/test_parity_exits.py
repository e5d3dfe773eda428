"""With exits: tokens, exit layers and similarities equal training/reference.py, a plain PyTorch reading of MuE.

The reference caches nothing, so equality also says that cached decoding with the propagated keys and values of
skipped layers is the same as computing them all anew.  A decision whose similarity lies within TIE of its threshold
may fall either way in fp32; such answers are counted apart and must be few.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from ort_reference import OrtReference, log_softmax, relative_difference
from picture_questions import PictureQuestions
from training import reference as plain

TIE = 1e-5
CAPTION_TOKENS = 24
SCHEDULES = ("constant", "paper", "released")
QUANTILES = (0.25, 0.6)


@dataclass
class Comparison:
    equal: int = 0
    ties: int = 0
    partial: int = 0  # answers in which some stream stopped early and some token or stream did not
    depths: tuple = ()


@pytest.fixture(scope="module")
def profiles(mue, bundle, questions) -> dict[str, np.ndarray]:
    """Similarities of the streams at full depth, to choose thresholds from that stop some and not others."""
    chosen = questions[:8]
    reports = mue.generate(bundle, [q.image for q in chosen for _ in range(2)],
                           [p for q in chosen for p in (q.caption, q.question)], max_tokens=CAPTION_TOKENS)
    found = [r["similarities"] for r in reports]
    return {"image": np.array([f["image"] for f in found]), "text": np.array([f["text"] for f in found]),
            "decoder": np.array([row for f in found for row in f["decoder"]])}


def thresholds_at(profiles: dict[str, np.ndarray], quantile: float) -> tuple[float, float, float]:
    """Of each stream the quantile of its similarities before the last layer."""
    return tuple(float(np.quantile(profiles[s][:, 1:-1], quantile)) for s in ("image", "text", "decoder"))


def is_tie(expected: dict, thresholds: tuple[float, ...], decoder_thresholds: list[float]) -> bool:
    near = [abs(s - t) for stream, t in zip(("image", "text"), thresholds) for s in expected["similarities"][stream]]
    near += [abs(s - t) for row, t in zip(expected["similarities"]["decoder"], decoder_thresholds) for s in row]
    return min(near) < TIE


def compare(report: dict, expected: dict, end: int, tie: bool, counts: Comparison, where: str) -> None:
    exits = report["exits"]
    tokens = [t for t in expected["tokens"] if t != end]
    same = (report["tokens"], exits["image"], exits["text"], exits["decoder"]) == (
        tokens, expected["image_exit"], expected["text_exit"], expected["decoder_exits"])
    if not same and tie:
        counts.ties += 1
        return
    assert same, f"{where}: {report['tokens']} {exits} instead of {tokens} {expected['image_exit']} " \
        f"{expected['text_exit']} {expected['decoder_exits']}"
    for stream in ("image", "text"):
        assert report["similarities"][stream] == pytest.approx(expected["similarities"][stream], abs=TIE), where
    for found, row in zip(report["similarities"]["decoder"], expected["similarities"]["decoder"], strict=True):
        assert found == pytest.approx(row, abs=TIE), where
    counts.equal += 1
    counts.depths = tuple({*counts.depths, exits["image"], exits["text"], *exits["decoder"]})


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("quantile", QUANTILES)
def test_generation_equals_the_reference(mue, ort, reference, bundle, questions, profiles, schedule, quantile):
    thresholds = thresholds_at(profiles, quantile)
    chosen = questions[: max(10, len(questions) // 2)]
    images = [q.image for q in chosen for _ in range(2)]
    prompts = [p for q in chosen for p in (q.caption, q.question)]
    reports = mue.generate(bundle, images, prompts, exits=thresholds, schedule=schedule, max_tokens=CAPTION_TOKENS)
    counts = Comparison()
    for report, image, prompt in zip(reports, images, prompts, strict=True):
        expected = plain.generate(reference, torch.from_numpy(ort.pixels(image)), torch.from_numpy(ort.source(prompt)),
                                  thresholds, schedule, CAPTION_TOKENS)
        steps = [plain.Exits(*thresholds, schedule).decoder_threshold(s, CAPTION_TOKENS) for s in range(CAPTION_TOKENS)]
        compare(report, expected, ort.end, is_tie(expected, thresholds, steps), counts, f"{image.name} {prompt}")
    print(f"{schedule}, thresholds {np.round(thresholds, 4)}: {counts.equal} answers equal, {counts.ties} ties, "
          f"exit layers {sorted(counts.depths)}")
    assert counts.ties <= len(reports) / 10
    assert len(counts.depths) > 2


@pytest.mark.parametrize("stream", ["image", "text", "decoder"])
def test_one_stream_alone_exits(mue, ort, reference, bundle, questions, profiles, stream):
    place = ("image", "text", "decoder").index(stream)
    thresholds = tuple(t if i == place else 1.0 for i, t in enumerate(thresholds_at(profiles, 0.4)))
    q = questions[0]
    report = mue.generate(bundle, [q.image], [q.caption], exits=thresholds, max_tokens=CAPTION_TOKENS)[0]
    expected = plain.generate(reference, torch.from_numpy(ort.pixels(q.image)), torch.from_numpy(ort.source(q.caption)),
                              thresholds, "constant", CAPTION_TOKENS)
    counts = Comparison()
    compare(report, expected, ort.end, is_tie(expected, thresholds, [thresholds[2]] * CAPTION_TOKENS), counts, stream)
    full = {"image": ort.config["encoder_layers"], "text": ort.config["encoder_layers"]}
    assert all(report["exits"][s] == n for s, n in full.items() if s != stream)


def test_the_lowest_thresholds_run_one_layer(mue, bundle, questions):
    report = mue.generate(bundle, [questions[0].image], [questions[0].caption], exits=(-1.0, -1.0, -1.0))[0]
    assert (report["exits"]["image"], report["exits"]["text"], set(report["exits"]["decoder"])) == (1, 1, {1})


@pytest.mark.parametrize("quantile", QUANTILES)
def test_teacher_forced_passes_equal_the_reference(mue, ort, reference, bundle, questions, profiles, quantile):
    """One decision over all positions of a sample; a batch with padded prompts decides for each sample by itself."""
    thresholds = thresholds_at(profiles, quantile)
    chosen, generator = questions[:6], np.random.default_rng(7)
    sources = [ort.source(q.question)[0] for q in chosen]
    ids = np.full((len(chosen), max(map(len, sources))), ort.pad)
    for row, source in zip(ids, sources):
        row[: len(source)] = source
    decoder_ids = generator.integers(4, ort.config["vocab_size"], (len(chosen), 7))
    pixels = np.concatenate([ort.pixels(q.image) for q in chosen])
    logits, reports = mue.forward(bundle, pixels, ids, decoder_ids, thresholds)
    for i, report in enumerate(reports):
        expected = plain.forward(reference, *(torch.from_numpy(a[i:i + 1]) for a in (pixels, ids, decoder_ids)), thresholds)
        exits = report["exits"]
        found = (exits["image"], exits["text"], exits["decoder"])
        if found != (expected["image_exit"], expected["text_exit"], [expected["decoder_exit"]]):
            tie = {**expected["similarities"], "decoder": [expected["similarities"]["decoder"]]}
            assert is_tie({"similarities": tie}, thresholds, [thresholds[2]]), f"{found}, {expected['similarities']}"
            continue
        assert relative_difference(logits[i], expected["logits"][0].numpy()) < 1e-4
        assert report["similarities"]["decoder"][0] == pytest.approx(expected["similarities"]["decoder"], abs=TIE)


@pytest.mark.parametrize("quantile", QUANTILES)
def test_scores_equal_the_reference(mue, ort, reference, bundle, questions, profiles, quantile):
    """Entailment with exits: the decoder reads the prompt without its end, one decision over all its positions."""
    thresholds = thresholds_at(profiles, quantile)
    answers = [" yes", " no", " maybe"]
    ids = [ort.tokenizer.encode(a, add_special_tokens=False).ids[0] for a in answers]
    pairs = [(q, h) for q in questions[:10] for h in q.hypotheses]
    reports = mue.score(bundle, [q.image for q, _ in pairs], [h for _, h in pairs], answers, thresholds)
    equal, ties = 0, 0
    for report, (q, prompt) in zip(reports, pairs, strict=True):
        source = torch.from_numpy(ort.source(prompt))
        expected = plain.forward(reference, torch.from_numpy(ort.pixels(q.image)), source, source[:, :-1], thresholds)
        exits = report["exits"]
        found = (exits["image"], exits["text"], exits["decoder"])
        if found != (expected["image_exit"], expected["text_exit"], [expected["decoder_exit"]]):
            tie = {**expected["similarities"], "decoder": [expected["similarities"]["decoder"]]}
            assert is_tie({"similarities": tie}, thresholds, [thresholds[2]]), f"{prompt}: {found}"
            ties += 1
            continue
        assert report["logprobs"] == pytest.approx(log_softmax(expected["logits"][0, -1, ids].numpy()), abs=1e-3)
        equal += 1
    print(f"thresholds {np.round(thresholds, 4)}: {equal} scores equal, {ties} ties")
    assert ties <= len(pairs) / 10


def test_the_reference_at_full_depth_is_the_exported_graph(ort: OrtReference, reference, questions: list[PictureQuestions]):
    """The oracle itself, against ONNX Runtime on the same weights."""
    q = questions[-1]
    pixels, source = ort.pixels(q.image), ort.source(q.caption)
    found = plain.generate(reference, torch.from_numpy(pixels), torch.from_numpy(source), max_tokens=8)
    tokens, rows = ort.greedy(pixels, source, 8)
    assert found["tokens"] == tokens
    assert relative_difference(found["logits"].numpy(), np.stack(rows)) < 1e-4
