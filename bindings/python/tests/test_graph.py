"""Any graph on named arrays: strides, types, names, threads."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

import mue

GENERATOR = np.random.default_rng(20261121)


@pytest.fixture(scope="module")
def graph(graph_bytes: bytes):
    with mue.load_graph(graph_bytes, threads=1) as graph:
        yield graph


def inputs(rows: int) -> dict[str, np.ndarray]:
    return {
        "x": GENERATOR.standard_normal((rows, 3)).astype(np.float32),
        "y": GENERATOR.standard_normal(3).astype(np.float32),
        "b": GENERATOR.integers(0, 2, rows).astype(bool),
    }


def test_declared_inputs_and_outputs(graph: mue.Model) -> None:
    assert graph.inputs == (
        mue.TensorInfo("x", np.dtype(np.float32), ("n", 3)),
        mue.TensorInfo("y", np.dtype(np.float32), (3,)),
        mue.TensorInfo("b", np.dtype(bool), ("n",)),
    )
    assert [info.name for info in graph.outputs] == ["z", "w"]


def test_run_gives_all_outputs_in_order(graph: mue.Model) -> None:
    values = inputs(7)
    results = graph.run(values)
    assert list(results) == ["z", "w"]
    np.testing.assert_array_equal(results["z"], values["x"] + values["y"])
    np.testing.assert_array_equal(results["w"], ~values["b"])
    assert results["w"].dtype == bool


def test_run_gives_the_outputs_asked_for(graph: mue.Model) -> None:
    values = inputs(3)
    assert list(graph.run(values, ["w"])) == ["w"]
    assert list(graph.run(values, ["w", "z"])) == ["w", "z"]
    with pytest.raises(mue.InvalidArgumentError):
        graph.run(values, ["nobody"])


def test_strided_and_foreign_arrays(graph: mue.Model) -> None:
    values = inputs(10)
    expected = graph.run(values)["z"]
    views = {
        "reversed": (values["x"][::-1], expected[::-1]),
        "every third": (values["x"][::3], expected[::3]),
        "column order": (np.asfortranarray(values["x"]), expected),
        "big-endian": (values["x"].astype(">f4"), expected),
        "broadcast": (np.broadcast_to(values["x"][4], (10, 3)), np.broadcast_to(expected[4], (10, 3))),
    }
    for name, (x, result) in views.items():
        rows = {**values, "x": x, "b": values["b"][: len(x)]}
        np.testing.assert_array_equal(graph.run(rows)["z"], result, err_msg=name)


def test_results_own_their_memory(graph: mue.Model) -> None:
    first = inputs(5)
    kept = graph.run(first)["z"]
    for _ in range(20):
        graph.run(inputs(5))
    np.testing.assert_array_equal(kept, first["x"] + first["y"])
    kept[0] = 0


def test_wrong_inputs_are_named(graph: mue.Model) -> None:
    values = inputs(2)
    for wrong in (
        {"x": values["x"], "y": values["y"]},
        {**values, "x": values["x"].astype(np.float64)},
        {**values, "x": values["x"][:, :2]},
        {**values, "stranger": values["x"]},
    ):
        with pytest.raises(mue.Error) as caught:
            graph.run(wrong)
        assert caught.value.code in (1, 4)
    with pytest.raises(TypeError):
        graph.run({**values, "x": np.array(["a"])})


def test_from_a_file(graph_bytes: bytes, tmp_path: Path) -> None:
    path = tmp_path / "pair.onnx"
    path.write_bytes(graph_bytes)
    values = inputs(1)
    for opener in (mue.open, mue.load_graph):
        with opener(path) as graph:
            np.testing.assert_array_equal(graph.run(values)["z"], values["x"] + values["y"])
            with pytest.raises(mue.Error):
                graph.generate(np.zeros((4, 4, 3), np.uint8))


def test_many_threads_share_one_model(graph: mue.Model) -> None:
    wrong: list[object] = []

    def work(seed: int) -> None:
        generator = np.random.default_rng(seed)
        for _ in range(30):
            x = generator.standard_normal((4, 3)).astype(np.float32)
            y = generator.standard_normal(3).astype(np.float32)
            result = graph.run({"x": x, "y": y, "b": np.zeros(4, bool)})
            if not np.array_equal(result["z"], x + y):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_cancelled_before_it_ran(graph: mue.Model) -> None:
    token = mue.CancelToken()
    assert not token.tripped
    token.trip()
    assert token.tripped
    with pytest.raises(mue.CancelledError):
        graph.run(inputs(2), cancel=token)
