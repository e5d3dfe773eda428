"""The written graph in ONNX Runtime against the model in PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from .errors import ExportError
from .graph import INPUTS, example_inputs
from .model import OFAModel

CASES = ((2, 7, 5), (1, 12, 9))  # batch, prompt and decoder length
LARGEST_DIFFERENCE = 1e-4  # of the largest logit


class Expectation:
    """Inputs and PyTorch's logits, so that the model can be let go before the graph is loaded."""

    def __init__(self, model: OFAModel) -> None:
        self.cases = []
        for case in CASES:
            inputs = example_inputs(model, *case)
            with torch.inference_mode():
                self.cases.append(({n: t.numpy() for n, t in zip(INPUTS, inputs)}, model(*inputs).numpy()))

    def check(self, path: Path) -> float:
        """The largest difference, relative to the largest logit; raises ExportError when it is too large."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # Its optimiser would transpose and keep every weight once more.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.enable_cpu_mem_arena = False
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            found = [session.run(["logits"], inputs)[0] for inputs, _ in self.cases]
        except Exception as error:  # its exceptions have no common class
            raise ExportError(f"ONNX Runtime refuses the graph: {str(error).splitlines()[0]}") from None
        worst = max(float(np.abs(f - e).max() / np.abs(e).max()) for f, (_, e) in zip(found, self.cases))
        if not worst < LARGEST_DIFFERENCE:
            raise ExportError(f"ONNX Runtime differs from PyTorch by {worst:.2g} of the largest logit")
        return worst
