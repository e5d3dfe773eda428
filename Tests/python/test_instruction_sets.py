"""MUE_ISA: every instruction set that the processor has answers as ONNX Runtime does; names it lacks are told."""

from __future__ import annotations

import json
import platform

import numpy as np
import pytest
from ort_reference import relative_difference

X86, ARM = ("portable", "avx2", "avx512"), ("portable", "neon")
HERE = ARM if platform.machine() == "aarch64" else X86
TOLERANCE = 1e-4  # of the largest logit


def in_use(mue) -> str:
    return json.loads(mue.output("info", "--json"))["cpu"]


@pytest.mark.parametrize("isa", HERE)
def test_forced(mue, ort, bundle, questions, monkeypatch, isa):
    monkeypatch.setenv("MUE_ISA", isa)
    if in_use(mue) != f"{isa} (by MUE_ISA)":
        assert isa != "portable" and "not available here" in in_use(mue)
        pytest.skip(f"this processor has no {isa}")
    generator = np.random.default_rng(17)
    size, vocabulary = ort.config["image_size"], ort.config["vocab_size"]
    pixels = generator.standard_normal((2, 3, size, size), np.float32)
    ids, decoder_ids = generator.integers(4, vocabulary, (2, 13)), generator.integers(4, vocabulary, (2, 7))
    logits, reports = mue.forward(bundle, pixels, ids, decoder_ids)
    assert relative_difference(logits, ort.logits(pixels, ids, decoder_ids)) < TOLERANCE
    assert [r["cpu"] for r in reports] == [f"{isa} (by MUE_ISA)"] * 2

    question = questions[0]
    report, = mue.generate(bundle, [question.image], [question.caption], max_tokens=24)
    tokens, _ = ort.greedy(ort.pixels(question.image), ort.source(question.caption), 24)
    assert report["tokens"] == [t for t in tokens if t != ort.end] and report["cpu"] == f"{isa} (by MUE_ISA)"


def test_what_cannot_be_had(mue, monkeypatch):
    monkeypatch.delenv("MUE_ISA", raising=False)
    best = in_use(mue)
    assert best in HERE
    monkeypatch.setenv("MUE_ISA", "")
    assert in_use(mue) == best
    for wrong in ("AVX2", "sse9", "avx2 ", "9" * 5000, "\x7f\u00e9"):
        monkeypatch.setenv("MUE_ISA", wrong)
        assert in_use(mue) == f"{best} (MUE_ISA names no instruction set)"
    monkeypatch.setenv("MUE_ISA", "neon" if HERE is X86 else "avx2")
    assert in_use(mue) == f"{best} (not MUE_ISA's, which is not available here)"
