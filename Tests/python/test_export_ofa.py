"""Bundles of OFA checkpoints: against what the authors' code computes, in ONNX Runtime and in the engine."""

from __future__ import annotations

import hashlib
import json
import os

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper


from mue_export import graph
from mue_export.checkpoint import read_checkpoint
from mue_export.names import state_records
from mue_export.ofa import OFAExport, export_ofa
from mue_export.sizes import OFASizes
from random_ofa import PUBLISHED, published_sizes, random_state, save_checkpoint, small_sizes

TOLERANCE = 1e-4
CASES = ("case0", "case1")
STREAMS = ("image", "text", "decoder")
PARAMETERS = {"tiny": 33e6, "medium": 93e6, "base": 182e6, "large": 473e6, "huge": 930e6}  # as the authors count


def difference(found, expected):
    assert found.shape == expected.shape
    return np.abs(found - expected).max() / np.abs(expected).max()


def session(bundle):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(bundle / "model.onnx"), options, providers=["CPUExecutionProvider"])


def run(graph_session, pixels, ids, decoder_ids):
    return graph_session.run(["logits"], {"pixel_values": pixels.astype(np.float32), "input_ids": ids,
                                          "decoder_input_ids": decoder_ids})[0]


@pytest.fixture(scope="module")
def expected(ofa_mini):
    values = np.load(ofa_mini / "expected.npz")
    return {name: values[name] for name in values.files}


def inputs(expected, case):
    return tuple(expected[f"{case}.{name}"] for name in ("patch_images", "input_ids", "decoder_input_ids"))


# What the authors' code computes, in ONNX Runtime.

def test_joint_graph_is_the_authors_model(ofa_mini_bundles, expected):
    joint = session(ofa_mini_bundles / "joint")
    for case in CASES:
        pixels, ids, decoder_ids = inputs(expected, case)
        logits = run(joint, pixels, ids, decoder_ids)
        assert difference(logits[:, -1], expected[f"{case}.joint.logits_last"]) < TOLERANCE
        assert (logits.argmax(-1) == expected[f"{case}.joint.argmax"]).all()
        prefix = decoder_ids[:, :1]
        for _ in range(expected[f"{case}.joint.greedy_ids"].shape[1] - 1):
            best = run(joint, pixels, ids, prefix)[:, -1:].argmax(-1)
            prefix = np.concatenate([prefix, best], 1)
        assert (prefix == expected[f"{case}.joint.greedy_ids"]).all()


@pytest.mark.parametrize("kind", ["authors", "relbias"])
def test_decomposed_graph_is_the_authors_model(ofa_mini_bundles, expected, kind):
    decomposed = session(ofa_mini_bundles / kind)
    for case in CASES:
        logits = run(decomposed, *inputs(expected, case))
        assert difference(logits[:, -1], expected[f"{case}.{kind}.full.logits_last"]) < TOLERANCE


@pytest.mark.parametrize("kind", ["joint", "relbias"])
def test_padding_changes_nothing(ofa_mini_bundles, expected, kind):
    """Prompts of 9 and 10 tokens in one batch, the shorter one padded."""
    alone = [inputs(expected, case) for case in CASES]
    pixels, decoder_ids = (np.concatenate([a[i] for a in alone]) for i in (0, 2))
    ids = np.ones((2, 10), np.int64)
    for row, (_, prompt, _) in enumerate(alone):
        ids[row, :prompt.shape[1]] = prompt
    graph_session = session(ofa_mini_bundles / kind)
    together = run(graph_session, pixels, ids, decoder_ids)
    for row, single in enumerate(alone):
        assert difference(together[row:row + 1], run(graph_session, *single)) < 1e-5


# The same in the engine.

def test_engine_joint(mue, ofa_mini_bundles, expected):
    for case in CASES:
        logits, states, _ = mue.forward_with_states(ofa_mini_bundles / "joint", *inputs(expected, case))
        assert difference(states, expected[f"{case}.joint.encoder_out"]) < TOLERANCE
        assert difference(logits[:, -1], expected[f"{case}.joint.logits_last"]) < TOLERANCE
        assert (logits.argmax(-1) == expected[f"{case}.joint.argmax"]).all()


@pytest.mark.parametrize("kind", ["authors", "relbias"])
@pytest.mark.parametrize("case", CASES)
def test_engine_decomposed_at_full_depth(mue, ofa_mini_bundles, expected, kind, case):
    logits, states, reports = mue.forward_with_states(ofa_mini_bundles / kind, *inputs(expected, case))
    full = f"{case}.{kind}.full"
    assert difference(states, expected[f"{full}.encoder_out"]) < TOLERANCE
    assert difference(logits[:, -1], expected[f"{full}.logits_last"]) < TOLERANCE
    for stream in STREAMS:
        found = np.ravel(reports[0]["similarities"][stream])
        assert difference(found, expected[f"{full}.similarity_{stream}"]) < TOLERANCE


@pytest.mark.parametrize("kind", ["authors", "relbias"])
@pytest.mark.parametrize("case", CASES)
def test_engine_exits(mue, ofa_mini_bundles, expected, kind, case):
    depths = set()
    for number in range(3):
        name = f"{case}.{kind}.exit{number}"
        thresholds = tuple(map(float, expected[f"{name}.thresholds_image_text_decoder"]))
        logits, states, reports = mue.forward_with_states(ofa_mini_bundles / kind, *inputs(expected, case), thresholds)
        exits = [int(np.ravel(reports[0]["exits"][stream])[0]) for stream in STREAMS]
        assert exits == expected[f"{name}.exit_layers_image_text_decoder"].tolist()
        assert difference(states, expected[f"{name}.encoder_out"]) < TOLERANCE
        assert difference(logits[:, -1], expected[f"{name}.logits_last"]) < TOLERANCE
        depths.add(tuple(exits))
    assert len(depths) == 3, "the threshold sets are meant to leave at different layers"


# Files.

def test_half_precision_keeps_an_fp16_checkpoint_exactly(ofa_mini, ofa_bpe, expected, tmp_path):
    out = tmp_path / "half"
    export_ofa(OFAExport(ofa_mini / "checkpoint.pt", out, "decomposed", image_size=192, dtype="fp16", bpe=ofa_bpe,
                         verify=False))
    assert (out / "model.onnx").stat().st_size < 1.02 * (ofa_mini / "checkpoint.pt").stat().st_size
    checkpoint = read_checkpoint(ofa_mini / "checkpoint.pt")
    records = state_records(checkpoint)
    stored = {w.name: numpy_helper.to_array(w) for w in onnx.load(out / "model.onnx").graph.initializer}
    halves = [name for name, values in stored.items() if values.dtype == np.float16]
    assert len(halves) > 100
    for name in set(stored) & set(records):
        assert (stored[name] == checkpoint.tensor(name, records[name]).numpy()).all(), name
    half = session(out)
    for case in CASES:
        logits = run(half, *inputs(expected, case))
        assert difference(logits[:, -1], expected[f"{case}.relbias.full.logits_last"]) < TOLERANCE


def test_tied_weights_are_stored_once(ofa_mini_bundles):
    for kind in ("joint", "relbias"):
        weights = onnx.load(ofa_mini_bundles / kind / "model.onnx").graph.initializer
        large = [w.name for w in weights if 59457 in w.dims]
        assert large == ["encoder.embed_tokens.weight"]
        assert len({w.name for w in weights}) == len(weights)


def test_bundle_files(ofa_mini, ofa_mini_bundles):
    config, generation, preprocessor, joint, authors = (
        json.loads((ofa_mini_bundles / name).read_text())
        for name in ("joint/config.json", "joint/generation_config.json", "joint/preprocessor_config.json",
                     "joint/mue.json", "authors/mue.json"))
    assert (config["vocab_size"], config["d_model"], config["encoder_attention_heads"]) == (59457, 128, 2)
    assert config["max_position_embeddings"] == 1024
    assert (generation["num_beams"], generation["no_repeat_ngram_size"], generation["max_length"]) == (5, 3, 16)
    assert generation["decoder_start_token_id"] == 0 and generation["eos_token_id"] == 2
    assert preprocessor["image_mean"] == preprocessor["image_std"] == [0.5, 0.5, 0.5]
    assert preprocessor["size"] == {"height": 192, "width": 192}
    assert joint["encoder"] == "joint" and authors["encoder"] == "decomposed"
    assert authors["image_relative_bias"] is False
    assert joint["source"]["checkpoint"] == "checkpoint.pt"
    assert joint["source"]["sha256"] == hashlib.sha256((ofa_mini / "checkpoint.pt").read_bytes()).hexdigest()
    assert joint["tasks"]["grounding"]["bins"] == 1000
    assert joint["tasks"]["entailment"]["decoder_prefix"] == joint["tasks"]["vqa"]["decoder_prefix"] == "prompt"
    assert {p.name for p in (ofa_mini_bundles / "joint").iterdir()} == {
        "model.onnx", "config.json", "generation_config.json", "preprocessor_config.json", "tokenizer.json", "mue.json"}


# Random checkpoints.

@pytest.mark.parametrize("name", PUBLISHED)
def test_published_sizes_follow_from_shapes(name):
    sizes = published_sizes(name)
    shapes = sizes.shapes()
    assert OFASizes.of(shapes) == sizes
    total = sum(int(np.prod(s)) for n, s in shapes.items() if "running" not in n)
    # The decoder's image positions and the rest that is not exported are within 2 %.
    assert abs(total / PARAMETERS[name] - 1) < 0.02


def random_export(tmp_path, ofa_bpe, sizes, weights=torch.float16, **options):
    path = tmp_path / "random.pt"
    save_checkpoint(path, random_state(sizes, seed=3, dtype=weights))
    lines = []
    export_ofa(OFAExport(path, tmp_path / "out", bpe=ofa_bpe, **options), lines.append)
    assert any(line.startswith("verified") for line in lines)
    return tmp_path / "out"


def engine_agrees_with_onnxruntime(mue, bundle, sizes, image_size):
    rng = np.random.default_rng(11)
    graph_session = session(bundle)
    for text, dec in ((4, 1), (9, 6)):
        pixels = rng.standard_normal((1, 3, image_size, image_size)).astype(np.float32)
        ids, decoder_ids = (rng.integers(4, sizes.vocabulary, (1, n)) for n in (text, dec))
        logits, _ = mue.forward(bundle, pixels, ids, decoder_ids)
        assert difference(logits, run(graph_session, pixels, ids, decoder_ids)) < TOLERANCE


def test_published_tiny(mue, ofa_bpe, tmp_path):
    """fp32, weights in a file of their own."""
    sizes = published_sizes("tiny")
    saved, graph.EXTERNAL_FROM = graph.EXTERNAL_FROM, 10_000_000
    try:
        bundle = random_export(tmp_path, ofa_bpe, sizes, torch.float32, image_size=208)
    finally:
        graph.EXTERNAL_FROM = saved
    assert (bundle / "model.onnx").stat().st_size < 1_000_000
    for weight in onnx.load(bundle / "model.onnx", load_external_data=False).graph.initializer:
        for entry in weight.external_data:
            assert entry.key != "offset" or int(entry.value) % 64 == 0
    engine_agrees_with_onnxruntime(mue, bundle, sizes, 208)


# torch.export takes half a minute whatever the model: one of its two in every run, both with MUE_TEST_ALL_EXPORTS=1.
ALL_EXPORTS = pytest.mark.skipif(not os.environ.get("MUE_TEST_ALL_EXPORTS"), reason="set MUE_TEST_ALL_EXPORTS=1")


@pytest.mark.parametrize("exporter, dtype, encoder", [
    ("torchscript", "fp16", "joint"), ("dynamo", "fp16", "decomposed"),
    pytest.param("dynamo", "fp32", "joint", marks=ALL_EXPORTS)])
def test_exporters_and_types(mue, ofa_bpe, tmp_path, exporter, dtype, encoder):
    sizes = small_sizes()
    bundle = random_export(tmp_path, ofa_bpe, sizes, image_size=64, encoder=encoder, dtype=dtype, exporter=exporter,
                           opset=20 if exporter == "dynamo" else 17)
    engine_agrees_with_onnxruntime(mue, bundle, sizes, 64)
    wanted = {"joint"} if encoder == "joint" else {"image", "text"}
    streams = mue.inspect(bundle)["streams"]
    assert {kind: s["layers"] for kind, s in streams.items()} == dict.fromkeys({*wanted, "decoder"}, 2)


def test_exports_twice_alike(ofa_bpe, tmp_path):
    """Nothing in a bundle depends on when or where it was made."""
    path = tmp_path / "random.pt"
    save_checkpoint(path, random_state(small_sizes(), seed=5))
    for name in ("a", "b"):
        export_ofa(OFAExport(path, tmp_path / name, image_size=32, bpe=ofa_bpe, verify=False))
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes(), file.name


# Kept encodings are exact for decomposed encoders alone.

def test_features_of_a_decomposed_encoder(ofa_mini_bundles, tmp_path):
    mue = pytest.importorskip("mue")
    pixels = np.random.default_rng(7).integers(0, 256, (100, 130, 3), np.uint8)
    prompts = [" what does the image describe?", " is there a dog?"]
    with mue.open(ofa_mini_bundles / "relbias") as model:
        features = model.encode_image(pixels, exits=(0.9, 0.9, 0.9))
        for prompt in prompts:
            kept, whole = (model.generate(source, prompt, exits=(0.9, 0.9, 0.9), beams=3, max_tokens=6)
                           for source in (features, pixels))
            assert (kept.tokens, kept.exits, kept.logprob) == (whole.tokens, whole.exits, whole.logprob)
    with mue.open(ofa_mini_bundles / "joint") as model:
        with pytest.raises(mue.UnsupportedError, match="decomposed"):
            model.encode_image(pixels)
        # A prompt is not kept where its stream sees the image: both pictures are looked at.
        other = np.ascontiguousarray(pixels[::-1])
        first, second = (model.score(source, prompts[0], [" yes", " no"]).logprobs for source in (pixels, other))
        assert first != second


def test_seven_prompts_in_one_batch(ofa_mini_bundles):
    """Batches of prompts of different lengths and tasks: tokens and exit layers are those of single requests."""
    mue = pytest.importorskip("mue")
    generator = np.random.default_rng(11)
    pictures = [generator.integers(0, 256, (90, 70, 3), np.uint8) for _ in range(7)]
    prompts = [" what does the image describe?", " what colour is the car on the left side?",
               ' does the image describe " two dogs "?', " what does the image describe?", " how many?",
               ' which region does the text " a blue boat " describe?', " is it raining in this picture or not?"]
    for encoder in ("joint", "relbias"):
        with mue.open(ofa_mini_bundles / encoder) as model:
            for exits in ("off", (0.9, 0.8, 0.9)):
                batch = model.generate(pictures, prompts, exits=exits, max_tokens=6)
                for picture, prompt, answer in zip(pictures, prompts, batch, strict=True):
                    alone = model.generate(picture, prompt, exits=exits, max_tokens=6)
                    assert (answer.tokens, answer.exits) == (alone.tokens, alone.exits)
