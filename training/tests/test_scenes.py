"""Scenes: determinism, splits, the names of things."""

import os
from collections import Counter

import numpy as np
import pytest

from training.scenes import SPLITS, is_heldout, make_scene, scene_rng
from training.things import CLDR_PATH, FONT_PATH, THINGS, cldr_names


def scenes(split: str, count: int = 400) -> list:
    return [make_scene(scene_rng(split, 3, i), split) for i in range(count)]


def test_scenes_are_reproducible_and_differ_between_splits():
    for split in SPLITS:
        assert scenes(split, 20) == scenes(split, 20)
    everything = [s for split in SPLITS for s in scenes(split)]
    assert len({(s.placed, s.background) for s in everything}) == len(everything)


def test_held_out_pairs_never_meet_in_training():
    for split in ("train", "calibration", "test"):
        assert not any(s.has_heldout_pair() for s in scenes(split))
    assert all(s.has_heldout_pair() for s in scenes("heldout"))
    share = np.mean([is_heldout(a, b) for a in range(len(THINGS)) for b in range(a)])
    assert 0.07 < share < 0.13


def test_the_number_of_things_is_uniform():
    counts = Counter(len(s.placed) for s in scenes("train", 2000))
    assert all(abs(counts[n] / 2000 - 0.25) < 0.04 for n in (1, 2, 3, 4))


@pytest.mark.skipif(not os.path.exists(CLDR_PATH), reason="needs Debian's unicode-cldr-core")
def test_every_noun_is_a_cldr_name():
    names = cldr_names()
    assert len(THINGS) >= 100 and len({t.name for t in THINGS}) == len(THINGS)
    assert [t.name for t in THINGS if t.name not in names.get(t.emoji, set())] == []


@pytest.mark.skipif(not os.path.exists(FONT_PATH), reason="needs Debian's fonts-noto-color-emoji")
def test_pictures_are_reproducible_and_show_the_things():
    from training.draw import cell_labels, draw
    for scene in scenes("heldout", 10):
        picture = draw(scene)
        assert picture.shape == (112, 112, 3) and picture.dtype == np.uint8
        assert (picture == draw(scene)).all()
        assert set(cell_labels(scene)) - {-1} <= scene.kinds
        assert len(set(cell_labels(scene)) - {-1}) == len(scene.kinds)
