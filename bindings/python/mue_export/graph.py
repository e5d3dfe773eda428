"""The ONNX file: the graph is exported without weights, which then go straight from the model to the disk.

So a model of any size needs no second copy in memory, and every tied tensor is stored once, under its published name.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper
from torch import Tensor

from .errors import ExportError
from .model import BOS, EOS, PAD, OFAModel

INPUTS = ("pixel_values", "input_ids", "decoder_input_ids")
DYNAMIC_AXES = {"pixel_values": {0: "batch"}, "input_ids": {0: "batch", 1: "text"},
                "decoder_input_ids": {0: "batch", 1: "dec"}, "logits": {0: "batch", 1: "dec"}}
EXTERNAL_FROM = 200_000_000  # bytes of weights from which they get a file of their own
EXTERNAL_TENSOR_FROM = 1024  # bytes from which a tensor goes there
ALIGNMENT = 64
HALF_FROM = 1024  # elements from which a matrix is stored as fp16
HALF_LARGEST = 65504.0


def example_inputs(model: OFAModel, batch: int, text: int, dec: int) -> tuple[Tensor, ...]:
    """Random pixels and ids; the last prompt ends in padding where there are several."""
    generator = torch.Generator().manual_seed(batch * 10_000 + text * 100 + dec)
    size, vocabulary = model.image_size, model.sizes.vocabulary
    pixels = torch.randn(batch, 3, size, size, generator=generator)
    ids = torch.randint(4, vocabulary, (batch, text), generator=generator)
    ids[:, 0], ids[:, -1] = BOS, EOS
    if batch > 1:
        ids[-1, -3], ids[-1, -2:] = EOS, PAD
    decoder_ids = torch.randint(4, vocabulary, (batch, dec), generator=generator)
    decoder_ids[:, 0] = BOS
    return pixels, ids, decoder_ids


def rounds_to_half(tensor: Tensor) -> bool:
    """Whether a weight is stored as fp16 in a half-precision file."""
    return tensor.dtype == torch.float32 and tensor.dim() >= 2 and tensor.numel() >= HALF_FROM


@torch.no_grad()
def round_to_half(model: OFAModel) -> None:
    """Give the weights the values that a half-precision file will hold."""
    for name, parameter in model.named_parameters():
        if rounds_to_half(parameter):
            if parameter.abs().max() > HALF_LARGEST:
                raise ExportError(f"tensor {name} has values beyond {HALF_LARGEST:.0f}: it needs --dtype fp32")
            parameter.data = parameter.data.half().float()


def write_graph(model: OFAModel, path: Path, *, exporter: str, opset: int, half: bool) -> None:
    """Write model.onnx, and model.onnx_data beside it for a large model."""
    proto = _exported(model, exporter, opset)
    weights = dict(model.named_parameters())
    weights.update((name, buffer) for name, buffer in model.named_buffers() if not name.endswith("num_batches_tracked"))
    _fill(proto, weights, path, half)


def _exported(model: OFAModel, exporter: str, opset: int) -> onnx.ModelProto:
    """The graph, its weights inputs like any other."""
    inputs = example_inputs(model, 2, 7, 5)
    file = io.BytesIO()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if exporter == "dynamo":
                return _exported_by_dynamo(model, inputs, opset)
            torch.onnx.export(model, inputs, file, dynamo=False, opset_version=opset, input_names=list(INPUTS),
                              output_names=["logits"], dynamic_axes=DYNAMIC_AXES, do_constant_folding=False,
                              export_params=False)
        except ImportError as error:
            raise ExportError(f"exporter {exporter} needs a package that is not installed: {error}") from None
        except (RuntimeError, ValueError, TypeError) as error:
            first = str(error).strip().split("\n")[0]
            raise ExportError(f"the {exporter} exporter of torch {torch.__version__} failed at opset {opset}: "
                              f"{first}") from None
    return onnx.load_from_string(file.getvalue())


def _exported_by_dynamo(model: OFAModel, inputs: tuple[Tensor, ...], opset: int) -> onnx.ModelProto:
    import onnx_ir

    longest = model.sizes.longest
    batch = torch.export.Dim("batch", min=1, max=1024)
    text, dec = (torch.export.Dim(name, min=2, max=longest) for name in ("text", "dec"))
    shapes = {"pixel_values": {0: batch}, "input_ids": {0: batch, 1: text}, "decoder_input_ids": {0: batch, 1: dec}}
    program = torch.onnx.export(model, inputs, dynamo=True, opset_version=opset, dynamic_shapes=shapes, verbose=False,
                                input_names=list(INPUTS), output_names=["logits"], optimize=False)
    graph = program.model.graph
    names = {name for name, _ in model.named_parameters()}
    names |= {name for name, _ in model.named_buffers()}
    for name in names & set(graph.initializers):
        value = graph.initializers.pop(name)
        value.const_value = None
        graph.inputs.append(value)
    # Only now, when it sees no weights: it would fold some of them into others and keep their names.
    program.optimize()
    for node in graph.all_nodes():  # traces of Python calls, most of the file otherwise
        node.metadata_props.clear()
    return onnx_ir.to_proto(program.model)


def _fill(proto: onnx.ModelProto, weights: dict[str, Tensor], path: Path, half: bool) -> None:
    """Make weights of the inputs that are not INPUTS, and write the model."""
    graph = proto.graph
    kept = [i for i in graph.input if i.name in INPUTS]
    wanted = [i.name for i in graph.input if i.name not in INPUTS]
    unknown = [name for name in wanted if name not in weights]
    if unknown or {i.name for i in kept} != set(INPUTS):
        raise ExportError(f"the exporter named a weight '{unknown[0] if unknown else '?'}', which the model has not")
    del graph.input[:]
    graph.input.extend(kept)
    casts = []
    for name in wanted if half else ():
        if rounds_to_half(weights[name]):
            casts.append(helper.make_node("Cast", [name], [f"{name}.fp32"], name=f"{name}/Cast",
                                          to=TensorProto.FLOAT))
    _rename_inputs(graph.node, {c.input[0]: c.output[0] for c in casts})
    nodes = _merged([*casts, *graph.node], set(wanted))
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]  # what is left of it says nothing that a reader could not infer
    total = sum(weights[name].nbytes for name in wanted) // (2 if half else 1)
    external = path.with_name(path.name + "_data") if total > EXTERNAL_FROM else None
    with open(external, "wb") if external else io.BytesIO() as file:
        for name in wanted:
            graph.initializer.append(_initializer(name, weights[name], half, file if external else None, path))
    onnx.save(proto, path)
    try:
        onnx.checker.check_model(str(path))
    except onnx.checker.ValidationError as error:
        raise ExportError(f"the exported graph is not valid: {str(error).splitlines()[0]}") from None


def _initializer(name: str, weight: Tensor, half: bool, file: BinaryIO | None, path: Path) -> TensorProto:
    values = weight.detach().contiguous().numpy()
    if half and rounds_to_half(weight):
        values = values.astype(np.float16)
    tensor = TensorProto(name=name, dims=values.shape, data_type=helper.np_dtype_to_tensor_dtype(values.dtype))
    if file is None or values.nbytes < EXTERNAL_TENSOR_FROM:
        tensor.raw_data = values.tobytes()
        return tensor
    file.write(bytes(-file.tell() % ALIGNMENT))
    offset = file.tell()
    file.write(values.data.cast("B") if values.size else b"")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", path.name + "_data"), ("offset", offset), ("length", values.nbytes)):
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def _rename_inputs(nodes: Iterable[onnx.NodeProto], names: dict[str, str]) -> None:
    for node in nodes:
        for i, name in enumerate(node.input):
            node.input[i] = names.get(name, name)


def _merged(nodes: list[onnx.NodeProto], constants: set[str]) -> list[onnx.NodeProto]:
    """Keep one of several equal operations on a weight (the Transpose of a tied matrix, say)."""
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
