"""Beam search with exits equals a plain reading of it in PyTorch, for both rules: each row decides for itself, or all rows
together. Nothing is cached: keys and values are made anew from the states that entered each layer.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ort_reference import BeamRules
from training import reference as plain
from training.exits import Exits

TIE, MARGIN, TOKENS = 1e-5, 1e-4, 12


@torch.no_grad()
def beam_with_exits(model, pixel_values, input_ids, thresholds, schedule, rule, rules):
    """Hypotheses (score, tokens), the exit layers of each by its tokens, and the distance of the closest decision."""
    exits = Exits(*thresholds, schedule, 0.95, 1.0)
    encoded = plain.encode(model, pixel_values, input_ids, exits.image, exits.text)
    layers = model.decoder.layers
    self_biases = model.decoder.self_biases(TOKENS + 1)
    cross_bias = model.cross_bias(input_ids, TOKENS + 1)
    entered = {(): [[] for _ in layers]}  # by what was said: per layer the states that entered it
    depths, closest = {(): ()}, np.inf

    def scores(opened):
        nonlocal closest
        step = len(opened[0])
        threshold = exits.decoder_threshold(step, TOKENS)
        rows, place = [], slice(step, step + 1)
        for said in map(tuple, opened):
            rows.append({"said": said, "entered": [list(states) for states in entered[said[:-1]]], "depth": 0,
                         "x": model.decoder.embed(torch.tensor([[said[-1] if said else plain.BOS]]))})
        for number, layer in enumerate(layers):
            for row in rows:
                row["entered"][number].append(row["x"])
            running = [row for row in rows if not row["depth"]]
            for row in running:
                row["y"] = plain.decoder_row(layer, row["entered"][number], self_biases[number][:, :, place, : step + 1],
                                             encoded["memory"], cross_bias[:, :, place])
            for row in running:
                of = running if rule == "joint" else [row]
                row["similarity"] = plain.cosine(torch.cat([r["y"] for r in of]), torch.cat([r["x"] for r in of]))
            for row in running:
                row["x"] = row["y"]
                if threshold < 1:
                    closest = min(closest, abs(row["similarity"] - threshold))
                if threshold < 1 and row["similarity"] > threshold:
                    row["depth"] = number + 1
        for row in rows:
            entered[row["said"]] = row["entered"]
            depths[row["said"]] = (*depths[row["said"][:-1]], row["depth"] or len(layers)) if row["said"] else (row["depth"] or len(layers),)
        return torch.cat([model.head(row["x"])[:, 0] for row in rows]).numpy()

    found = rules.search(scores, plain.EOS, plain.PAD, (plain.BOS,))
    return found, [list(depths[tuple(tokens[:-1])]) for _, tokens in found], closest


@pytest.mark.parametrize("schedule", ["constant", "released"])
@pytest.mark.parametrize("rule", ["row", "joint"])
def test_beams_with_exits(mue, ort, reference, bundle, questions, rule, schedule):
    thresholds = (0.99, 0.97, 0.975 if schedule == "constant" else 0.985)
    equal, ties, seen = 0, 0, set()
    chosen = questions[:6]
    for q in chosen:
        rules = BeamRules(4, TOKENS, 3)
        expected, depths, closest = beam_with_exits(
            reference, torch.from_numpy(ort.pixels(q.image)), torch.from_numpy(ort.source(q.caption)), thresholds, schedule, rule, rules)
        report = mue.generate(bundle, [q.image], [q.caption], exits=thresholds, schedule=schedule, beams=4, nbest=4,
                              max_tokens=TOKENS, no_repeat_ngram_size=3, rule=rule)[0]
        found = [(h["tokens"], h["exits"]["decoder"]) for h in report["hypotheses"]]
        wanted = [(tokens[:-1], layers) for (_, tokens), layers in zip(expected, depths)]
        if found != wanted and (closest < TIE or rules.margin < MARGIN):
            ties += 1
            continue
        assert found == wanted, q.image.name
        assert [h["score"] for h in report["hypotheses"]] == pytest.approx([s for s, _ in expected], abs=2e-3)
        equal += 1
        seen |= {layer for layers in depths for layer in layers}
    print(f"{rule}, {schedule}: {equal} equal, {ties} too close to tell, exit layers {sorted(seen)}")
    assert equal >= len(chosen) / 2 and len(seen) > 2
