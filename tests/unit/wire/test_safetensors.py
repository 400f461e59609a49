"""The header of a safetensors file: what it says is read, what could harm an engine is refused."""

import struct
from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foz.wire.safetensors import Header, Malformed, read


def file(tensors: Mapping[str, object] | bytes, body: int, size: int | None = None) -> bytes:
    """A file of such a header, and so many bytes of weights."""
    head = tensors if isinstance(tensors, bytes) else msgspec.json.encode(tensors)
    return struct.pack("<Q", len(head) if size is None else size) + head + bytes(body)


def entry(dtype: str, shape: list[int], begin: int, end: int) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


GOOD = {"__metadata__": {"format": "pt"}, "a": entry("BF16", [4, 8], 0, 64), "b": entry("F32", [], 64, 68)}
BAD = {
    "nothing": b"",
    "too short": b"\x02\0\0",
    "an endless header": file(b"{}", 0, 2**63),
    "a header beyond the file": file(b"{}", 0, 100),
    "no JSON": file(b"{]", 10),
    "no text": file(b"\xff\xfe\xfd", 10),
    "a list": file(b"[]", 10),
    "nesting without end": file(b'{"a":' + b"[" * 100_000, 10),
    "no tensors": file({}, 10),
    "no dtype": file({"a": {"shape": [1], "data_offsets": [0, 4]}}, 4),
    "a dtype of no meaning": file({"a": entry("F7", [1], 0, 4)}, 4),
    "a negative shape": file({"a": entry("F32", [-1, -1], 0, 4)}, 4),
    "a shape that overflows": file({"a": entry("F32", [2**62, 4], 0, 0)}, 0),
    "offsets backwards": file({"a": entry("F32", [1], 4, 0)}, 4),
    "a hole": file({"a": entry("F32", [1], 4, 8)}, 8),
    "overlapping": file({"a": entry("F32", [1], 0, 4), "b": entry("F32", [1], 0, 4)}, 8),
    "another size": file({"a": entry("F32", [2], 0, 4)}, 4),
    "cut off": file(GOOD, 67),
    "more than told": file(GOOD, 69),
}


def test_a_good_file_says_what_it_has() -> None:
    """Tensors, numbers and bytes by how they are stored are read; what is not a tensor is passed over."""
    assert read(file(GOOD, 68)) == Header(2, 33, {"BF16": 64, "F32": 4})


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused(case: str) -> None:
    """Each of these files is refused."""
    with pytest.raises(Malformed):
        read(BAD[case])


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_read(data: bytes) -> None:
    """Whatever comes, nothing but Malformed is raised."""
    try:
        read(struct.pack("<Q", len(data)) + data)
    except Malformed:
        return
