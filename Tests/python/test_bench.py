"""`mue bench`: figures that belong together, other runtimes in processes of their own, what is said when they are missing."""

import json
import os
import subprocess
import sys
from xml.dom import minidom

import numpy
import pytest

from test_command_line import BUNDLE, MUE, ROOT, mue, needs_bundle, png

WORKS = {"caption", "encoder", "first", "step", "beam3", "search3"}


def bench(*arguments, status=0, **environment):
    done = subprocess.run([MUE, "bench", *map(str, arguments)], capture_output=True, text=True, timeout=600, cwd=ROOT,
                          env={**os.environ, **environment})
    assert done.returncode == status, f"status {done.returncode}: {done.stdout}{done.stderr}"
    return done


@needs_bundle
def test_alone(tmp_path):
    picture = png(tmp_path / "a.png")
    done = bench(BUNDLE, "--image", picture, "--rounds", 2, "--beams", 3, "--tokens", 4, "--threads", 1, "--json",
                 "--output-dir", tmp_path / "o")
    report = json.loads(done.stdout)
    assert report["threads"] == 1 and report["rounds"] == 2 and report["ratios"] == {}
    assert report["machine"]["cpu"] and report["machine"]["cores"] == len(os.sched_getaffinity(0))
    engine, = report["groups"][0]["engines"]
    assert report["groups"][0]["precision"] == "f32" and engine["engine"] == "MuE" and len(engine["tokens"]) == 4
    assert set(engine["times_ms"]) == WORKS
    for figure in [*engine["times_ms"].values(), engine["load_ms"], engine["memory_bytes"]]:
        assert len(figure["rounds"]) == 2 and 0 < figure["minimum"] <= figure["median"]
        assert figure["median"] == pytest.approx(numpy.median(figure["rounds"]))
    for round_ in range(2):
        times = {name: figure["rounds"][round_] for name, figure in engine["times_ms"].items()}
        parts = {name: figure["rounds"][round_] for name, figure in engine["parts_ms"].items()}
        assert times["encoder"] + times["first"] + times["step"] < times["caption"]
        assert 0.5 * times["caption"] < sum(parts.values()) <= times["caption"] + 1e-6
        assert all(value >= 0 for value in parts.values())
    assert {"image decode", "preprocess", "tokenise", "decoder layers", "cross keys and values", "head", "search"} <= set(parts)
    assert engine["tokens_per_second"] == pytest.approx(4e3 / engine["times_ms"]["caption"]["median"])
    said = json.loads(mue("generate", BUNDLE, "--image", picture, "--max-tokens", 4, "--min-tokens", 4, "--json",
                          "--no-repeat-ngram-size", 0, "--beams", 1).stdout)
    assert said["tokens"] == engine["tokens"]
    assert json.loads((tmp_path / "o/bench.json").read_text()) == report
    assert "whole request" in (tmp_path / "o/bench.txt").read_text()
    minidom.parse(str(tmp_path / "o/bench.svg"))


@needs_bundle
def test_beside_onnxruntime(tmp_path):
    pytest.importorskip("onnxruntime")
    report = json.loads(bench(
        BUNDLE, "--image", png(tmp_path / "a.png"), "--rounds", 1, "--compare", "onnxruntime", "--python", sys.executable,
        "--prompt", " what does the image describe?", "--json").stdout)
    ours, theirs = report["groups"][0]["engines"]
    assert theirs["engine"] == "onnxruntime" and theirs["tokens"] == ours["tokens"] and theirs["text"] == ours["text"]
    assert theirs["memory_bytes"]["median"] > 0
    assert set(report["ratios"]) == {f"{work}.f32.onnxruntime" for work in ("caption", "load", "memory")}
    expected = ours["times_ms"]["caption"]["median"] / theirs["times_ms"]["caption"]["median"]
    assert report["ratios"]["caption.f32.onnxruntime"] == pytest.approx(expected)


@needs_bundle
def test_what_is_missing(tmp_path):
    (tmp_path / "onnxruntime.py").write_text("raise ImportError('there is none')")
    picture = png(tmp_path / "a.png")
    compare = [BUNDLE, "--image", picture, "--rounds", 1, "--compare", "onnxruntime"]
    done = bench(*compare, "--python", sys.executable, status=1, PYTHONPATH=str(tmp_path))
    assert done.stderr.startswith("mue: onnxruntime: there is none") and "pip install onnxruntime" in done.stderr
    assert "/no/such/python" in bench(*compare, status=1, MUE_PYTHON="/no/such/python").stderr
    assert "missing.png" in bench(BUNDLE, "--image", tmp_path / "missing.png", "--rounds", 1, status=1).stderr
    for wrong in (["--compare", "tensorrt"], ["--precision", "f17"], ["--precision", ""], ["--rounds", 0], ["--beams", 65]):
        bench(BUNDLE, "--image", picture, *wrong, status=2)


@needs_bundle
@pytest.mark.parametrize("steps", [1, 3])
def test_a_graph_cut_in_two_computes_the_same(tmp_path, steps):
    onnxruntime = pytest.importorskip("onnxruntime")
    from mue_bench.split import split

    def run(path, feed):
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        names = [i.name for i in session.get_inputs()]
        return dict(zip((o.name for o in session.get_outputs()), session.run(None, {name: feed[name] for name in names})))

    random = numpy.random.default_rng(3)
    size = json.loads((BUNDLE / "config.json").read_text()).get("image_size", 112)
    feed = {"pixel_values": random.standard_normal((1, 3, size, size)).astype("f4"),
            "input_ids": random.integers(4, 300, (1, 7)), "decoder_input_ids": random.integers(4, 300, (1, steps))}
    encoder, decoder = split(BUNDLE / "model.onnx", "decoder_input_ids", "logits", tmp_path)
    expected = run(BUNDLE / "model.onnx", feed)["logits"]
    found = run(decoder, {**feed, **run(encoder, feed)})["logits"]
    assert numpy.abs(found - expected).max() <= 1e-5 * numpy.abs(expected).max()
