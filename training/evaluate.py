"""Quality of a bundle: `python -m training.evaluate models/demo [--count 600] [--json OUT.json]`.

Captions exactly right and CIDEr-D, entailment with its controls, short questions; on held-out pairs and on pairs of
the training kind, at full depth and with the calibrated exits.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

import torch
from tqdm import tqdm

from .answering import Answers, answer
from .cider import CiderD
from .controls import text_only_optimum
from .exits import Exits
from .init_from_onnx import load_exported
from .items import EVALUATION_SEED, Item, make_items
from .language import LABELS
from .model import UnifiedModel
from .tokenizer import TextCodec


def caption_scores(items: list[Item], said: list[str]) -> dict[str, float]:
    """CIDEr-D is printed times 100.  `cider_d_others` leaves out a reference equal to the caption itself."""
    metric, count = CiderD([i.captions for i in items]), len(items)
    against_others = [metric.score(c, [r for r in i.captions if r != c]) for i, c in zip(items, said)]
    references = [metric.score(r, [o for o in i.captions if o != r]) for i in items for r in i.captions]
    reference = 100 * sum(references) / len(references)
    others = 100 * sum(against_others) / count
    return {
        "captions_exact": sum(c in i.captions for i, c in zip(items, said)) / count,
        "captions_things": sum(_things(c) == _things(i.captions[0]) for i, c in zip(items, said)) / count,
        "cider_d": 100 * sum(metric.score(c, i.captions) for i, c in zip(items, said)) / count,
        "cider_d_others": others, "cider_d_reference": reference, "cider_d_share": others / reference}


def _things(caption: str) -> set[str]:
    """The nouns of a caption in any order and wording."""
    from .controls import _nouns
    return set(_nouns()[0].findall(caption))


def label_scores(items: list[Item], said: list[str]) -> dict:
    """Accuracy in all, by label and by form of hypothesis."""
    made = [h for i in items for h in i.hypotheses]
    right = Counter()
    for h, label in zip(made, said):
        right.update({"all": h.label == label, ("label", h.label): h.label == label, ("form", h.form): h.label == label})
    counts = Counter([("label", h.label) for h in made] + [("form", h.form) for h in made])
    return {"accuracy": right["all"] / len(made),
            "labels": {label: right["label", label] / max(1, counts["label", label]) for label in LABELS},
            "forms": {form: right["form", form] / n for (kind, form), n in sorted(counts.items()) if kind == "form"}}


def question_scores(items: list[Item], said: list[str]) -> dict:
    right = Counter((i.question.form, i.question.answer == s) for i, s in zip(items, said))
    forms = sorted({form for form, _ in right})
    return {"accuracy": sum(n for (_, ok), n in right.items() if ok) / len(items),
            "forms": {f: right[f, True] / (right[f, True] + right[f, False]) for f in forms}}


def depths(found: Answers, layers: int) -> dict:
    """Mean layers of each stream and the paper's ETR, by task."""
    report = {}
    for task in sorted({d[0] for d in found.depths}):
        rows = [d for d in found.depths if d[0] == task]
        deep = [n for d in rows for n in d[3]]
        report[task] = {"image": sum(d[1] for d in rows) / len(rows), "text": sum(d[2] for d in rows) / len(rows),
                        "decoder": sum(deep) / len(deep), "etr": found.expected_time_reduction(layers, task)}
    return report


def scores(model: UnifiedModel, items: list[Item], found: Answers) -> dict:
    return {**caption_scores(items, found.captions), "entailment": label_scores(items, found.labels),
            "entailment_from_start": label_scores(items, found.labels_from_start)["accuracy"],
            "questions": question_scores(items, found.questions), "depths": depths(found, model.config.encoder_layers)}


def evaluate(model: UnifiedModel, split: str, count: int, exits: Exits | None, controls: bool = True,
             seed: int = EVALUATION_SEED) -> dict:
    codec, items = TextCodec(), make_items(split, count, seed)
    report = {"pictures": count, "full": scores(model, items, answer(model, codec, items))}
    if exits:
        report["exits"] = scores(model, items, answer(model, codec, items, exits))
    if controls:
        pictures = [i.picture for i in items]
        shuffled = answer(model, codec, items, Exits(), pictures[1:] + pictures[:1])
        report["shuffled_pictures"] = {
            "entailment": label_scores(items, shuffled.labels)["accuracy"],
            "questions": question_scores(items, shuffled.questions)["accuracy"],
            "captions_exact": caption_scores(items, shuffled.captions)["captions_exact"]}
        report["text_only_optimum"] = text_only_optimum(split)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--checkpoint", type=Path, help="evaluate this training checkpoint instead of model.onnx")
    parser.add_argument("--splits", nargs="+", default=["heldout", "test"])
    parser.add_argument("--count", type=int, default=600)
    parser.add_argument("--seed", type=int, default=EVALUATION_SEED, help="other pictures of the same splits")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-controls", action="store_true")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    exits = None
    if args.checkpoint:
        from .export import trained_model
        from .onnx_graph import folded
        model = folded(trained_model(args.checkpoint))
    else:
        model = load_exported(args.bundle)
        settings = json.loads((args.bundle / "mue.json").read_text())
        exits = Exits.from_json(settings["exits"]["calibrated"]) if "exits" in settings else None
    report = {split: evaluate(model, split, args.count, exits, not args.no_controls, args.seed)
              for split in tqdm(args.splits, unit="split")}
    text = json.dumps(report, indent=1, default=float)
    print(text)
    if args.json:
        args.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
