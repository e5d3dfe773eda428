from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np

from . import _abi
from ._library import load_library
from .results import Box
from .tensors import Loan

if TYPE_CHECKING:
    import PIL.Image


class Image:
    """An image that may serve many requests, on any threads. Requests also take what this class takes, directly.

    Args:
        source: one of
            a path of a JPEG or PNG file (str or PathLike): read and decoded by the requests that use it;
            the bytes of such a file: decoded by the requests that use it;
            a PIL image: taken as RGB, turned as its EXIF orientation says, as the library does with files;
            a uint8 array [height, width, 3]: R, G, B;
            a float array [3, height, width] or [1, 3, height, width]: pixel_values as the model takes them, already
            resized and normalised.
    """

    def __init__(self, source: ImageSource) -> None:
        library = load_library()
        # Freed with this object; requests keep a reference to it while they run.
        self._handle = _create(source)
        weakref.finalize(self, library.mue_image_free, self._handle)

    def save_png(self, path: str | os.PathLike[str], boxes: Iterable[Box | Sequence[float]] = ()) -> None:
        """Writes the picture as a PNG file, with a red outline of three pixels around each box; an existing file is
        replaced.

        Args:
            path: the file.
            boxes: of a `Generation`, or left, top, right, bottom in pixels.

        Raises:
            ReadError: the file cannot be written.
            InvalidArgumentError: the image was made of pixel_values, or a coordinate is no finite number.
        """
        natives = [
            _abi.Box(box.x0, box.y0, box.x1, box.y1) if isinstance(box, Box) else _abi.Box(*map(float, box))
            for box in boxes
        ]
        name = os.fsencode(path)
        load_library().call(
            "mue_image_write_png", self._handle, (_abi.Box * len(natives))(*natives), len(natives), name, len(name))


class ImageFeatures:
    """An image that went through a model's image stream, made by `Model.encode_image`: ask it as many prompts as you
    like, on any threads. It serves the model that made it.
    """

    def __init__(self, handle: int) -> None:
        library = load_library()
        self._handle = handle
        self._library = library
        weakref.finalize(self, library.mue_image_features_free, handle)

    @property
    def exit_layer(self) -> int:
        """The last layer of the image stream that ran."""
        return int(self._library.mue_image_features_exit_layer(self._handle))


ImageSource: TypeAlias = Union[
    str, "os.PathLike[str]", bytes, bytearray, memoryview, "np.ndarray[Any, np.dtype[Any]]", "PIL.Image.Image"
]
ImageLike: TypeAlias = Union[ImageSource, Image]
Askable: TypeAlias = Union[ImageLike, ImageFeatures]


def image(source: ImageLike) -> Image:
    """What a caller gave as an image."""
    return source if isinstance(source, Image) else Image(source)


def askable(source: Askable) -> Image | ImageFeatures:
    """What a caller gave to be asked about."""
    return source if isinstance(source, ImageFeatures) else image(source)


def _create(source: object) -> int:
    library = load_library()
    if isinstance(source, (str, os.PathLike)):
        path = os.fsencode(source)
        return library.create("mue_image_from_file", path, len(path))
    if isinstance(source, (bytes, bytearray, memoryview)):
        data = bytes(source)
        return library.create("mue_image_from_encoded", data, len(data))
    pil = sys.modules.get("PIL.Image")
    if pil is not None and isinstance(source, pil.Image):
        from PIL import ImageOps

        source = np.asarray(ImageOps.exif_transpose(source).convert("RGB"))
    if not isinstance(source, np.ndarray):
        raise TypeError(
            f"an image must be a path, bytes, a PIL image, an array or a mue.Image, not {type(source).__name__}")
    if source.dtype == np.uint8 and source.ndim == 3 and source.shape[2] == 3:
        pixels = np.ascontiguousarray(source)
        height, width, _ = pixels.shape
        return library.create("mue_image_from_rgb", pixels.ctypes.data, width, height, 0)
    if source.dtype.kind == "f" and source.ndim in (3, 4):
        values = source.astype(np.float32, copy=False)
        loan = Loan(values if values.ndim == 4 else values[np.newaxis], "image")
        return library.create("mue_image_from_tensor", loan.struct)
    raise TypeError(
        f"an image array must be uint8 [height, width, 3] or float [3, height, width], not {source.dtype} "
        f"{list(source.shape)}")
