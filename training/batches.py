"""Training batches: pictures, and several texts for each on one pass of the stem and the image encoder."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from .draw import cell_labels, draw
from .language import (CAPTION_PROMPT, ENTAILMENT_PROMPT, HARD_HYPOTHESES, HARD_QUESTIONS, HYPOTHESES, QUESTIONS, captions,
                       hypothesis, question)
from .model import BOS, EOS, PAD
from .scenes import make_scene, scene_rng
from .tokenizer import TextCodec

IGNORED = -100
CAPTIONS = 2  # for one picture
# early and late in training: hypotheses answered after the prompt, questions, hypotheses answered from <s>
EARLY, LATE = (2, 1, 1), (1, 2, 1)


@dataclass
class TextGroup:
    """Texts of one kind: sources [n, T], decoder inputs [n, L] and targets [n, L] (-100: no loss)."""

    source: Tensor
    decoder_input: Tensor
    target: Tensor

    def to(self, device: torch.device) -> TextGroup:
        return TextGroup(*(getattr(self, f.name).to(device) for f in fields(self)))


@dataclass
class Batch:
    pixels: Tensor  # uint8 [B, 3, S, S]
    cells: Tensor  # [B, N], -1 for background
    captions: TextGroup
    hypotheses: TextGroup
    answers: TextGroup

    def to(self, device: torch.device) -> Batch:
        return Batch(*(getattr(self, f.name).to(device) for f in fields(self)))


def padded(rows: list[tuple[int, ...]], value: int) -> Tensor:
    length = max(map(len, rows))
    return torch.tensor([(*row, *[value] * (length - len(row))) for row in rows])


def normalise(pixels: Tensor) -> Tensor:
    """uint8 0...255 -> float -1...1, as preprocessor_config.json says."""
    return pixels.to(torch.float32) / 127.5 - 1


def to_pixels(images: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


def entailment_source(codec: TextCodec, text: str) -> tuple[int, ...]:
    return codec.source(ENTAILMENT_PROMPT.format(hypothesis=text))


def generated(codec: TextCodec, text: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Decoder input and target of a text that is generated from <s>."""
    ids = codec.encode(text)
    return (BOS, *ids), (*ids, EOS)


def prefixed(codec: TextCodec, source: tuple[int, ...], answer: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """OFA's form for entailment: the decoder reads the source without its end, the answer follows it."""
    prefix = source[:-1]
    return prefix, (*[IGNORED] * (len(prefix) - 1), codec.single(answer))


def make_batch(codec: TextCodec, split: str, seed: int, first: int, size: int, easy: float = 0.0,
               late: bool = False) -> Batch:
    """The pictures `first` ... `first + size - 1` of a split; a share `easy` of them has one or two things.

    `late`: entailment is learnt by then, so fewer hypotheses of harder forms, and more questions.
    """
    prompted, questions, from_start = LATE if late else EARLY
    hypothesis_forms, question_forms = (HARD_HYPOTHESES, HARD_QUESTIONS) if late else (HYPOTHESES, QUESTIONS)
    images, cells = [], []
    rows: dict[str, list[tuple]] = {"captions": [], "hypotheses": [], "answers": []}
    for index in range(first, first + size):
        rng = scene_rng(split, seed, index)
        scene = make_scene(rng, split, rng.random() < easy)
        images.append(draw(scene))
        cells.append(cell_labels(scene))
        for text in rng.sample(captions(scene), CAPTIONS):
            rows["captions"].append((codec.source(CAPTION_PROMPT), *generated(codec, text)))
        for _ in range(prompted):
            made = hypothesis(rng, scene, hypothesis_forms)
            source = entailment_source(codec, made.text)
            rows["hypotheses"].append((source, *prefixed(codec, source, made.label)))
        for _ in range(questions):
            asked = question(rng, scene, question_forms)
            rows["answers"].append((codec.source(asked.text), *generated(codec, asked.answer)))
        for _ in range(from_start):
            made = hypothesis(rng, scene)
            rows["answers"].append((entailment_source(codec, made.text), *generated(codec, made.label)))
    rows["captions"] = [(r[0] if i == 0 else (), *r[1:]) for i, r in enumerate(rows["captions"])]
    groups = {name: TextGroup(padded([r[0] for r in group if r[0]], PAD), padded([r[1] for r in group], PAD),
                              padded([r[2] for r in group], IGNORED)) for name, group in rows.items()}
    return Batch(to_pixels(images), torch.from_numpy(np.stack(cells)), **groups)
