"""MuE: early-exiting inference of encoder-decoder vision-language models.

    import mue

    with mue.open("models/demo") as model:
        answer = model.generate("picture.png", exits="calibrated")
        print(answer.text, answer.exits, answer.time_ms.total)

A thin layer over the C library (include/mue.h): what the library checks is not checked again here, and every error of
it arrives as a subclass of `mue.Error` that says where. Models may be used from many threads at once, and calls run
without Python's global lock. What a model says while it is opened goes to the logger "mue".
"""

from ._library import build_info, load_library, system_info, version
from .cancel import CancelToken
from .errors import (
    BusyError,
    CancelledError,
    Error,
    InternalError,
    InvalidArgumentError,
    InvalidImageError,
    InvalidModelError,
    InvalidTextError,
    LibraryError,
    LimitError,
    NotFoundError,
    OutOfMemoryError,
    ReadError,
    UnsupportedError,
)
from .exits import Exits
from .images import Image, ImageFeatures
from .model import Model, TensorInfo
from .opening import Limits, Precision, load_graph, open
from .results import (
    Box,
    Depth,
    ExitLayers,
    ForwardResult,
    Generation,
    Hypothesis,
    MultiplyAdds,
    Next,
    Report,
    Scoring,
    Similarities,
    Times,
    TokenEvent,
)

__version__ = "1.0.0"

__all__ = [
    "Box",
    "BusyError",
    "CancelToken",
    "CancelledError",
    "Depth",
    "Error",
    "ExitLayers",
    "Exits",
    "ForwardResult",
    "Generation",
    "Hypothesis",
    "Image",
    "ImageFeatures",
    "InternalError",
    "InvalidArgumentError",
    "InvalidImageError",
    "InvalidModelError",
    "InvalidTextError",
    "LibraryError",
    "LimitError",
    "Limits",
    "Model",
    "MultiplyAdds",
    "Next",
    "NotFoundError",
    "OutOfMemoryError",
    "Precision",
    "ReadError",
    "Report",
    "Scoring",
    "Similarities",
    "TensorInfo",
    "Times",
    "TokenEvent",
    "UnsupportedError",
    "build_info",
    "load_graph",
    "load_library",
    "open",
    "system_info",
    "version",
]
