"""The demo: captions, questions and hypotheses about the sample pictures, at full depth and with exits.

usage: demo.py MODEL SAMPLES COMMAND PICTURE

MODEL is a bundle, SAMPLES the folder with samples.json, COMMAND the mue command line, PICTURE the PNG to draw. First
everything runs through the command line, a process for each answer; then in this process through the Python package.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mue
from demo_picture import draw

# Taken until the model's mue.json has calibrated thresholds.
FALLBACK = (0.98, 0.95, 0.97)
COMMAND_LINE_RUNS = 3
PYTHON_RUNS = 7


@dataclass(frozen=True)
class Task:
    """One question about one picture: generated, or scored when it has answers."""

    kind: str
    image: Path
    prompt: str
    label: str
    answers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Run:
    """An answer, what it used (layers of each stream; the decoder's per token), and the time of the request."""

    text: str
    image: int
    text_layers: int
    decoder: tuple[int, ...]
    depth: tuple[int, int, int]
    macs: int
    milliseconds: float


@dataclass(frozen=True)
class Outcome:
    """A task at full depth and with exits; times are medians."""

    task: Task
    full: Run
    exits: Run

    @property
    def saving(self) -> float:
        """Share of the time that the exits saved; negative when they cost time."""
        return 1 - self.exits.milliseconds / self.full.milliseconds


def tasks(model: Path, samples: Path) -> list[Task]:
    """A caption, a question and a hypothesis for each picture."""
    answers = tuple(json.loads((model / "mue.json").read_text())["tasks"]["entailment"]["answers"])
    result = []
    for entry in json.loads((samples / "samples.json").read_text()):
        image = samples / entry["image"]
        question, hypothesis = entry["question"], entry["entailment"][0]
        result += [
            Task("caption", image, entry["caption"]["prompt"], "caption"),
            Task("question", image, question["prompt"], question["prompt"].strip()),
            Task("hypothesis", image, hypothesis["prompt"], f'"{hypothesis["hypothesis"]}"', answers),
        ]
    return result


def measure(work: list[Task], runs: int, once: Callable[[Task, bool], Run], warm_up: int) -> list[Outcome]:
    """Each task `runs` times at full depth and with exits in turn, and the median of the times; the first `warm_up`
    tasks once more beforehand."""
    outcomes = []
    for index, task in enumerate(work):
        if sys.stderr.isatty():
            print(f"\r{index + 1}/{len(work)}", end="", file=sys.stderr)
        if index < warm_up:
            once(task, False)
            once(task, True)
        pairs = [(once(task, False), once(task, True)) for _ in range(runs)]
        full, exits = (
            Run(**{**vars(side[0]), "milliseconds": statistics.median(run.milliseconds for run in side)})
            for side in zip(*pairs)
        )
        outcomes.append(Outcome(task, full, exits))
    if sys.stderr.isatty():
        print("\r", end="", file=sys.stderr)
    return outcomes


def through_command_line(command: str, model: Path, exits: str) -> Callable[[Task, bool], Run]:
    def once(task: Task, with_exits: bool) -> Run:
        line = [command, "score" if task.answers else "generate", str(model), "--image", str(task.image)]
        line += ["--prompt", task.prompt, "--exits", exits if with_exits else "off", "--json"]
        if task.answers:
            line += ["--answers", ",".join(task.answers)]
        done = subprocess.run(line, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"demo: {' '.join(line)}: {done.stderr.strip()}")
        return from_json(json.loads(done.stdout))

    return once


def from_json(report: dict[str, Any]) -> Run:
    exits, depth = report["exits"], report["depth"]
    return Run(
        report["text"].strip(),
        exits["image"],
        exits["text"],
        tuple(exits["decoder"]),
        (depth["image"], depth["text"], depth["decoder"]),
        report["macs"]["run"],
        report["time_ms"]["total"],
    )


def through_python(model: mue.Model, exits: mue.Exits) -> Callable[[Task, bool], Run]:
    def once(task: Task, with_exits: bool) -> Run:
        chosen: Any = exits if with_exits else "off"
        answer: mue.Generation | mue.Scoring
        if task.answers:
            answer = model.score(task.image, task.prompt, task.answers, exits=chosen)
        else:
            answer = model.generate(task.image, task.prompt, exits=chosen)
        return Run(
            answer.text.strip(),
            answer.exits.image,
            answer.exits.text,
            answer.exits.decoder,
            (answer.depth.image, answer.depth.text, answer.depth.decoder),
            answer.macs.run,
            answer.time_ms.total,
        )

    return once


def print_outcomes(outcomes: list[Outcome]) -> None:
    picture = None
    for outcome in outcomes:
        task = outcome.task
        if task.image != picture:
            picture = task.image
            print(f"\n{picture.name}")
        print(f"  {task.label}")
        for name, run in (("full depth", outcome.full), ("with exits", outcome.exits)):
            tokens = statistics.mean(run.decoder)
            print(
                f"    {name}  image {run.image}/{run.depth[0]}  text {run.text_layers}/{run.depth[1]}"
                f"  decoder {tokens:.1f}/{run.depth[2]}  {run.milliseconds:6.1f} ms  {run.text}")
        macs = 1 - outcome.exits.macs / outcome.full.macs
        print(f"    saved       {outcome.saving:.0%} of the time, {macs:.0%} of the multiply-adds")
    print()
    for kind, name in (("caption", "captions"), ("question", "questions"), ("hypothesis", "hypotheses")):
        print("  " + summary([outcome for outcome in outcomes if outcome.task.kind == kind], name))


def summary(outcomes: list[Outcome], name: str) -> str:
    full = sum(outcome.full.milliseconds for outcome in outcomes)
    exits = sum(outcome.exits.milliseconds for outcome in outcomes)
    macs = sum(outcome.exits.macs for outcome in outcomes) / sum(outcome.full.macs for outcome in outcomes)
    same = sum(outcome.full.text == outcome.exits.text for outcome in outcomes)
    return (
        f"{len(outcomes)} {name}: {full:.1f} ms at full depth, {exits:.1f} ms with exits: {1 - exits / full:.0%} of the "
        f"time and {1 - macs:.0%} of the multiply-adds saved; {same} answers unchanged")


def main(arguments: list[str]) -> None:
    if len(arguments) != 4:
        raise SystemExit(__doc__)
    bundle, samples, command, picture = Path(arguments[0]), Path(arguments[1]), arguments[2], Path(arguments[3])
    work = tasks(bundle, samples)
    with mue.open(bundle) as model:
        if model.inspect().get("exits"):
            option, exits, words = "calibrated", mue.Exits(), "calibrated thresholds of mue.json"
        else:
            option, exits = ",".join(map(str, FALLBACK)), mue.Exits(*FALLBACK)
            words = f"thresholds {option} (mue.json has no calibrated ones)"
        info = mue.system_info()
        print(f"MuE {info['version']}, {info['cpu']}, {info['threads']} threads; {words}")

        print(f"\n== Command line: a process for each answer, which is its first; median of {COMMAND_LINE_RUNS}")
        # Processes share nothing but the files in memory, so that one warms up for all.
        print_outcomes(measure(work, COMMAND_LINE_RUNS, through_command_line(command, bundle, option), 1))

        print(f"\n== Python: one process, warmed up; median of {PYTHON_RUNS}")
        outcomes = measure(work, PYTHON_RUNS, through_python(model, exits), len(work))
        print_outcomes(outcomes)
        picture.parent.mkdir(parents=True, exist_ok=True)
        captions = [outcome for outcome in outcomes if outcome.task.kind == "caption"]
        precision = model.generate(work[0].image, work[0].prompt).precision
        footer = f"MuE {info['version']}, {info['cpu']}, {info['threads']} threads, {precision}; {words}; "
        footer += f"times in Python, warm, median of {PYTHON_RUNS}"
        load, cores = os.getloadavg()[0], int(info["cores"])
        if load > 2 * cores:
            footer += f"; on a busy machine: load {load:.0f} on {cores} cores"
        draw(picture, outcomes, summary(captions, "captions"), footer)
        print(f"\nwrote {picture}")


if __name__ == "__main__":
    main(sys.argv[1:])
