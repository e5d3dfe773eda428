"""Opening models."""

from __future__ import annotations

import ctypes
import logging
import os
from dataclasses import dataclass, fields
from typing import Literal, TypeAlias

from . import _abi
from ._library import Library, int32, load_library
from .errors import InvalidArgumentError
from .model import Model

Precision: TypeAlias = Literal["f32", "bf16", "int8"]

# In the order of MUE_PRECISION_*.
_PRECISIONS = ("f32", "bf16", "int8")

_log = logging.getLogger("mue")
_log.addHandler(logging.NullHandler())


@dataclass(frozen=True)
class Limits:
    """Bounds on what a model or a request may ask for; beyond them lies `LimitError`. 0 takes the default.

    Attributes:
        model_bytes: of all files of the model together; default 64 GiB.
        nodes: default 2^20.
        tensor_elements: of one tensor; default 2^34.
        nesting: graphs within graphs, arrays within arrays; default 16.
        sequence_length: tokens of a prompt or an answer; default 2^14.
        image_pixels: of one image before resizing; default 2^28.
        batch: items of one request; default 2^10.
    """

    model_bytes: int = 0
    nodes: int = 0
    tensor_elements: int = 0
    nesting: int = 0
    sequence_length: int = 0
    image_pixels: int = 0
    batch: int = 0


def open(
    path: str | os.PathLike[str],
    *,
    threads: int = 0,
    precision: Precision = "f32",
    packed_cache: bool = False,
    screening: bool = True,
    limits: Limits | None = None,
    library: str | os.PathLike[str] | None = None,
) -> Model:
    """Opens a bundle directory, or one ONNX file (then only `run`, `inputs`, `outputs` and `inspect` work).

    Args:
        path: the folder or file.
        threads: of the model's pool, the calling thread included; 0: the cores that the process may use.
        precision: how constant matrices are kept and multiplied: "f32"; "bf16", half the memory; "int8", a quarter.
            docs/precision.md has quality and speed.
        packed_cache: keep packed weights in a file next to the model, and read them from there the next time. A folder
            that cannot be written to is a warning in the log.
        screening: greedy search (with "bf16" and "int8" beams too) looks at the logits of a large vocabulary in few bits
            ("f32": eight, "bf16" and "int8": four) and computes those that may be the largest exactly, from the file's own
            weights; with "f32" its tokens are the same, its log-probabilities nearly so. False: all of them in the model's
            precision.
        limits: None for the defaults.
        library: libmue.so; None looks for it as `load_library` says.

    Raises:
        NotFoundError, ReadError, InvalidModelError, UnsupportedError, InvalidTextError, LimitError, LibraryError.
    """
    options = _options(threads, precision, packed_cache, limits)
    options.screening = 0 if screening else _abi.OFF
    return _opened(load_library(library), "mue_model_open", os.fsencode(path), options)


def load_graph(
    source: str | os.PathLike[str] | bytes | bytearray | memoryview,
    *,
    threads: int = 0,
    precision: Precision = "f32",
    limits: Limits | None = None,
    library: str | os.PathLike[str] | None = None,
) -> Model:
    """Opens one ONNX graph to `run`: a file, or the bytes of a file without external data.

    Arguments and errors as `open`.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        options = _options(threads, precision, False, limits)
        return _opened(load_library(library), "mue_model_parse", bytes(source), options)
    return open(source, threads=threads, precision=precision, limits=limits, library=library)


def _options(threads: int, precision: str, packed_cache: bool, limits: Limits | None) -> _abi.ModelOptions:
    if precision not in _PRECISIONS:
        raise InvalidArgumentError(
            f"precision is {precision!r} and must be one of {', '.join(_PRECISIONS)}", argument="precision"
        )
    options = _abi.ModelOptions(
        threads=int32(threads, "threads"), precision=_PRECISIONS.index(precision), packed_cache=bool(packed_cache)
    )
    if limits is not None:
        bounds = _abi.Limits()
        for field in fields(limits):
            value = getattr(limits, field.name)
            if not 0 <= value < 2**64:
                raise InvalidArgumentError(f"limits.{field.name} is {value}", argument=f"limits.{field.name}")
            setattr(bounds, field.name, value)
        options.limits = ctypes.pointer(bounds)
    return options


def _opened(library: Library, function: str, source: bytes, options: _abi.ModelOptions) -> Model:
    @_abi.LogCallback
    def log(level: int, message: int, length: int, _: object) -> None:
        text = ctypes.string_at(message, length).decode(errors="replace")
        _log.log(logging.WARNING if level == _abi.LOG_WARNING else logging.INFO, "%s", text)

    options.log = log
    return Model(library, library.create(function, source, len(source), ctypes.byref(options)))
