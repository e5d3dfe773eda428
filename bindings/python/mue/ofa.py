"""Prompts of OFA's tasks, with the text preprocessing of its authors.

    from mue import ofa

    model.generate(picture, ofa.caption())
    model.score(picture, ofa.entailment("there is a ship"), ofa.ENTAILMENT_ANSWERS)
    model.score(picture, ofa.vqa("How many ships?"), ofa.answers(["one", "two"]), normalize="answers")
    model.generate(picture, ofa.grounding("the red ship")).boxes

Source: data/ofa_dataset.py and data/mm_data/*_dataset.py of the OFA repository.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

ENTAILMENT_ANSWERS = (" yes", " no", " maybe")
"""Entailment, contradiction, neutral."""


def caption() -> str:
    """What a picture is described with."""
    return " what does the image describe?"


def vqa(question: str, max_words: int = 128) -> str:
    """A question about a picture, with a question mark at its end."""
    text = _cleaned(question, max_words)
    return f" {text}" if text.endswith("?") else f" {text}?"


def entailment(hypothesis: str, caption: str | None = None, max_words: int = 80) -> str:
    """Whether a picture, or a picture and its caption, imply a sentence; answered by one of `ENTAILMENT_ANSWERS`."""
    text = _described(hypothesis, max_words)
    if caption is None:
        return f' does the image describe " {text} "?'
    return f' can image and text1 " {_described(caption, max_words)} " imply text2 " {text} "?'


def grounding(expression: str, max_words: int = 80) -> str:
    """Where in a picture something is; answered by a box."""
    return f' which region does the text " {_described(expression, max_words)} " describe?'


def answers(words: Iterable[str]) -> list[str]:
    """Answers as the model says them: with a space in front."""
    return [f" {word}" for word in words]


def _described(text: str, max_words: int) -> str:
    """pre_caption: `<person>` stands for a name that was taken out."""
    return _cleaned(text, max_words, person=True)


def _cleaned(text: str, max_words: int, person: bool = False) -> str:
    """pre_question: small letters, no punctuation in front, no hyphens and slashes, single spaces, `max_words` words."""
    text = text.lower().lstrip(",.!?*#:;~").replace("-", " ").replace("/", " ")
    if person:
        text = text.replace("<person>", "person")
    text = re.sub(r"\s{2,}", " ", text).rstrip("\n").strip(" ")
    return " ".join(text.split(" ")[:max_words])
