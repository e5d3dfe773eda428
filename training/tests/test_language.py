"""Captions, hypotheses and questions say what the scene is."""

import random
import re

from training.controls import template
from training.language import CLEAR, NUMBERS, captions, hypothesis, listing, question
from training.scenes import Placed, Scene, make_scene, scene_rng
from training.things import THINGS

INDEX = {word: i for i, t in enumerate(THINGS) for word in (t.name, t.plural)}


def truth(text: str, scene: Scene) -> str:
    """The label of a hypothesis, worked out from its words and the scene alone."""
    words = re.findall(r"[a-z]+", text)
    kinds = [INDEX[w] for w in words if w in INDEX]
    counts = {k: sum(p.kind == k for p in scene.placed) for k in range(len(THINGS))}
    where = {p.kind: p for p in scene.placed}
    answer = None
    if text.startswith("the background"):
        answer = words[-1] == scene.background
    elif text.endswith("in total"):
        answer = NUMBERS.index(words[2]) == len(scene.placed)
    elif text.startswith("there are"):
        answer = NUMBERS.index(words[2]) == counts[kinds[0]]
    elif text.startswith("there is"):
        answer = all(counts[k] for k in kinds)
    elif {"left", "right", "above", "below"} & set(words):
        a, b = where[kinds[0]], where[kinds[1]]
        gap = {"left": b.x - a.x, "right": a.x - b.x, "above": b.y - a.y, "below": a.y - b.y}
        distance = next(gap[w] for w in words if w in gap)
        assert abs(distance) >= CLEAR
        answer = distance > 0
    else:
        return "maybe" if counts[kinds[0]] else "no"
    return "yes" if answer else "no"


def test_every_label_agrees_with_the_scene():
    forms = set()
    for split in ("train", "heldout"):
        for index in range(1500):
            rng = scene_rng(split, 8, index)
            scene = make_scene(rng, split)
            made = hypothesis(rng, scene)
            forms.add((made.form, made.label))
            assert truth(made.text, scene) == made.label, (made, scene)
    assert len(forms) == 14


def test_wording_alone_says_nothing():
    from training.controls import text_only_optimum
    for split in ("test", "heldout"):
        assert text_only_optimum(split, scenes=1500)["wording"] < 0.55


def test_captions_name_everything_from_left_to_right():
    scene = Scene((Placed(1, 80, 50, 30, 0), Placed(0, 20, 50, 30, 0), Placed(1, 50, 90, 30, 0)), "blue", 0)
    assert listing(scene.groups) == f"a {THINGS[0].name} and two {THINGS[1].plural}"
    assert len(set(captions(scene))) == 5


def test_questions_are_answered_from_the_scene():
    rng = random.Random(1)
    for index in range(600):
        scene = make_scene(scene_rng("test", 4, index), "test")
        asked = question(rng, scene)
        if asked.form == "side":
            axis, last = ("x" if "left" in asked.text or "right" in asked.text else "y",
                          "right" in asked.text or "bottom" in asked.text)
            extreme = sorted(scene.placed, key=lambda p: getattr(p, axis))[-1 if last else 0]
            assert THINGS[extreme.kind].name == asked.answer
        elif asked.form == "total":
            assert NUMBERS.index(asked.answer) == len(scene.placed)
        elif asked.form == "how many":
            kind = INDEX[asked.text.split()[2]]
            assert NUMBERS.index(asked.answer) == sum(p.kind == kind for p in scene.placed)


def test_template_hides_the_nouns():
    assert template(f"there is {THINGS[0].one}") == "there is a X"
