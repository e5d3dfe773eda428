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
from dataclasses import dataclass
from pathlib import Path

WIDTHS = {"f32": 4, "bf16": 2, "int8": 1}  # bytes of a weight
CODED_WIDTHS = {"f32": 28 / 8, "bf16": 12 / 8}  # of a large decoder's, with AVX2 and AVX-512
KIND_WIDTHS = {"float32": 4, "bf16": 2, "int8": 1}
FEW_ROWS = 12  # of a product; more are quantised to bytes at int8 (docs/kernels.md)
PAIRED_QUERIES = 48  # from which attention multiplies bf16 where it can, unless the model is float32
# Kinds of operand. The peak of bf16 is float32's where there are no instructions for it.
FEW = {"f32": "float32", "bf16": "bf16", "int8": "int16"}
MANY = {"f32": "float32", "bf16": "bf16", "int8": "int8"}
INT4_GROUP = 128  # weights of a column that share a scale
WINOGRAD = 4  # F(4 x 4, 3 x 3): 36 products for 144


def peaks(program: Path, threads: int) -> dict | None:
    """GFLOP/s by kind of operand, and GB/s ("read": the median, "most_read")."""
    done = subprocess.run([program, "--peaks", str(threads)], stdout=subprocess.PIPE, text=True)
    return None if done.returncode else json.loads(done.stdout)


def together(found: list[dict]) -> dict:
    """What `peaks` found at several times: the largest, but the mean of the medians."""
    result = {key: max(each[key] for each in found) for key in found[0]}
    return result | {"read": sum(each["read"] for each in found) / len(found)}


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


@dataclass
class Product:
    """What a span multiplies and reads."""

    kind: str  # of operand
    gflop: float
    size: float = 0  # bytes of weights, keys and values
    kernel: tuple = ()  # as in `kernel_speeds`
    direct_gflop: float = 0  # as that counts them: not Winograd's


def product(span: dict, precision: str, isa: str) -> Product | None:
    arguments = span.get("args", {})
    products = arguments.get("multiply_adds")
    if not products:
        return None
    inputs, gflop = [shape(i) for i in arguments["inputs"]], 2e-9 * products
    if "Conv" in span["cat"]:
        outputs, weights = shape(arguments["outputs"][0]), inputs[1]
        stride = round(inputs[0][2] / outputs[2])
        winograd = weights[2:] == [3, 3] and stride == 1 and min(weights[:2]) >= 32
        kind = "float32"
        if inputs[0][1] == weights[1]:
            # Larger kernels than 1 x 1 are bytes where those are faster; dilation, with which they are not, is not in a trace.
            faster = weights[2:] == [1, 1] or "vnni" in isa or not (winograd or isa == "neon")
            if precision == "int8" and faster and weights[1] >= 3 and min(weights[0], math.prod(weights[1:])) >= 64:
                kind = "int8"
            elif precision == "bf16" and not winograd and min(weights[0], math.prod(weights[1:])) >= 24:
                kind = "bf16"
        sizes = [weights[2:], *([f"stride {stride}"] if stride > 1 else []), outputs[2:]]
        parts = [f"{weights[1]} to {weights[0]}", *(s if isinstance(s, str) else " x ".join(map(str, s)) for s in sizes)]
        done = gflop / WINOGRAD if winograd and kind == "float32" else gflop
        return Product(kind, done, math.prod(weights) * KIND_WIDTHS[kind], ("convolution", ", ".join(parts), kind), gflop)
    if span["cat"] == "Attention":
        if inputs[0][1] > 1:
            return Product("bf16" if precision != "f32" and inputs[0][1] >= PAIRED_QUERIES else "float32", gflop)
        # Keys and values of the picture are no input of a step: they are packed as weights are, and shared by beams.
        if inputs[1]:
            return Product("float32", gflop, 4 * products)
        return Product(FEW[precision], gflop, WIDTHS[precision] * products / inputs[0][0])
    rows, depth, columns = math.prod(inputs[0][:-1]), inputs[0][-1], shape(arguments["outputs"][0])[-1]
    coded = rows <= FEW_ROWS and isa.startswith("avx")
    width = CODED_WIDTHS.get(precision, WIDTHS[precision]) if coded else WIDTHS[precision]
    return Product((FEW if rows <= FEW_ROWS else MANY)[precision], gflop, math.prod(inputs[1]) * width,
                   ("product", f"{rows} x {depth} x {columns}", MANY[precision]), gflop)


def work(spans: list[dict], precision: str, isa: str) -> tuple[dict[str, float], float]:
    """GFLOP by kind of operand, and bytes of weights, keys and values."""
    gflop: dict[str, float] = {}
    size = 0.0
    for found in filter(None, (product(span, precision, isa) for span in spans)):
        gflop[found.kind] = gflop.get(found.kind, 0) + found.gflop
        size += found.size
    return gflop, size


def kernel_speeds(roofline: dict | None) -> dict[tuple, float]:
    """GFLOP/s of one thread alone, the faster of MuE's kernel and oneDNN's, by name, shape and weights."""
    return {(row["name"], row["shape"], row["weights"]): max(row["gflops"], row["onednn_gflops"] or 0)
            for row in (roofline or {"kernels": []})["kernels"]}


def kernels_ms(spans: list[dict], precision: str, speeds: dict[tuple, float], found: dict) -> tuple[float, float]:
    """Milliseconds of the products at the speed of those kernels, as if all threads were as fast as one alone and nothing came
    between them (what was not measured: at the peak), and the share of the products that was measured."""
    total = measured = all_products = 0.0
    for each in filter(None, (product(span, precision, found["isa"]) for span in spans)):
        # Convolutions are float32 where the processor does not multiply pairs of bf16.
        speed = speeds.get(each.kernel) or speeds.get((*each.kernel[:2], "float32"))
        total += 1e3 * (each.direct_gflop / (speed * found["threads"]) if speed else each.gflop / found[each.kind])
        measured += each.gflop if speed else 0
        all_products += each.gflop
    return total, measured / all_products if all_products else 0


def vocabulary(spans: list[dict], rows: int, precision: str) -> tuple[float, float]:
    """GFLOP of float32 and bytes of the product with the vocabulary, where that is no operator: it is screened, in eight bits
    (f32) or in four with a scale for every 128, or read as it lies. It has the size of the largest table that tokens are looked up in."""
    tables = [shape(s["args"]["inputs"][0]) for s in spans if s["cat"] == "Gather" and s["args"]["inputs"][0]]
    size = max((math.prod(t) for t in tables if len(t) == 2), default=0)
    products = [s for s in spans if "multiply_adds" in s.get("args", {})]
    if any(i and math.prod(shape(i)) == size for s in products for i in s["args"]["inputs"]):
        return 0, 0
    if any(s["name"] == "vocabulary screen" for s in spans):
        return 0, size * (1 / 2 + 4 / INT4_GROUP if precision != "f32" else 1)
    return 2e-9 * rows * size, 4 * size


def limits(mue: Path, bundle: Path, picture: Path, threads: int, precisions: list[str], found: dict,
           roofline: dict | None) -> dict[str, dict]:
    """By WORK.PRECISION: ms of arithmetic and of memory, of the encoder also at the speed of the fastest kernels. `found`: what
    `peaks` gave."""
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
        precision = name.split(".")[1]
        gflop, size = work(spans, precision, found["isa"])
        if rows > 0:
            more, table_size = vocabulary(spans, rows, precision)
            gflop["float32"] = gflop.get("float32", 0) + more
            size += table_size
        arithmetic = sum(1e3 * g / found[kind] for kind, g in gflop.items())
        memory = 1e-6 * size / found["read"]
        result[name] = {"gflop": {k: round(g, 3) for k, g in gflop.items()}, "megabytes": round(1e-6 * size, 1),
                        "arithmetic_ms": round(arithmetic, 2), "memory_ms": round(memory, 2),
                        "least_ms": round(max(arithmetic, memory), 2)}
        if name.startswith("encoder") and roofline:
            fastest, share = kernels_ms(spans, precision, kernel_speeds(roofline), found)
            result[name] |= {"kernels_ms": round(fastest, 2), "kernels_share": round(share, 3)}
    return result
