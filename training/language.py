"""What can be said about a scene: captions, hypotheses with their truth, questions with their answers.

Every kind of hypothesis is drawn so that its words alone say nothing about its label: a true and a false one of the
same form are equally likely, and so are a "maybe" and a "no" of the unknowable form ("the dog is old" is maybe when
there is a dog, and no when there is none).  Texts start without a space here; the tokenizer's callers add it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from .scenes import BACKGROUNDS, Group, Scene, is_heldout
from .things import THINGS

NUMBERS = ("zero", "one", "two", "three", "four")
CAPTION_PROMPT = "what does the image describe?"
ENTAILMENT_PROMPT = 'does the image describe " {hypothesis} "?'
LABELS = ("yes", "no", "maybe")
UNKNOWABLE = ("is old", "is new", "belongs to anna", "was a gift", "is from paris", "is very expensive")
CLEAR = 20  # pixels between two centres before one counts as left of or above the other


@dataclass(frozen=True)
class Hypothesis:
    text: str
    label: str
    form: str


@dataclass(frozen=True)
class Question:
    text: str
    answer: str
    form: str


def phrase(group: Group) -> str:
    thing = THINGS[group.kind]
    return thing.one if group.count == 1 else f"{NUMBERS[group.count]} {thing.plural}"


def listing(groups: tuple[Group, ...]) -> str:
    """"a dog, two cats and a star", from left to right."""
    parts = [phrase(g) for g in groups]
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def captions(scene: Scene) -> list[str]:
    """Every caption that is exactly right, five wordings, each naming all things from left to right."""
    what, colour = listing(scene.groups), scene.background
    return [
        f"a picture of {what}",
        f"{what} on a {colour} background",
        f"the image shows {what}",
        f"{what} in front of a {colour} wall",
        f"here we see {what} on {colour}",
    ]


HYPOTHESES = {"exists": 20, "pair": 12, "count": 10, "total": 6, "background": 6, "relation": 12, "unknowable": 34}
HARD_HYPOTHESES = {"exists": 10, "pair": 8, "count": 16, "total": 12, "background": 4, "relation": 26, "unknowable": 24}
QUESTIONS = {"side": 35, "colour": 12, "total": 13, "how many": 20, "is there": 20}
HARD_QUESTIONS = {"side": 30, "colour": 5, "total": 15, "how many": 30, "is there": 20}


def hypothesis(rng: random.Random, scene: Scene, forms: dict[str, int] = HYPOTHESES) -> Hypothesis:
    """One hypothesis about a scene: true, false, or not to be told from the picture."""
    form = rng.choices(list(forms), weights=list(forms.values()))[0]
    made = _MAKERS[form](rng, scene)
    return made or _MAKERS[rng.choice(("exists", "unknowable"))](rng, scene)


def question(rng: random.Random, scene: Scene, forms: dict[str, int] = QUESTIONS) -> Question:
    """One question about a scene with a one-word answer."""
    form = rng.choices(list(forms), weights=list(forms.values()))[0]
    made = _side_question(rng, scene) if form == "side" else None
    if form == "colour":
        made = Question("what color is the background?", scene.background, form)
    elif form == "how many":
        present = rng.random() < 0.75
        group = rng.choice(scene.groups)
        kind = group.kind if present else _absent(rng, scene)
        made = Question(f"how many {THINGS[kind].plural} are there?", NUMBERS[group.count if present else 0], form)
    elif form == "is there":
        present = rng.random() < 0.5
        kind = rng.choice(scene.groups).kind if present else _absent(rng, scene)
        made = Question(f"is there {THINGS[kind].one}?", "yes" if present else "no", form)
    return made or Question("how many things are there?", NUMBERS[len(scene.placed)], "total")


def _side_question(rng: random.Random, scene: Scene) -> Question | None:
    axis, sign, words = rng.choice((("x", 1, "on the left"), ("x", -1, "on the right"),
                                    ("y", 1, "at the top"), ("y", -1, "at the bottom")))
    ordered = sorted(scene.placed, key=lambda p: sign * getattr(p, axis))
    rivals = [p for p in ordered[1:] if p.kind != ordered[0].kind]
    if rivals and abs(getattr(rivals[0], axis) - getattr(ordered[0], axis)) < 14:
        return None
    return Question(f"what is {words}?", THINGS[ordered[0].kind].name, "side")


def _absent(rng: random.Random, scene: Scene, partner: int | None = None, heldout: bool = False) -> int:
    """A kind that is not in the scene; with a partner, one that makes a pair held out or not as asked."""
    while True:
        kind = rng.randrange(len(THINGS))
        if kind not in scene.kinds and (partner is None or is_heldout(kind, partner) == heldout):
            return kind


def _truth(rng: random.Random) -> tuple[bool, str]:
    true = rng.random() < 0.5
    return true, "yes" if true else "no"


def _exists(rng: random.Random, scene: Scene) -> Hypothesis:
    true, label = _truth(rng)
    kind = rng.choice(scene.groups).kind if true else _absent(rng, scene)
    return Hypothesis(f"there is {THINGS[kind].one}", label, "exists")


def _pair(rng: random.Random, scene: Scene) -> Hypothesis | None:
    if len(scene.groups) < 2:
        return None
    true, label = _truth(rng)
    a, b = (g.kind for g in rng.sample(scene.groups, 2))
    if not true:
        b = _absent(rng, scene, a, is_heldout(a, b))
        a, b = rng.sample((a, b), 2)
    return Hypothesis(f"there is {THINGS[a].one} and {THINGS[b].one}", label, "pair")


def _other_number(rng: random.Random, number: int, choices: list[int]) -> int:
    return rng.choice([n for n in choices if n != number])


def _count(rng: random.Random, scene: Scene) -> Hypothesis | None:
    repeated = [g for g in scene.groups if g.count > 1]
    if not repeated:
        return None
    true, label = _truth(rng)
    number = repeated[0].count
    if not true:
        number = _other_number(rng, number, [2, 3] if scene.has_heldout_pair() else [2, 3, 4])
    return Hypothesis(f"there are {NUMBERS[number]} {THINGS[repeated[0].kind].plural}", label, "count")


def _total(rng: random.Random, scene: Scene) -> Hypothesis:
    true, label = _truth(rng)
    number = len(scene.placed)
    if not true:
        number = _other_number(rng, number, [2, 3, 4] if scene.has_heldout_pair() else [1, 2, 3, 4])
    words = "is one thing" if number == 1 else f"are {NUMBERS[number]} things"
    return Hypothesis(f"there {words} in total", label, "total")


def _background(rng: random.Random, scene: Scene) -> Hypothesis:
    true, label = _truth(rng)
    colour = scene.background if true else rng.choice([c for c in BACKGROUNDS if c != scene.background])
    return Hypothesis(f"the background is {colour}", label, "background")


def _relation(rng: random.Random, scene: Scene) -> Hypothesis | None:
    singles = [g.members[0] for g in scene.groups if g.count == 1]
    pairs = [(a, b, axis) for a in singles for b in singles for axis in "xy"
             if getattr(a, axis) + CLEAR <= getattr(b, axis)]
    if not pairs:
        return None
    true, label = _truth(rng)
    a, b, axis = rng.choice(pairs)  # a is left of, or above, b
    words = ("to the left of", "to the right of") if axis == "x" else ("above", "below")
    if rng.random() < 0.5:
        a, b, words = b, a, words[::-1]
    relation = words[0] if true else words[1]
    return Hypothesis(f"the {THINGS[a.kind].name} is {relation} the {THINGS[b.kind].name}", label, "relation")


def _unknowable(rng: random.Random, scene: Scene) -> Hypothesis:
    present = rng.random() < 0.5
    kind = rng.choice(scene.groups).kind if present else _absent(rng, scene)
    text = f"the {THINGS[kind].name} {rng.choice(UNKNOWABLE)}"
    return Hypothesis(text, "maybe" if present else "no", "unknowable")


_MAKERS = {"exists": _exists, "pair": _pair, "count": _count, "total": _total, "background": _background,
           "relation": _relation, "unknowable": _unknowable}
