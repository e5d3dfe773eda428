"""The quality tables of the model card: `python -m training.card models/demo` reads evaluation.json, prints Markdown."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

NAMES = {"heldout": "held-out pairs", "test": "pairs of the training kind"}


def percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def quality_table(report: dict) -> str:
    columns = [(split, mode) for split in report for mode in ("full", "exits") if mode in report[split]]
    heads = [f"{NAMES[split]}, {'full depth' if mode == 'full' else 'with exits'}" for split, mode in columns]
    rows: list[tuple[str, list[str]]] = []

    def row(name: str, value) -> None:
        rows.append((name, [value(report[split][mode], report[split]) for split, mode in columns]))
    row("captions exactly right", lambda r, s: percent(r["captions_exact"]))
    row("right things in any words or order", lambda r, s: percent(r["captions_things"]))
    row("CIDEr-D x 100, against all references", lambda r, s: f"{r['cider_d']:.0f}")
    row("CIDEr-D x 100, against the others", lambda r, s: f"{r['cider_d_others']:.0f}")
    row("the same of a reference", lambda r, s: f"{r['cider_d_reference']:.0f}")
    row("share of it", lambda r, s: percent(r["cider_d_share"]))
    row("**entailment**", lambda r, s: percent(r["entailment"]["accuracy"]))
    row("yes / no / maybe", lambda r, s: " / ".join(f"{100 * v:.0f}" for v in r["entailment"]["labels"].values()))
    row("answered from `<s>` instead", lambda r, s: percent(r["entailment_from_start"]))
    row("control: text-only optimum, wording / exact text", lambda r, s: " / ".join(
        percent(v) for v in s["text_only_optimum"].values()))
    row("control: pictures shuffled", lambda r, s: percent(s["shuffled_pictures"]["entailment"]))
    row("**short questions**", lambda r, s: percent(r["questions"]["accuracy"]))
    row("control: pictures shuffled", lambda r, s: percent(s["shuffled_pictures"]["questions"]))
    lines = ["| | " + " | ".join(heads) + " |", "|---|" + "---|" * len(heads)]
    return "\n".join(lines + [f"| {name} | " + " | ".join(values) + " |" for name, values in rows])


def forms_table(report: dict, split: str = "heldout") -> str:
    full = report[split]["full"]
    parts = [f"{kind}: " + ", ".join(f"{form} {100 * v:.0f}" for form, v in full[key]["forms"].items())
             for kind, key in (("entailment", "entailment"), ("questions", "questions"))]
    return "Accuracy by form, %, full depth, held-out pairs. " + "; ".join(parts) + "."


def depth_table(report: dict, split: str = "heldout") -> str:
    lines = ["| held-out pairs, with exits | image | text | decoder | ETR |", "|---|---|---|---|---|"]
    for task, d in report[split]["exits"]["depths"].items():
        lines.append(f"| {task} | {d['image']:.2f} / 6 | {d['text']:.2f} / 6 | {d['decoder']:.2f} / 6 | {percent(d['etr'])} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    report = json.loads((parser.parse_args().bundle / "evaluation.json").read_text())
    report = {split: report[split] for split in NAMES}
    print("\n\n".join([quality_table(report), forms_table(report), depth_table(report)]))


if __name__ == "__main__":
    main()
