"""What can go wrong: one exception class for each error code of the library."""

from __future__ import annotations


class Error(Exception):
    """Any error of MuE. `str(error)` is one line with the message and every place that is known.

    Attributes (each None where it is not known):
        code: MUE_E_* of include/mue.h; 0 for errors of the Python package itself.
        message: what went wrong, without the places.
        file: the file that it is about.
        byte_offset: where in that file.
        field: path of the field, such as graph.node[3].attribute[0].ints.
        node: name of the ONNX node.
        operator: ONNX operator type.
        argument: the caller's argument.
    """

    default_code = 0

    def __init__(
        self,
        message: str,
        *,
        code: int | None = None,
        description: str | None = None,
        file: str | None = None,
        byte_offset: int | None = None,
        field: str | None = None,
        node: str | None = None,
        operator: str | None = None,
        argument: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = self.default_code if code is None else code
        self.message = message
        self.description = description or message
        self.file = file
        self.byte_offset = byte_offset
        self.field = field
        self.node = node
        self.operator = operator
        self.argument = argument

    def __str__(self) -> str:
        return self.description


class LibraryError(Error):
    """The C library was not found, or is not one that this package can work with."""


class InvalidArgumentError(Error, ValueError):
    """An argument is outside its contract; `argument` names it."""

    default_code = 1


class NotFoundError(Error, FileNotFoundError):
    """A file or folder does not exist."""

    default_code = 2


class ReadError(Error, OSError):
    """The operating system refused to read or map a file."""

    default_code = 3


class InvalidModelError(Error):
    """A model file is malformed or inconsistent; `file`, `byte_offset` and `field` say where."""

    default_code = 4


class UnsupportedError(Error):
    """Well-formed, but it uses something that MuE lacks; `node` and `operator` say what."""

    default_code = 5


class LimitError(Error):
    """A size goes beyond the limits (`mue.Limits`)."""

    default_code = 6


class OutOfMemoryError(Error, MemoryError):
    """Memory could not be allocated."""

    default_code = 7


class CancelledError(Error):
    """Cancelled by a `CancelToken`, or by `Next.CANCEL` from the callback."""

    default_code = 8


class InvalidImageError(Error):
    """The bytes of an image cannot be decoded."""

    default_code = 9


class InvalidTextError(Error):
    """A tokenizer or JSON file is malformed, or a text cannot be encoded."""

    default_code = 10


class InternalError(Error):
    """A defect of MuE; please report it."""

    default_code = 11


class BusyError(Error):
    """The session is running another request. Cannot come from this package's own sessions."""

    default_code = 12


BY_CODE: dict[int, type[Error]] = {
    kind.default_code: kind
    for kind in (
        InvalidArgumentError,
        NotFoundError,
        ReadError,
        InvalidModelError,
        UnsupportedError,
        LimitError,
        OutOfMemoryError,
        CancelledError,
        InvalidImageError,
        InvalidTextError,
        InternalError,
        BusyError,
    )
}
