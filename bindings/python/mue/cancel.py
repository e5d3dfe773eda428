from __future__ import annotations

import weakref

from ._library import load_library


class CancelToken:
    """A latch that ends requests: once tripped it stays tripped.

    Every request that was given the token ends within one operator with `CancelledError`. Trip it from any thread:

        token = mue.CancelToken()
        threading.Timer(1.0, token.trip).start()
        model.generate("picture.png", cancel=token)
    """

    def __init__(self) -> None:
        self._library = load_library()
        # Freed with this object; requests keep a reference to it while they run.
        self._handle = self._library.create("mue_cancel_create")
        weakref.finalize(self, self._library.mue_cancel_free, self._handle)

    def trip(self) -> None:
        """Cancels. Any thread."""
        self._library.mue_cancel_trip(self._handle)

    @property
    def tripped(self) -> bool:
        """Whether it was tripped."""
        return bool(self._library.mue_cancel_is_tripped(self._handle))

    def __repr__(self) -> str:
        return f"<mue.CancelToken {'tripped' if self.tripped else 'armed'}>"


def handle_of(cancel: CancelToken | None) -> int | None:
    """The library's handle of an optional token."""
    if cancel is not None and not isinstance(cancel, CancelToken):
        raise TypeError(f"cancel must be a mue.CancelToken, not {type(cancel).__name__}")
    return None if cancel is None else cancel._handle
