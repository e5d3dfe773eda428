"""How far one gets without looking: the best answers from the hypothesis' words alone."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from functools import lru_cache

from .language import hypothesis
from .scenes import is_heldout, make_scene, scene_rng
from .things import THINGS

CONTROL_SEED, CONTROL_SCENES, EACH = 31, 8_000, 5


@lru_cache(maxsize=1)
def _nouns() -> tuple[re.Pattern, dict[str, int]]:
    index = {word: i for i, t in enumerate(THINGS) for word in (t.name, t.plural)}
    longest_first = sorted(index, key=len, reverse=True)
    return re.compile(r"\b(" + "|".join(longest_first) + r")\b"), index


def template(text: str) -> str:
    """The hypothesis without its nouns, but with whether the two it names never met in training."""
    pattern, index = _nouns()
    kinds = [index[word] for word in pattern.findall(text)]
    rare = len(kinds) == 2 and is_heldout(*kinds)
    return pattern.sub("X", text).replace("an X", "a X") + (" (rare)" if rare else "")


def labelled(split: str, seed: int, scenes: int) -> list[tuple[str, str]]:
    pairs = []
    for index in range(scenes):
        rng = scene_rng(split, seed, index)
        scene = make_scene(rng, split)
        pairs += [(h.text, h.label) for h in (hypothesis(rng, scene) for _ in range(EACH))]
    return pairs


def text_only_optimum(split: str, scenes: int = CONTROL_SCENES) -> dict[str, float]:
    """Accuracy of the most frequent label for each wording, nouns left out, and for each exact text.

    The tables are made from one sample of the split's own hypotheses and scored on another, so the first is the
    optimum up to chance; the second also knows the nouns, and falls back on the first for texts it never saw.
    """
    tables: dict[str, dict[str, Counter]] = {"wording": defaultdict(Counter), "exact": defaultdict(Counter)}
    for text, label in labelled(split, CONTROL_SEED, scenes):
        tables["wording"][template(text)][label] += 1
        tables["exact"][text][label] += 1
    right = Counter()
    fresh = labelled(split, CONTROL_SEED + 1, scenes)
    for text, label in fresh:
        wording = tables["wording"].get(template(text), Counter())
        for name, counts in (("wording", wording), ("exact", tables["exact"].get(text, wording))):
            right[name] += bool(counts) and counts.most_common(1)[0][0] == label
    return {name: right[name] / len(fresh) for name in tables}
