"""Fixtures: the library of the checkout, the demo model, and a small ONNX graph."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import mue

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session", autouse=True)
def library() -> None:
    try:
        mue.load_library()
    except mue.LibraryError as error:
        pytest.skip(f"no MuE library: {error}")


@pytest.fixture(scope="session")
def bundle() -> Path:
    path = Path(os.environ.get("MUE_DEMO_MODEL", ROOT / "models" / "demo"))
    if not (path / "model.onnx").exists():
        pytest.skip(f"{path} has no model.onnx")
    return path


@pytest.fixture(scope="session")
def model(bundle: Path):
    with mue.open(bundle) as model:
        yield model


@pytest.fixture(scope="session")
def samples() -> list[dict]:
    """Entries of samples.json, with `path` of the picture."""
    folder = ROOT / "models" / "demo" / "samples"
    entries = json.loads((folder / "samples.json").read_text())
    return [{**entry, "path": folder / entry["image"]} for entry in entries]


@pytest.fixture(scope="session")
def graph_bytes() -> bytes:
    """z = x + y and w = Not(b), x [n, 3] and y [3] float32, b [n] bool."""
    onnx = pytest.importorskip("onnx")
    make, info = onnx.helper, onnx.helper.make_tensor_value_info
    types = onnx.TensorProto
    graph = make.make_graph(
        [make.make_node("Add", ["x", "y"], ["z"], name="add"), make.make_node("Not", ["b"], ["w"], name="not")],
        "pair",
        [info("x", types.FLOAT, ["n", 3]), info("y", types.FLOAT, [3]), info("b", types.BOOL, ["n"])],
        [info("z", types.FLOAT, ["n", 3]), info("w", types.BOOL, ["n"])],
    )
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()
