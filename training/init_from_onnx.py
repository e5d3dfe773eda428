"""Weights out of an exported model.onnx: for the reference, for evaluation, and to train on from a release."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

from .bundle import read_config
from .model import UnifiedModel
from .onnx_graph import folded


def initializers(path: Path) -> dict[str, torch.Tensor]:
    graph = onnx.load(path).graph
    return {w.name: torch.from_numpy(np.array(numpy_helper.to_array(w))) for w in graph.initializer}


def load_exported(folder: Path) -> UnifiedModel:
    """The inference form (see `folded`) of the model in a bundle, with the very weights of its model.onnx."""
    model = folded(UnifiedModel(read_config(folder)))
    weights = initializers(folder / "model.onnx")
    state = model.state_dict()
    wanted = {name: weights[name].to(torch.float32) for name in state if name in weights}
    missing = {n for n in state if n not in wanted} - {"decoder.embed_tokens.weight", "encoder.embed_tokens.weight"}
    if missing:
        raise ValueError(f"{folder}/model.onnx lacks {sorted(missing)[:5]}")
    shared = weights.get("encoder.embed_tokens.weight", weights.get("decoder.embed_tokens.weight"))
    for owner in ("encoder", "decoder"):
        wanted[f"{owner}.embed_tokens.weight"] = shared.to(torch.float32)
    model.load_state_dict(wanted)
    return model


def load_weights(model: UnifiedModel, path: Path) -> None:
    """Initialise a trainable model from model.onnx.

    Folded parts become neutral: head scales 1, BatchNorms the identity plus a bias.  Keep the norms in evaluation
    mode when training on, for their statistics are gone.
    """
    exported = load_exported(path.parent).state_dict()
    state = model.state_dict()
    for name, value in state.items():
        if name in exported:
            value.copy_(exported[name])
        elif name.endswith("c_attn"):
            value.fill_(1.0)
    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            module.running_mean.zero_()
            module.running_var.fill_(1 - module.eps)
            head, _, last = name.rpartition(".")
            conv = "0" if last == "1" else last.replace("bn", "conv")
            module.bias.data.copy_(exported[f"{head}.{conv}.bias"])
