"""Generation as a host of another runtime would write it, by the graphs that there are."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import mean, median

import numpy as np

from .question import Bundle
from .runtimes import Graph, OnnxRuntime, OpenVINO
from .split import split

Times = dict[str, list[float]]


def timed(times: Times, name: str, graph: Graph, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    begin = time.perf_counter()
    found = graph.run(inputs)
    times.setdefault(name, []).append((time.perf_counter() - begin) * 1e3)
    return found


class Pieces:
    """Graphs made for this: FOLDER/encoder, /first (also makes the keys and values of cross-attention), /cached (one token
    with a cache), /cached-N (N beams of one sample)."""

    def __init__(self, runtime: OnnxRuntime | OpenVINO, folder: Path, beams: int) -> None:
        names = ["encoder", "first", "cached"]
        if (folder / f"cached-{beams}").exists():
            names.append(f"cached-{beams}")
        self.graphs = {name: runtime.load(folder / name / "model.onnx") for name in names}
        cached = self.graphs["cached"]
        self.cache = [name for name in cached.inputs if name != "token"]
        self.grown = [name for name in self.cache if f"new.{name}" in cached.outputs]
        self.beams = beams
        self.length = 0  # of the encoder's output, once known

    def tokens(self, bundle: Bundle, pixels: np.ndarray, ids: np.ndarray, choose, times: Times) -> list[int]:
        encoder, first, cached = (self.graphs[name] for name in ("encoder", "first", "cached"))
        memory, = timed(times, "encoder", encoder, dict(zip(encoder.inputs, (pixels, ids))))
        self.length = memory.shape[1]
        token = np.array([[bundle.start]])
        found = dict(zip(first.outputs, timed(times, "first", first, {"memory": memory, "token": token})))
        # What a runtime lends out is good until it runs again.
        cache = {name: np.array(found[name]) for name in self.cache}
        tokens: list[int] = []
        while (token := choose(found["logits"][0, -1], tokens)) is not None:
            tokens.append(token)
            if choose(None, tokens) is None:
                break
            found = dict(zip(cached.outputs, timed(times, "step", cached, {"token": np.array([[token]]), **cache})))
            cache.update((name, np.array(found[f"new.{name}"])) for name in self.grown)
        return tokens

    def beam_times(self, count: int) -> Times:
        """Milliseconds of a step of all beams for every length of the cache below `count`, without the search."""
        graph = self.graphs.get(f"cached-{self.beams}")
        if graph is None:
            return {}
        times: Times = {}
        name = f"beam{self.beams}"
        for past in range(1, count):
            inputs = {key: np.zeros([past if n is None else n for n in shape], np.float32)
                      for key, shape in graph.inputs.items() if key != "token"}
            timed(times, name, graph, {"token": np.full((self.beams, 1), 5), **inputs})
        return times


class Split:
    """A unified graph cut in two. Every token takes the decoder over the whole prefix: keys and values of self-attention
    are not kept. Encoder and steps are not what others call so, hence no times of their own."""

    def __init__(self, runtime: OnnxRuntime | OpenVINO, bundle: Bundle) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="mue-bench-")
        paths = split(bundle.folder / "model.onnx", bundle.role("decoder_input_ids"), bundle.role("logits"),
                      Path(self.folder.name))
        self.encoder, self.decoder = (runtime.load(path) for path in paths)

    def tokens(self, bundle: Bundle, pixels: np.ndarray, ids: np.ndarray, choose, times: Times) -> list[int]:
        given = {bundle.role("pixel_values"): pixels, bundle.role("input_ids"): ids}
        made = self.encoder.run({name: given[name] for name in self.encoder.inputs})
        values = {**given, **{name: np.array(value) for name, value in zip(self.encoder.outputs, made)}}
        tokens: list[int] = []
        while True:
            values[bundle.role("decoder_input_ids")] = np.array([[bundle.start, *tokens]])
            logits, = self.decoder.run({name: values[name] for name in self.decoder.inputs})
            token = choose(logits[0, -1], tokens)
            if token is None:
                return tokens
            tokens.append(token)
            if choose(None, tokens) is None:
                return tokens

    def beam_times(self, count: int) -> Times:
        return {}


class Whole:
    """The unified graph as it is, to measure opening it and its memory."""

    def __init__(self, runtime: OnnxRuntime | OpenVINO, bundle: Bundle) -> None:
        self.graph = runtime.load(bundle.folder / "model.onnx")

    def once(self, bundle: Bundle, pixels: np.ndarray, ids: np.ndarray) -> None:
        given = {bundle.role("pixel_values"): pixels, bundle.role("input_ids"): ids,
                 bundle.role("decoder_input_ids"): np.array([[bundle.start]])}
        self.graph.run({name: given[name] for name in self.graph.inputs})


def summary(times: Times) -> dict[str, float]:
    """A figure for each work: the median over the steps of an answer, the mean over those with beams."""
    return {name: (mean if name.startswith("beam") else median)(values) for name, values in times.items()}
