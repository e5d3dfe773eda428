"""What `make bench` runs: OFA and the demo model beside ONNX Runtime and OpenVINO, and the kernels' roofline.

    .venv-bench/bin/python Benchmarks/run.py [--size base] [--rounds 9] [--threads 2] [--precisions f32 bf16 int8]

Everything is measured by `mue bench` (docs/performance.md says how) and by Benchmarks/kernels/roofline; this file puts the
figures beside the goals and writes docs/results/performance-DATE.{md,json,png}. Benchmarks/ofa/prepare.py comes first.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
from pathlib import Path

import limits

ROOT = Path(__file__).resolve().parents[1]
MUE = ROOT / "build/bin/mue"
ROOFLINE = ROOT / "Benchmarks/kernels/roofline"
PICTURE = ROOT / "models/demo/samples/scene-1.png"
TOKENS = 16  # of an answer: weights are random, so the end never comes by itself
WORKS = {"encoder": "image encoder, with ResNet", "first": "first step", "step": "one decoder step",
         "beam5": "one step, 5 beams", "search5": "search of 5 beams", "caption": "whole request", "load": "loading", "memory": "peak memory"}
PEERS = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
# MuE's time (or memory) over the other's, at most.
GOALS = {
    "encoder.f32.onnxruntime": 0.72, "step.f32.onnxruntime": 0.62, "beam5.f32.onnxruntime": 0.30,
    "encoder.bf16.openvino": 0.80, "step.bf16.openvino": 0.40, "beam5.bf16.openvino": 0.30,
    "encoder.int8.onnxruntime": 0.60, "step.int8.onnxruntime": 0.50, "beam5.int8.onnxruntime": 0.40,
    "caption.f32.onnxruntime": 0.50, "memory.f32.onnxruntime": 0.70, "load.f32.onnxruntime": 0.50}
PRECISION_PEERS = {"f32": "onnxruntime,openvino", "bf16": "openvino", "int8": "onnxruntime"}
KERNEL_GOAL = 0.92  # of oneDNN's speed


def bench(bundle: Path, args: argparse.Namespace, *options: str, isa: str | None = None) -> dict:
    """The JSON of one `mue bench`; {"error": ...} when it fails."""
    command = [MUE, "bench", bundle, "--threads", args.threads, "--python", sys.executable, "--json", *options]
    environment = {**os.environ, **({"MUE_ISA": isa} if isa else {})}
    print("==", " ".join(str(c) for c in command[1:]), f"(MUE_ISA={isa})" if isa else "", flush=True)
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    if done.returncode:
        message = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        print("  ", message, flush=True)
        return {"error": message.removeprefix("mue: ")}
    return json.loads(done.stdout)


def measure_ofa(folder: Path, args: argparse.Namespace) -> dict[str, dict]:
    """By precision."""
    found = {}
    for precision in args.precisions:
        found[precision] = bench(
            folder / "bundle", args, "--compare", PRECISION_PEERS[precision], "--precision", precision, "--tokens", str(TOKENS),
            "--rounds", str(args.rounds), "--pieces", str(folder / "pieces"))
    return found


def measure_demo(args: argparse.Namespace) -> dict:
    return bench(ROOT / "models/demo", args, "--compare", "onnxruntime,openvino", "--image", str(PICTURE), "--rounds",
                 str(3 * args.rounds))


def measure_instruction_sets(folder: Path, args: argparse.Namespace, widest: str) -> dict[str, dict]:
    """This engine alone under every narrower instruction set that it can be told to use."""
    found = {}
    for isa in args.isas:
        environment = {**os.environ, "MUE_ISA": isa}
        info = subprocess.run([MUE, "info", "--json"], stdout=subprocess.PIPE, text=True, env=environment)
        # Behind the name comes how it was chosen.
        if info.returncode or json.loads(info.stdout)["cpu"].split()[0] != isa or isa == widest:
            continue
        found[isa] = bench(folder / "bundle", args, "--tokens", str(TOKENS), "--rounds", "2", isa=isa)
    return found


def roofline() -> dict | None:
    if not ROOFLINE.exists():
        return None
    print("== roofline", flush=True)
    done = subprocess.run([ROOFLINE, "--json"], stdout=subprocess.PIPE, text=True)
    return None if done.returncode else json.loads(done.stdout)


def ratios(report: dict) -> dict[str, float]:
    """Of OFA, and of the demo model's whole request."""
    found = {}
    for measured in report["ofa"].values():
        for name, value in measured.get("ratios", {}).items():
            found[name.replace("caption.", "ofa_caption.")] = value
    for name, value in report["demo"].get("ratios", {}).items():
        found[name if name.startswith("caption.") else f"demo_{name}"] = value
    return found


def engines(measured: dict) -> list[dict]:
    return [engine for group in measured.get("groups", []) for engine in group["engines"]]


def figure(engine: dict, work: str) -> dict | None:
    found = {"load": engine["load_ms"], "memory": engine["memory_bytes"]}.get(work) or engine["times_ms"].get(work)
    return found if found and found["rounds"] else None


def cell(engine: dict, work: str) -> str:
    found = figure(engine, work)
    if found is None:
        return "-"
    if work == "memory":
        return f"{found['median'] / 1e6:.0f} MB"
    return f"{found['median']:.2f} ({found['minimum']:.2f})"


def title(engine: dict) -> str:
    return f"{PEERS.get(engine['engine'], engine['engine'])} {engine['version']}"


def side_by_side(measured: dict, precision: str, prefix: str = "") -> list[str]:
    if "error" in measured:
        return [f"Not measured: {measured['error']}"]
    shown = engines(measured)
    lines = ["| | " + " | ".join([*map(title, shown), *(f"MuE / {PEERS[e['engine']]}" for e in shown[1:])]) + " |",
             "|---" * (2 * len(shown)) + "|"]
    for work, name in WORKS.items():
        if figure(shown[0], work) is None:
            continue
        found = [measured["ratios"].get(f"{work}.{precision}.{e['engine']}") for e in shown[1:]]
        lines.append(f"| {name} | " + " | ".join(
            [cell(e, work) for e in shown] + ["-" if r is None else f"{r:.2f}" for r in found]) + " |")
    lines.append("| tokens a second | " + " | ".join(f"{e['tokens_per_second']:.1f}" for e in shown) + " |" * len(shown))
    notes = [f"{title(e)}: {e['note']}." for e in shown if e["note"]]
    notes += [f"{title(e)} found other tokens than MuE." for e in shown[1:] if e["tokens"] != shown[0]["tokens"]]
    parts = ", ".join(f"{name} {v['median']:.2f}" for name, v in shown[0]["parts_ms"].items() if v["median"] >= 0.005)
    return [*lines, "", *notes, f"Parts of MuE's request, ms: {parts}."]


def goals(report: dict) -> list[str]:
    lines = ["| ratio | reached | goal | | ms | goal, ms | least, ms | least / ms |", "|---|---|---|---|---|---|---|---|"]
    for name, goal in GOALS.items():
        value = report["ratios"].get(name)
        work, precision, peer = name.split(".")
        limit = (report["limits"] or {}).get(f"{work}.{precision}")
        more = "| | | | |"
        if value is not None and limit:
            shown = {e["engine"]: figure(e, work)["median"] for e in engines(report["ofa"][precision]) if figure(e, work)}
            ours, theirs = shown["MuE"], shown[peer]
            which = "memory" if limit["memory_ms"] >= limit["arithmetic_ms"] else "arithmetic"
            more = f"| {ours:.1f} | {goal * theirs:.1f} | {limit['least_ms']:.1f} ({which}) | {limit['least_ms'] / ours:.2f} |"
        lines.append(f"| `{name}` | {'-' if value is None else f'{value:.2f}'} | {goal:.2f} | "
                     + ("not measured" if value is None else "reached" if value <= goal else "missed") + f" {more}")
    return lines


def least(report: dict) -> list[str]:
    """What the least times of the goals consist of."""
    if not report["limits"]:
        return []
    p = report["peaks"]
    lines = [f"Least: what the products multiply at the peak of {p['threads']} threads together ({p['float32']:.0f} GFLOP/s in "
             f"float32, {p['int16']:.0f} with pairs of int16, {p['int8']:.0f} with bytes), or what they read at the speed of memory "
             f"({p['read']:.0f} GB/s in the median, {p['most_read']:.0f} at most), whichever is longer ([more](../performance.md#least-times)).", "",
             "| | GFLOP | MB | arithmetic, ms | memory, ms | at the fastest kernels' speed, ms | MuE's minimum, ms | goal of the "
             "other's minimum, ms |", "|---|---|---|---|---|---|---|---|"]
    for name, limit in report["limits"].items():
        done = ", ".join(f"{g:.2f} {kind}" for kind, g in limit["gflop"].items() if g)
        fastest = f"{limit['kernels_ms']:.1f}" if "kernels_ms" in limit else ""
        lines.append(f"| {name} | {done} | {limit['megabytes']:.0f} | {limit['arithmetic_ms']:.1f} | {limit['memory_ms']:.1f} | "
                     f"{fastest} | {' | '.join(minimums(report, name))} |")
    shares = [limit["kernels_share"] for limit in report["limits"].values() if "kernels_share" in limit]
    if shares:
        lines += ["", f"The fastest kernels' speed: each product of the encoder ({100 * min(shares):.0f} % of them were measured alone, the rest "
                  "counts at the peak) as fast as the faster of MuE's kernel and oneDNN's on one thread, times the threads; "
                  "exponentials, norms, activations and everything between the products left out."]
    return [*lines, ""]


def minimums(report: dict, name: str) -> tuple[str, str]:
    """Of WORK.PRECISION: MuE's minimum, and its goal's share of the other engine's."""
    work, precision = name.split(".")
    goal = next(goal for goal in GOALS if goal.startswith(f"{name}."))
    least = {e["engine"]: figure(e, work)["minimum"] for e in engines(report["ofa"][precision]) if figure(e, work)}
    ours, theirs = least.get("MuE"), least.get(goal.split(".")[2])
    return "-" if ours is None else f"{ours:.1f}", "-" if theirs is None else f"{GOALS[goal] * theirs:.1f}"


def kernel_table(found: dict) -> list[str]:
    lines = [f"One thread, {found['isa']}; limit: what the processor or its memory allows; GFLOP/s.", "",
             "Products are rows x depth x columns; 3 x 3 convolutions count as direct sums, which Winograd's method need not do.",
             "", "| | weights | reached | limit | of limit | of oneDNN |", "|---|---|---|---|---|---|"]
    for row in found["kernels"]:
        share = row.get("of_onednn")
        lines.append(f"| {row['name']} {row['shape']} | {row['weights']} | {row['gflops']:.1f} | {row['limit_gflops']:.1f} | "
                     f"{row['gflops'] / row['limit_gflops']:.2f} | {'-' if share is None else f'{share:.2f}'} |")
    shares = ", ".join(f"{share:.2f} in {weights}" for weights, share in stem_shares(found).items())
    return [*lines, *(["", f"These convolutions as often as the first three stages of ResNet-101 have them: oneDNN's time / MuE's {shares}."]
                      if shares else [])]


def stem_shares(found: dict) -> dict[str, float]:
    """Of the whole ResNet-101 stem, by the type of weights that was asked for: the time of oneDNN's kernels over that of MuE's. Its
    1 x 1 convolutions with stride 2 and of 64 to 64 channels are not measured, nor is what oneDNN needs to quantise pixels."""
    times: dict[str, list[float]] = {}
    for row in found["kernels"]:
        if row["uses"] and row["onednn_gflops"]:
            sums = times.setdefault(row["weights"].split(",")[0], [0, 0])
            sums[0] += row["uses"] * row["gflop"] / row["onednn_gflops"]
            sums[1] += row["uses"] * row["gflop"] / row["gflops"]
    return {weights: theirs / ours for weights, (theirs, ours) in times.items()}


def markdown(report: dict) -> str:
    m = report["machine"]
    lines = [f"# Performance, {report['date']}", "",
             f"{m['processor']} ({' '.join(m['features'])}), {m['cores']} cores; {report['threads']} threads, instruction set "
             f"{m['cpu']}; {m['system'].strip()}; load before the measurement {m['load_before']}; commit {report['commit']}.", "",
             f"Command: `{report['command']}`. [What the figures mean](../performance.md#measuring). Median (minimum), ms; ratios "
             "are of medians, below 1 MuE is faster or smaller.", "", f"![Ratios beside the goals]({report['picture']})", "",
             "## Goals", "", *goals(report), "",
             f"`caption` is of the demo model, all others of OFA-{report['size']} at 480 x 480 pixels.", "", *least(report)]
    for precision, measured in report["ofa"].items():
        lines += [f"## OFA-{report['size']}, {precision}", "", *side_by_side(measured, precision), ""]
    lines += ["## The demo model, a caption from file to text, f32", "", *side_by_side(report["demo"], "f32"), ""]
    if report["instruction_sets"]:
        lines += [f"## OFA-{report['size']} under other instruction sets, f32", "",
                  "| | " + " | ".join(report["instruction_sets"]) + " |", "|---" * (1 + len(report["instruction_sets"])) + "|"]
        columns = [next(iter(engines(measured)), None) for measured in report["instruction_sets"].values()]
        for work, name in WORKS.items():
            lines.append(f"| {name} | " + " | ".join("-" if e is None else cell(e, work) for e in columns) + " |")
        lines.append("")
    if report["roofline"]:
        lines += ["## Kernels", "", *kernel_table(report["roofline"]), ""]
    return "\n".join(lines)


def draw(report: dict, path: Path) -> None:
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = [n for n in GOALS if n in report["ratios"]]
    figure_, axis = pyplot.subplots(figsize=(9, 0.42 * len(names) + 1.4))
    values = [report["ratios"][n] for n in names]
    axis.barh(range(len(names)), values, height=0.6,
              color=["#1a7f37" if v <= GOALS[n] else "#bf8700" if v <= 1 else "#cf222e" for n, v in zip(names, values)])
    for row, (name, value) in enumerate(zip(names, values)):
        axis.plot([GOALS[name]] * 2, [row - 0.38, row + 0.38], color="black", linewidth=1.6)
        is_close = 0 <= GOALS[name] - value < 0.08  # The goal's mark would stand in the figure.
        axis.text((GOALS[name] if is_close else value) + 0.015, row, f"{value:.2f}", va="center", fontsize=9)
    labels = []
    for name in names:
        work, precision, peer = name.split(".")
        what = "demo model, whole request" if work == "caption" else WORKS[work]
        labels.append(f"{what}, {precision}, {PEERS[peer]}")
    axis.set_yticks(range(len(names)), labels, fontsize=9)
    axis.invert_yaxis()
    axis.axvline(1, color="#8b949e", linewidth=1, linestyle="--")
    axis.set_xlim(0, max([1.05, *(v + 0.12 for v in values)]))
    axis.set_xlabel("MuE / the other, median; black: the goal; left of 1 MuE is ahead")
    axis.set_title(f"OFA-{report['size']}, 480 px, {report['threads']} threads of {report['machine']['processor']} "
                   f"({report['machine']['cpu']}), {report['date']}", fontsize=10)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    figure_.tight_layout()
    figure_.savefig(path, dpi=130)


def commit() -> str:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout.strip()
    return git("rev-parse", "--short", "HEAD") + (" with changes" if git("status", "--porcelain", "--untracked-files=no") else "")


def command() -> str:
    if "MAKELEVEL" not in os.environ:
        return " ".join(["Benchmarks/run.py", *sys.argv[1:]])
    options = os.environ.get("BENCH", "")
    return f"make bench BENCH='{options}'" if options else "make bench"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="base")
    parser.add_argument("--encoder", choices=("joint", "decomposed"), default="joint")
    parser.add_argument("--precisions", nargs="*", choices=list(PRECISION_PEERS), default=list(PRECISION_PEERS))
    parser.add_argument("--isas", nargs="*", default=["avx512", "avx2", "portable"], help="to be forced, where they can be")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--work", type=Path, default=ROOT / "build/bench", help="the folder of Benchmarks/ofa/prepare.py")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/results")
    args = parser.parse_args()
    folder = (args.work / f"{args.size}-{args.encoder}").resolve()
    if not (folder / "done").exists():
        raise SystemExit(f"{folder} is not there: Benchmarks/ofa/prepare.py --size {args.size} makes it")
    date = str(datetime.date.today())
    name = f"performance-{date}" + ("" if args.size == "base" else f"-{args.size}")
    report = {"date": date, "commit": commit(), "command": command(), "size": args.size, "threads": args.threads,
              "picture": f"{name}.png", "goals": GOALS}
    peaks = [limits.peaks(ROOFLINE, args.threads) if ROOFLINE.exists() else None]
    report["ofa"] = measure_ofa(folder, args)
    peaks.append(peaks[0] and limits.peaks(ROOFLINE, args.threads))
    report["demo"] = measure_demo(args)
    measured = next((m for m in [*report["ofa"].values(), report["demo"]] if "machine" in m), None)
    if measured is None:
        raise SystemExit("nothing could be measured")
    report["machine"] = measured["machine"]
    report["instruction_sets"] = measure_instruction_sets(folder, args, measured["machine"]["cpu"])
    report["roofline"] = roofline()
    report["peaks"] = limits.together(peaks) if all(peaks) else None
    report["limits"] = report["peaks"] and limits.limits(MUE, folder / "bundle", PICTURE, args.threads, args.precisions, report["peaks"],
                                                            report["roofline"])
    report["ratios"] = ratios(report)
    args.out.mkdir(parents=True, exist_ok=True)
    draw(report, args.out / f"{name}.png")
    (args.out / f"{name}.json").write_text(json.dumps(report, indent=1) + "\n")
    (args.out / f"{name}.md").write_text(markdown(report))
    print(markdown(report))


if __name__ == "__main__":
    main()
