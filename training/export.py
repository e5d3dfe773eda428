"""Export a bundle: `python -m training.export OUT --checkpoint RUN/last.ckpt` or `--random [--tiny]`.

The default is what models/demo holds: TorchScript exporter, opset 17, fp16 weights.  `--exporter dynamo --opset 20`
and other opsets serve the engine's import tests.  The file is checked against PyTorch in ONNX Runtime.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from .bundle import write_bundle_files
from .config import ModelConfig
from .init_from_onnx import load_exported
from .model import UnifiedModel
from .onnx_graph import INPUTS, example_inputs, export_onnx, folded, half_weights
from .tokenizer import TextCodec


def relative_difference(model: UnifiedModel, path: Path, batch: int, text: int, dec: int) -> float:
    """Largest difference of ONNX Runtime's logits from PyTorch's, relative to the largest logit."""
    inputs = example_inputs(model, batch, text, dec)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    logits = session.run(["logits"], {n: t.numpy() for n, t in zip(INPUTS, inputs)})[0]
    with torch.no_grad():
        expected = model(*inputs).numpy()
    return float(np.abs(logits - expected).max() / np.abs(expected).max())


def trained_model(checkpoint: Path) -> UnifiedModel:
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    model = UnifiedModel(ModelConfig.from_dict(state["config"]))
    model.load_state_dict(state["model"])
    return model


def random_model(tiny: bool, seed: int = 0) -> UnifiedModel:
    """Random weights with every bias, table and scale away from its neutral start, so that tests see them."""
    torch.manual_seed(seed)
    vocab_size = TextCodec().vocab_size
    model = UnifiedModel(ModelConfig.tiny(vocab_size) if tiny else ModelConfig.demo(vocab_size))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.02)
        for name, buffer in model.named_buffers():
            if name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5)
    return model


def export_bundle(model: UnifiedModel, out: Path, exporter: str, opset: int, half: bool, exits: dict | None) -> float:
    """Write a whole bundle beside `out` and move it there; returns the difference from PyTorch."""
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    folder.chmod(0o755)
    inference = folded(model)
    export_onnx(inference, folder / "model.onnx", exporter, opset)
    if half:
        half_weights(folder / "model.onnx")
    write_bundle_files(folder, model.config, exits)
    reference = load_exported(folder) if half else inference
    worst = max(relative_difference(reference, folder / "model.onnx", *sizes) for sizes in ((2, 7, 5), (3, 12, 9)))
    if not worst < 1e-4:
        raise RuntimeError(f"ONNX Runtime differs from PyTorch by {worst:.2g}, see {folder}")
    out.mkdir(exist_ok=True)
    for file in folder.iterdir():
        file.replace(out / file.name)
    shutil.rmtree(folder)
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--checkpoint", type=Path)
    source.add_argument("--random", action="store_true")
    parser.add_argument("--tiny", action="store_true", help="with --random: a very small model")
    parser.add_argument("--exporter", choices=("torchscript", "dynamo"), default="torchscript")
    parser.add_argument("--opset", type=int, default=17)
    parser.add_argument("--fp32", action="store_true", help="leave the weights in fp32, the graph as exported")
    parser.add_argument("--exits", type=Path, help="a mue.json whose exits are kept (default: OUT/mue.json's)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = random_model(args.tiny) if args.random else trained_model(args.checkpoint)
    exits_file = args.exits or args.out / "mue.json"
    exits = json.loads(exits_file.read_text()).get("exits") if exits_file.exists() else None
    half = not args.fp32 and args.exporter == "torchscript"
    worst = export_bundle(model, args.out, args.exporter, args.opset, half, exits)
    total = sum(f.stat().st_size for f in args.out.iterdir() if f.is_file())
    print(f"{args.out}: {total / 1e6:.2f} MB, ONNX Runtime differs from PyTorch by {worst:.1e} of the largest logit")


if __name__ == "__main__":
    main()
