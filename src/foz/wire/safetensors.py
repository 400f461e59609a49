"""
The header of a safetensors file: how many weights it has, how they are stored, and that they lie within the file.

Eight bytes say how long the header is, the header is JSON, and every tensor's place is in it. As with GGUF nothing is
left to be found out by the engine that reads it.
"""

import math
from collections.abc import Mapping
from mmap import mmap

import msgspec
from msgspec import Struct

LONGEST_HEADER = 100_000_000
"""The format's own limit."""
MOST_TENSORS = 262_144
_BITS: Mapping[str, int] = {
    "F64": 64, "F32": 32, "F16": 16, "BF16": 16, "I64": 64, "I32": 32, "I16": 16, "I8": 8, "U64": 64, "U32": 32,
    "U16": 16, "U8": 8, "BOOL": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


class Malformed(ValueError):
    """It is no safetensors file that an engine may see; the message says why."""


class Header(Struct, frozen=True):
    """What a file has."""

    tensors: int
    parameters: int
    stored: Mapping[str, int]
    """Bytes of tensors by how they are stored."""


class _Entry(Struct, frozen=True):
    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


def read(data: bytes | memoryview | mmap) -> Header:
    """The header of a whole file. Raises Malformed."""
    size = int.from_bytes(bytes(data[:8]), "little")
    if len(data) < 8 or not 2 <= size <= min(LONGEST_HEADER, len(data) - 8):  # noqa: PLR2004 - eight bytes, and `{}`
        raise Malformed(f"the header is said to have {size} bytes of the file's {len(data)}")
    try:
        raw = msgspec.json.decode(bytes(data[8 : 8 + size]), type=dict[str, msgspec.Raw])
        raw.pop("__metadata__", None)
        if len(raw) > MOST_TENSORS:
            raise Malformed(f"the header has {len(raw)} tensors; {MOST_TENSORS} are the most")
        entries = {name: msgspec.json.decode(entry, type=_Entry) for name, entry in raw.items()}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        raise Malformed(f"the header is not what it should be: {wrong}") from wrong
    if not entries:
        raise Malformed("the file has no tensors")
    return _summed(entries, len(data) - 8 - size)


def _summed(entries: dict[str, _Entry], room: int) -> Header:
    stored: dict[str, int] = {}
    parameters = at = 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1].data_offsets):
        begin, end = entry.data_offsets
        bits, elements = _BITS.get(entry.dtype), math.prod(entry.shape)
        if bits is None:
            raise Malformed(f"the tensor {name[:80]!r} is stored as {entry.dtype[:20]!r}, which is none that is known")
        if min(entry.shape, default=1) < 0 or begin != at or end - begin != -(-elements * bits // 8):
            raise Malformed(f"the tensor {name[:80]!r} is not where or as large as it should be")
        at = end
        parameters += elements
        stored[entry.dtype] = stored.get(entry.dtype, 0) + end - begin
    if at != room:
        raise Malformed(f"the tensors need {at} bytes, but the file has {room} for them: it was cut off, or it lies")
    return Header(len(entries), parameters, stored)
