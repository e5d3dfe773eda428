"""ONNX export of the unified model, and what is done to the file afterwards.

Weights keep their PyTorch names.  Large ones are stored as fp16 with one Cast each, every tied tensor once.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from .model import BOS, EOS, PAD, UnifiedModel
from .stem import fold_batch_norms

INPUTS = ("pixel_values", "input_ids", "decoder_input_ids")
DYNAMIC_AXES = {"pixel_values": {0: "batch"}, "input_ids": {0: "batch", 1: "text"},
                "decoder_input_ids": {0: "batch", 1: "dec"}, "logits": {0: "batch", 1: "dec"}}
HALF_FROM = 1024  # elements from which a weight is stored in half precision


def folded(model: UnifiedModel) -> UnifiedModel:
    """A copy for inference: BatchNorms in the convolutions, head scales in the output projections."""
    model = copy.deepcopy(model).eval()
    fold_batch_norms(model.encoder.embed_images)
    for module in model.modules():
        if hasattr(module, "fold_head_scale"):
            module.fold_head_scale()
    return model.requires_grad_(False)


def example_inputs(model: UnifiedModel, batch: int = 2, text: int = 7, dec: int = 5) -> tuple[torch.Tensor, ...]:
    size, generator = model.config.image_size, torch.Generator().manual_seed(0)
    pixels = torch.randn(batch, 3, size, size, generator=generator)
    ids = torch.randint(4, model.config.vocab_size, (batch, text), generator=generator)
    ids[:, 0], ids[0, -1] = BOS, EOS
    ids[1:, -2], ids[1:, -1] = EOS, PAD
    decoder_ids = torch.randint(4, model.config.vocab_size, (batch, dec), generator=generator)
    decoder_ids[:, 0] = BOS
    return pixels, ids, decoder_ids


def export_onnx(model: UnifiedModel, path: Path, exporter: str = "torchscript", opset: int = 17) -> None:
    """Write `model` (see `folded`) as it is, in fp32."""
    inputs = example_inputs(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if exporter == "dynamo":
            longest = model.config.max_positions
            batch = torch.export.Dim("batch", min=1, max=1024)
            text, dec = (torch.export.Dim(n, min=2, max=longest) for n in ("text", "dec"))
            shapes = {"pixel_values": {0: batch}, "input_ids": {0: batch, 1: text}, "decoder_input_ids": {0: batch, 1: dec}}
            torch.onnx.export(model, inputs, str(path), dynamo=True, opset_version=opset, dynamic_shapes=shapes,
                              input_names=list(INPUTS), output_names=["logits"], external_data=False, verbose=False)
        else:
            torch.onnx.export(model, inputs, str(path), dynamo=False, opset_version=opset, input_names=list(INPUTS),
                              output_names=["logits"], dynamic_axes=DYNAMIC_AXES, do_constant_folding=False)


def half_weights(path: Path) -> None:
    """Store large float weights as fp16 behind one Cast each, and merge equal operations on weights."""
    proto = onnx.load(path)
    graph = proto.graph
    casts = []
    for weight in graph.initializer:
        if weight.data_type == TensorProto.FLOAT and np.prod(weight.dims) >= HALF_FROM:
            name, values = weight.name, numpy_helper.to_array(weight).astype(np.float16)
            weight.CopyFrom(numpy_helper.from_array(values, name))
            casts.append(helper.make_node("Cast", [name], [name + ".fp32"], name=f"{name}/Cast", to=TensorProto.FLOAT))
    renamed = {c.input[0]: c.output[0] for c in casts}
    _rename_inputs(graph.node, renamed)
    nodes = _merge_constant_operations([*casts, *graph.node], {w.name for w in graph.initializer})
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(proto)
    onnx.save(proto, path)


def _rename_inputs(nodes: Iterable[onnx.NodeProto], names: dict[str, str]) -> None:
    for node in nodes:
        for i, name in enumerate(node.input):
            node.input[i] = names.get(name, name)


def _merge_constant_operations(nodes: list[onnx.NodeProto], constants: set[str]) -> list[onnx.NodeProto]:
    """Keep one of several equal operations on weights (the Transpose of a tied matrix, say)."""
    kept, seen, renamed = [], {}, {}
    for node in nodes:
        _rename_inputs([node], renamed)
        if node.op_type in ("Cast", "Transpose") and node.input[0] in constants:
            key = (node.op_type, node.input[0], *(a.SerializeToString() for a in node.attribute))
            if key in seen:
                renamed[node.output[0]] = seen[key]
                continue
            seen[key] = node.output[0]
            constants.add(node.output[0])
        kept.append(node)
    return kept
