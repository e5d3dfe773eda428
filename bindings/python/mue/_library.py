"""Finds and loads the C library: one for the process."""

from __future__ import annotations

import ctypes
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import _abi
from .errors import BY_CODE, Error, InvalidArgumentError, LibraryError

_ABI_VERSION = 1
_FILE_NAMES = ("libmue.so", f"libmue.so.{_ABI_VERSION}")


class Library:
    """The functions of include/mue.h, with errors turned into exceptions."""

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self.functions = ctypes.CDLL(path)
            for name, (result, arguments) in _abi.PROTOTYPES.items():
                function = getattr(self.functions, name)
                function.restype = result
                function.argtypes = arguments
        except (OSError, AttributeError) as error:
            raise LibraryError(f"{path} cannot be loaded as the MuE library: {error}", file=path) from error
        version = int(self.functions.mue_version())
        if version // 10000 != _ABI_VERSION:
            raise LibraryError(
                f"{path} has version {version // 10000}, this package works with version {_ABI_VERSION}", file=path)

    def __getattr__(self, name: str) -> Any:
        """A function that returns no error, as it is."""
        return getattr(self.functions, name)

    def call(self, name: str, *arguments: object) -> None:
        """Calls a function that returns `mue_error *` and raises the exception for it."""
        error = getattr(self.functions, name)(*arguments)
        if error:
            try:
                raise self._exception(error)
            finally:
                self.functions.mue_error_free(error)

    def create(self, name: str, *arguments: object) -> int:
        """Calls a function whose last out-parameter is a handle, and returns the handle."""
        handle = ctypes.c_void_p()
        self.call(name, *arguments, ctypes.byref(handle))
        return handle.value or 0

    def json(self, name: str, *arguments: object) -> Any:
        """Calls a function whose last out-parameter is JSON text, and returns its value."""
        text = self.create(name, *arguments)
        try:
            return json.loads(ctypes.string_at(text))
        finally:
            self.functions.mue_string_free(text)

    def _exception(self, error: int) -> Error:
        functions = self.functions

        def text(name: str) -> str | None:
            value = getattr(functions, name)(error)
            return None if value is None else value.decode(errors="replace")

        code = int(functions.mue_error_code(error))
        offset = int(functions.mue_error_byte_offset(error))
        return BY_CODE.get(code, Error)(
            text("mue_error_message") or "",
            code=code,
            description=text("mue_error_description"),
            file=text("mue_error_file"),
            byte_offset=None if offset < 0 else offset,
            field=text("mue_error_field"),
            node=text("mue_error_node"),
            operator=text("mue_error_operator"),
            argument=text("mue_error_argument"),
        )


_lock = threading.Lock()
_loaded: Library | None = None


def load_library(path: str | os.PathLike[str] | None = None) -> Library:
    """The C library, loaded when it is first needed; later calls return the same one.

    Without a path it is looked for in: the file that the environment variable MUE_LIBRARY names; the folder of this
    package; build/lib of the checkout that this package lies in; where the system's loader looks.

    Raises:
        LibraryError: there is none, it is no MuE library of version 1, or another one is already loaded.
    """
    global _loaded
    with _lock:
        if _loaded is None:
            _loaded = Library(os.fspath(path)) if path is not None else _find()
        elif path is not None and not _is_same(_loaded.path, os.fspath(path)):
            raise LibraryError(f"{_loaded.path} is already loaded; one process uses one MuE library")
        return _loaded


def version() -> str:
    """The version of the C library, such as "1.0.0"."""
    return str(load_library().mue_version_string().decode())


def build_info() -> str:
    """Compiler, architecture and configuration of the C library, one line."""
    return str(load_library().mue_build_info().decode())


def system_info() -> dict[str, Any]:
    """version, build, cpu (instruction set in use), cores (that the process may use), threads (of a model)."""
    result: dict[str, Any] = load_library().json("mue_system_info")
    return result


def int32(value: int, argument: str) -> int:
    """ctypes cuts integers that do not fit; this refuses them."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{argument} must be an integer, not {type(value).__name__}")
    number = value.__index__()
    if not -(2**31) <= number < 2**31:
        raise InvalidArgumentError(f"{argument} does not fit 32 bits: {number}", argument=argument)
    return number


def encoded(text: str, argument: str) -> bytes:
    """UTF-8; what is not Unicode (lone surrogates) is left for the library to refuse by name."""
    if not isinstance(text, str):
        raise TypeError(f"{argument} must be a str, not {type(text).__name__}")
    return text.encode("utf-8", "surrogatepass")


def _find() -> Library:
    named = os.environ.get("MUE_LIBRARY")
    if named:
        return Library(named)
    candidates = list(_candidates())
    for candidate in candidates:
        if candidate.exists():
            return Library(str(candidate))
    try:
        return Library(_FILE_NAMES[1])
    except LibraryError as error:
        places = ", ".join(str(candidate) for candidate in candidates)
        raise LibraryError(
            f"the MuE library was not found: run `make build`, or set MUE_LIBRARY to libmue.so; looked at {places}, "
            f"and asked the system for {_FILE_NAMES[1]}") from error


def _candidates() -> Iterator[Path]:
    package = Path(__file__).resolve().parent
    for name in _FILE_NAMES:
        yield package / name
    if len(package.parents) > 2:
        checkout = package.parents[2]
        if (checkout / "include" / "mue.h").exists():
            yield checkout / "build" / "lib" / _FILE_NAMES[0]


def _is_same(left: str, right: str) -> bool:
    return os.path.realpath(left) == os.path.realpath(right)
