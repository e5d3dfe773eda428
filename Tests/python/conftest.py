"""Shared fixtures: the command line that `make build` left, the bundle under test, and pictures to ask about.

MUE_COMMAND      the command line to test          (default: build/bin/mue)
MUE_TEST_BUNDLE  the bundle to test                (default: models/demo)
MUE_TEST_PICTURES  pictures in the parity tests    (default: 20; docs/results used 200)
MUE_SHARED       OFA's vocabulary and fixtures     (default: ../shared; tests that need them are skipped without)
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent), str(ROOT / "bindings/python")]


@pytest.fixture(scope="session")
def bundle() -> Path:
    path = Path(os.environ.get("MUE_TEST_BUNDLE", ROOT / "models/demo"))
    if not (path / "model.onnx").exists():
        pytest.skip(f"{path} holds no model.onnx")
    return path


@pytest.fixture(scope="session")
def mue(tmp_path_factory):
    from mue_command import MueCommand
    path = Path(os.environ.get("MUE_COMMAND", ROOT / "build/bin/mue"))
    if not path.exists():
        pytest.skip(f"{path} is not built")
    return MueCommand(path, tmp_path_factory.mktemp("mue"))


@pytest.fixture(scope="session")
def ort(bundle):
    from ort_reference import OrtReference
    return OrtReference(bundle)


@pytest.fixture(scope="session")
def reference(bundle):
    import torch
    from training.init_from_onnx import load_exported
    torch.set_num_threads(2)
    return load_exported(bundle)


@pytest.fixture(scope="session")
def questions(tmp_path_factory):
    from picture_questions import picture_questions
    return picture_questions(int(os.environ.get("MUE_TEST_PICTURES", "20")), tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="session")
def shared() -> Path:
    return Path(os.environ.get("MUE_SHARED", ROOT.parent / "shared"))


@pytest.fixture(scope="session")
def ofa_bpe(shared) -> Path:
    path = shared / "ofa-bpe"
    if not (path / "encoder.json").exists():
        pytest.skip(f"{path} does not hold OFA's vocabulary")
    return path


@pytest.fixture(scope="session")
def ofa_mini(shared) -> Path:
    path = shared / "fixtures/ofa-mini"
    if not (path / "checkpoint.pt").exists():
        pytest.skip(f"{path} does not hold the checkpoint and what the authors' code made of it")
    return path


@pytest.fixture(scope="session")
def ofa_mini_bundles(ofa_mini, ofa_bpe, tmp_path_factory):
    """ofa-mini exported as `joint`, `authors` (image distances dropped) and `relbias` (kept)."""
    import torch
    from mue_export.ofa import OFAExport, export_ofa
    torch.set_num_threads(2)
    folder = tmp_path_factory.mktemp("ofa-mini")
    for name, encoder in (("joint", "joint"), ("authors", "decomposed"), ("relbias", "decomposed")):
        export_ofa(OFAExport(ofa_mini / "checkpoint.pt", folder / name, encoder, name == "authors", 192, bpe=ofa_bpe,
                             verify=False))
    return folder
