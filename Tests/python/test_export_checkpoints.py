"""Reading checkpoints: every format and naming, and files that are damaged, wrong or hostile."""

from __future__ import annotations

import argparse
import collections
import io
import json
import os
import pickle
import shutil
import struct
import zipfile

import pytest
import torch

from mue_export.__main__ import main
from mue_export.checkpoint import read_checkpoint
from mue_export.errors import ExportError
from mue_export.names import published_name, settings, state_records
from mue_export.sizes import OFASizes
from random_ofa import published_sizes, random_state, save_checkpoint, small_sizes

SIZES = small_sizes()


@pytest.fixture(scope="module")
def state():
    return random_state(SIZES, seed=1)


@pytest.fixture
def saved(tmp_path, state):
    path = tmp_path / "small.pt"
    save_checkpoint(path, state)
    return path


def tensors(path, ema=False):
    checkpoint = read_checkpoint(path)
    return {name: checkpoint.tensor(name, record) for name, record in state_records(checkpoint, ema).items()}


def same(found, state):
    assert found.keys() == state.keys()
    for name, tensor in state.items():
        assert found[name].dtype == tensor.dtype and torch.equal(found[name], tensor), name


def failure(capsys, path, tmp_path, *options):
    """The one line that the command writes for `path`; nothing else may be left behind."""
    before = set(tmp_path.iterdir())
    assert main(["ofa", str(path), str(tmp_path / "out"), "--image-size", "64", *options]) == 1
    errors = capsys.readouterr().err
    assert errors.startswith("error: ") and errors.count("\n") == 1, errors
    assert set(tmp_path.iterdir()) == before
    return errors


# What can be read.

def test_the_authors_checkpoint(ofa_mini):
    """Element for element as torch reads it, which runs the pickle: this file is ours."""
    path = ofa_mini / "checkpoint.pt"
    same(tensors(path), torch.load(path, weights_only=False)["model"])
    checkpoint = read_checkpoint(path)
    assert checkpoint.skipped == {"argparse.Namespace"}
    assert settings(checkpoint, "model")["disable_entangle"] is True
    assert settings(checkpoint, "task") == {"_name": "caption", "patch_image_size": 192}
    records = state_records(checkpoint)
    tied = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "decoder.output_projection.weight")
    assert len({records[name].storage.key for name in tied}) == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("zipped", [True, False])
def test_formats_and_types_of_torch(tmp_path, state, dtype, zipped):
    state = {name: t.to(dtype) if t.is_floating_point() else t for name, t in state.items()}
    save_checkpoint(tmp_path / "a.pt", state, _use_new_zipfile_serialization=zipped)
    same(tensors(tmp_path / "a.pt"), state)


def test_plain_and_wrapped_states(tmp_path, state):
    parameters = collections.OrderedDict((f"module.{name}", torch.nn.Parameter(t) if t.is_floating_point() else t)
                                         for name, t in state.items())
    for name, content in (("plain.pt", state), ("wrapped.pt", {"state_dict": parameters})):
        torch.save(content, tmp_path / name)
        same(tensors(tmp_path / name), state)


def test_views_and_transposed_tensors(tmp_path, state):
    state = dict(state)
    name = "encoder.layers.0.fc1.weight"
    state[name] = torch.randn(16, 40, dtype=torch.float16).t()[8:]
    save_checkpoint(tmp_path / "views.pt", state)
    same(tensors(tmp_path / "views.pt"), state)


HUGGING_FACE = {"attn_ln": "self_attn_mid_layer_norm", "self_attn_ln": "self_attn_mid_layer_norm",
                "ffn_layernorm": "ffn_layer_norm", "encoder_attn": "cross_attn",
                "encoder_attn_layer_norm": "cross_attn_layer_norm", "cross_attn_ln": "cross_attn_mid_layer_norm"}


def hugging_face(state):
    return {".".join(HUGGING_FACE.get(part, part) if ".layers." in name else part for part in name.split(".")): t
            for name, t in state.items()}


def test_hugging_face_names(tmp_path, state):
    renamed = hugging_face(state)
    assert "decoder.layers.1.cross_attn_mid_layer_norm.weight" in renamed
    torch.save(renamed, tmp_path / "pytorch_model.bin")
    same(tensors(tmp_path / "pytorch_model.bin"), state)
    assert published_name("encoder.layers.0.self_attn.c_attn") == "encoder.layers.0.self_attn.c_attn"


def write_safetensors(path, state):
    """By hand, from the format's description."""
    types = {torch.float16: "F16", torch.int64: "I64", torch.float32: "F32"}
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, t in state.items():
        content = t.contiguous().numpy().tobytes()
        place = [len(data), len(data) + len(content)]
        header[name] = {"dtype": types[t.dtype], "shape": list(t.shape), "data_offsets": place}
        data += content
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def test_safetensors(tmp_path, state):
    # A byte of data first, so that elements are not aligned.
    odd = {"odd": torch.ones(1).half(), **hugging_face(state)}
    write_safetensors(tmp_path / "model.safetensors", odd)
    found = tensors(tmp_path / "model.safetensors")
    del found["odd"]
    same(found, state)


def test_moving_average(tmp_path, state):
    average = {name: t + 1 if t.is_floating_point() else t for name, t in state.items()}
    torch.save({"model": state, "extra_state": {"ema": average, "other": argparse.Namespace(a=1)}}, tmp_path / "ema.pt")
    same(tensors(tmp_path / "ema.pt", ema=True), average)
    same(tensors(tmp_path / "ema.pt"), state)


def test_no_moving_average(saved):
    with pytest.raises(ExportError, match="no moving average"):
        tensors(saved, ema=True)


# What cannot.

def test_truncated(tmp_path, saved, capsys):
    content = saved.read_bytes()
    for keep in (0, 3, 100, len(content) // 2, len(content) - 30):
        saved.write_bytes(content[:keep])
        assert "small.pt" in failure(capsys, saved, tmp_path)
    assert "truncated" in failure(capsys, saved, tmp_path)


def test_truncated_in_the_older_formats(tmp_path, state, capsys):
    path = tmp_path / "old.pt"
    save_checkpoint(path, state, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    for keep in (10, 200, len(content) - 1000):
        path.write_bytes(content[:keep])
        assert "old.pt" in failure(capsys, path, tmp_path)
    assert "truncated: storage" in failure(capsys, path, tmp_path)
    write_safetensors(path, state)
    path.write_bytes(path.read_bytes()[:-1])
    assert "do not fit" in failure(capsys, path, tmp_path)


def test_damaged_data(tmp_path, saved, capsys):
    content = bytearray(saved.read_bytes())
    content[len(content) // 2] ^= 1
    saved.write_bytes(content)
    assert "checksum" in failure(capsys, saved, tmp_path)


@pytest.mark.parametrize("name", [
    "encoder.embed_tokens.weight", "encoder.layers.1.self_attn.c_attn", "decoder.layers.0.encoder_attn.k_proj.bias",
    "encoder.image_rel_pos_table_list.0.weight", "encoder.embed_images.layer2.0.downsample.1.running_var",
    "decoder.cross_pos_q_linear.weight"])
def test_missing_tensor(tmp_path, state, capsys, name):
    save_checkpoint(tmp_path / "a.pt", {n: t for n, t in state.items() if n != name})
    line = failure(capsys, tmp_path / "a.pt", tmp_path)
    assert name in line


def test_missing_layer(tmp_path, state, capsys):
    save_checkpoint(tmp_path / "a.pt", {n: t for n, t in state.items() if not n.startswith("encoder.layers.0.")})
    assert "encoder.layers.0." in failure(capsys, tmp_path / "a.pt", tmp_path)


@pytest.mark.parametrize("name, shape, expected", [
    ("encoder.layers.1.fc2.weight", (16, 31), "[16, 32]"), ("decoder.layer_norm.bias", (1, 16), "[16]"),
    ("encoder.embed_images.conv1.weight", (64, 3, 3, 3), "[64, 3, 7, 7]"),
    ("encoder.embed_positions.weight", (1027, 16), "[1027, 16]")])
def test_wrong_shape(tmp_path, state, capsys, name, shape, expected):
    save_checkpoint(tmp_path / "a.pt", {**state, name: torch.zeros(shape, dtype=torch.float16)})
    line = failure(capsys, tmp_path / "a.pt", tmp_path)
    assert expected in line and (name in line or "decoder.embed_positions.weight" in line)


def test_untied_and_not_finite(tmp_path, state, ofa_bpe, capsys):
    other = {**state, "decoder.output_projection.weight": state["encoder.embed_tokens.weight"] * 2}
    save_checkpoint(tmp_path / "a.pt", other)
    assert "decoder.output_projection.weight" in failure(capsys, tmp_path / "a.pt", tmp_path, "--bpe", str(ofa_bpe))
    name = "encoder.layers.0.fc1.weight"
    save_checkpoint(tmp_path / "a.pt", {**state, name: state[name] * float("inf")})
    assert name in failure(capsys, tmp_path / "a.pt", tmp_path, "--bpe", str(ofa_bpe))


def test_other_distances(tmp_path, state, ofa_bpe, capsys):
    for name in ("encoder.token_rp_bucket", "decoder.image_rp_bucket"):
        table = state[name].clone()
        table[7, 1000] += 1
        save_checkpoint(tmp_path / "a.pt", {**state, name: table})
        assert name in failure(capsys, tmp_path / "a.pt", tmp_path, "--bpe", str(ofa_bpe))


class Calls:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("zipped", [True, False])
def test_pickled_calls_do_nothing(tmp_path, state, capsys, zipped):
    """A call beside the tensors is skipped, and one instead of the tensors is an error; neither runs."""
    marker = tmp_path / "marker"
    command = f"touch {marker}"
    evil = Calls(os.system, command)
    path = tmp_path / "evil.pt"
    torch.save({"model": state, "cfg": {"model": evil}, "x": [evil, Calls(exec, f"open({str(marker)!r}, 'w')")]}, path,
               _use_new_zipfile_serialization=zipped)
    same(tensors(path), state)
    # As protocol 2 spells them.
    assert read_checkpoint(path).skipped == {f"{os.system.__module__}.system", "__builtin__.exec"}
    torch.save({"model": evil}, path, _use_new_zipfile_serialization=zipped)
    assert "no tensor encoder.embed_tokens.weight" in failure(capsys, path, tmp_path)
    assert not marker.exists()
    torch.load(path, weights_only=False)
    assert marker.exists(), "the call would have run"


def test_not_a_checkpoint(tmp_path, capsys):
    contents = {"text": b"hello, this is no checkpoint at all\n", "png": b"\x89PNG\r\n\x1a\n" + bytes(100),
                "pickle": pickle.dumps({"a": 1}), "number": pickle.dumps(3), "nothing": b""}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        assert name in failure(capsys, tmp_path / name, tmp_path)
    with zipfile.ZipFile(tmp_path / "zip", "w") as archive:
        archive.writestr("a/b.txt", "hello")
    assert "no data.pkl" in failure(capsys, tmp_path / "zip", tmp_path)
    torch.save([torch.zeros(3)], tmp_path / "list")
    assert "no dict" in failure(capsys, tmp_path / "list", tmp_path)
    assert "no such file" in failure(capsys, tmp_path / "absent", tmp_path)
    assert "Is a directory" in failure(capsys, tmp_path, tmp_path)


def archive(path, pickled, storages, names=None):
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("a/data.pkl", pickled)
        for key, content in storages.items():
            out.writestr((names or {}).get(key, f"a/data/{key}"), content)


def pickled_tensor(offset=0, shape=(2, 3), stride=(3, 1), count=6, key="0", storage="FloatStorage"):
    """A state of one tensor, opcode by opcode, as torch.save writes it."""
    class Pickler(pickle._Pickler):
        def persistent_id(self, item):
            return ("storage", Global("torch", storage), key, "cpu", count) if item == "STORAGE" else None

        def save(self, item, save_persistent_id=True):
            if isinstance(item, Global):
                self.write(f"c{item.module}\n{item.name}\n".encode())
            elif isinstance(item, Tensor):
                self.save(Global("torch._utils", "_rebuild_tensor_v2"))
                self.save(("STORAGE", offset, shape, stride, False, None))
                self.write(pickle.REDUCE)
            else:
                super().save(item, save_persistent_id)

    Global, Tensor = collections.namedtuple("Global", "module name"), type("Tensor", (), {})
    file = io.BytesIO()
    Pickler(file, 2).dump({"model": {"encoder.embed_tokens.weight": Tensor()}})
    return file.getvalue()


@pytest.mark.parametrize("change, reason", [
    ({"offset": 1}, "beyond"), ({"offset": -1}, "no offset"), ({"stride": (4, 1)}, "beyond"),
    ({"stride": (-3, 1)}, "natural"), ({"shape": (2, 3, 1)}, "with strides"), ({"count": 7}, "bytes"),
    ({"shape": (1 << 40, 3), "stride": (0, 1)}, "beyond"), ({"shape": (1 << 62, 1 << 62)}, "beyond"),
    ({"shape": (True, 3)}, "natural"), ({"shape": [2, 3]}, "natural"), ({"key": "1"}, "not in the file"),
    ({"key": "../../../etc/passwd"}, "not in the file"), ({"key": 0}, "without key"), ({"count": -1}, "without key"),
    ({"storage": "DoubleStorage"}, "bytes"), ({"storage": "StringStorage"}, "unknown element type")])
def test_tensors_outside_their_data(tmp_path, change, reason):
    path = tmp_path / "a.pt"
    archive(path, pickled_tensor(), {"0": bytes(24)})
    assert tensors(path)["encoder.embed_tokens.weight"].shape == (2, 3)
    archive(path, pickled_tensor(**change), {"0": bytes(24)})
    with pytest.raises(ExportError, match=reason):
        tensors(path)


def test_names_in_the_archive_are_never_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.pt"
    names = {"0": "../../data/0", "1": "a/data//../x", "2": "/etc/passwd"}
    archive(path, pickled_tensor(), {k: bytes(24) for k in names}, names)
    with pytest.raises(ExportError, match="not in the file"):
        tensors(path)
    assert {p.name for p in tmp_path.iterdir()} == {"a.pt"}
    with pytest.warns(UserWarning, match="Duplicate"):
        archive(path, pickled_tensor(), {"0": bytes(24), "1": bytes(24)}, {"1": "a/data/0"})
    with pytest.raises(ExportError, match="two entries"):
        tensors(path)


def test_compressed_archive(tmp_path, saved):
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(tmp_path / "b.pt", "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
    with pytest.raises(ExportError, match="compressed"):
        read_checkpoint(tmp_path / "b.pt")


@pytest.mark.parametrize("pickled", [
    b"\x80\x02r\xff\xff\xff\xff.", b"\x80\x02]r\xff\xff\xff\xff.", b"\x80\x05\x96" + b"\xff" * 7 + b"\x7f.",
    b"\x80\x04\x8d" + b"\xff" * 7 + b"\x7f.", b"\x80\x02\x82\x01.",
    b"\x80\x02ccollections\nOrderedDict\n}X\x01\x00\x00\x00aK\x01sb.",
    b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nN}X\x01\x00\x00\x00aK\x01s\x86b.", b"(" * 100000,
    b"\x80\x02" + b"]a" * 50000,
    b"\x80\x02cos\nsystem\n}(X\x01\x00\x00\x00aK\x01u\x85R0."])
def test_hostile_pickles(tmp_path, pickled):
    archive(tmp_path / "a.pt", pickled, {})
    with pytest.raises(ExportError, match="a.pt"):
        state_records(read_checkpoint(tmp_path / "a.pt"))


def test_random_damage_to_the_pickle(tmp_path, saved):
    """Whatever happens to it, there is an error or there are the tensors."""
    import random
    rng = random.Random(4)
    with zipfile.ZipFile(saved) as source:
        pickled = next(source.read(n) for n in source.namelist() if n.endswith("data.pkl"))
    refused = 0
    for _ in range(60):
        damaged = bytearray(pickled)
        for _ in range(rng.randrange(1, 8)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        archive(tmp_path / "a.pt", bytes(damaged), {})
        try:
            state_records(read_checkpoint(tmp_path / "a.pt"))
        except ExportError:
            refused += 1
    assert refused > 20


# The command.

def test_usage(capsys):
    for arguments in ([], ["ofa"], ["ofa", "a", "b", "--encoder", "both"], ["other", "a", "b"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
    capsys.readouterr()


def test_options_that_do_not_fit(tmp_path, saved, ofa_bpe, capsys):
    assert "--encoder decomposed" in failure(capsys, saved, tmp_path, "--drop-image-relative-bias")
    for size in ("63", "0", "688", "-16"):
        assert "image size" in failure(capsys, saved, tmp_path, "--bpe", str(ofa_bpe), "--image-size", size)
    assert "--bpe" in failure(capsys, saved, tmp_path)
    assert "has not all" in failure(capsys, saved, tmp_path, "--bpe", str(tmp_path))
    assert "opset" in failure(capsys, saved, tmp_path, "--bpe", str(ofa_bpe), "--opset", "3")


def test_output_appears_whole_and_is_not_overwritten(tmp_path, saved, ofa_bpe, capsys):
    for name in ("encoder.json", "vocab.bpe", "dict.txt"):
        shutil.copy(ofa_bpe / name, tmp_path)  # found beside the checkpoint
    out = tmp_path / "new/out"
    arguments = ["ofa", str(saved), str(out), "--image-size", "32", "--no-verify"]
    assert main(arguments) == 0
    files = {p.name: p.stat().st_ino for p in out.iterdir()}
    assert len(files) == 6 and {p.name for p in out.parent.iterdir()} == {"out"}
    assert main(arguments) == 1 and "--force" in capsys.readouterr().err
    assert main([*arguments, "--force"]) == 0
    assert {p.name for p in out.iterdir()} == set(files) and {p.name for p in out.parent.iterdir()} == {"out"}
    assert {p.name: p.stat().st_ino for p in out.iterdir()} != files
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/work.txt").write_text("precious")
    capsys.readouterr()
    assert main(["ofa", str(saved), str(tmp_path / "mine"), "--force"]) == 1
    assert "no bundle" in capsys.readouterr().err and (tmp_path / "mine/work.txt").exists()


def test_settings_of_the_checkpoint(tmp_path, state, ofa_bpe):
    """Image size, colours and what the decoder reads are those of its training, unless options say otherwise."""
    task = {"_name": "vqa_gen", "patch_image_size": 48, "imagenet_default_mean_and_std": True, "prompt_type": "none",
            "max_image_size": 480}
    for name, content in (("dict", task), ("namespace", argparse.Namespace(**task))):
        torch.save({"model": state, "cfg": {"task": content}}, tmp_path / "a.pt")
        arguments = ["ofa", str(tmp_path / "a.pt"), str(tmp_path / name), "--bpe", str(ofa_bpe), "--no-verify"]
        assert main([*arguments, *(["--image-size", "64"] if name == "dict" else [])]) == 0
        preprocessor = json.loads((tmp_path / name / "preprocessor_config.json").read_text())
        side = 64 if name == "dict" else 48
        assert preprocessor["size"] == {"height": side, "width": side}
        assert preprocessor["image_mean"] == [0.485, 0.456, 0.406]
        tasks = json.loads((tmp_path / name / "mue.json").read_text())["tasks"]
        assert "decoder_prefix" not in tasks["vqa"] and tasks["grounding"]["max_image_size"] == 480


def test_unknown_tensors_are_a_warning(tmp_path, state, ofa_bpe, capsys):
    save_checkpoint(tmp_path / "a.pt", {**state, "encoder.adapter.weight": torch.zeros(3)})
    arguments = ["--bpe", str(ofa_bpe), "--image-size", "32", "--no-verify"]
    assert main(["ofa", str(tmp_path / "a.pt"), str(tmp_path / "out"), *arguments]) == 0
    said = capsys.readouterr().out
    assert "warning: not used: 1 tensors" in said and "encoder.adapter.weight" in said
    assert said.count("warning") == 1


def test_gigantic_claims_cost_nothing(tmp_path):
    """Shapes of a huge model in a small file: refused for their data, not for want of memory."""
    shapes = published_sizes("huge").shapes()
    header = {name: {"dtype": "F32", "shape": list(shape), "data_offsets": [0, 4]} for name, shape in shapes.items()}
    text = json.dumps(header).encode()
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + bytes(4))
    with pytest.raises(ExportError, match="do not fit"):
        read_checkpoint(tmp_path / "a.safetensors")
    with pytest.raises(ExportError, match="missing"):
        OFASizes.of({"encoder.embed_tokens.weight": (1 << 60, 1 << 60)})
