"""NumPy arrays to and from the library's tensors."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from . import _abi
from ._library import encoded

BFLOAT16 = 16
DTYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype(np.float32),
    2: np.dtype(np.uint8),
    3: np.dtype(np.int8),
    4: np.dtype(np.uint16),
    5: np.dtype(np.int16),
    6: np.dtype(np.int32),
    7: np.dtype(np.int64),
    9: np.dtype(np.bool_),
    10: np.dtype(np.float16),
    11: np.dtype(np.float64),
    12: np.dtype(np.uint32),
    13: np.dtype(np.uint64),
}
_CODES = {dtype: code for code, dtype in DTYPES.items()}


class Loan:
    """An array as `mue_tensor`, without a copy where its memory can be used; keeps the memory while it lives."""

    def __init__(self, value: object, argument: str, name: str | None = None) -> None:
        array = np.asarray(value)
        if not array.dtype.isnative:
            array = array.astype(array.dtype.newbyteorder("="))
        if not array.flags.aligned:
            array = array.copy()
        code = BFLOAT16 if array.dtype.name == "bfloat16" else _CODES.get(array.dtype)
        if code is None:
            raise TypeError(f"{argument} has dtype {array.dtype}, which the library does not know")
        self.array = array
        self.shape = (ctypes.c_int64 * array.ndim)(*array.shape)
        self.strides = (ctypes.c_int64 * array.ndim)(*array.strides)
        self.name = None if name is None else encoded(name, argument)
        self.struct = _abi.Tensor(
            name=self.name,
            name_length=len(self.name or b""),
            data=array.ctypes.data if array.size else None,
            dtype=code,
            rank=array.ndim,
            shape=ctypes.cast(self.shape, ctypes.POINTER(ctypes.c_int64)),
            strides=ctypes.cast(self.strides, ctypes.POINTER(ctypes.c_int64)),
        )


def copied(tensor: _abi.Tensor) -> np.ndarray[Any, np.dtype[Any]]:
    """A borrowed tensor as an array of its own. bfloat16 becomes float32, which holds every value of it."""
    shape = tuple(tensor.shape[axis] for axis in range(tensor.rank))
    is_bfloat16 = tensor.dtype == BFLOAT16
    dtype = np.dtype(np.uint16) if is_bfloat16 else DTYPES[tensor.dtype]
    count = 1
    for extent in shape:
        count *= extent
    if count == 0:
        return np.empty(shape, np.float32 if is_bfloat16 else dtype)
    memory = (ctypes.c_char * (count * dtype.itemsize)).from_address(tensor.data)
    array = np.frombuffer(memory, dtype).reshape(shape)
    if is_bfloat16:
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array.copy()
