"""Tiny models with random weights as two exporters and seven opsets write them: the engine takes each alike.

Its logits equal ONNX Runtime's on the same file, the streams are found, and tokens are decoded with a cache.
"""

from __future__ import annotations

import numpy as np
import pytest
from ort_reference import OrtReference, relative_difference

# Below opset 18 the dynamo exporter writes 18 and converts down.
EXPORTS = [("torchscript", opset) for opset in range(14, 21)] + [("dynamo", opset) for opset in range(18, 21)]


@pytest.fixture(scope="module", params=EXPORTS, ids=lambda p: f"{p[0]}-{p[1]}")
def exported(request, tmp_path_factory):
    import torch
    from training.export import export_bundle, random_model
    exporter, opset = request.param
    torch.set_num_threads(2)
    folder = tmp_path_factory.mktemp("exports") / f"{exporter}-{opset}"
    export_bundle(random_model(tiny=True, seed=opset), folder, exporter, opset, False, None)
    return folder


def test_an_export(mue, exported):
    ort = OrtReference(exported)
    generator = np.random.default_rng(len(exported.name))
    size, vocabulary = ort.config["image_size"], ort.config["vocab_size"]
    found = mue.inspect(exported)
    assert {name: stream["layers"] for name, stream in found["streams"].items()} == {"image": 2, "text": 2, "decoder": 2}
    assert found["decoding"]["mode"].startswith("one token at a time"), found["decoding"]
    assert found["unsupported"] == []

    for batch, text, decoder in ((1, 2, 3), (3, 9, 5)):
        pixels = generator.standard_normal((batch, 3, size, size), np.float32)
        ids = generator.integers(4, vocabulary, (batch, text))
        ids[1:, text - 2:] = ort.pad
        decoder_ids = generator.integers(4, vocabulary, (batch, decoder))
        logits, _ = mue.forward(exported, pixels, ids, decoder_ids)
        assert relative_difference(logits, ort.logits(pixels, ids, decoder_ids)) < 1e-4

    picture = exported / "noise.png"
    from PIL import Image
    Image.fromarray(generator.integers(0, 256, (size, size, 3), np.uint8)).save(picture)
    prompts = [" what does the image describe?", " how many dogs are there?"]
    for report, prompt in zip(mue.generate(exported, [picture], prompts, max_tokens=12), prompts, strict=True):
        tokens, _ = ort.greedy(ort.pixels(picture), ort.source(prompt), 12)
        assert report["tokens"] == [t for t in tokens if t != ort.end]
