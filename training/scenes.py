"""Random emoji scenes: which things, how many, where, on what background.

A scene is decided by `(split, seed, index)` alone, so every split can be made again anywhere.  Some pairs of kinds
are held out: they never meet in a training or calibration scene, and every scene of `heldout` has such a pair.
Counts are drawn so that a number named in a hypothesis says nothing about its truth: the number of things, and
the size of a repeated group, are uniform over what a split can show.
"""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass
from functools import cached_property

from .things import THINGS

IMAGE_SIZE = 112
BACKGROUNDS: dict[str, tuple[int, int, int]] = {
    "white": (246, 246, 246), "gray": (140, 140, 140), "black": (22, 22, 22), "red": (205, 45, 45),
    "yellow": (245, 220, 70), "green": (70, 165, 75), "blue": (55, 105, 215), "purple": (140, 70, 175),
}
SPLITS = {"train": 1, "calibration": 2, "test": 3, "heldout": 4}
HELDOUT_SHARE = 0.1

# (number of things, size of the repeated group or 1) -> probability
_SHAPES = {
    "any": {(1, 1): .25, (2, 1): .20, (3, 1): .16, (4, 1): .09, (2, 2): .05, (3, 2): .03, (4, 2): .02,
            (3, 3): .06, (4, 3): .04, (4, 4): .10},
    "heldout": {(2, 1): 1 / 3, (3, 1): .7 / 3, (4, 1): .4 / 3, (3, 2): .10, (4, 2): .05, (4, 3): .15},
    "easy": {(1, 1): .45, (2, 1): .35, (2, 2): .20},
}


def is_heldout(a: int, b: int) -> bool:
    """Whether the kinds `a` and `b` (indices into THINGS) must not meet in training."""
    first, second = sorted((THINGS[a].name, THINGS[b].name))
    return zlib.crc32(f"{first}+{second}".encode()) % 1000 < 1000 * HELDOUT_SHARE


@dataclass(frozen=True)
class Placed:
    """One thing in the picture: centre, size and rotation in pixels and degrees."""

    kind: int
    x: int
    y: int
    size: int
    angle: int


@dataclass(frozen=True)
class Group:
    """All things of one kind in a scene."""

    kind: int
    members: tuple[Placed, ...]

    @property
    def count(self) -> int:
        return len(self.members)


@dataclass(frozen=True)
class Scene:
    placed: tuple[Placed, ...]
    background: str
    noise_seed: int

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The kinds from left to right, by each kind's leftmost member."""
        kinds: dict[int, list[Placed]] = {}
        for item in sorted(self.placed, key=lambda p: p.x):
            kinds.setdefault(item.kind, []).append(item)
        return tuple(Group(k, tuple(m)) for k, m in kinds.items())

    @property
    def kinds(self) -> set[int]:
        return {p.kind for p in self.placed}

    def has_heldout_pair(self) -> bool:
        kinds = sorted(self.kinds)
        return any(is_heldout(a, b) for i, a in enumerate(kinds) for b in kinds[i + 1:])


def scene_rng(split: str, seed: int, index: int) -> random.Random:
    return random.Random((SPLITS[split] << 56) ^ (seed << 40) ^ index)


def make_scene(rng: random.Random, split: str, easy: bool = False) -> Scene:
    """Draw one scene of a split; `easy` ones have one or two things, for the first steps of training."""
    shapes = _SHAPES["easy" if easy else "heldout" if split == "heldout" else "any"]
    count, repeat = rng.choices(list(shapes), weights=list(shapes.values()))[0]
    kinds = _choose_kinds(rng, count - repeat + 1, split == "heldout")
    kinds = kinds[:1] * (repeat - 1) + kinds
    rng.shuffle(kinds)
    return Scene(_place(rng, kinds), rng.choice(list(BACKGROUNDS)), rng.getrandbits(30))


def _choose_kinds(rng: random.Random, count: int, heldout: bool) -> list[int]:
    while True:
        kinds = rng.sample(range(len(THINGS)), count)
        pairs = [(a, b) for i, a in enumerate(kinds) for b in kinds[i + 1:]]
        if any(is_heldout(a, b) for a, b in pairs) == heldout:
            return kinds


def _place(rng: random.Random, kinds: list[int]) -> tuple[Placed, ...]:
    """Positions without overlap, kinds at least 14 pixels apart from left to right."""
    low, high = {1: (40, 84), 2: (32, 56), 3: (30, 46), 4: (28, 40)}[len(kinds)]
    for attempt in range(10_000):
        if attempt % 40 == 39:
            high = max(low, high - 2)
        placed: list[Placed] = []
        for kind in kinds:
            size = rng.randrange(low, high + 1, 2)
            margin = size // 2
            item = Placed(kind, rng.randint(margin, IMAGE_SIZE - margin), rng.randint(margin, IMAGE_SIZE - margin),
                          size, rng.choice((-20, -10, 0, 0, 10, 20)))
            if any(not _clear(item, other) for other in placed):
                break
            placed.append(item)
        else:
            return tuple(placed)
    raise RuntimeError(f"no room for {len(kinds)} things")


def _clear(a: Placed, b: Placed) -> bool:
    apart = (a.size + b.size) * 0.47
    if a.kind != b.kind and abs(a.x - b.x) < 14:
        return False
    return max(abs(a.x - b.x), abs(a.y - b.y)) >= apart
