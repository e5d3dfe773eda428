"""From an OFA or MuE checkpoint to a bundle."""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from .bundle import TaskSettings, write_bundle_files
from .checkpoint import Checkpoint, read_checkpoint
from .errors import ExportError
from .graph import round_to_half, write_graph
from .inert_pickle import TensorRecord
from .model import PATCH, OFAModel
from .names import settings, state_records
from .sizes import OFASizes
from .tokenizer import find_bpe, tokenizer_json
from .verify import Expectation

# Tensors of published checkpoints that captions and answers are computed without: positions of image codes in the
# decoder, tables that follow from sizes, counters.
UNUSED = ("encoder.version", "decoder.version", "decoder.image_position_idx", "decoder.embed_image_positions.",
          "decoder.image_pos_ln.", "decoder.code_layernorm_embedding.", "decoder.image_rel_pos_table_list.",
          "encoder.token_rp_bucket", "encoder.image_rp_bucket", "decoder.token_rp_bucket", "decoder.image_rp_bucket")
TIED = ("decoder.embed_tokens.weight", "decoder.output_projection.weight")


@dataclass(frozen=True)
class OFAExport:
    """What to export and how; the options of the command line."""

    checkpoint: Path
    out: Path
    encoder: str = "joint"
    drop_image_relative_bias: bool = False
    image_size: int | None = None  # None: as the checkpoint was trained, or 480
    dtype: str = "fp32"
    opset: int = 17
    exporter: str = "torchscript"
    bpe: Path | None = None
    ema: bool = False
    force: bool = False
    verify: bool = True


def export_ofa(request: OFAExport, say: Callable[[str], None] = lambda line: None) -> None:
    """Write the bundle; raises ExportError. `out` appears complete or not at all."""
    out = request.out
    if request.drop_image_relative_bias and request.encoder != "decomposed":
        raise ExportError("--drop-image-relative-bias belongs to --encoder decomposed")
    if (out.exists() or out.is_symlink()) and not request.force:
        raise ExportError(f"{out}: exists; give --force to replace it")
    if out.exists() and not (out.is_dir() and (_is_bundle(out) or not any(out.iterdir()))):
        raise ExportError(f"{out}: is no bundle, and is not replaced")
    checkpoint = read_checkpoint(request.checkpoint)
    records = state_records(checkpoint, request.ema)
    try:
        sizes = OFASizes.of({name: record.shape for name, record in records.items()})
    except ExportError as error:
        raise ExportError(f"{checkpoint.path}: {error}") from None
    say(f"checkpoint: {len(records)} tensors; width {sizes.width}, {sizes.encoder_layers} + {sizes.decoder_layers} "
        f"layers, {sizes.heads} heads, ResNet {sizes.blocks}, {sizes.vocabulary} words")
    for warning in _warnings(checkpoint, records, sizes):
        say(f"warning: {warning}")
    task = TaskSettings.of(settings(checkpoint, "task"), request.image_size)
    _check_image_size(task.image_size, sizes)
    tokenizer = tokenizer_json(find_bpe(request.bpe, checkpoint.path), sizes.vocabulary)
    model = loaded_model(request, checkpoint, records, sizes, task.image_size)
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        folder.chmod(0o755)
        expectation = _write(request, model, task, tokenizer, checkpoint, folder, say)
        del model  # ONNX Runtime takes as much again
        if expectation is not None:
            worst = expectation.check(folder / "model.onnx")
            say(f"verified: ONNX Runtime differs from PyTorch by {worst:.1e} of the largest logit")
        _replace(out, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    total = sum(f.stat().st_size for f in out.iterdir())
    say(f"bundle: {out}, {total / 1e6:.1f} MB")


def loaded_model(request: OFAExport, checkpoint: Checkpoint, records: dict[str, TensorRecord],
                 sizes: OFASizes, image_size: int) -> OFAModel:
    """The model with the checkpoint's weights in fp32, ready for inference."""
    with torch.device("meta"):
        model = OFAModel(sizes, image_size, request.encoder == "decomposed",
                         not request.drop_image_relative_bias)
    state = {name: checkpoint.tensor(name, records[name]) for name in sizes.shapes()}
    for name, tensor in state.items():
        if not tensor.is_floating_point():
            raise ExportError(f"{checkpoint.path}: tensor {name} has elements of {str(tensor.dtype)[6:]}, not floats")
        if not torch.isfinite(tensor).all():
            raise ExportError(f"{checkpoint.path}: tensor {name} has values that are not finite")
        state[name] = tensor.float()
    model.load_state_dict(state, strict=False, assign=True)
    model.eval().requires_grad_(False)
    _check_distances(checkpoint, records, model)
    if request.dtype == "fp32":
        model.fold()
    else:
        # Left as they are, the weights of an fp16 checkpoint lose nothing.
        round_to_half(model)
    return model


def _write(request: OFAExport, model: OFAModel, task: TaskSettings, tokenizer: dict, checkpoint: Checkpoint,
           folder: Path, say: Callable[[str], None]) -> Expectation | None:
    """Everything into `folder`; returns what ONNX Runtime should find, unless that is not asked for."""
    verify = request.verify and importlib.util.find_spec("onnxruntime") is not None
    if request.verify and not verify:
        say("warning: onnxruntime is not installed, so the graph is not verified")
    expectation = Expectation(model) if verify else None
    path = folder / "model.onnx"
    write_graph(model, path, exporter=request.exporter, opset=request.opset, half=request.dtype == "fp16")
    size = sum(f.stat().st_size for f in folder.iterdir())
    say(f"graph: {request.encoder} encoder, {task.image_size} x {task.image_size} pixels, {request.exporter} exporter, "
        f"opset {request.opset}, {request.dtype}, {size / 1e6:.1f} MB")
    encoder = {"encoder": request.encoder}
    if request.encoder == "decomposed":
        encoder["image_relative_bias"] = not request.drop_image_relative_bias
    source = {"checkpoint": checkpoint.path.name, "sha256": checkpoint.sha256,
              "weights": "ema" if request.ema else "model"}
    write_bundle_files(folder, model.sizes, task, tokenizer, encoder, source)
    return expectation


def _check_image_size(size: int, sizes: OFASizes) -> None:
    largest = sizes.image_bucket * PATCH
    if size % PATCH or not PATCH <= size <= largest:
        raise ExportError(f"image size {size}: a multiple of {PATCH} up to {largest} is needed, since the checkpoint "
                          f"has positions for {sizes.image_bucket} x {sizes.image_bucket} image tokens")


def _warnings(checkpoint: Checkpoint, records: dict[str, TensorRecord], sizes: OFASizes) -> list[str]:
    found = []
    unknown = sorted(name for name in records if name not in sizes.shapes() and name not in TIED
                     and not name.startswith(UNUSED) and not name.endswith(".num_batches_tracked"))
    if unknown:
        shown = ", ".join(name[:100] for name in unknown[:8])
        more = f" and {len(unknown) - 8} more" if len(unknown) > 8 else ""
        found.append(f"not used: {len(unknown)} tensors that OFA does not have: {shown}{more}")
    tied = records["encoder.embed_tokens.weight"]
    for name in TIED:
        if name in records and not _same(checkpoint, records[name], tied, name):
            raise ExportError(f"{checkpoint.path}: tensor {name} is not encoder.embed_tokens.weight; OFA ties them")
    model = settings(checkpoint, "model")
    if model.get("disable_entangle") is False:
        found.append("the checkpoint's settings lack --disable-entangle: OFA would add positions to the decoder's "
                     "embeddings, which is not supported; its published models were trained without")
    for name in ("encoder_prompt", "decoder_prompt", "adapter"):
        if model.get(name) is True:
            found.append(f"the checkpoint was trained with {name}, which is not exported")
    return found


def _same(checkpoint: Checkpoint, record: TensorRecord, other: TensorRecord, name: str) -> bool:
    if record.storage.key == other.storage.key and record.offset == other.offset and record.shape == other.shape:
        return True
    if record.shape != other.shape:
        return False
    return torch.equal(checkpoint.tensor(name, record), checkpoint.tensor("encoder.embed_tokens.weight", other))


def _check_distances(checkpoint: Checkpoint, records: dict[str, TensorRecord], model: OFAModel) -> None:
    """Published files hold the tables of distances that we compute: they must be the same."""
    encoder = model.encoder
    index, side = encoder.position_index, model.sizes.image_bucket
    tokens = encoder.token_bucket[index[:, None] - index[None, :] + (model.sizes.longest - 1)]
    grid = torch.arange(side)
    coordinate = (grid[:, None] * (2 * side - 1) + grid).flatten()
    image = coordinate[:, None] - coordinate[None, :] + (side - 1) * 2 * side
    # Row and column 0 of the image's table are those of a class token, which OFA has not.
    for name, expected, first in (("token_rp_bucket", tokens, 0), ("image_rp_bucket", image, 1)):
        for part in ("encoder", "decoder"):
            record = records.get(f"{part}.{name}")
            if record is not None and not torch.equal(checkpoint.tensor(f"{part}.{name}", record)[first:, first:],
                                                      expected):
                raise ExportError(f"{checkpoint.path}: tensor {part}.{name} is not the table that OFA computes")


def _is_bundle(folder: Path) -> bool:
    return (folder / "mue.json").exists() and (folder / "model.onnx").exists()


def _replace(out: Path, folder: Path) -> None:
    """Put `folder` where `out` is; what was there goes away last."""
    old = None
    if out.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{out.name}-old-", dir=out.parent))
        os.replace(out, old / "bundle")
    os.replace(folder, out)
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)
