"""Precisions and the file of packed weights: the same answers, whatever the file holds."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

import mue

PRECISIONS = ["f32", "bf16", "int8"]


@pytest.fixture
def copy(bundle: Path, tmp_path: Path) -> Path:
    """A bundle of its own, with a folder that files may be made in."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    for file in bundle.iterdir():
        if file.is_file():
            shutil.copy(file, folder)
    return folder


def answer(folder: Path, samples: list[dict], **options) -> tuple:
    with mue.open(folder, **options) as model:
        made = model.generate(samples[0]["path"])
        return made.tokens, made.logprob, made.precision


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_a_lower_precision_stays_near(bundle: Path, samples: list[dict], precision: str) -> None:
    prompts = [entry["question"]["prompt"] for entry in samples]
    paths = [entry["path"] for entry in samples]
    scores = {}
    for name in ("f32", precision):
        with mue.open(bundle, precision=name) as model:
            assert model.generate(paths[0]).precision == name
            found = [model.score(path, prompt, [" yes", " no"]) for path, prompt in zip(paths, prompts)]
        scores[name] = np.array([result.logprobs for result in found])
    difference = np.abs(scores["f32"] - scores[precision]).max()
    assert 0 < difference < {"bf16": 0.3, "int8": 0.6}[precision]


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_beams_of_a_batch_read_their_own_picture(bundle: Path, samples: list[dict], precision: str) -> None:
    """Steps read packed keys and values: more beams than are multiplied at once, pictures side by side and alone."""
    paths, prompts = [entry["path"] for entry in samples], [entry["question"]["prompt"] for entry in samples]
    prompts[0] = "what does the image describe?"
    options = {"beams": 14, "nbest": 14}
    with mue.open(bundle, precision=precision) as model:
        together = model.generate(paths, prompts, **options)
        alone = [model.generate(path, prompt, **options) for path, prompt in zip(paths, prompts)]
        # Which compared steps with whole prefixes, where nothing is packed.
        assert model.inspect()["decoding"] == {"mode": "one token at a time", "reason": None}
    with mue.open(bundle) as model:
        exact = [model.generate(path, prompt, **options) for path, prompt in zip(paths, prompts)]
    for one, other, reference in zip(together, alone, exact):
        assert len(one.hypotheses) == 14
        # More rows may be added up in another order, which changes the last place of a sum. Of a state that is then rounded
        # to bf16 an element may become its neighbour; a hypothesis at the very end may give way to another.
        tolerance = {"bf16": 0.03, "int8": 1e-4}[precision]
        assert one.tokens == other.tokens
        scores = {h.tokens: h.logprob for h in other.hypotheses}
        same = [h for h in one.hypotheses if h.tokens in scores]
        assert len(same) >= 13
        assert all(h.logprob == pytest.approx(scores[h.tokens], abs=tolerance) for h in same)
        known = {h.tokens: h.logprob for h in reference.hypotheses}
        found = {h.tokens: h.logprob for h in one.hypotheses if h.tokens in known}
        assert len(found) >= 5  # the best of both
        assert all(found[t] == pytest.approx(known[t], abs=0.5) for t in found)


def test_an_unknown_precision_is_named(bundle: Path) -> None:
    with pytest.raises(mue.InvalidArgumentError, match="fp4"):
        mue.open(bundle, precision="fp4")  # type: ignore[arg-type]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_packed_weights_are_kept(copy: Path, samples: list[dict], precision: str) -> None:
    expected = answer(copy, samples, precision=precision)
    packed = copy / f"model.onnx.{precision}.packed"
    assert not packed.exists()
    assert answer(copy, samples, precision=precision, packed_cache=True) == expected
    made = packed.stat()
    assert answer(copy, samples, precision=precision, packed_cache=True) == expected
    assert (packed.stat().st_ino, packed.stat().st_mtime_ns) == (made.st_ino, made.st_mtime_ns)
    assert len(list(copy.glob("*packed*"))) == 1


def damaged(good: bytes) -> dict[str, bytes]:
    middle = bytearray(good)
    for place in range(len(good) // 4, len(good) - 8, len(good) // 16):
        middle[place] ^= 0x40
    far = bytearray(good)
    far[16 + 32 : 16 + 40] = (2**63 - 1).to_bytes(8, "little")
    many = bytearray(good)
    many[12:16] = (2**32 - 1).to_bytes(4, "little")
    return {
        "changed in the middle": bytes(middle),
        "an offset beyond the file": bytes(far),
        "a count beyond the file": bytes(many),
        "another version": good[:8] + b"\xff\xff\xff\xff" + good[12:],
        "cut": good[: len(good) // 2],
        "cut in the index": good[:40],
        "empty": b"",
        "text": b"not packed weights\n",
    }


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_damaged_file_is_not_believed(copy: Path, samples: list[dict], precision: str) -> None:
    expected = answer(copy, samples, precision=precision, packed_cache=True)
    packed = copy / f"model.onnx.{precision}.packed"
    good = packed.read_bytes()
    for name, content in damaged(good).items():
        packed.write_bytes(content)
        assert answer(copy, samples, precision=precision, packed_cache=True) == expected, name
        assert packed.read_bytes() == good, name


def test_packed_weights_of_another_model_are_not_taken(copy: Path, samples: list[dict]) -> None:
    onnx = pytest.importorskip("onnx")
    answer(copy, samples, packed_cache=True)
    model = onnx.load(copy / "model.onnx")
    largest = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    values = onnx.numpy_helper.to_array(largest)
    largest.raw_data = (values * values.dtype.type(0.5)).tobytes()
    onnx.save(model, copy / "model.onnx")
    expected = answer(copy, samples)
    assert answer(copy, samples, packed_cache=True) == expected


def test_a_file_that_cannot_be_written_is_a_warning(copy: Path, samples: list[dict], caplog) -> None:
    (copy / "model.onnx.f32.packed").mkdir()
    with caplog.at_level(logging.WARNING, logger="mue"):
        assert answer(copy, samples, packed_cache=True) == answer(copy, samples)
    assert any("model.onnx.f32.packed" in record.message for record in caplog.records)
    assert len(list(copy.glob("*packed*"))) == 1
