"""What requests return."""

from __future__ import annotations

import ctypes
import enum
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from . import _abi
from ._library import Library
from .tensors import copied


class Next(enum.IntEnum):
    """What an `on_token` callback may return; None counts as CONTINUE."""

    CONTINUE = 0
    STOP = 1
    """End the generation of all items and keep what was made."""
    CANCEL = 2
    """End the generation and drop it: `CancelledError`."""


@dataclass(frozen=True)
class TokenEvent:
    """A token that was just chosen.

    Attributes:
        item: index of the question in the request.
        token: its number.
        text: what became complete with this token; may be "".
        exit_layer: decoder layers that ran for it.
    """

    item: int
    token: int
    text: str
    exit_layer: int


TokenCallback: TypeAlias = Callable[[TokenEvent], Next | None]


@dataclass(frozen=True)
class ExitLayers:
    """The last layer that ran: of the image stream, of the text stream, and of the decoder for each generated token,
    the end token included (one entry for score and forward)."""

    image: int
    text: int
    decoder: tuple[int, ...]


@dataclass(frozen=True)
class Depth:
    """Layers of each stream in full."""

    image: int
    text: int
    decoder: int


@dataclass(frozen=True)
class MultiplyAdds:
    """Multiply-adds that ran, and those of the same tokens at full depth."""

    run: int
    full: int


@dataclass(frozen=True)
class Times:
    """Wall times in milliseconds. A batch shares its parts: each of its items reports the same times."""

    total: float
    image_decode: float
    stem: float
    encoder: float
    decoder: float
    head: float


@dataclass(frozen=True)
class Similarities:
    """The similarity after each layer that ran; of the decoder for each generated token."""

    image: tuple[float, ...]
    text: tuple[float, ...]
    decoder: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Report:
    """What one item of a request cost.

    Attributes:
        exits: the last layer that ran, per stream.
        depth: layers in full, per stream.
        etr: expected time reduction of the MuE paper: a count of layers, not a time.
        macs: multiply-adds.
        time_ms: wall times in milliseconds.
        similarities: when asked for.
        threads, precision, cpu: of the run, such as 2, "f32", "avx512".
    """

    exits: ExitLayers
    depth: Depth
    etr: float
    macs: MultiplyAdds
    time_ms: Times
    similarities: Similarities | None
    threads: int
    precision: str
    cpu: str


@dataclass(frozen=True)
class Box:
    """A rectangle in the pixels of a picture: left, top, right, bottom."""

    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True)
class Hypothesis:
    """One of the answers that a search found.

    Attributes:
        text: the answer, as the task wants it (such as without punctuation).
        raw_text: what the tokens say.
        tokens: without the start and the end token.
        logprob: natural logarithm of the answer's probability, its end token included when it was reached.
        token_logprobs: the same of each token.
        score: what hypotheses are ranked by: logprob / tokens^length_penalty, the end token counted.
        decoder_exits: the exit layer of each token, the end token included.
        finished: whether the end token was reached.
        boxes: for tasks that answer in boxes.
    """

    text: str
    raw_text: str
    tokens: tuple[int, ...]
    logprob: float
    token_logprobs: tuple[float, ...]
    score: float
    decoder_exits: tuple[int, ...]
    finished: bool
    boxes: tuple[Box, ...]


@dataclass(frozen=True)
class Generation(Report):
    """An answer in text: the best hypothesis, whose attributes it has, and the others.

    Attributes:
        hypotheses: best first, as many as were asked for and found.
    """

    hypotheses: tuple[Hypothesis, ...]

    @property
    def text(self) -> str:
        """The answer, as the task wants it."""
        return self.hypotheses[0].text

    @property
    def raw_text(self) -> str:
        """What the tokens say."""
        return self.hypotheses[0].raw_text

    @property
    def tokens(self) -> tuple[int, ...]:
        """Without the start and the end token."""
        return self.hypotheses[0].tokens

    @property
    def logprob(self) -> float:
        """Natural logarithm of the answer's probability, its end token included when it was reached."""
        return self.hypotheses[0].logprob

    @property
    def token_logprobs(self) -> tuple[float, ...]:
        """Natural logarithm of each token's probability."""
        return self.hypotheses[0].token_logprobs

    @property
    def score(self) -> float:
        """What hypotheses are ranked by."""
        return self.hypotheses[0].score

    @property
    def finished(self) -> bool:
        """Whether the end token was reached."""
        return self.hypotheses[0].finished

    @property
    def boxes(self) -> tuple[Box, ...]:
        """For tasks that answer in boxes, in pixels of the picture."""
        return self.hypotheses[0].boxes


@dataclass(frozen=True)
class Scoring(Report):
    """Scores of a closed set of answers.

    Attributes:
        answers: in the order given.
        logprobs: natural logarithms, normalised over the answers.
        best: index of the best.
    """

    answers: tuple[str, ...]
    logprobs: tuple[float, ...]
    best: int

    @property
    def text(self) -> str:
        """The best answer."""
        return self.answers[self.best]

    @property
    def probabilities(self) -> dict[str, float]:
        """Of each answer; they add up to 1."""
        return {answer: math.exp(value) for answer, value in zip(self.answers, self.logprobs)}


@dataclass(frozen=True)
class ForwardResult:
    """One teacher-forced pass.

    Attributes:
        logits: float32 [batch, decoder length, vocabulary].
        encoder_hidden_states: float32 [batch, image tokens + text tokens, width], after the final LayerNorm.
        reports: one for each sample.
    """

    logits: np.ndarray[Any, np.dtype[np.float32]]
    encoder_hidden_states: np.ndarray[Any, np.dtype[np.float32]]
    reports: tuple[Report, ...]


class ResultReader:
    """Reads a `mue_result *`, and frees it at the end of its `with` block."""

    def __init__(self, library: Library, handle: int) -> None:
        self.library = library
        self.handle = handle

    def __enter__(self) -> ResultReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.library.mue_result_free(self.handle)

    def __len__(self) -> int:
        return int(self.library.mue_result_count(self.handle))

    def generation(self, item: int, with_similarities: bool) -> Generation:
        return Generation(
            **self._report(item, with_similarities),
            hypotheses=tuple(
                self._hypothesis(item, index)
                for index in range(int(self.library.mue_result_hypothesis_count(self.handle, item)))
            ),
        )

    def _hypothesis(self, item: int, index: int) -> Hypothesis:
        native = _abi.Hypothesis()
        self.library.call("mue_result_hypothesis", self.handle, item, index, ctypes.byref(native))
        steps = native.step_count
        return Hypothesis(
            text=_text(native.text),
            raw_text=_text(native.raw_text),
            tokens=tuple(native.tokens[: native.token_count]),
            logprob=native.log_probability,
            token_logprobs=tuple(native.token_log_probabilities[:steps]),
            score=native.score,
            decoder_exits=tuple(native.decoder_exits[:steps]),
            finished=native.is_finished == 1,
            boxes=tuple(Box(box.x0, box.y0, box.x1, box.y1) for box in native.boxes[: native.box_count]),
        )

    def scoring(self, item: int, with_similarities: bool) -> Scoring:
        count = int(self.library.mue_result_answer_count(self.handle, item))
        return Scoring(
            **self._report(item, with_similarities),
            answers=tuple(_text(self.library.mue_result_answer(self.handle, item, index)) for index in range(count)),
            logprobs=self._array("mue_result_answer_log_probabilities", item),
            best=int(self.library.mue_result_best_answer(self.handle, item)),
        )

    def forward(self, with_similarities: bool) -> ForwardResult:
        tensors = self.tensors()
        return ForwardResult(
            logits=tensors["logits"],
            encoder_hidden_states=tensors["encoder_hidden_states"],
            reports=tuple(Report(**self._report(item, with_similarities)) for item in range(len(self))),
        )

    def tensors(self) -> dict[str, np.ndarray[Any, np.dtype[Any]]]:
        """Copies of all tensors, by name, in the library's order."""
        arrays = {}
        for index in range(int(self.library.mue_result_tensor_count(self.handle))):
            tensor = _abi.Tensor()
            self.library.call("mue_result_tensor", self.handle, index, ctypes.byref(tensor))
            arrays[_text(tensor.name)] = copied(tensor)
        return arrays

    def _report(self, item: int, with_similarities: bool) -> dict[str, Any]:
        report = _abi.Report()
        self.library.call("mue_result_report", self.handle, item, ctypes.byref(report))
        exits = self._array("mue_result_decoder_exits", item)
        return {
            "exits": ExitLayers(report.image_exit, report.text_exit, exits),
            "depth": Depth(report.image_depth, report.text_depth, report.decoder_depth),
            "etr": report.etr,
            "macs": MultiplyAdds(report.macs_run, report.macs_full),
            "time_ms": Times(
                report.total_ms,
                report.image_decode_ms,
                report.stem_ms,
                report.encoder_ms,
                report.decoder_ms,
                report.head_ms,
            ),
            "similarities": self._similarities(item, len(exits)) if with_similarities else None,
            "threads": report.threads,
            "precision": _text(report.precision),
            "cpu": _text(report.cpu),
        }

    def _similarities(self, item: int, tokens: int) -> Similarities:
        def stream(number: int, token: int) -> tuple[float, ...]:
            return self._array("mue_result_similarities", item, number, token)

        return Similarities(
            stream(_abi.STREAM_IMAGE, 0),
            stream(_abi.STREAM_TEXT, 0),
            tuple(stream(_abi.STREAM_DECODER, token) for token in range(tokens)),
        )

    def _array(self, name: str, item: int, *more: int) -> tuple[Any, ...]:
        count = ctypes.c_size_t()
        pointer = getattr(self.library, name)(self.handle, item, *more, ctypes.byref(count))
        return tuple(pointer[: count.value]) if pointer else ()


def _text(value: bytes | None) -> str:
    return (value or b"").decode()
