"""CIDEr-D against a value worked out by hand."""

import math

import pytest

from training.cider import CiderD


def test_hand_worked_example():
    # Two pictures.  "a" is in both (idf 0), every other n-gram in one (idf ln 2).
    metric = CiderD([["a red dog"], ["a cat"]])
    # Caption "a red cat" for "a red dog", 3 words each, no length penalty:
    #   n=1: caption {a:0, red:ln2, cat:ln2}, reference {a:0, red:ln2, dog:ln2}: (ln2)^2 / (2 (ln2)^2) = 1/2
    #   n=2: caption {a red:ln2, red cat:ln2 (unseen: df 1 by convention)}, reference {a red, red dog}: 1/2
    #   n=3: no n-gram in common: 0;  n=4: none at all: 0
    assert metric.score("a red cat", ["a red dog"]) == pytest.approx(10 * (1 / 2 + 1 / 2) / 4)


def test_clipping_and_length_penalty():
    metric = CiderD([["dog dog"], ["cat"]])
    # Caption "dog dog dog dog" (4 words) for "dog dog" (2): n=1 min(4, 2) * 2 / (4 * 2) = 1/2;
    # n=2 "dog dog" three times against once: 1 * 1 / (3 * 1) = 1/3, for its idf is ln 2 as well; n=3 and 4: 0
    # times exp(-(2^2) / (2 * 6^2)) = exp(-1/18)
    expected = 10 / 4 * (1 / 2 + 1 / 3) * math.exp(-1 / 18)
    assert metric.score("dog dog dog dog", ["dog dog"]) == pytest.approx(expected)


def test_an_exact_caption_of_four_words_reaches_ten():
    metric = CiderD([["two red dogs bark"], ["one blue cat sleeps"]])
    assert metric.score("two red dogs bark", ["two red dogs bark"]) == pytest.approx(10)
    assert metric.score("one blue cat sleeps", ["two red dogs bark"]) == 0
