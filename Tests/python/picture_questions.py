"""Pictures with one caption prompt, hypotheses and a question each, for tests and measurements."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class PictureQuestions:
    image: Path
    caption: str
    hypotheses: tuple[str, ...]
    question: str

    @property
    def prompts(self) -> tuple[str, ...]:
        return (self.caption, *self.hypotheses, self.question)


def picture_questions(count: int, folder: Path, split: str = "heldout") -> list[PictureQuestions]:
    """`count` pictures of an evaluation split, drawn anew from the font; the committed samples when it is missing."""
    from training.things import FONT_PATH
    if not Path(FONT_PATH).exists():
        samples = ROOT / "models/demo/samples"
        return [PictureQuestions(samples / s["image"], s["caption"]["prompt"],
                                 tuple(e["prompt"] for e in s["entailment"]), s["question"]["prompt"])
                for s in json.loads((samples / "samples.json").read_text())][:count]
    from PIL import Image
    from training.items import make_items, records
    found = []
    for index, item in enumerate(make_items(split, count)):
        path = folder / f"{split}-{index:05}.png"
        Image.fromarray(item.picture).save(path)
        prompts = [r["prompt"] for r in records(item, path.name)]
        found.append(PictureQuestions(path, prompts[0], tuple(prompts[1:-1]), prompts[-1]))
    return found
