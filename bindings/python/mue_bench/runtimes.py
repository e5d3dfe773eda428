"""ONNX Runtime and OpenVINO behind one face: threads set, default optimisations, latency in mind."""

from __future__ import annotations

from pathlib import Path

import numpy as np


class Unavailable(Exception):
    """What was asked for cannot be had here; the message says what would help."""


class Graph:
    """A loaded graph: `inputs` by name with their shapes (None for a dynamic size), `outputs`, and `run`."""

    inputs: dict[str, list[int | None]]
    outputs: list[str]

    def run(self, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        raise NotImplementedError


class OnnxRuntime:
    precisions = ("f32", "int8")

    def __init__(self, threads: int, precision: str) -> None:
        import onnxruntime

        self.module, self.version, self.note = onnxruntime, onnxruntime.__version__, ""
        self.options = onnxruntime.SessionOptions()
        self.options.intra_op_num_threads = threads
        self.options.log_severity_level = 3
        self.is_int8 = precision == "int8"
        if self.is_int8:
            self.note = "quantize_dynamic of every MatMul, as its documentation recommends for transformers"

    def load(self, path: Path) -> Graph:
        return _OnnxRuntimeGraph(
            self.module.InferenceSession(
                str(self.quantized(path) if self.is_int8 else path), self.options, providers=["CPUExecutionProvider"]))

    def quantized(self, path: Path) -> Path:
        """The graph with int8 products, made once, in the folder `int8` beside the graph's own."""
        from onnxruntime.quantization import quantize_dynamic

        target = path.parent.parent / "int8" / path.parent.name / path.name
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name("part.onnx")
            quantize_dynamic(path, part, op_types_to_quantize=["MatMul"], use_external_data_format=True)
            part.rename(target)  # Its data lie in part.onnx.data, which it names.
        return target


class _OnnxRuntimeGraph(Graph):
    def __init__(self, session) -> None:
        self.session = session
        self.inputs = {i.name: [n if isinstance(n, int) else None for n in i.shape] for i in session.get_inputs()}
        self.outputs = [o.name for o in session.get_outputs()]

    def run(self, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        return self.session.run(None, inputs)


class OpenVINO:
    precisions = ("f32", "bf16")

    def __init__(self, threads: int, precision: str) -> None:
        import openvino

        self.version, self.note = openvino.__version__.split("-")[0], ""
        self.core = openvino.Core()
        self.settings = {
            "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision}
        if precision == "bf16" and "BF16" not in self.core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            self.note = "asked for bf16, which it does not compute in on this processor: these are f32 times"

    def load(self, path: Path) -> Graph:
        return _OpenVINOGraph(self.core.compile_model(str(path), "CPU", self.settings))


class _OpenVINOGraph(Graph):
    def __init__(self, model) -> None:
        self.request = model.create_infer_request()
        self.inputs = {
            i.any_name: [None if n.is_dynamic else n.get_length() for n in i.partial_shape] for i in model.inputs}
        self.outputs = [o.any_name for o in model.outputs]

    def run(self, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        self.request.infer(inputs, share_inputs=True)
        # Views of the request's memory, good until it runs again.
        return [self.request.get_output_tensor(i).data for i in range(len(self.outputs))]


RUNTIMES = {"onnxruntime": OnnxRuntime, "openvino": OpenVINO}


def runtime(name: str, threads: int, precision: str) -> OnnxRuntime | OpenVINO:
    kind = RUNTIMES[name]
    if precision not in kind.precisions:
        raise Unavailable(f"it is measured in {' and '.join(kind.precisions)}, not in {precision}")
    try:
        return kind(threads, precision)
    except ImportError as error:
        import sys

        raise Unavailable(f"{error}: `{sys.executable} -m pip install {name}`, or name another Python by --python") from error
