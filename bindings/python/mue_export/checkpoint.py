"""Tensors from a checkpoint file: torch.save's zip archives, its older plain files, and safetensors.

The file is mapped, not read: tensors are views of it, and a change of one stays in this process.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import mmap
import struct
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .errors import ExportError
from .inert_pickle import ITEM_SIZES, InertUnpickler, StorageRecord, TensorRecord, load_inert

PICKLE_LIMIT = 1 << 28  # bytes of the object structure
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
SAFETENSORS_TYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64",
                     "I32": "int32", "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool"}


@dataclass
class Checkpoint:
    path: Path
    sha256: str
    content: Any  # what was saved: dicts, lists and plain values, TensorRecords, Inert objects
    data: Any  # the mapped file
    places: dict[str, tuple[int, int]]  # storage -> position and length in bytes
    skipped: set[str] = field(default_factory=set)  # classes that were not loaded

    def tensor(self, name: str, record: TensorRecord) -> Tensor:
        """The tensor, a view of the file. Records of one storage share memory."""
        storage = record.storage
        if storage.key not in self.places:
            raise ExportError(f"{self.path}: tensor {name}: its data, '{storage.key[:80]}', is not in the file")
        position, length = self.places[storage.key]
        size = ITEM_SIZES[storage.type]
        if storage.count * size > length:
            raise ExportError(f"{self.path}: tensor {name}: {storage.count} elements of {storage.type} need "
                              f"{storage.count * size} bytes, the file has {length}")
        if len(record.shape) != len(record.strides):
            raise ExportError(f"{self.path}: tensor {name}: shape {list(record.shape)} with strides "
                              f"{list(record.strides)}")
        empty = 0 in record.shape
        end = record.offset + sum((n - 1) * s for n, s in zip(record.shape, record.strides)) + 1
        # Strides of 0 would make a large tensor of a small file.
        if not empty and max(end, math.prod(record.shape)) > storage.count:
            raise ExportError(f"{self.path}: tensor {name}: shape {list(record.shape)}, strides "
                              f"{list(record.strides)} and offset {record.offset} reach beyond its "
                              f"{storage.count} elements")
        dtype = getattr(torch, storage.type)
        if empty or storage.count == 0:
            return torch.empty(record.shape, dtype=dtype)
        if position % size:  # torch takes aligned elements only
            flat = torch.frombuffer(bytearray(self.data[position:position + storage.count * size]), dtype=dtype)
        else:
            flat = torch.frombuffer(self.data, dtype=dtype, count=storage.count, offset=position)
        return flat.as_strided(record.shape, record.strides, record.offset)


def read_checkpoint(path: Path) -> Checkpoint:
    try:
        with open(path, "rb") as file:
            start = file.read(8)
            if not start:
                raise ExportError(f"{path}: the file is empty")
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except FileNotFoundError:
        raise ExportError(f"{path}: no such file") from None
    except OSError as error:
        raise ExportError(f"{path}: {error.strerror or error}") from None
    digest = hashlib.sha256(data).hexdigest()
    try:
        if start[:4] == b"PK\x03\x04":
            content, places, skipped = _read_zip(path, data)
        elif start[:1] == b"\x80":
            content, places, skipped = _read_legacy(data)
        elif len(start) == 8 and data[8:9] == b"{":
            content, places, skipped = _read_safetensors(data)
        else:
            raise ExportError("not a checkpoint: neither torch.save's format nor safetensors")
    except ExportError as error:
        raise ExportError(f"{path}: {error}") from None
    return Checkpoint(path, digest, content, data, places, skipped)


def _read_zip(path: Path, data: mmap.mmap) -> tuple[Any, dict[str, tuple[int, int]], set[str]]:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, UnicodeDecodeError, struct.error) as error:
        raise ExportError(f"a damaged or truncated zip archive ({error})") from None
    records = {}
    for entry in entries:
        # Names are keys only, no path is ever made of them: "archive/data/0" -> "data/0".
        name = entry.filename.split("/", 1)[-1]
        if name in records:
            raise ExportError(f"two entries '{name[:80]}' in the archive")
        records[name] = entry
    if "data.pkl" not in records:
        raise ExportError("a zip archive, but not a checkpoint: it has no data.pkl")

    def place(entry: zipfile.ZipInfo) -> tuple[int, int]:
        header = data[entry.header_offset:entry.header_offset + 30]
        if len(header) < 30 or header[:4] != b"PK\x03\x04":
            raise ExportError(f"entry '{entry.filename[:80]}' of the archive is damaged")
        name_length, extra_length = struct.unpack("<HH", header[26:30])
        begin = entry.header_offset + 30 + name_length + extra_length
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 or entry.compress_size != entry.file_size:
            raise ExportError(f"entry '{entry.filename[:80]}' is compressed or encrypted, which torch.save never does")
        if begin + entry.file_size > len(data):
            raise ExportError(f"entry '{entry.filename[:80]}' reaches beyond the end of the file")
        with memoryview(data) as view, view[begin:begin + entry.file_size] as bytes_:
            if zlib.crc32(bytes_) != entry.CRC:
                raise ExportError(f"entry '{entry.filename[:80]}' is damaged: its checksum does not fit")
        return begin, entry.file_size

    if "byteorder" in records:
        begin, length = place(records["byteorder"])
        if data[begin:begin + min(length, 16)] != b"little":
            raise ExportError("a checkpoint of a big-endian machine")
    begin, length = place(records["data.pkl"])
    if length > PICKLE_LIMIT:
        raise ExportError(f"data.pkl has {length} bytes, more than {PICKLE_LIMIT}")
    content, skipped = load_inert(io.BytesIO(data[begin:begin + length]))
    places = {name[len("data/"):]: place(entry) for name, entry in records.items() if name.startswith("data/")}
    return content, places, skipped


def _read_legacy(data: mmap.mmap) -> tuple[Any, dict[str, tuple[int, int]], set[str]]:
    """Five pickles (magic, protocol, machine, object, storage keys), then each storage after its element count."""
    data.seek(0)
    magic, _ = load_inert(data)
    if magic != LEGACY_MAGIC:
        raise ExportError("a pickle, but not one of torch.save")
    load_inert(data)
    machine, _ = load_inert(data)
    if isinstance(machine, dict) and machine.get("little_endian") is not True:
        raise ExportError("a checkpoint of a big-endian machine")
    types: dict[str, str] = {}

    class Recording(InertUnpickler):
        def persistent_load(self, identifier: object) -> StorageRecord:
            record = super().persistent_load(identifier)
            types[record.key] = record.type
            return record

    unpickler = Recording(data)
    try:
        content = unpickler.load()
    except ExportError:
        raise
    except (Exception, MemoryError) as error:
        raise ExportError(f"the pickle in it cannot be read: {type(error).__name__} {error}".strip()) from None
    keys, _ = load_inert(data)
    if not isinstance(keys, list):
        raise ExportError("the list of storages is missing")
    places, position = {}, data.tell()
    for key in keys:
        if not isinstance(key, str) or key not in types:
            raise ExportError("a storage that no tensor uses")
        if position + 8 > len(data):
            raise ExportError(f"truncated: storage '{key[:80]}' is missing")
        count, = struct.unpack("<q", data[position:position + 8])
        length = count * ITEM_SIZES[types[key]]
        if count < 0 or position + 8 + length > len(data):
            raise ExportError(f"truncated: storage '{key[:80]}' reaches beyond the end of the file")
        places[key] = (position + 8, length)
        position += 8 + length
    return content, places, unpickler.skipped


def _read_safetensors(data: mmap.mmap) -> tuple[Any, dict[str, tuple[int, int]], set[str]]:
    length, = struct.unpack("<Q", data[:8])
    if length > PICKLE_LIMIT or 8 + length > len(data):
        raise ExportError("not a checkpoint, or a truncated safetensors file")
    try:
        header = json.loads(data[8:8 + length])
    except (ValueError, RecursionError) as error:
        raise ExportError(f"not a checkpoint: the header of safetensors is damaged ({error})") from None
    if not isinstance(header, dict):
        raise ExportError("not a checkpoint: the header of safetensors is no object")
    content, places = {}, {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        try:
            type_, shape, (begin, end) = SAFETENSORS_TYPES[entry["dtype"]], tuple(entry["shape"]), entry["data_offsets"]
            natural = all(type(v) is int and v >= 0 for v in (*shape, begin, end))
        except (KeyError, TypeError, ValueError):
            raise ExportError(f"tensor {name[:200]}: its entry in the header is damaged") from None
        count = math.prod(shape) if natural else 0
        if not natural or len(shape) > 16 or begin > end or 8 + length + end > len(data) \
                or count * ITEM_SIZES[type_] != end - begin:
            raise ExportError(f"tensor {name[:200]}: shape, type and place in the file do not fit")
        strides, step = [], 1
        for n in reversed(shape):
            strides.insert(0, step)
            step *= n
        places[name] = (8 + length + begin, end - begin)
        content[name] = TensorRecord(StorageRecord(name, type_, count), 0, shape, tuple(strides))
    return content, places, set()
