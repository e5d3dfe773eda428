"""The least time that a machine could take for a model's products: what they multiply at the peak of the instruction set, or
what they read at the speed of memory, whichever is longer. Norms, softmax, activations, searching and waiting are not in it.

What is multiplied is in MuE's traces (docs/performance.md, traces), the peaks are measured by `Benchmarks/kernels/roofline
--peaks THREADS`, all threads together.
"""

from __future__ import annotations

import json
import math
import re
import subprocess
import tempfile
from pathlib import Path

WIDTHS = {"f32": 4, "bf16": 2, "int8": 1}  # bytes of a weight
FEW_ROWS = 12  # of a product; more are quantised to bytes at int8 (docs/kernels.md)
WINOGRAD = 4  # F(4 x 4, 3 x 3): 36 products for 144


def peaks(program: Path, threads: int) -> dict | None:
    """GFLOP/s by kind of operand, and GB/s ("read")."""
    done = subprocess.run([program, "--peaks", str(threads)], stdout=subprocess.PIPE, text=True)
    return None if done.returncode else json.loads(done.stdout)


def trace(mue: Path, bundle: Path, picture: Path, threads: int, precision: str, beams: int) -> list[dict]:
    """The spans of an answer of eight tokens."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        command = [mue, "generate", bundle, "--image", picture, "--prompt", "what does the image describe?", "--precision",
                   precision, "--threads", threads, "--beams", beams, "--max-tokens", 8, "--min-tokens", 8, "--trace", path]
        subprocess.run([str(c) for c in command], stdout=subprocess.DEVNULL, check=True)
        return [e for e in json.loads(path.read_text())["traceEvents"] if e.get("ph") == "X"]


def within(spans: list[dict], phases: list[dict]) -> list[dict]:
    return [s for s in spans if any(p["ts"] <= s["ts"] < p["ts"] + p["dur"] for p in phases)]


def shape(text: str | None) -> list[int]:
    """Of "float[1, 2]"."""
    return [int(d) for d in re.search(r"\[(.*)\]", text)[1].split(",") if d.strip()] if text else []


def work(spans: list[dict], precision: str) -> tuple[dict[str, float], float]:
    """GFLOP by kind of operand, and bytes of weights, keys and values."""
    gflop: dict[str, float] = {}
    size = 0.0
    for span in spans:
        arguments = span.get("args", {})
        products = arguments.get("multiply_adds")
        if not products:
            continue
        inputs = [shape(i) for i in arguments["inputs"]]
        kind = "float32"
        if "Conv" in span["cat"]:
            outputs, weights = shape(arguments["outputs"][0]), inputs[1]
            pointwise = precision == "int8" and weights[2:] == [1, 1] and min(weights[:2]) >= 64
            if pointwise:
                kind = "int8"
            elif weights[2:] == [3, 3] and outputs[2:] == inputs[0][2:] and min(weights[:2]) >= 32:
                products /= WINOGRAD
            size += math.prod(weights) * (1 if pointwise else 4)
        elif span["cat"] == "Attention":
            # Keys and values of the picture are no input of a step: they are packed as weights are, and shared by beams.
            shared, packed = (inputs[0][0], True) if not inputs[1] else (1, False)
            if inputs[0][1] == 1:
                size += (WIDTHS[precision] if packed else 4) * products / shared
                kind = "int16" if packed and precision == "int8" else kind
        else:
            rows = math.prod(inputs[0][:-1])
            if precision == "int8":
                kind = "int16" if rows <= FEW_ROWS else "int8"
            elif precision == "bf16":
                kind = "float32" if rows <= FEW_ROWS else "bf16"
            size += math.prod(inputs[1]) * WIDTHS[precision]
        gflop[kind] = gflop.get(kind, 0) + 2e-9 * products
    return gflop, size


def vocabulary(spans: list[dict], rows: int) -> tuple[float, float]:
    """GFLOP of float32 and bytes of the product with the vocabulary, where that is no operator: it is screened in eight bits,
    or read as it lies. It has the size of the largest table that tokens are looked up in."""
    tables = [shape(s["args"]["inputs"][0]) for s in spans if s["cat"] == "Gather" and s["args"]["inputs"][0]]
    size = max((math.prod(t) for t in tables if len(t) == 2), default=0)
    products = [s for s in spans if "multiply_adds" in s.get("args", {})]
    if any(i and math.prod(shape(i)) == size for s in products for i in s["args"]["inputs"]):
        return 0, 0
    if any(s["name"] == "vocabulary in eight bits" for s in spans):
        return 0, size
    return 2e-9 * rows * size, 4 * size


def limits(mue: Path, bundle: Path, picture: Path, threads: int, precisions: list[str], found: dict) -> dict[str, dict]:
    """By WORK.PRECISION: ms of arithmetic and of memory. `found`: what `peaks` gave."""
    table = {}  # spans, and rows that meet the vocabulary
    for precision in precisions:
        for beams in (1, 5):
            spans = trace(mue, bundle, picture, threads, precision, beams)
            phases = [s for s in spans if s["cat"] == "phase"]
            if beams == 1:
                named = re.compile(r"(image|text|joint) (stem|layer \d+)$|bridge to the decoder$")
                table[f"encoder.{precision}"] = within(spans, [p for p in phases if named.match(p["name"])]), 0
            name = "step" if beams == 1 else f"beam{beams}"
            # The last of them: a first request tries steps before its own.
            table[f"{name}.{precision}"] = within(spans, [p for p in phases if p["name"] == "decoder step 4"][-1:]), beams
    result = {}
    for name, (spans, rows) in table.items():
        gflop, size = work(spans, name.split(".")[1])
        if rows > 0:
            more, table_size = vocabulary(spans, rows)
            gflop["float32"] = gflop.get("float32", 0) + more
            size += table_size
        arithmetic = sum(1e3 * g / found[kind] for kind, g in gflop.items())
        memory = 1e-6 * size / found["read"]
        result[name] = {"gflop": {k: round(g, 3) for k, g in gflop.items()}, "megabytes": round(1e-6 * size, 1),
                        "arithmetic_ms": round(arithmetic, 2), "memory_ms": round(memory, 2),
                        "least_ms": round(max(arithmetic, memory), 2)}
    return result
