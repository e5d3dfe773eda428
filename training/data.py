"""Write a split as a folder: `python -m training.data OUT --split heldout --count 500`.

PNG files and data.jsonl, a line per item: {"image", "prompt", "task": caption|entailment|vqa, "references", ...},
closed sets with "answers", captions with every caption that is exactly right in "exact".  `--samples` writes the few
pictures and the samples.json of models/demo instead.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from .items import EVALUATION_SEED, Item, make_items, records
from .scenes import SPLITS

SAMPLE_SEED = 9


def write_split(out: Path, split: str, count: int, seed: int) -> None:
    out.mkdir(parents=True, exist_ok=True)
    with (out / "data.jsonl").open("w") as lines:
        for index, item in enumerate(tqdm(make_items(split, count, seed), unit="picture")):
            name = f"{split}-{index:05}.png"
            Image.fromarray(item.picture).save(out / name)
            for record in records(item, name):
                lines.write(json.dumps(record) + "\n")


def write_samples(out: Path, split: str, count: int) -> None:
    """Pictures for a demonstration, with prompts and the truth about each."""
    out.mkdir(parents=True, exist_ok=True)
    entries = []
    for index, item in enumerate(_varied(make_items(split, 40 * count, SAMPLE_SEED), count)):
        name = f"scene-{index + 1}.png"
        Image.fromarray(item.picture).save(out / name, optimize=True)
        lines = records(item, name)
        entries.append({
            "image": name, "caption": {"prompt": lines[0]["prompt"], "references": item.captions},
            "entailment": [{"hypothesis": h.text, "prompt": r["prompt"], "label": h.label}
                           for h, r in zip(item.hypotheses[:2], lines[1:])],
            "question": {"prompt": lines[-1]["prompt"], "answer": item.question.answer}})
    (out / "samples.json").write_text(json.dumps(entries, indent=2) + "\n")


def _varied(items: list[Item], count: int) -> list[Item]:
    """Pictures that differ in number of things, background, forms and labels."""
    chosen: list[Item] = []
    seen: set = set()
    while len(chosen) < count:
        def news(item: Item) -> int:
            return len(_traits(item) - seen)
        best = max((i for i in items if all(i is not c for c in chosen)), key=news)
        chosen.append(best)
        seen |= _traits(best)
    return chosen


def _traits(item: Item) -> set:
    shape = (len(item.scene.placed), len(item.scene.groups))
    return {shape, item.scene.background, item.question.form, *item.scene.kinds,
            *((h.form, h.label) for h in item.hypotheses[:2])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--split", choices=list(SPLITS), default="heldout",
                        help="heldout: pairs never seen in training; test: pairs of the training kind")
    parser.add_argument("--count", type=int, default=500, help="pictures")
    parser.add_argument("--seed", type=int, default=EVALUATION_SEED)
    parser.add_argument("--samples", action="store_true")
    args = parser.parse_args()
    if args.samples:
        write_samples(args.out, args.split, args.count)
    else:
        write_split(args.out, args.split, args.count, args.seed)
    print(f"{args.out}: {args.count} pictures of {args.split}")


if __name__ == "__main__":
    main()
