"""Prompts of OFA: what its authors' code makes of the same texts, worked out by hand from data/ofa_dataset.py."""

from __future__ import annotations

import pytest

import mue
from mue import ofa


@pytest.mark.parametrize("question, prompt", [
    ("What is this?", " what is this?"),
    ("What is this", " what is this?"),
    ("  ?", " ?"),
    ("...Is it a T-shirt/top ??", " is it a t shirt top ??"),
    ("a\t\tb\n", " a b?"),
    ("a\tb", " a\tb?"),
    ("a - b\n\n", " a b?"),
    ("", " ?"),
])
def test_questions(question: str, prompt: str) -> None:
    assert ofa.vqa(question) == prompt


def test_words_are_counted_between_spaces() -> None:
    assert ofa.vqa(" ".join("abcdef"), max_words=4) == " a b c d?"
    assert ofa.grounding("one two three", max_words=2) == ' which region does the text " one two " describe?'


def test_prompts() -> None:
    assert ofa.caption() == " what does the image describe?"
    assert ofa.entailment("A <PERSON> runs.") == ' does the image describe " a person runs. "?'
    assert ofa.entailment("It's late", "#Two-men") == ' can image and text1 " two men " imply text2 " it\'s late "?'
    assert ofa.grounding("~The left one") == ' which region does the text " the left one " describe?'
    assert ofa.answers(["yes", "no"]) == [" yes", " no"]


def test_the_demo_model_knows_them(model: mue.Model, samples: list[dict]) -> None:
    for entry in samples[:2]:
        assert entry["caption"]["prompt"] == ofa.caption()
    verdict = model.score(samples[0]["path"], ofa.entailment("there is a dog"), ofa.ENTAILMENT_ANSWERS)
    assert verdict.text in ofa.ENTAILMENT_ANSWERS and len(verdict.exits.decoder) == 1
