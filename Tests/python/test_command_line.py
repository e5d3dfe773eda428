"""The command line: exit statuses, errors, reports, NumPy files, evaluation."""

import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy
import onnx
import pytest
from onnx import TensorProto, helper

ROOT = Path(__file__).resolve().parents[2]
MUE = Path(os.environ.get("MUE_COMMAND", ROOT / "build/bin/mue"))
BUNDLE = Path(os.environ.get("MUE_TEST_BUNDLE", ROOT / "models/demo"))
needs_bundle = pytest.mark.skipif(not (BUNDLE / "model.onnx").exists(), reason=f"no model in {BUNDLE}")


def mue(*arguments, status=0):
    done = subprocess.run([MUE, *map(str, arguments)], capture_output=True, text=True, timeout=300, cwd=ROOT)
    assert done.returncode == status, f"status {done.returncode}: {done.stdout}{done.stderr}"
    if status == 1:
        assert done.stderr.startswith("mue: ") and not done.stdout, done.stdout
    return done


def png(path, width=40, height=30, seed=1):
    """A PNG of seeded noise, written by hand."""
    pixels = numpy.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=numpy.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    return path


def test_usage():
    assert "generate" in mue("--help").stdout
    assert mue("version").stdout == "mue 1.0.0\n"
    info = json.loads(mue("info", "--json").stdout)
    assert info["cores"] == len(os.sched_getaffinity(0)) and info["cpu"].split()[0] in ("avx512", "avx2", "neon", "portable")
    for wrong in ([], ["--image"], ["m"], ["m", "--image", "a", "--beams", "0"], ["m", "--image", "a", "--rule", "x"],
                  ["m", "--image", "a", "--image", "b", "--image", "c", "--prompt", "x", "--prompt", "y"]):
        mue("generate", *wrong, status=2)
    mue("bogus", status=2)
    mue("run", "x.onnx", "--input", "no-equals-sign", "--output-dir", "o", status=2)


@needs_bundle
@pytest.mark.parametrize("exits", ["abc", "nan,0.9,0.9", "0.9,inf,0.9", "0.9,0.9,-inf", "0.9,0.9", "0.9,,0.9", ""])
def test_wrong_thresholds(tmp_path, exits):
    done = mue("generate", BUNDLE, "--image", png(tmp_path / "x.png"), "--exits", exits, status=1)
    assert "exits" in done.stderr or "finite" in done.stderr


@needs_bundle
def test_wrong_files(tmp_path):
    picture = png(tmp_path / "x.png")
    empty = tmp_path / "empty.png"
    empty.write_bytes(b"")
    cut = tmp_path / "cut.png"
    cut.write_bytes(picture.read_bytes()[:300])
    for image in (tmp_path / "missing.png", empty, cut, tmp_path):
        assert str(image) in mue("generate", BUNDLE, "--image", image, status=1).stderr
    assert "/no/such/model" in mue("generate", "/no/such/model", "--image", picture, status=1).stderr
    long = mue("generate", BUNDLE, "--image", picture, "--prompt", " word" * 20000, status=1)
    assert "tokens" in long.stderr

    text = tmp_path / "text.onnx"
    text.write_text("this is no model\n" * 20)
    whole = (BUNDLE / "model.onnx").read_bytes()
    truncated = tmp_path / "truncated.onnx"
    truncated.write_bytes(whole[: len(whole) // 2])
    for model in (text, truncated, tmp_path / "missing.onnx"):
        done = mue("run", model, "--output-dir", tmp_path / "o", status=1)
        assert str(model) in done.stderr
        done = subprocess.run([MUE, "check", model, "--json"], capture_output=True, text=True, timeout=300)
        report = json.loads(done.stdout)
        assert done.returncode == 1 and not report["mue"]["loads"] and report["mue"]["error"]["message"]
        assert report["libonnx"]["status"] == "unreadable"
    assert "byte_offset" in json.loads(
        subprocess.run([MUE, "check", truncated, "--json"], capture_output=True, text=True).stdout)["mue"]["error"]


def graph(path, opset=17):
    """y = x @ w + b, z = x transposed."""
    random = numpy.random.default_rng(3)
    w, b = random.standard_normal((5, 7)).astype("f4"), random.standard_normal(7).astype("f4")
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("MatMul", ["x", "w"], ["p"]), helper.make_node("Add", ["p", "b"], ["y"]),
             helper.make_node("Transpose", ["x"], ["odd/name"], perm=[1, 0])],
            "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 5])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 7]),
             helper.make_tensor_value_info("odd/name", TensorProto.FLOAT, [5, "n"])],
            [onnx.numpy_helper.from_array(w, "w"), onnx.numpy_helper.from_array(b, "b")]),
        opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.save(model, path)
    return w, b


@pytest.mark.parametrize("order", ["C", "F"])
def test_run(tmp_path, order):
    w, b = graph(tmp_path / "g.onnx")
    x = numpy.asarray(numpy.random.default_rng(4).standard_normal((11, 5)).astype("f4"), order=order)
    numpy.save(tmp_path / "x.npy", x)
    mue("run", tmp_path / "g.onnx", "--input", f"x={tmp_path / 'x.npy'}", "--output-dir", tmp_path / "o")
    expected = x.astype("f8") @ w.astype("f8") + b
    numpy.testing.assert_allclose(numpy.load(tmp_path / "o/y.npy"), expected, rtol=1e-5, atol=1e-5)
    numpy.testing.assert_array_equal(numpy.load(tmp_path / "o/odd_name.npy"), x.T)


def test_run_refuses(tmp_path):
    graph(tmp_path / "g.onnx")
    numpy.save(tmp_path / "wide.npy", numpy.zeros((2, 6), "f4"))
    numpy.save(tmp_path / "double.npy", numpy.zeros((2, 5)))
    numpy.save(tmp_path / "objects.npy", numpy.array([{}, []], dtype=object), allow_pickle=True)
    (tmp_path / "text.npy").write_text("no array")
    for name in ("wide", "double", "objects", "text", "missing"):
        mue("run", tmp_path / "g.onnx", "--input", f"x={tmp_path}/{name}.npy", "--output-dir", tmp_path / "o", status=1)
    mue("run", tmp_path / "g.onnx", "--output-dir", tmp_path / "o", status=1)


def test_check(tmp_path):
    graph(tmp_path / "g.onnx")
    report = json.loads(mue("check", tmp_path / "g.onnx", "--json").stdout)
    assert report["mue"] == {"loads": True, "error": None} and report["libonnx"]["status"] == "valid"
    # libonnx 1.12 knows no operator set beyond 17: no opinion, and no gate.
    graph(tmp_path / "new.onnx", opset=19)
    assert json.loads(mue("check", tmp_path / "new.onnx", "--json").stdout)["libonnx"]["status"] == "no opinion"
    bad = onnx.load(tmp_path / "g.onnx")
    bad.graph.node[1].op_type, bad.graph.node[1].name = "NoSuchOperator", "the_node"
    onnx.save(bad, tmp_path / "bad.onnx")
    done = subprocess.run([MUE, "check", tmp_path / "bad.onnx", "--json"], capture_output=True, text=True)
    report = json.loads(done.stdout)
    assert done.returncode == 1 and report["libonnx"]["status"] == "invalid"
    assert (report["mue"]["error"]["node"], report["mue"]["error"]["operator"]) == ("the_node", "NoSuchOperator")


REPORT = {"exits", "depth", "etr", "macs", "time_ms", "threads", "precision", "cpu"}


@needs_bundle
def test_generate(tmp_path):
    a, b = png(tmp_path / "a.png", seed=1), png(tmp_path / "b.png", 70, 55, seed=2)
    one = json.loads(mue("generate", BUNDLE, "--image", a, "--json", "--max-tokens", 5).stdout)
    assert set(one) == REPORT | {"text", "tokens", "logprob", "score", "token_logprobs", "finished"}
    assert set(one["time_ms"]) == {"total", "image_decode", "stem", "encoder", "decoder", "head"}
    assert one["exits"]["image"] == one["depth"]["image"] and len(one["tokens"]) <= 5
    assert sum(one["token_logprobs"]) == pytest.approx(one["logprob"], abs=1e-6)
    two = json.loads(mue("generate", BUNDLE, "--image", a, "--image", b, "--json", "--max-tokens", 5).stdout)
    assert [r["tokens"] for r in two][0] == one["tokens"]
    text = mue("generate", BUNDLE, "--image", a, "--max-tokens", 5).stdout
    assert text.startswith(f"{a}: {one['text']}\n") and "multiply-adds" in text
    shallow = json.loads(
        mue("generate", BUNDLE, "--image", a, "--json", "--exits=-2,-2,-2", "--similarities", "--max-tokens", 5).stdout)
    assert shallow["exits"]["image"] == shallow["exits"]["text"] == 1 and set(shallow["exits"]["decoder"]) == {1}
    assert len(shallow["similarities"]["image"]) == 1
    assert shallow["macs"]["run"] < shallow["macs"]["full"] and shallow["etr"] > 0


@needs_bundle
def test_score(tmp_path):
    report = json.loads(mue("score", BUNDLE, "--image", png(tmp_path / "a.png"), "--prompt", " is it?", "--answers",
                            " yes, no, maybe", "--json").stdout)
    assert report["answers"] == [" yes", " no", " maybe"]
    assert numpy.exp(report["logprobs"]).sum() == pytest.approx(1, abs=1e-6)
    assert report["best"] == int(numpy.argmax(report["logprobs"])) and report["text"] == report["answers"][report["best"]]


@needs_bundle
def test_forward_agrees_with_onnxruntime(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(str(BUNDLE / "model.onnx"), providers=["CPUExecutionProvider"])
    shapes = {i.name: i.shape for i in session.get_inputs()}
    height, width = [n if isinstance(n, int) else 128 for n in shapes["pixel_values"][2:]]
    random = numpy.random.default_rng(7)
    feed = {"pixel_values": random.standard_normal((3, 3, height, width)).astype("f4"),
            "input_ids": random.integers(4, 300, (3, 7)), "decoder_input_ids": random.integers(4, 300, (3, 5))}
    for name, value in feed.items():
        numpy.save(tmp_path / f"{name}.npy", value)
    mue("forward", BUNDLE, "--pixel-values", tmp_path / "pixel_values.npy", "--input-ids", tmp_path / "input_ids.npy",
        "--decoder-input-ids", tmp_path / "decoder_input_ids.npy", "--output-dir", tmp_path / "o")
    expected = session.run(["logits"], feed)[0].astype("f8")
    logits = numpy.load(tmp_path / "o/logits.npy")
    assert numpy.abs(logits - expected).max() <= 1e-4 * numpy.abs(expected).max()
    reports = json.loads((tmp_path / "o/report.json").read_text())
    assert len(reports) == 3 and all(set(r) == REPORT | {"similarities"} for r in reports)
    assert numpy.load(tmp_path / "o/encoder_hidden_states.npy").shape[0] == 3


@needs_bundle
def test_evaluation(tmp_path):
    """The figures follow from the answers, which `generate` and `score` give one by one."""
    sys.path.insert(0, str(ROOT))
    from training.cider import CiderD

    lines = []
    for seed in range(3):
        png(tmp_path / f"{seed}.png", seed=seed)
        said = json.loads(mue("generate", BUNDLE, "--image", tmp_path / f"{seed}.png", "--json").stdout)["text"].strip()
        references = ([said] if seed else []) + ["a red thing in a box", "nothing at all"]
        lines.append({"image": f"{seed}.png", "task": "caption", "references": references, "said": said})
        lines.append({"image": f"{seed}.png", "task": "entailment", "prompt": " is it?", "references": ["yes"],
                      "answers": [" yes", " no"]})
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    report = json.loads(mue("eval", BUNDLE, tmp_path, "--exits", "0.5,0.5,0.5", "--json").stdout)
    assert [run["exits"] for run in report["runs"]] == ["off", "0.5,0.5,0.5"] and report["items"] == 6
    full, shallow = (run["tasks"] for run in report["runs"])
    captions = lines[::2]
    assert full["caption"]["exact"] == pytest.approx(2 / 3)
    metric = CiderD([line["references"] for line in captions])
    expected = 100 * sum(metric.score(line["said"], line["references"]) for line in captions) / 3
    assert full["caption"]["cider_d"] == pytest.approx(expected, rel=1e-9)
    assert set(full["entailment"]["labels"]) == {"yes"} and full["entailment"]["etr"] == 0
    assert full["caption"]["macs"]["run"] == full["caption"]["macs"]["full"]
    assert shallow["caption"]["layers"]["image"] <= full["caption"]["layers"]["image"]
    assert report["peak_memory_mb"] > 1
    assert "CIDEr-D" in mue("eval", BUNDLE, tmp_path, "--limit", 2).stdout
    (tmp_path / "data.jsonl").write_text('{"image": "0.png"}\n')
    assert "line 1" in mue("eval", BUNDLE, tmp_path, status=1).stderr


def test_inspect_lists_what_is_not_supported(tmp_path):
    nodes = [helper.make_node("Relu", ["x"], ["y"], name="fine"),
             helper.make_node("Strange", ["y"], ["z"], name="odd", domain="com.example"),
             helper.make_node("Det", ["z"], ["w"], name="determinant")]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "g", [value("x", TensorProto.FLOAT, [2, 2])], [value("w", TensorProto.FLOAT, [])])
    path = tmp_path / "odd.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.example", 1)],
                                ir_version=8), path)
    listed = json.loads(mue("inspect", path, "--json").stdout)["unsupported"]
    assert [(entry["node"], entry["operator"]) for entry in listed] == [("odd", "com.example.Strange"), ("determinant", "Det")]
    numpy.save(tmp_path / "x.npy", numpy.ones((2, 2), numpy.float32))
    done = mue("run", path, "--input", f"x={tmp_path / 'x.npy'}", "--output-dir", tmp_path / "out", status=1)
    assert "odd" in done.stderr and "Strange" in done.stderr
