"""A model's answers to evaluation items, in batches of pictures, with or without exits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from .batches import entailment_source, normalise, padded, to_pixels
from .bundle import ANSWER_TOKENS, CAPTION_TOKENS
from .exits import Exits
from .generation import Encoded, encode, generate, score_prefixed
from .items import Item
from .language import CAPTION_PROMPT, LABELS
from .model import PAD, UnifiedModel
from .tokenizer import TextCodec

BATCH = 50


@dataclass
class Answers:
    """What the model said, item by item, and how deep it went: (task, image, text, [decoder layers])."""

    captions: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    labels_from_start: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    depths: list[tuple[str, int, int, list[int]]] = field(default_factory=list)

    def note(self, task: str, encoded: Encoded, decoder: list[list[int]]) -> None:
        self.depths += zip([task] * len(decoder), encoded.image_layers.tolist(), encoded.text_layers.tolist(), decoder)

    def expected_time_reduction(self, layers: int, task: str | None = None) -> float:
        """The paper's count of layers saved: every token costs the mean encoder depth and its own decoder depth."""
        rows = [(p, q, n) for t, p, q, deep in self.depths if task in (None, t) for n in deep]
        return 1 - sum((p + q) / 2 + n for p, q, n in rows) / (2 * layers * len(rows))


def chunks(items: list[Item]) -> Iterator[list[Item]]:
    for first in range(0, len(items), BATCH):
        yield items[first : first + BATCH]


def answer(model: UnifiedModel, codec: TextCodec, items: list[Item], exits: Exits = Exits(),
           pictures: list[np.ndarray] | None = None, tasks: tuple[str, ...] = ("caption", "entailment", "vqa")) -> Answers:
    """Answer everything about `items`; `pictures` stands in for their own (the shuffled control)."""
    found, done = Answers(), 0
    for chunk in chunks(items):
        images = [i.picture for i in chunk] if pictures is None else pictures[done : done + len(chunk)]
        done += len(chunk)
        pixels = normalise(to_pixels(images))
        if "caption" in tasks:
            _captions(model, codec, chunk, pixels, exits, found)
        if "entailment" in tasks:
            _entailment(model, codec, chunk, pixels, exits, found)
        if "vqa" in tasks:
            _questions(model, codec, chunk, pixels, exits, found)
    return found


def _captions(model: UnifiedModel, codec: TextCodec, chunk: list[Item], pixels: Tensor, exits: Exits, found: Answers) -> None:
    ids = torch.tensor([codec.source(CAPTION_PROMPT)] * len(chunk))
    encoded = encode(model, pixels, ids, exits)
    tokens, depths = generate(model, encoded, exits, CAPTION_TOKENS)
    found.captions += [codec.decode(t) for t in tokens]
    found.note("caption", encoded, depths)


def _entailment(model: UnifiedModel, codec: TextCodec, chunk: list[Item], pixels: Tensor, exits: Exits, found: Answers) -> None:
    sources = [entailment_source(codec, h.text) for item in chunk for h in item.hypotheses]
    each = len(sources) // len(chunk)
    encoded = encode(model, pixels.repeat_interleave(each, 0), padded(sources, PAD), exits)
    labels = torch.tensor([codec.single(label) for label in LABELS])
    logits, depths = score_prefixed(model, encoded, padded([s[:-1] for s in sources], PAD), exits)
    found.labels += [LABELS[i] for i in logits[:, labels].argmax(-1).tolist()]
    found.note("entailment", encoded, [[d] for d in depths.tolist()])
    start = torch.zeros(len(sources), 1, dtype=torch.long)
    from_start, _ = score_prefixed(model, encoded, start, exits)
    found.labels_from_start += [LABELS[i] for i in from_start[:, labels].argmax(-1).tolist()]


def _questions(model: UnifiedModel, codec: TextCodec, chunk: list[Item], pixels: Tensor, exits: Exits, found: Answers) -> None:
    ids = padded([codec.source(item.question.text) for item in chunk], PAD)
    encoded = encode(model, pixels, ids, exits)
    tokens, depths = generate(model, encoded, exits, ANSWER_TOKENS)
    found.questions += [codec.decode(t) for t in tokens]
    found.note("vqa", encoded, depths)
