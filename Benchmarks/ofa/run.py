"""Times OFA beside ONNX Runtime and OpenVINO and writes docs/results/ofa.{md,json}: `make build`, then

    .venv/bin/python Benchmarks/ofa/run.py [--sizes base large] [--rounds 9] [--work FOLDER] [--encoder joint]

Checkpoints are random, in the published format; nothing here depends on the values. Each engine has the same weights and
threads, and they take turns in one process. OpenVINO is no need of the project: what Python does not find is left out
(`pip install --target FOLDER openvino`, and FOLDER on PYTHONPATH). Let nothing else run meanwhile.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean, median

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT / "bindings/python"), str(ROOT / "Tests/python")]
PROMPT = " what does the image describe?"
TOKENS = 16  # of a caption
REST = 0.05  # seconds between two engines, so that the threads of the one no longer spin while the other runs
STEPS = {"encoder": "encoder", "first": "first step", "cached": "cached step", "cached-5": "cached step, 5 beams"}


def prepare(size: str, encoder: str, work: Path) -> Path:
    """A bundle and the peers' pieces of a random checkpoint; returns their folder. Done once for a `work` folder."""
    folder = work / f"{size}-{encoder}"
    if (folder / "done").exists():
        return folder
    from mue_export.checkpoint import read_checkpoint
    from mue_export.names import state_records
    from mue_export.ofa import OFAExport, export_ofa, loaded_model
    from mue_export.sizes import OFASizes
    from pieces import write_pieces
    from random_ofa import published_sizes, random_state, save_checkpoint
    folder.mkdir(parents=True, exist_ok=True)
    file = work / f"{size}.pt"
    if not file.exists():
        save_checkpoint(file, random_state(published_sizes(size)))
    bpe = Path(os.environ.get("MUE_SHARED", ROOT.parent / "shared")) / "ofa-bpe"
    request = OFAExport(file, folder / "bundle", encoder=encoder, image_size=480, bpe=bpe, force=True)
    export_ofa(request, print)
    checkpoint = read_checkpoint(file)
    records = state_records(checkpoint, False)
    sizes = OFASizes.of({name: record.shape for name, record in records.items()})
    write_pieces(loaded_model(request, checkpoint, records, sizes, 480), folder)
    (folder / "done").touch()
    return folder


class OnnxRuntime:
    name = "ONNX Runtime"

    def __init__(self, threads: int) -> None:
        import onnxruntime
        self.version = onnxruntime.__version__
        self.module = onnxruntime
        self.options = onnxruntime.SessionOptions()
        self.options.intra_op_num_threads = threads
        self.options.log_severity_level = 3

    def load(self, path: Path):
        session = self.module.InferenceSession(str(path), self.options, providers=["CPUExecutionProvider"])
        return lambda inputs: session.run(None, inputs)


class OpenVINO:
    name = "OpenVINO"

    def __init__(self, threads: int) -> None:
        import openvino
        self.version = openvino.__version__.split("-")[0]
        self.core = openvino.Core()
        self.settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}

    def load(self, path: Path):
        request = self.core.compile_model(str(path), "CPU", self.settings).create_infer_request()
        count = len(request.model_outputs)

        def run(inputs: dict) -> list:
            request.infer(inputs, share_inputs=True)
            return [request.get_output_tensor(i).data for i in range(count)]
        return run


class Peer:
    """Generation by pieces, as a host of that runtime would write it."""

    def __init__(self, runtime, folder: Path) -> None:
        from pieces import PIECES, cache_names
        self.runtime = runtime
        self.names = cache_names(json.loads((folder / "bundle/config.json").read_text())["decoder_layers"])
        self.grown = [n for n in self.names if n.startswith("self")]
        self.run = {piece: runtime.load(folder / piece / "model.onnx") for piece in PIECES}

    def greedy(self, pixels, ids, bos: int, count: int, times: dict | None = None) -> list[int]:
        """Tokens of `count` steps; milliseconds of each piece into `times`."""
        import numpy as np

        def timed(piece: str, inputs: dict) -> list:
            begin = time.perf_counter()
            found = self.run[piece](inputs)
            if times is not None:
                times.setdefault(piece, []).append((time.perf_counter() - begin) * 1e3)
            return found

        memory, = timed("encoder", {"pixel_values": pixels, "input_ids": ids})
        logits, *cache = timed("first", {"memory": memory, "token": np.array([[bos]])})
        cache = dict(zip(self.names, map(np.array, cache)))
        tokens = [int(masked(logits)[0, 0].argmax())]
        while len(tokens) < count:
            logits, *new = timed("cached", {"token": np.array([[tokens[-1]]]), **cache})
            cache.update(zip(self.grown, map(np.array, new)))
            tokens.append(int(masked(logits)[0, 0].argmax()))
        return tokens

    def beam_step(self, shapes: dict, past: int) -> float:
        """Milliseconds of one step of all beams, without the search."""
        import numpy as np
        from pieces import BEAMS
        inputs = {n: np.zeros((BEAMS if n in self.grown else 1, shapes["heads"],
                               past if n in self.grown else shapes["memory"], shapes["head_width"]), np.float32)
                  for n in self.names}
        begin = time.perf_counter()
        self.run[f"cached-{BEAMS}"]({"token": np.full((BEAMS, 1), 5), **inputs})
        return (time.perf_counter() - begin) * 1e3


def masked(logits):
    """Without the end token, which comes last here, so that all engines make as many tokens."""
    logits = logits.copy()
    logits[..., 2] = -float("inf")
    return logits


def steps(model, image, **settings) -> tuple[float, int, object]:
    """Milliseconds in the decoder and its head, and how many steps that were."""
    found = model.generate(image, PROMPT, no_repeat_ngram_size=0, **settings)
    return found.time_ms.decoder + found.time_ms.head, len(found.exits.decoder), found


def cached_steps(model, image) -> tuple[float, object]:
    """Milliseconds from one token to the next, the median of a caption."""
    moments: list[float] = []
    found = model.generate(image, PROMPT, no_repeat_ngram_size=0, beams=1, min_tokens=TOKENS, max_tokens=TOKENS,
                           on_token=lambda token: moments.append(time.perf_counter()))
    return median((b - a) * 1e3 for a, b in zip(moments, moments[1:])), found


def measure(size: str, args) -> dict:
    import mue
    import numpy as np
    from tokenizers import Tokenizer
    folder = prepare(size, args.encoder, args.work)
    config = json.loads((folder / "bundle/config.json").read_text())
    preprocessor = json.loads((folder / "bundle/preprocessor_config.json").read_text())
    heads = config["decoder_attention_heads"]
    shapes = {"heads": heads, "head_width": config["d_model"] // heads, "memory": 900 + 8}
    picture = np.random.default_rng(3).integers(0, 256, (480, 480, 3), np.uint8)
    center, deviation = (np.array(preprocessor[k], np.float32) for k in ("image_mean", "image_std"))
    pixels = ((picture.astype(np.float32) / 255 - center) / deviation).transpose(2, 0, 1)[None].copy()
    ids = np.array([Tokenizer.from_file(str(folder / "bundle/tokenizer.json")).encode(PROMPT).ids])
    peers, versions = [], {}
    for kind in (OnnxRuntime, OpenVINO):
        try:
            runtime = kind(args.threads)
        except ImportError as error:
            print(f"left out: {error}")
            continue
        versions[runtime.name] = runtime.version
        peers.append(Peer(runtime, folder))
    rounds: dict = {}
    with mue.open(folder / "bundle", threads=args.threads) as model:
        for number in range(args.rounds + 1):
            found: dict = {}
            one, count_one, _ = steps(model, picture, beams=1, min_tokens=1, max_tokens=1)
            step, caption = cached_steps(model, picture)
            few_beams, count_few, _ = steps(model, picture, beams=5, min_tokens=1, max_tokens=1)
            more_beams, count_more, _ = steps(model, picture, beams=5, min_tokens=TOKENS, max_tokens=TOKENS)
            found["MuE"] = {
                "encoder": caption.time_ms.stem + caption.time_ms.encoder,
                "first": one - step * (count_one - 1), "cached": step,
                "cached-5": (more_beams - few_beams) / (count_more - count_few)}
            for peer in peers:
                time.sleep(REST)
                times: dict = {}
                tokens = peer.greedy(pixels, ids, 0, TOKENS, times)
                if tokens != list(caption.tokens)[:TOKENS]:
                    raise SystemExit(f"{peer.runtime.name} found {tokens}, MuE {list(caption.tokens)}")
                beams = [peer.beam_step(shapes, past) for past in range(1, TOKENS)]
                found[peer.runtime.name] = {"encoder": times["encoder"][0], "first": times["first"][0],
                                            "cached": median(times["cached"]), "cached-5": mean(beams)}
                time.sleep(REST)
            if number:  # in the first, plans are made and pages touched
                for engine, by in found.items():
                    for piece, value in by.items():
                        rounds.setdefault(engine, {}).setdefault(piece, []).append(value)
    table = {engine: {piece: {"median": median(v), "minimum": min(v)} for piece, v in by.items()}
             for engine, by in rounds.items()}
    for by in table.values():
        by["caption"] = {k: by["encoder"][k] + by["first"][k] + (TOKENS - 1) * by["cached"][k] for k in ("median", "minimum")}
    return {"size": size, "parameters": parameters(folder), "file_bytes": bytes_of(folder / "bundle"), "versions": versions,
            "table": table, "loading": loading(folder / "bundle", args.threads, list(versions))}


def parameters(folder: Path) -> int:
    return (folder / "bundle/model.onnx_data").stat().st_size // 4


def bytes_of(bundle: Path) -> int:
    return sum((bundle / name).stat().st_size for name in ("model.onnx", "model.onnx_data"))


# A process of its own: opens the unified model, says how long that took and what memory it had at its peak, then
# answers once, and says the peak again.
OPENING = """
import sys, time
sys.path[:0] = sys.argv[3].split(":")
kind, bundle, threads = sys.argv[1], sys.argv[2], int(sys.argv[4])
import numpy as np
peak = lambda: int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) * 1024
picture = np.random.default_rng(3).integers(0, 256, (480, 480, 3), np.uint8)
feeds = {"pixel_values": np.zeros((1, 3, 480, 480), np.float32), "input_ids": np.full((1, 8), 5), "decoder_input_ids": np.zeros((1, 1), int)}
if kind == "MuE":
    import mue; mue.load_library()
elif kind == "ONNX Runtime": import onnxruntime
else: import openvino
before, begin = peak(), time.perf_counter()
if kind == "MuE":
    model = mue.open(bundle, threads=threads)
elif kind == "ONNX Runtime":
    options = onnxruntime.SessionOptions(); options.intra_op_num_threads = threads
    model = onnxruntime.InferenceSession(bundle + "/model.onnx", options, providers=["CPUExecutionProvider"])
else:
    model = openvino.Core().compile_model(bundle + "/model.onnx", "CPU", {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"})
took, opened = time.perf_counter() - begin, peak()
if kind == "MuE": model.generate(picture, " what does the image describe?", beams=1, max_tokens=16)
elif kind == "ONNX Runtime": model.run(None, feeds)
else: model(feeds)
print(took, opened - before, peak() - before)
"""


def loading(bundle: Path, threads: int, peers: list[str]) -> dict:
    """Seconds to open the unified model (page cache warm), bytes that it adds at the peak, opened and answered once."""
    found = {}
    for kind in ("MuE", *peers):
        runs = []
        for _ in range(4):
            time.sleep(1)
            done = subprocess.run([sys.executable, "-c", OPENING, kind, str(bundle), ":".join(p for p in sys.path if p), str(threads)],
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            if done.returncode:
                print(f"{kind} does not open the unified model")
                break
            runs.append([float(v) for v in done.stdout.split()[-3:]])
        if runs:
            found[kind] = {"seconds": min(r[0] for r in runs), "opened_bytes": median(r[1] for r in runs),
                           "answered_bytes": median(r[2] for r in runs)}
    return found


def machine() -> dict:
    name = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {"processor": name.group(1) if name else platform.processor(), "cores": len(os.sched_getaffinity(0)),
            "system": f"{platform.system()} {platform.release()}", "load_before": round(os.getloadavg()[0], 2)}


def markdown(report: dict) -> str:
    m = report["machine"]
    lines = ["# OFA at 480 x 480 pixels, beside ONNX Runtime and OpenVINO", "",
             f"{report['date']}; {m['processor']}, {m['cores']} cores, {report['threads']} threads, fp32; {m['system']}; "
             f"load before the measurement {m['load_before']}.", "", f"Command: `{report['command']}`.", "",
             f"Random checkpoints in the published format, exported by `mue_export ofa --encoder {report['encoder']}`; full "
             "depth, batch 1, a prompt of 8 tokens. The engines take turns in one process and must find the same "
             f"{TOKENS} tokens. The peers run pieces that were exported from the same weights for just this: encoder; "
             "first step, which also computes the keys and values of cross-attention; cached step. All their sizes but "
             "the cache's are fixed, so that they too compute position biases while loading. MuE runs its unified "
             "graph. MuE's times include the choice of the token and, with beams, the search; the peers' do not. A step is the "
             "median of a caption's, and with beams the mean. "
             f"Median (minimum) of {report['rounds']} rounds, ms; the ratio is of medians, below 1 MuE is faster."]
    for size in report["sizes"]:
        engines = list(size["table"])
        peers = [e for e in engines if e != "MuE"]
        lines += ["", f"## OFA-{size['size']}, {size['parameters'] / 1e6:.0f} M weights", "",
                  "| | " + " | ".join([f"{e} {size['versions'].get(e, '')}".strip() for e in engines]
                                      + [f"MuE / {p}" for p in peers]) + " |",
                  "|---" * (1 + len(engines) + len(peers)) + "|"]
        for piece, title in {**STEPS, "caption": f"caption of {TOKENS} tokens (sum)"}.items():
            row = {e: size["table"][e][piece] for e in engines}
            lines.append(f"| {title} | " + " | ".join(
                ["{median:.2f} ({minimum:.2f})".format(**row[e]) for e in engines]
                + [f"{row['MuE']['median'] / row[p]['median']:.2f}" for p in peers]) + " |")
        lines += ["", "Opening the unified model in a process of its own, page cache warm; memory at its peak over the "
                  f"file's {size['file_bytes'] / 1e6:.0f} MB, when opened and after one answer:", "",
                  "| | seconds | opened | answered |", "|---|---|---|---|"]
        for engine, row in size["loading"].items():
            opened, answered = (row[k] / size["file_bytes"] for k in ("opened_bytes", "answered_bytes"))
            lines.append(f"| {engine} | {row['seconds']:.2f} | {opened:.2f} | {answered:.2f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=["base", "large"])
    parser.add_argument("--encoder", choices=("joint", "decomposed"), default="joint")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "mue-benchmark-ofa")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/results")
    parser.add_argument("--prepare", action="store_true", help="only make checkpoints, bundle and pieces")
    args = parser.parse_args()
    if args.prepare:
        for size in args.sizes:
            prepare(size, args.encoder, args.work)
        return
    os.environ.setdefault("MUE_LIBRARY", str(ROOT / "build/lib/libmue.so"))
    report = {"date": str(datetime.date.today()), "command": f"Benchmarks/ofa/run.py --sizes {' '.join(args.sizes)} --encoder {args.encoder} --rounds {args.rounds}",
              "machine": machine(), "threads": args.threads, "encoder": args.encoder, "rounds": args.rounds,
              "sizes": [measure(size, args) for size in args.sizes]}
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "ofa.json").write_text(json.dumps(report, indent=1) + "\n")
    (args.out / "ofa.md").write_text(markdown(report))
    print(markdown(report))


if __name__ == "__main__":
    main()
