from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator

from . import _abi
from ._library import Library


@contextlib.contextmanager
def traced(library: Library, session: int, path: str | os.PathLike[str]) -> Iterator[None]:
    """Writes a Chrome trace of what the session does in the block, also when that fails."""
    with open(path, "wb") as file:
        library.call("mue_session_trace_begin", session, _abi.TRACE_OPERATORS)
        try:
            yield
        finally:
            text = library.create("mue_session_trace_end", session)
            try:
                file.write(ctypes.string_at(text))
            finally:
                library.mue_string_free(text)
