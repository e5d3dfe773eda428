"""Set the exit thresholds of a bundle: `python -m training.calibrate models/demo [--keep 0.985]`.

Thresholds lie on quantiles of the similarity profile over the calibration split, not on round numbers: the encoder's
similarities hardly differ between samples, so a threshold there picks a layer.  For the image stream, then the text
stream, then the decoder the most sparing threshold is taken with which CIDEr-D, entailment and questions each keep
`--keep` of their value at full depth, everything else as chosen so far.  Written to the bundle's mue.json.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from .answering import answer
from .batches import entailment_source, generated, normalise, padded, to_pixels
from .cider import CiderD
from .exits import Exits, similarities, similarity
from .init_from_onnx import load_exported
from .items import Item, make_items
from .language import CAPTION_PROMPT
from .model import PAD, UnifiedModel
from .tokenizer import TextCodec

STRAGGLERS = 0.02  # share of the samples that a layer's threshold lets go deeper


@torch.no_grad()
def profiles(model: UnifiedModel, codec: TextCodec, items: list[Item]) -> dict[str, Tensor]:
    """s_1 ... s_n: for images and texts a row for each sample, for the decoder one for each caption token."""
    states = model.encoder.image_states(normalise(to_pixels([i.picture for i in items])))
    texts = padded([codec.source(t) for i in items for t in (CAPTION_PROMPT, i.question.text)]
                   + [entailment_source(codec, h.text) for i in items for h in i.hypotheses], PAD)
    text_states = model.encoder.text_states(texts)
    prompt = torch.tensor([codec.source(CAPTION_PROMPT)] * len(items))
    memory = model.encoder.layer_norm(torch.cat([states[-1], model.encoder.text_states(prompt)[-1]], 1))
    said = padded([generated(codec, i.captions[0])[0] for i in items], PAD)
    decoder = model.decoder.states(said, memory, model.cross_bias(prompt, said.shape[1]))
    rows = [s[said != PAD][:, None] for s in decoder]
    return {"image": similarities(states), "text": similarities(text_states, (texts != PAD).float()),
            "decoder": torch.stack([similarity(b, a) for a, b in zip(rows, rows[1:])], 1)}


def quality(model: UnifiedModel, codec: TextCodec, items: list[Item], exits: Exits) -> tuple[dict[str, float], float]:
    """What each task reaches, and the paper's expected time reduction over all."""
    found = answer(model, codec, items, exits)
    metric = CiderD([i.captions for i in items])
    made = [h for i in items for h in i.hypotheses]
    reached = {"cider_d": 100 * sum(metric.score(c, i.captions) for i, c in zip(items, found.captions)) / len(items),
               "entailment": sum(h.label == a for h, a in zip(made, found.labels)) / len(made),
               "questions": sum(i.question.answer == a for i, a in zip(items, found.questions)) / len(items)}
    return reached, found.expected_time_reduction(model.config.encoder_layers)


def paper_theta(threshold: float) -> float:
    """The theta whose schedule is at `threshold` a quarter of the way."""
    return (threshold - 0.05 * math.exp(-0.25)) / 0.95


def candidates(profile: dict[str, Tensor]) -> dict[str, list[float]]:
    """Thresholds for each stream, most sparing first."""
    def layer(stream: str, number: int, share: float) -> float:
        return float(torch.quantile(profile[stream][:, number].double(), share))
    depth = profile["image"].shape[1]
    found = {s: [layer(s, i, STRAGGLERS) for i in range(depth - 1)] for s in ("image", "text")}
    deep = profile["decoder"].shape[1]
    found["decoder"] = [paper_theta(layer("decoder", i, share)) for i in range(1, deep - 1) for share in (0.1, 0.5, 0.9)]
    return {s: [t for t in sorted(v) if t < 1] for s, v in found.items()}


def calibrate(model: UnifiedModel, items: list[Item], keep: float) -> tuple[Exits, dict]:
    codec = TextCodec()
    profile = profiles(model, codec, items)
    full, _ = quality(model, codec, items, Exits())
    chosen, reached, saved = Exits(schedule="paper"), full, 0.0
    for stream, thresholds in candidates(profile).items():
        for threshold in tqdm(thresholds, desc=stream):
            tried = dataclasses.replace(chosen, **{stream: threshold})
            values, reduction = quality(model, codec, items, tried)
            if all(values[name] >= keep * full[name] for name in full):
                chosen, reached, saved = tried, values, reduction
                break
    means = {stream: [round(float(v), 4) for v in rows.mean(0)] for stream, rows in profile.items()}
    return chosen, {"split": "calibration", "pictures": len(items), "keep": keep, "rule": "cider_d, entailment, questions each",
                    "full_depth": full, "with_exits": reached, "etr": saved, "mean_similarities": means}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--keep", type=float, default=0.985)
    parser.add_argument("--count", type=int, default=120, help="pictures of the calibration split")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    exits, how = calibrate(load_exported(args.bundle), make_items("calibration", args.count), args.keep)
    path = args.bundle / "mue.json"
    settings = json.loads(path.read_text())
    settings["exits"] = {"calibrated": exits.to_json(), "calibration": how}
    path.write_text(json.dumps(settings, indent=2) + "\n")
    print(json.dumps(settings["exits"], indent=1))


if __name__ == "__main__":
    main()
