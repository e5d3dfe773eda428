"""Image features: an image encoded once answers as the image does, and only the model that encoded it takes it."""

from __future__ import annotations

from pathlib import Path

import pytest

import mue

ANSWERS = [" yes", " no", " maybe"]


@pytest.mark.parametrize("exits", ["off", (0.98, 0.95, 0.97), (-1, -1, -1)])
def test_features_answer_as_their_image(model: mue.Model, samples: list[dict], exits) -> None:
    path = samples[0]["path"]
    features = model.encode_image(path, exits=exits)
    for entry in samples[:4]:
        prompt = entry["question"]["prompt"]
        kept, whole = model.generate(features, prompt, exits=exits), model.generate(path, prompt, exits=exits)
        assert (kept.tokens, kept.exits, kept.logprob) == (whole.tokens, whole.exits, whole.logprob)
        assert features.exit_layer == whole.exits.image
        assert kept.macs.run < whole.macs.run and kept.time_ms.image_decode < 0.5
    question = samples[0]["question"]["prompt"]
    assert model.score(features, question, ANSWERS, exits=exits).logprobs == model.score(
        path, question, ANSWERS, exits=exits).logprobs


def test_features_and_images_in_one_batch(model: mue.Model, samples: list[dict]) -> None:
    paths = [entry["path"] for entry in samples[:3]]
    mixed = model.generate([model.encode_image(paths[0]), paths[1], model.encode_image(paths[2])])
    assert [answer.text for answer in mixed] == [model.generate(path).text for path in paths]


def test_a_prompt_is_encoded_once(model: mue.Model, bundle: Path, samples: list[dict]) -> None:
    prompt = " is this prompt asked for the first time?"
    with mue.open(bundle) as fresh:
        first, second = (fresh.generate(samples[0]["path"], prompt, exits=(0.98, 0.9, 0.97)) for _ in range(2))
        assert (first.tokens, first.exits, first.logprob) == (second.tokens, second.exits, second.logprob)
        assert second.macs.run < first.macs.run
        # Other thresholds, another exit: nothing is taken over.
        early = fresh.generate(samples[0]["path"], prompt, exits=(0.98, -1, 0.97))
        assert early.exits.text == 1


def test_features_are_of_one_model(model: mue.Model, bundle: Path, samples: list[dict]) -> None:
    with mue.open(bundle) as other:
        features = other.encode_image(samples[0]["path"])
        with pytest.raises(mue.InvalidArgumentError, match="another model"):
            model.generate(features)
    with pytest.raises(mue.NotFoundError):
        model.encode_image("/nonexistent.png")
    # Features outlive the model object that made them; using them elsewhere stays an error.
    with pytest.raises(mue.InvalidArgumentError):
        model.score(features, None, ANSWERS)
