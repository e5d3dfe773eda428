"""Searches on the demo model equal the same searches on ONNX Runtime's logits: beams, n-best, closed sets, task settings.

Scores that lie closer than MARGIN may change places in fp32; such answers are counted apart and must be few.
"""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from ort_reference import BeamRules, log_softmax

MARGIN = 1e-4
CAPTION_TOKENS = 24


def without_end(ort, tokens):
    return [t for t in tokens if t != ort.end]


def agree(ort, report, expected, rules):
    """Whether the hypotheses of a report are the expected ones, in their order; None when fp32 cannot tell."""
    found = report.get("hypotheses", [report])
    same = [h["tokens"] for h in found] == [without_end(ort, tokens) for _, tokens in expected[: len(found)]]
    if same:
        assert [h["score"] for h in found] == pytest.approx([s for s, _ in expected[: len(found)]], abs=2e-3)
        assert all(h["finished"] for h in found)
        assert all(len(h["exits"]["decoder"]) == len(h["token_logprobs"]) for h in found)
    return True if same else None if rules.margin < MARGIN else False


def compare(mue, ort, bundle, questions, rules, prompts=None, **options):
    prompts = prompts or [q.caption for q in questions]
    reports = mue.generate(bundle, [q.image for q in questions], prompts, beams=rules.beams, **options)
    outcomes = []
    for q, prompt, report in zip(questions, prompts, reports, strict=True):
        rules.margin = np.inf
        expected = ort.beam(ort.pixels(q.image), ort.source(prompt), rules)
        outcomes.append(agree(ort, report, expected, rules))
        assert outcomes[-1] is not False, f"{q.image.name}: {report['tokens']} instead of {expected}"
    print(f"beams {rules.beams}: {outcomes.count(True)} equal, {outcomes.count(None)} too close to tell")
    assert outcomes.count(None) <= len(outcomes) / 4
    return reports


@pytest.mark.parametrize("beams, ngram, penalty", [(2, 0, 1.0), (4, 2, 0.0), (5, 3, 1.0), (3, 1, 0.6)])
def test_beam_search(mue, ort, bundle, questions, beams, ngram, penalty):
    rules = BeamRules(beams, CAPTION_TOKENS, ngram, penalty)
    reports = compare(mue, ort, bundle, questions[:5], rules, max_tokens=CAPTION_TOKENS, nbest=beams,
                      no_repeat_ngram_size=ngram, length_penalty=penalty)
    assert all(len(r["hypotheses"]) == beams for r in reports)


def test_captions_cut_short_end_all_the_same(mue, ort, bundle, questions):
    rules = BeamRules(5, 6, 3)
    for report in compare(mue, ort, bundle, questions[:4], rules, max_tokens=6, nbest=5, no_repeat_ngram_size=3):
        assert max(len(h["tokens"]) for h in report["hypotheses"]) <= 6


def test_no_repeated_sequences_in_greedy_search(mue, ort, bundle, questions):
    q = questions[0]
    pixels, source = ort.pixels(q.image), ort.source(q.caption)
    said, rules = [ort.start], BeamRules(1, 20, 1)
    while len(said) <= 20 and said[-1] != ort.end:
        row = ort.logits(pixels, source, np.array([said], np.int64))[0, -1]
        row[rules.repeating(said)] = -np.inf
        said.append(int(row.argmax()))
    report = mue.generate(bundle, [q.image], [q.caption], max_tokens=20, no_repeat_ngram_size=1)[0]
    assert report["tokens"] == without_end(ort, said[1:])
    assert len(set(said)) == len(said)
    assert report["tokens"] != mue.generate(bundle, [q.image], [q.caption], max_tokens=20)[0]["tokens"]


def test_a_minimum_of_tokens(mue, ort, bundle, questions):
    compare(mue, ort, bundle, questions[:3], BeamRules(3, 12, min_tokens=11), max_tokens=12, nbest=3, min_tokens=11)


@pytest.fixture(scope="module")
def answer_set(ort) -> list[str]:
    """Answers of one to four tokens, many of which share beginnings."""
    generator = random.Random(4)
    words = [w for w in ("red", "blue", "green", "two", "three", "a", "the", "cat", "dog", "wall", "ship", "yes", "no", "left of")
             if ort.tokenizer.encode(" " + w, add_special_tokens=False).ids]
    answers = {" " + " ".join(generator.choices(words, k=generator.randint(1, 3))) for _ in range(150)}
    return sorted(answers | {" " + w for w in words})


def encoded(ort, answers):
    return [ort.tokenizer.encode(a, add_special_tokens=False).ids for a in answers]


def following(ort, tokens):
    """The tokens that may come next in a closed set."""
    closed = [[*t, ort.end] for t in tokens]
    return lambda said: {c[len(said)] for c in closed if c[: len(said)] == said and len(c) > len(said)}


@pytest.mark.parametrize("beams", [1, 4])
def test_answers_of_a_closed_set(mue, ort, bundle, questions, answer_set, beams):
    tokens = encoded(ort, answer_set)
    rules = BeamRules(beams, max(map(len, tokens)), 0, 0.0, allowed=following(ort, tokens))
    chosen = questions[:6]
    if beams > 1:
        reports = compare(mue, ort, bundle, chosen, rules, [q.question for q in chosen], answers=answer_set, length_penalty=0,
                          nbest=beams)
    else:
        reports = mue.generate(bundle, [q.image for q in chosen], [q.question for q in chosen], answers=answer_set)
        for q, report in zip(chosen, reports):
            said = []
            while not said or said[-1] != ort.end:
                row = ort.logits(ort.pixels(q.image), ort.source(q.question), np.array([[ort.start, *said]], np.int64))[0, -1]
                allowed = sorted(rules.allowed(said))
                said.append(allowed[int(row[allowed].argmax())])
            assert report["tokens"] == said[:-1] and report["finished"]
    assert all(r["text"] in answer_set or " " + r["text"] in answer_set for r in reports)


@pytest.mark.parametrize("normalize", ["vocabulary", "answers"])
def test_scores_of_many_answers(mue, ort, bundle, questions, answer_set, normalize):
    tokens = encoded(ort, answer_set)
    assert len(answer_set) > 100 and max(map(len, tokens)) > 2
    chosen = questions[:2]
    reports = mue.score(bundle, [q.image for q in chosen], [q.question for q in chosen], answer_set, normalize=normalize)
    for q, report in zip(chosen, reports, strict=True):
        expected = ort.answer_scores(ort.pixels(q.image), ort.source(q.question), tokens, normalize == "answers")
        if normalize == "answers":
            assert np.exp(expected).sum() == pytest.approx(1)
        assert report["logprobs"] == pytest.approx(log_softmax(expected), abs=5e-3)
        assert report["best"] == int(expected.argmax())
        # What answers have in common is decoded once.
        assert len(report["exits"]["decoder"]) == len({tuple(t[:n]) for t in tokens for n in range(len(t) + 1)})


def test_scores_with_exits(mue, bundle, questions, answer_set):
    """Every row leaves at its own layer under the rule `row`; under `joint` each answer is one pass with one decision."""
    q = questions[0]
    full = mue.score(bundle, [q.image], [q.question], answer_set[:40])[0]
    joint = mue.score(bundle, [q.image], [q.question], answer_set[:40], rule="joint")[0]
    assert joint["logprobs"] == pytest.approx(full["logprobs"], abs=1e-3)
    assert len(joint["exits"]["decoder"]) == 40 and set(joint["exits"]["decoder"]) == {full["depth"]["decoder"]}
    early = mue.score(bundle, [q.image], [q.question], answer_set[:40], exits=(1.0, 1.0, -1.0))[0]
    assert set(early["exits"]["decoder"]) == {1} and early["macs"]["run"] < early["macs"]["full"]
    some = mue.score(bundle, [q.image], [q.question], answer_set[:40], exits=(1.0, 1.0, 0.97))[0]
    assert len(set(some["exits"]["decoder"])) > 1
    assert np.logaddexp.reduce(some["logprobs"]) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("beams", [1, 3])
def test_the_decoder_reads_the_prompt_first(mue, ort, bundle, questions, beams):
    """Entailment prompts: the task in mue.json says that the decoder reads them."""
    for q in questions[:4]:
        prompt = q.hypotheses[0]
        pixels, source = ort.pixels(q.image), ort.source(prompt)
        report = mue.generate(bundle, [q.image], [prompt], beams=beams, max_tokens=4)[0]
        rules = BeamRules(beams, 4)
        if beams > 1:
            expected = ort.beam(pixels, source, rules, tuple(int(i) for i in source[0, 1:-1]))
            assert agree(ort, report, expected, rules) is not False
        else:
            said = []
            while len(said) < 4 and ort.end not in said:
                prefix = np.concatenate([source[:, :-1], np.array([said], np.int64)], 1)
                said.append(int(ort.logits(pixels, source, prefix)[0, -1].argmax()))
            assert report["tokens"] == without_end(ort, said)


BINS = 100


@pytest.fixture(scope="module")
def tasks_bundle(bundle, tmp_path_factory) -> Path:
    """The demo model with settings for its tasks, and a task that answers in boxes: 100 of its words are made bins."""
    folder = tmp_path_factory.mktemp("bundle")
    for path in bundle.iterdir():
        if path.is_file() and path.suffix in (".json", ".onnx"):
            shutil.copy(path, folder / path.name)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}
    tokenizer["added_tokens"] += [{"id": 700 + i, "content": f"<bin_{i}>", **plain} for i in range(BINS)]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "generation_config.json").write_text(json.dumps(
        {**json.loads((bundle / "generation_config.json").read_text()), "num_beams": 2, "length_penalty": 0.5}))
    settings = json.loads((bundle / "mue.json").read_text())
    settings["tasks"]["caption"] |= {"beams": 3, "max_tokens": 9, "no_repeat_ngram_size": 2, "length_penalty": 1.5,
                                     "remove_punctuation": True}
    settings["tasks"]["grounding"] = {
        "prompt": " which region does the text \" {expression} \" describe?", "output": "boxes", "bins": BINS,
        "max_image_size": 112, "min_tokens": 4, "max_tokens": 4, "beams": 5, "constraint": ["<pad>", "<bin_0>..<bin_99>"]}
    (folder / "mue.json").write_text(json.dumps(settings))
    return folder


def test_settings_of_a_task(mue, ort, tasks_bundle, questions):
    chosen = questions[:3]
    for report, q in zip(mue.generate(tasks_bundle, [q.image for q in chosen], [chosen[0].caption], beams=0), chosen):
        rules = BeamRules(3, 9, 2, 1.5)
        assert agree(ort, report, ort.beam(ort.pixels(q.image), ort.source(q.caption), rules), rules) is not False
    # A question's task says nothing of beams: generation_config.json does.
    for report, q in zip(mue.generate(tasks_bundle, [q.image for q in chosen], [q.question for q in chosen], beams=0), chosen):
        rules = BeamRules(2, 4, 0, 0.5)
        assert agree(ort, report, ort.beam(ort.pixels(q.image), ort.source(q.question), rules), rules) is not False
    # The request goes before both.
    rules = BeamRules(2, 5, 0, 0.0)
    report = mue.generate(tasks_bundle, [chosen[0].image], [chosen[0].caption], beams=2, max_tokens=5, no_repeat_ngram_size=0,
                          length_penalty=0)[0]
    assert agree(ort, report, ort.beam(ort.pixels(chosen[0].image), ort.source(chosen[0].caption), rules), rules) is not False


def test_seven_mixed_items_equal_single_requests(mue, tasks_bundle, questions):
    chosen = questions[:3]
    grounding = ' which region does the text " a cat " describe?'
    items = [(q.image, p) for q in chosen for p in (q.caption, q.question)] + [(chosen[0].image, grounding)]
    for settings in ({}, {"exits": (0.95, 0.9, 0.97)}):
        together = mue.generate(tasks_bundle, [i for i, _ in items], [p for _, p in items], beams=0, **settings)
        for report, (image, prompt) in zip(together, items, strict=True):
            alone = mue.generate(tasks_bundle, [image], [prompt], beams=0, **settings)[0]
            assert (report["tokens"], report["exits"]) == (alone["tokens"], alone["exits"])
            assert report["score"] == pytest.approx(alone["score"], abs=1e-5)


def test_boxes(mue, ort, tasks_bundle, questions, tmp_path):
    from PIL import Image
    prompt = ' which region does the text " the red one " describe?'
    bins = set(range(700, 700 + BINS))
    for number, q in enumerate(questions[:3]):
        image, size = tmp_path / f"{number}.png", (150 + number, 90)
        with Image.open(q.image) as picture:
            picture.convert("RGB").resize(size).save(image)
        rules = BeamRules(5, 4, 0, 0.5, min_tokens=4, allowed=lambda said: bins | {ort.pad, ort.end})
        drawn = tmp_path / "drawn.png"
        report = mue.generate(tasks_bundle, [image], [prompt], beams=0, draw=drawn)[0]
        assert agree(ort, report, ort.beam(ort.pixels(image), ort.source(prompt), rules), rules) is not False
        assert set(report["tokens"]) <= bins and len(report["tokens"]) == 4
        side = ort.config["image_size"]
        expected = [(t - 700) / (BINS - 1) * 112 / (side / size[i % 2]) for i, t in enumerate(report["tokens"])]
        assert report["boxes"] == [pytest.approx(expected)]

        def red(path):
            with Image.open(path) as picture:
                assert picture.size == size
                return (np.asarray(picture.convert("RGB")) == (255, 0, 0)).all(-1)
        outline = red(drawn) & ~red(image)
        rows, columns = np.nonzero(outline)
        left, right, top, bottom = *sorted(expected[::2]), *sorted(expected[1::2])
        assert columns.min() == pytest.approx(max(left - 1, 0), abs=0.51)
        assert columns.max() == pytest.approx(min(right + 1, size[0] - 1), abs=0.51)
        assert rows.min() == pytest.approx(max(top - 1, 0), abs=0.51)
        assert rows.max() == pytest.approx(min(bottom + 1, size[1] - 1), abs=0.51)


def test_what_the_library_refuses(mue, bundle, questions):
    q = questions[0]
    def failure(*options):
        done = mue.run("generate", bundle, "--image", q.image, *options)
        assert done.returncode == 1 and done.stderr.startswith("mue: ")
        return done.stderr
    assert "hypotheses" in failure("--beams", 2, "--nbest", 3)
    assert "answer" in failure("--answers", " yes, yes")
    assert "max_tokens" in failure("--answers", " a red wall", "--max-tokens", 1)
    assert "more than" in failure("--beams", 2, "--max-tokens", 64)
    assert "no boxes" in mue.run("generate", bundle, "--image", q.image, "--draw", "x.png").stderr
    assert mue.run("generate", bundle, "--image", q.image, "--beams", 1, "--nbest", 0).returncode == 2


@pytest.mark.parametrize("constraint", [["no such token"], "<bin_9>..<bin_3>", "<bin_0>..<bin_1000>", "<s>..nothing"])
def test_a_constraint_that_names_no_tokens(mue, tasks_bundle, questions, tmp_path, constraint):
    for path in tasks_bundle.iterdir():
        (tmp_path / path.name).symlink_to(path)
    settings = json.loads((tasks_bundle / "mue.json").read_text())
    settings["tasks"]["grounding"]["constraint"] = constraint
    (tmp_path / "mue.json").unlink()
    (tmp_path / "mue.json").write_text(json.dumps(settings))
    done = mue.run("generate", tmp_path, "--image", questions[0].image, "--prompt", ' which region does the text " a " describe?')
    assert done.returncode == 1 and "tasks.grounding.constraint" in done.stderr, done.stderr
