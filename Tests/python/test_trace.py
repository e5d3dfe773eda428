"""Chrome traces: they parse, spans nest, operators fill the request, and every node of the file is found again."""

import json
import re

import numpy
import onnx
import pytest

from test_command_line import BUNDLE, graph, mue, needs_bundle, png

# What computes: other nodes are shapes, views, or gone because they do nothing.
COMPUTING = {"Conv", "MatMul", "Gemm", "Softmax", "LayerNormalization", "Relu", "Erf", "MaxPool", "Embedding"}


def spans(path):
    """The spans of a trace in the order they began, each with its `parent`."""
    events = json.loads(path.read_text())["traceEvents"]
    assert all(e["ph"] in "XM" for e in events)
    found, open_spans = [e for e in events if e["ph"] == "X"], []
    for event in found:
        assert event["ts"] >= (found[0]["ts"]) and event["dur"] >= 0
        while open_spans and event["ts"] >= open_spans[-1]["ts"] + open_spans[-1]["dur"] - 1e-6:
            open_spans.pop()
        event["parent"] = open_spans[-1] if open_spans else None
        if open_spans:
            assert event["ts"] + event["dur"] <= open_spans[-1]["ts"] + open_spans[-1]["dur"] + 1e-3, event["name"]
        open_spans.append(event)
    return found


def is_operator(span):
    return span["cat"] not in ("request", "phase")


def within(span, name):
    while span is not None and not re.fullmatch(name, span["name"]):
        span = span["parent"]
    return span is not None


def nodes(span):
    """The nodes of the file that a span of an operator stands for."""
    return span["args"].get("nodes", [span["name"]])


def nodes_on_data(graph):
    """Nodes whose results depend on the elements of the inputs; what depends on sizes alone is computed in planning."""
    values, found = {i.name for i in graph.input}, []
    for node in graph.node:
        if node.op_type not in ("Shape", "Size") and values & set(node.input):
            values |= set(node.output)
            found.append(node)
    return found


def test_run(tmp_path):
    graph(tmp_path / "g.onnx")
    model = onnx.load(tmp_path / "g.onnx")
    for node, name in zip(model.graph.node, ("product", "sum", 'odd "name"\n\t\u00e9')):
        node.name = name
    onnx.save(model, tmp_path / "g.onnx")
    numpy.save(tmp_path / "x.npy", numpy.ones((11, 5), "f4"))
    mue("run", tmp_path / "g.onnx", "--input", f"x={tmp_path / 'x.npy'}", "--output-dir", tmp_path / "o", "--repeat", 3,
        "--trace", tmp_path / "t.json")
    found = spans(tmp_path / "t.json")
    assert [s["name"] for s in found] == ["run", "product", 'odd "name"\n\t\u00e9']
    product, transpose = found[1:]
    assert product["cat"] == "Linear" and product["args"]["nodes"] == ["product", "sum"]
    assert product["args"]["inputs"] == ["float[11, 5]", "float[5, 7]", "float[7]"]
    assert product["args"]["outputs"] == ["float[11, 7]"] and product["args"]["multiply_adds"] == 11 * 5 * 7
    assert product["args"]["gflops"] == pytest.approx(2 * 11 * 5 * 7 / product["dur"] / 1e3, rel=1e-6)
    assert transpose["cat"] == "Transpose" and "multiply_adds" not in transpose["args"]


def test_wrong_use(tmp_path):
    graph(tmp_path / "g.onnx")
    numpy.save(tmp_path / "x.npy", numpy.ones((11, 5), "f4"))
    run = ["run", tmp_path / "g.onnx", "--input", f"x={tmp_path / 'x.npy'}", "--output-dir", tmp_path / "o"]
    mue(*run, "--repeat", 0, status=2)
    done = mue(*run, "--trace", tmp_path / "no/such/folder.json", status=1)
    assert "folder.json" in done.stderr


@needs_bundle
def test_generate(tmp_path):
    arguments = ["generate", BUNDLE, "--image", png(tmp_path / "a.png"), "--max-tokens", 4, "--min-tokens", 4, "--json"]
    plain = json.loads(mue(*arguments).stdout)
    report = json.loads(mue(*arguments, "--repeat", 2, "--trace", tmp_path / "t.json").stdout)
    assert report["tokens"] == plain["tokens"]
    found = spans(tmp_path / "t.json")
    assert found[0]["name"] == "generate" and found[0]["cat"] == "request" and found[0]["parent"] is None
    phases = [s["name"] for s in found if s["cat"] == "phase"]
    depth = report["depth"]
    steps = len(report["exits"]["decoder"])
    stream = "image" if "image stem" in phases else "joint"
    expected = ["image decode", "preprocess", "tokenise", f"{stream} stem", "search"]
    expected += [f"{stream} layer {n}" for n in range(1, depth["image"] + 1)]
    expected += [f"decoder layer {n}" for n in range(1, depth["decoder"] + 1)]
    expected += [f"decoder step {n}" for n in range(steps)]
    expected += [f"cross keys and values {n}" for n in range(1, depth["decoder"] + 1)]
    assert set(expected) <= set(phases)
    assert phases.count("head") == steps and phases.count("cross keys and values 1") == 1

    operators = [s for s in found if is_operator(s)]
    assert all(s["parent"]["cat"] == "phase" for s in operators)
    named = {n.name for n in onnx.load(BUNDLE / "model.onnx", load_external_data=False).graph.node}
    assert {n for s in operators for n in nodes(s)} | {s["name"] for s in operators} <= named
    assert sum(s["args"].get("multiply_adds", 0) for s in operators) <= report["macs"]["run"]
    # A kept prompt ran no operator: what is not in the trace is the text stream.
    first = tmp_path / "first.json"
    report = json.loads(mue(*arguments, "--trace", first).stdout)
    cold = [s for s in spans(first) if is_operator(s) and not within(s, "check of single tokens")]
    assert sum(s["args"].get("multiply_adds", 0) for s in cold) == report["macs"]["run"]


@needs_bundle
def test_every_node_that_computes_is_there(tmp_path):
    """Of a whole pass, each node of the file that computes something is a span or fused into one, once."""
    model = onnx.load(BUNDLE / "model.onnx", load_external_data=False)
    random = numpy.random.default_rng(7)
    size = json.loads((BUNDLE / "config.json").read_text()).get("image_size", 112)
    feed = {"pixel_values": random.standard_normal((1, 3, size, size)).astype("f4"),
            "input_ids": random.integers(4, 300, (1, 7)), "decoder_input_ids": random.integers(4, 300, (1, 5))}
    for name, value in feed.items():
        numpy.save(tmp_path / f"{name}.npy", value)
    mue("run", BUNDLE, *(a for name in feed for a in ("--input", f"{name}={tmp_path / name}.npy")), "--output-dir",
        tmp_path / "o", "--repeat", 2, "--trace", tmp_path / "t.json")
    found = spans(tmp_path / "t.json")
    operators = [s for s in found if is_operator(s)]
    seen = [n for s in operators for n in nodes(s)]
    wanted = {n.name for n in nodes_on_data(model.graph) if n.op_type in COMPUTING}
    assert wanted and wanted <= set(seen), sorted(wanted - set(seen))[:10]
    products = [n.name for n in nodes_on_data(model.graph) if n.op_type in ("Conv", "MatMul", "Gemm", "Softmax")]
    assert all(seen.count(name) == 1 for name in products)
    assert sum(s["dur"] for s in operators) > 0.5 * found[0]["dur"]
    assert sum(s["dur"] for s in operators) <= found[0]["dur"]


@needs_bundle
def test_score_and_forward(tmp_path):
    mue("score", BUNDLE, "--image", png(tmp_path / "a.png"), "--prompt", " is it?", "--answers", " yes, no, maybe",
        "--trace", tmp_path / "score.json")
    assert {"score", "decoder pass", "image decode"} <= {s["name"] for s in spans(tmp_path / "score.json")}
    random = numpy.random.default_rng(7)
    size = json.loads((BUNDLE / "config.json").read_text()).get("image_size", 112)
    numpy.save(tmp_path / "p.npy", random.standard_normal((2, 3, size, size)).astype("f4"))
    numpy.save(tmp_path / "i.npy", random.integers(4, 300, (2, 7)))
    mue("forward", BUNDLE, "--pixel-values", tmp_path / "p.npy", "--input-ids", tmp_path / "i.npy",
        "--decoder-input-ids", tmp_path / "i.npy", "--output-dir", tmp_path / "o", "--trace", tmp_path / "f.json")
    found = spans(tmp_path / "f.json")
    assert found[0]["name"] == "forward" and sum(s["name"] == "decoder pass" for s in found) == 2
