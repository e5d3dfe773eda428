"""What is refused before or by the library, and where the error says it was."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mue


def test_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(mue.NotFoundError) as caught:
        mue.open(tmp_path / "absent")
    assert isinstance(caught.value, FileNotFoundError)
    assert caught.value.code == 2
    assert "absent" in str(caught.value)


def test_text_is_no_graph() -> None:
    with pytest.raises(mue.InvalidModelError) as caught:
        mue.load_graph(b"this is a letter, not a model\n")
    assert caught.value.byte_offset is not None


def test_truncated_graph_is_invalid(graph_bytes: bytes) -> None:
    with pytest.raises(mue.InvalidModelError):
        mue.load_graph(graph_bytes[: len(graph_bytes) // 2])


def test_unknown_operator_names_node_and_operator() -> None:
    onnx = pytest.importorskip("onnx")
    make = onnx.helper
    value = make.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [2])
    result = make.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [2])
    graph = make.make_graph([make.make_node("Frobnicate", ["x"], ["y"], name="odd one")], "g", [value], [result])
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(mue.UnsupportedError) as caught:
        mue.load_graph(model.SerializeToString())
    assert caught.value.node == "odd one"
    assert caught.value.operator == "Frobnicate"


def test_limits_are_kept(graph_bytes: bytes) -> None:
    with pytest.raises(mue.LimitError):
        mue.load_graph(graph_bytes, limits=mue.Limits(nodes=1))
    with pytest.raises(mue.InvalidArgumentError):
        mue.load_graph(graph_bytes, limits=mue.Limits(nodes=-1))


@pytest.mark.parametrize("exits", ["abc", "0.9,0.9,0.9", (0.9, 0.9), (0.9, 0.9, "x"), 0.9])
def test_exits_of_the_wrong_form(model: mue.Model, samples: list[dict], exits: object) -> None:
    with pytest.raises(mue.InvalidArgumentError) as caught:
        model.generate(samples[0]["path"], exits=exits)
    assert caught.value.argument == "exits"


def test_threshold_that_is_not_finite(model: mue.Model, samples: list[dict]) -> None:
    with pytest.raises(mue.InvalidArgumentError) as caught:
        model.generate(samples[0]["path"], exits=(0.9, float("nan"), 0.9))
    assert caught.value.argument


def test_exits_with_unknown_rule_or_missing_threshold(model: mue.Model, samples: list[dict]) -> None:
    for exits in (mue.Exits(rule="both"), mue.Exits(schedule="later"), mue.Exits(image=0.9)):
        with pytest.raises(mue.InvalidArgumentError):
            model.generate(samples[0]["path"], exits=exits)


def test_numbers_that_do_not_fit(model: mue.Model, samples: list[dict]) -> None:
    for arguments in ({"beams": 2**32 + 1}, {"max_tokens": -(2**40)}, {"beams": -1}, {"max_tokens": -1}):
        with pytest.raises(mue.Error):
            model.generate(samples[0]["path"], **arguments)
    with pytest.raises(TypeError):
        model.generate(samples[0]["path"], beams="four")


def test_images_that_are_none(model: mue.Model, tmp_path: Path) -> None:
    empty = tmp_path / "empty.png"
    empty.write_bytes(b"")
    with pytest.raises(mue.InvalidImageError) as caught:
        model.generate(empty)
    assert "empty.png" in str(caught.value)
    with pytest.raises(mue.InvalidImageError):
        model.generate(b"\x89PNG\r\n\x1a\nbroken")
    with pytest.raises(mue.NotFoundError):
        model.generate(tmp_path / "absent.png")
    for wrong in (3, np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.int32), None):
        with pytest.raises(TypeError):
            model.generate(wrong)


def test_counts_that_do_not_pair(model: mue.Model, samples: list[dict]) -> None:
    path = samples[0]["path"]
    with pytest.raises(mue.InvalidArgumentError):
        model.generate([path, path], [" a?", " b?", " c?"])
    assert model.generate([]) == []


def test_prompts_that_are_none(model: mue.Model, samples: list[dict]) -> None:
    path = samples[0]["path"]
    with pytest.raises(TypeError):
        model.generate(path, b"bytes")
    with pytest.raises(mue.InvalidArgumentError):
        model.generate(path, "a lone surrogate \ud800")
    with pytest.raises(mue.InvalidArgumentError):
        model.generate(path, "nul \0 inside")
    with pytest.raises(mue.LimitError):
        model.generate(path, " what is this?" * 5000)
    with pytest.raises(TypeError):
        model.score(path, None, "yes")
    with pytest.raises(mue.Error):
        model.score(path, None, [])


def test_closed_model_refuses(graph_bytes: bytes) -> None:
    with mue.load_graph(graph_bytes) as graph:
        assert not graph.closed
    assert graph.closed
    graph.close()
    with pytest.raises(mue.InvalidArgumentError) as caught:
        graph.run({})
    assert caught.value.argument == "model"


def test_second_library_is_refused(tmp_path: Path) -> None:
    with pytest.raises(mue.LibraryError):
        mue.load_library(tmp_path / "libmue.so")


@pytest.mark.parametrize("content", [None, b"not a library"])
def test_named_library_that_is_none(tmp_path: Path, content: bytes | None) -> None:
    """In a process of its own, because a process keeps the library that it loaded first."""
    path = tmp_path / "libmue.so"
    if content is not None:
        path.write_bytes(content)
    package = Path(mue.__file__).parents[1]
    program = "import mue\ntry: mue.version()\nexcept mue.LibraryError as error: print(error.file)"
    environment = {**os.environ, "MUE_LIBRARY": str(path), "PYTHONPATH": str(package)}
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == str(path)
