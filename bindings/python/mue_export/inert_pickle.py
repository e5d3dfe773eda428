"""Reads a pickle without running it.

Tensors become records of where their elements lie, OrderedDict a dict, and everything else that a pickle names an inert
object: nothing is imported and nothing outside this file is called.  Source of the opcodes: CPython's pickletools.
"""

from __future__ import annotations

import pickle
from typing import Any, BinaryIO

from .errors import ExportError

# Storage classes and their element types, by name; torch is not asked.
ELEMENT_TYPES = {
    "DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
    "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8",
    "ByteStorage": "uint8", "BoolStorage": "bool",
}
ITEM_SIZES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "int64": 8, "int32": 4, "int16": 2, "int8": 1,
              "uint8": 1, "bool": 1}


class StateDict(dict):
    """Stands for OrderedDict; attributes such as `_metadata` are dropped."""

    def __setstate__(self, state: object) -> None:
        pass


class StorageRecord:
    """A named run of elements in the file."""

    __slots__ = ("key", "type", "count")

    def __init__(self, key: str, type: str, count: int) -> None:
        self.key, self.type, self.count = key, type, count


class TensorRecord:
    """A view of a storage, in elements."""

    __slots__ = ("storage", "offset", "shape", "strides")

    def __init__(self, storage: StorageRecord, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides

    def __setstate__(self, state: object) -> None:
        pass


class Inert:
    """An object of a class that is not known here. Takes whatever is done to it; keeps its state for inspection."""

    def __init__(self, *arguments: object, **named: object) -> None:
        self.state: Any = None

    def __setstate__(self, state: object) -> None:
        self.state = state

    def __call__(self, *arguments: object, **named: object) -> Inert:
        return Inert()

    def __setitem__(self, key: object, value: object) -> None:
        pass

    def append(self, item: object) -> None:
        pass

    def extend(self, items: object) -> None:
        pass

    def add(self, item: object) -> None:
        pass


class _Known:
    """A callable that the pickle may name. An instance, so that no opcode can change what it does."""

    __slots__ = ("act",)

    def __init__(self, act) -> None:
        object.__setattr__(self, "act", act)

    def __setattr__(self, name: str, value: object) -> None:
        raise ExportError("the pickle tries to change a function")

    def __setstate__(self, state: object) -> None:
        raise ExportError("the pickle tries to change a function")

    def __call__(self, *arguments: object) -> object:
        return self.act(*arguments)


class _StorageType:
    __slots__ = ("type",)

    def __init__(self, type: str) -> None:
        self.type = type

    def __setstate__(self, state: object) -> None:
        raise ExportError("the pickle tries to change a type")


def _sizes(values: object) -> tuple[int, ...]:
    if not isinstance(values, tuple) or len(values) > 16 or not all(type(v) is int and v >= 0 for v in values):
        raise ExportError("a tensor's sizes or strides are not small tuples of natural numbers")
    return values


def _rebuild_tensor(storage: object = None, offset: object = None, shape: object = None, strides: object = None,
                    *_: object) -> TensorRecord:
    if not isinstance(storage, StorageRecord) or type(offset) is not int or offset < 0:
        raise ExportError("a tensor has no storage or no offset")
    return TensorRecord(storage, offset, _sizes(shape), _sizes(strides))


def _rebuild_parameter(data: object = None, *_: object) -> object:
    return data


def _rebuild_from_type(function: object = None, _type: object = None, arguments: object = (), *_: object) -> object:
    if not isinstance(function, _Known) or not isinstance(arguments, tuple):
        return Inert()
    return function(*arguments)


def _ordered_dict(*pairs: object) -> StateDict:
    return StateDict(*pairs)


_KNOWN = {
    ("collections", "OrderedDict"): _Known(_ordered_dict),
    ("torch._utils", "_rebuild_tensor"): _Known(_rebuild_tensor),
    ("torch._utils", "_rebuild_tensor_v2"): _Known(_rebuild_tensor),
    ("torch._utils", "_rebuild_parameter"): _Known(_rebuild_parameter),
    ("torch._utils", "_rebuild_parameter_with_state"): _Known(_rebuild_parameter),
    ("torch._tensor", "_rebuild_from_type_v2"): _Known(_rebuild_from_type),
}


def _refused(unpickler: pickle._Unpickler) -> None:
    raise ExportError("the pickle uses an opcode that no checkpoint needs")


class InertUnpickler(pickle._Unpickler):
    """Python's own pickle machine, in Python: the C one sizes its memory by numbers from the file."""

    dispatch = dict(pickle._Unpickler.dispatch)
    for _opcode in (pickle.EXT1, pickle.EXT2, pickle.EXT4, pickle.BYTEARRAY8, pickle.NEXT_BUFFER,
                    pickle.READONLY_BUFFER):
        dispatch[_opcode[0]] = _refused

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, fix_imports=False, encoding="latin1")
        self.skipped: set[str] = set()

    def find_class(self, module: object, name: object) -> object:
        module, name = str(module), str(name)
        if (module, name) in _KNOWN:
            return _KNOWN[module, name]
        if module in ("torch", "torch.storage") and name in ELEMENT_TYPES:
            return _StorageType(ELEMENT_TYPES[name])
        self.skipped.add(f"{module}.{name}")
        # A class of its own, since NEWOBJ wants a class and BUILD may try to change it.
        return type("Inert", (Inert,), {})

    def persistent_load(self, identifier: object) -> StorageRecord:
        if not isinstance(identifier, tuple) or len(identifier) < 5 or identifier[0] != "storage":
            raise ExportError("an external object that is not a storage")
        _, type_, key, _, count = identifier[:5]
        if len(identifier) > 5 and identifier[5] is not None:
            raise ExportError("views of storages, as torch wrote them before version 0.4, are not supported")
        if not isinstance(type_, _StorageType):
            raise ExportError("a storage of an unknown element type")
        if not isinstance(key, str) or type(count) is not int or count < 0:
            raise ExportError("a storage without key or size")
        return StorageRecord(key, type_.type, count)


def load_inert(file: BinaryIO) -> tuple[Any, set[str]]:
    """The object and the names that were skipped."""
    unpickler = InertUnpickler(file)
    try:
        return unpickler.load(), unpickler.skipped
    except ExportError:
        raise
    except (Exception, MemoryError) as error:
        # A hostile pickle can make Python's machine fail in any way.
        raise ExportError(f"the pickle in it cannot be read: {type(error).__name__} {error}".strip()) from None
