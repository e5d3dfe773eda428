"""The least times beside the goals of `make bench`: what is counted of a trace, against sums by hand."""

import sys

import pytest

from test_command_line import ROOT

sys.path.insert(0, str(ROOT / "Benchmarks"))
import limits  # noqa: E402


def span(kind, inputs, outputs, multiply_adds, name="a", start=0):
    arguments = {"inputs": inputs, "outputs": outputs, "multiply_adds": multiply_adds}
    return {"cat": kind, "name": name, "ts": start, "dur": 1, "args": arguments}


@pytest.mark.parametrize("isa", ["avx2", "avx512-vnni-bf16", "neon"])
@pytest.mark.parametrize("precision, kind, width, coded", [
    ("f32", "float32", 4, 3.5), ("bf16", "bf16", 2, 1.5), ("int8", "int16", 1, 1)])
def test_step(precision, kind, width, coded, isa):
    spans = [
        span("Linear", ["float[5, 1, 768]", "float[3072, 768]"], ["float[5, 1, 3072]"], 5 * 768 * 3072),
        # The picture's keys and values, 100 of them, shared by five beams; then each beam's own, 7 of them.
        span("Attention", ["float[5, 1, 12, 64]", None], ["float[5, 1, 12, 64]"], 5 * 2 * 100 * 768),
        span("Attention", ["float[5, 1, 12, 64]", "float[5, 1, 12, 64]"], ["float[5, 1, 12, 64]"], 5 * 2 * 7 * 768),
        span("LayerNormalization", ["float[5, 1, 768]", "float[768]"], ["float[5, 1, 768]"], 0),
    ]
    gflop, size = limits.work(spans, precision, isa)
    products, own = 5 * 768 * 3072 + 5 * 2 * 100 * 768, 5 * 2 * 7 * 768
    expected = {kind: 2e-9 * products}
    expected["float32"] = expected.get("float32", 0) + 2e-9 * own
    assert gflop == pytest.approx(expected)
    weight = width if isa == "neon" else coded
    assert size == weight * 768 * 3072 + width * 2 * 100 * 768 + 4 * own


@pytest.mark.parametrize("isa", ["avx2", "avx512-vnni", "neon"])
@pytest.mark.parametrize("precision, kind, width", [("f32", "float32", 4), ("bf16", "bf16", 2), ("int8", "int8", 1)])
def test_encoder(precision, kind, width, isa):
    rows = 908
    spans = [
        span("Linear", [f"float[1, {rows}, 768]", "float[768, 768]"], [f"float[1, {rows}, 768]"], rows * 768 * 768),
        span("Attention", [f"float[1, {rows}, 12, 64]", f"float[1, {rows}, 12, 64]"], [f"float[1, {rows}, 12, 64]"],
             2 * rows * rows * 768),
        span("mue.Conv", ["float[1, 256, 30, 30]", "float[1024, 256, 1, 1]"], ["float[1, 1024, 30, 30]"], 900 * 256 * 1024),
        # By Winograd's method, as its output has the size of its input; then one with a stride.
        span("mue.Conv", ["float[1, 256, 30, 30]", "float[256, 256, 3, 3]"], ["float[1, 256, 30, 30]"], 900 * 256 * 256 * 9),
        span("mue.Conv", ["float[1, 64, 60, 60]", "float[64, 64, 3, 3]"], ["float[1, 64, 30, 30]"], 900 * 64 * 64 * 9),
    ]
    gflop, size = limits.work(spans, precision, isa)
    expected = {kind: 2e-9 * (rows * 768 * 768 + 900 * 256 * 1024)}
    paired = "float32" if precision == "f32" else "bf16"
    expected[paired] = expected.get(paired, 0) + 2e-9 * 2 * rows * rows * 768
    winograd = ("int8", 1) if precision == "int8" and isa == "avx512-vnni" else ("float32", 4)
    share = 4 if winograd[0] == "float32" else 1
    expected[winograd[0]] = expected.get(winograd[0], 0) + 2e-9 * 900 * 256 * 256 * 9 / share
    strided = ("float32", 4) if precision == "int8" and isa == "neon" else (kind, width)
    expected[strided[0]] = expected.get(strided[0], 0) + 2e-9 * 900 * 64 * 64 * 9
    assert gflop == pytest.approx(expected)
    assert size == width * (768 * 768 + 256 * 1024) + winograd[1] * 9 * 256 * 256 + strided[1] * 9 * 64 * 64


def test_vocabulary():
    table = "float[59457, 768]"
    lookup = span("Gather", [table, "int64[1, 1]"], ["float[1, 1, 768]"], 0)
    del lookup["args"]["multiply_adds"]
    size = 59457 * 768
    assert limits.vocabulary([lookup], 5, "bf16") == (2e-9 * 5 * size, 4 * size)
    screened = {"name": "vocabulary screen", "cat": "phase", "ts": 0, "dur": 1}
    assert limits.vocabulary([lookup, screened], 1, "f32") == (0, size)
    assert limits.vocabulary([lookup, screened], 1, "int8") == (0, 59457 * 6 * (64 + 4))
    product = span("Linear", ["float[1, 1, 768]", table], ["float[1, 1, 59457]"], size)
    assert limits.vocabulary([lookup, product], 1, "int8") == (0, 0)  # It is counted as the product that it is.


def test_steps_of_several_precisions(monkeypatch):
    lookup = span("Gather", ["float[1000, 768]", "int64[1, 1]"], ["float[1, 1, 768]"], 0, start=1)
    del lookup["args"]["multiply_adds"]
    spans = [{"name": "decoder step 4", "cat": "phase", "ts": 0, "dur": 9}, lookup,
             {"name": "vocabulary screen", "cat": "phase", "ts": 2, "dur": 1}]
    monkeypatch.setattr(limits, "trace", lambda *arguments: spans)
    found = {"isa": "avx2", "threads": 2, "float32": 100, "read": 1e-3}
    made = limits.limits(None, None, None, 2, ["f32", "int8"], found, None)
    assert made["step.f32"]["megabytes"] == pytest.approx(0.8) and made["step.int8"]["megabytes"] == pytest.approx(0.4)
    assert made["beam5.f32"]["memory_ms"] == pytest.approx(768)


def test_spans_of_a_phase():
    spans = [span("Linear", [], [], 1, start=at) for at in (0, 5, 10)]
    assert limits.within(spans, [{"ts": 5, "dur": 5}]) == [spans[1]]


def test_fastest_kernels():
    spans = [
        span("Linear", ["float[1, 908, 768]", "float[768, 768]"], ["float[1, 908, 768]"], 908 * 768 * 768),
        span("Conv", ["float[1, 64, 60, 60]", "float[64, 64, 3, 3]"], ["float[1, 64, 30, 30]"], 900 * 64 * 64 * 9),
        span("Conv", ["float[1, 64, 30, 30]", "float[64, 64, 3, 3]"], ["float[1, 64, 30, 30]"], 900 * 64 * 64 * 9),
        span("Conv", ["float[1, 64, 30, 30]", "float[99, 64, 3, 3]"], ["float[1, 99, 30, 30]"], 900 * 64 * 99 * 9),
    ]
    def row(name, shape, gflops, other, weights="float32"):
        return {"name": name, "shape": shape, "weights": weights, "gflops": gflops, "onednn_gflops": other}

    speeds = limits.kernel_speeds({"kernels": [
        row("product", "908 x 768 x 768", 80, 90), row("convolution", "64 to 64, 3 x 3, stride 2, 30 x 30", 70, None),
        row("convolution", "64 to 64, 3 x 3, 30 x 30", 200, 80)]})
    ms, share = limits.kernels_ms(spans, "f32", speeds, {"isa": "avx2", "threads": 2, "float32": 190})
    linear, strided, winograd, other = (2e-6 * s["args"]["multiply_adds"] for s in spans)
    assert ms == pytest.approx(linear / 180 + strided / 140 + winograd / 400 + other / 4 / 190)
    assert share == pytest.approx(1 - other / 4 / (linear + strided + winograd / 4 + other / 4))
    # A form of its own, where the processor has it.
    assert limits.kernels_ms(spans[1:2], "bf16", speeds, {"isa": "avx2", "threads": 2, "bf16": 190})[0] == pytest.approx(strided / 140)
    speeds |= limits.kernel_speeds({"kernels": [row("convolution", "64 to 64, 3 x 3, stride 2, 30 x 30", 110, None, "bf16")]})
    assert limits.kernels_ms(spans[1:2], "bf16", speeds, {"isa": "avx2", "threads": 2, "bf16": 190})[0] == pytest.approx(strided / 220)
