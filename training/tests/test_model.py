"""The model's three forms agree: training module, ONNX file, reference with exits."""

import dataclasses
from pathlib import Path

import pytest
import torch

from training.batches import padded
from training.exits import Exits
from training.export import export_bundle, random_model, relative_difference
from training.generation import encode, generate, score_prefixed
from training.init_from_onnx import load_exported, load_weights
from training.model import EOS, PAD, UnifiedModel
from training.onnx_graph import example_inputs
from training import reference


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("export") / "tiny"
    export_bundle(random_model(tiny=True), out, "torchscript", 17, True, None)
    return out


@pytest.fixture(scope="module")
def model(bundle: Path) -> UnifiedModel:
    return load_exported(bundle)


@pytest.mark.parametrize("sizes", [(1, 2, 1), (3, 17, 11), (5, 31, 32)])
def test_onnx_runtime_agrees_on_odd_sizes(bundle, model, sizes):
    assert relative_difference(model, bundle / "model.onnx", *sizes) < 1e-4


def test_every_weight_is_stored_once(bundle):
    import onnx
    graph = onnx.load(bundle / "model.onnx").graph
    contents = [(w.data_type, tuple(w.dims), w.raw_data) for w in graph.initializer if len(w.raw_data) > 2000]
    assert len(set(contents)) == len(contents)
    assert not {n.op_type for n in graph.node} & {"Loop", "If", "Scan", "BatchNormalization"}


def test_training_goes_on_from_an_exported_model(bundle, model):
    trainable = UnifiedModel(model.config).eval()
    load_weights(trainable, bundle / "model.onnx")
    inputs = example_inputs(model)
    with torch.no_grad():
        assert torch.allclose(trainable(*inputs), model(*inputs), atol=1e-4)


def test_text_padding_changes_nothing(model):
    pixels, ids, decoder_ids = example_inputs(model)
    ids = ids[:1]
    longer = torch.nn.functional.pad(ids, (0, 4), value=PAD)
    with torch.no_grad():
        assert torch.allclose(model(pixels[:1], ids, decoder_ids[:1]), model(pixels[:1], longer, decoder_ids[:1]), atol=1e-5)


def test_reference_at_full_depth_is_plain_greedy_decoding(model):
    pixels, ids, _ = example_inputs(model, 1, 6, 1)
    found = reference.generate(model, pixels, ids, max_tokens=9)
    prefix = [0]
    for token in found["tokens"]:
        with torch.no_grad():
            logits = model(pixels, ids, torch.tensor([prefix]))[0, -1]
        assert torch.allclose(logits, found["logits"][len(prefix) - 1], atol=1e-4)
        assert int(logits.argmax()) == token
        prefix.append(token)
    assert set(found["decoder_exits"]) == {model.config.decoder_layers}


@pytest.mark.parametrize("exits", [Exits(), Exits(0.9, 0.9, 0.9), Exits(0.0, 1.0, 0.5, "paper"), Exits(1, 0, 0.8, "released")])
def test_batched_generation_equals_the_reference(model, exits):
    """With exits, on samples of different lengths: the same tokens and layers."""
    pixels, ids, _ = example_inputs(model, 4, 9, 1)
    lengths = (9, 4, 6, 2)
    rows = [ids[i, :n].clamp(min=2) for i, n in enumerate(lengths)]
    batch = padded([tuple(r.tolist()) for r in rows], PAD)
    profile = torch.stack([torch.tensor(reference.forward(model, pixels[i : i + 1], rows[i][None], torch.zeros(1, 1, dtype=torch.long))
                                        ["similarities"]["decoder"]) for i in range(4)])
    exits = dataclasses.replace(exits, decoder=float(profile.mean())) if exits.decoder < 1 else exits
    encoded = encode(model, pixels, batch, exits)
    tokens, depths = generate(model, encoded, exits, 8)
    for i, row in enumerate(rows):
        found = reference.generate(model, pixels[i : i + 1], row[None], (exits.image, exits.text, exits.decoder), exits.schedule, 8)
        assert (found["tokens"], found["decoder_exits"]) == (tokens[i], depths[i])
        assert (found["image_exit"], found["text_exit"]) == (encoded.image_layers[i], encoded.text_layers[i])


def test_scoring_makes_one_decision_a_sample(model):
    pixels, ids, decoder_ids = example_inputs(model, 2, 6, 5)
    ids[1, -2:] = torch.tensor([5, EOS])
    threshold = reference.forward(model, pixels[:1], ids[:1], decoder_ids[:1])["similarities"]["decoder"][0] - 1e-6
    exits = Exits(decoder=threshold)
    logits, depths = score_prefixed(model, encode(model, pixels, ids, exits), decoder_ids, exits)
    for i in range(2):
        found = reference.forward(model, pixels[i : i + 1], ids[i : i + 1], decoder_ids[i : i + 1], (1, 1, threshold))
        assert found["decoder_exit"] == depths[i]
        assert torch.allclose(found["logits"][0, -1], logits[i], atol=1e-5)
    assert depths[0] == 1


def test_threshold_schedules():
    assert Exits(decoder=0.9).decoder_threshold(5, 10) == 0.9
    assert Exits(decoder=0.99, schedule="paper").decoder_threshold(0, 10) == pytest.approx(0.95 * 0.99 + 0.05)
    released = Exits(decoder=0.9, schedule="released")
    assert released.decoder_threshold(3, 10) == 1 and released.decoder_threshold(4, 10) < 1
    assert Exits(decoder=1.0, schedule="paper").decoder_threshold(9, 10) == 1
