"""--packed-cache: a file of packed weights changes how long opening takes and nothing else, whatever is in the file."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

ISAS = ("portable", "avx2", "avx512", "neon")


@pytest.fixture
def copy(bundle, tmp_path) -> Path:
    """The bundle in a folder that may be written to, without a file of packed weights."""
    target = tmp_path / "bundle"
    shutil.copytree(bundle, target, ignore=shutil.ignore_patterns("*.packed"))
    return target


def answer(mue, bundle, question, *flags: str) -> tuple:
    """What must not change: tokens and, to the last bit, what they were chosen by."""
    report = json.loads(mue.output("generate", bundle, "--image", question.image, "--prompt", question.caption, "--json",
                                   "--similarities", "--exits=off", "--max-tokens", 12, *flags))
    return report["cpu"], report["tokens"], report["token_logprobs"], report["similarities"]


@pytest.mark.parametrize("precision", ("f32", "bf16", "int8"))
def test_same_answer(mue, copy, questions, precision):
    flags = ("--precision", precision)
    plain = answer(mue, copy, questions[0], *flags)
    assert not list(copy.glob("*.packed"))  # only when asked for
    assert answer(mue, copy, questions[0], *flags, "--packed-cache") == plain
    cache, = copy.glob("*.packed")
    written = cache.stat().st_mtime_ns
    assert answer(mue, copy, questions[0], *flags, "--packed-cache") == plain
    assert cache.stat().st_mtime_ns == written  # it was read, not made again


def test_damaged_file(mue, copy, questions):
    plain = answer(mue, copy, questions[0], "--packed-cache")
    cache, = copy.glob("*.packed")
    whole = cache.read_bytes()
    generator = np.random.default_rng(5)
    damaged = [b"", whole[:100], whole[:len(whole) // 2], os.urandom(4096)]
    for _ in range(6):
        bytes_ = bytearray(whole)
        for at in generator.integers(0, len(whole), 40):
            bytes_[at] ^= 0x55
        damaged.append(bytes(bytes_))
    for content in damaged:
        cache.write_bytes(content)
        assert answer(mue, copy, questions[0], "--packed-cache") == plain
        assert cache.read_bytes() != content  # and mended


def test_file_of_another_instruction_set(mue, copy, questions, monkeypatch):
    """Blocks of convolution weights are as high as the register tiles of an instruction set."""
    plain = {}
    for isa in ISAS:
        monkeypatch.setenv("MUE_ISA", isa)
        found = answer(mue, copy, questions[0])
        if found[0] == f"{isa} (by MUE_ISA)":
            plain[isa] = found
    if len(plain) < 2:
        pytest.skip("this processor has one instruction set alone")
    for isa in [*plain, *reversed(plain)]:
        monkeypatch.setenv("MUE_ISA", isa)
        assert answer(mue, copy, questions[0], "--packed-cache") == plain[isa], isa
