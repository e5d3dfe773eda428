"""The items of an evaluation split: every scene with its captions, three hypotheses and one question."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .draw import draw
from .language import (CAPTION_PROMPT, ENTAILMENT_PROMPT, LABELS, Hypothesis, Question, captions, hypothesis, question)
from .scenes import Scene, make_scene, scene_rng

HYPOTHESES_EACH = 3
EVALUATION_SEED = 5


@dataclass
class Item:
    """One picture and what is asked about it."""

    scene: Scene
    picture: np.ndarray
    captions: list[str]
    hypotheses: list[Hypothesis]
    question: Question


def make_items(split: str, count: int, seed: int = EVALUATION_SEED) -> list[Item]:
    items = []
    for index in range(count):
        rng = scene_rng(split, seed, index)
        scene = make_scene(rng, split)
        items.append(Item(scene, draw(scene), captions(scene),
                          [hypothesis(rng, scene) for _ in range(HYPOTHESES_EACH)], question(rng, scene)))
    return items


def records(item: Item, image: str) -> list[dict]:
    """The item as lines of data.jsonl: one for the caption, each hypothesis and the question."""
    lines = [{"image": image, "task": "caption", "prompt": f" {CAPTION_PROMPT}", "references": item.captions,
              "exact": item.captions}]
    for made in item.hypotheses:
        prompt = " " + ENTAILMENT_PROMPT.format(hypothesis=made.text)
        lines.append({"image": image, "task": "entailment", "prompt": prompt, "hypothesis": made.text,
                      "form": made.form, "references": [made.label], "answers": [f" {label}" for label in LABELS]})
    lines.append({"image": image, "task": "vqa", "prompt": f" {item.question.text}", "form": item.question.form,
                  "references": [item.question.answer]})
    return lines
