"""Headers that pass: the real engine may refuse such a file, but it does not fall."""

import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from foz.testing import gguf as testing
from foz.testing.process import clean_environment
from foz.wire import gguf

PROGRAM = Path(__file__).with_name("gguf_engine.py")
WHOLE = [struct.pack("<I", value) for value in (0, 1, 3, 65_535, 2**31 - 1, 2**31, 2**32 - 1)]
BROKEN = [struct.pack("<f", value) for value in (0.0, -1.0, float("nan"), float("inf"))]
U32, I32, F32, TEXT, LIST = 4, 5, 6, 8, 9


def extremes(data: bytes) -> Iterator[bytes]:
    """The file with each of its keys' values made extreme, one at a time."""
    at = 24
    for key, raw in gguf.layout(data).keys:
        value = len(key.encode()) + 12
        (kind,) = struct.unpack_from("<I", raw, value - 4)
        size = len(raw) - value
        changes: list[bytes] = []
        if kind in {U32, I32}:
            changes = WHOLE
        elif kind == F32:
            changes = BROKEN
        elif kind == TEXT:
            value, size = value + 8, size - 8
            changes = [b"\0" * size, b"\xff" * size]
        elif kind == LIST and raw[value] != TEXT:
            value, size = value + 12, size - 12
            changes = [b"\0" * size, b"\xff" * size, b"\x06\0\0\0" * (size // 4)]
        for change in changes:
            yield data[: at + value] + change + data[at + value + len(change) :]
        at += len(raw)


@pytest.fixture(scope="module")
def passing(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Files that our reader lets pass."""
    folder = tmp_path_factory.mktemp("extremes")
    whole = folder / "whole.gguf"
    testing.write(whole, testing.SMALL)
    found = [str(whole)]
    for number, data in enumerate(extremes(whole.read_bytes())):
        try:
            gguf.read(data)
        except gguf.Malformed:
            continue
        path = folder / f"{number}.gguf"
        path.write_bytes(data)
        found.append(str(path))
    return found


def test_no_file_that_passes_ends_the_engine(passing: list[str]) -> None:
    """With any key at its extremes, a file that passes is loaded or refused by the engine, which ends by no signal."""
    command = [sys.executable, str(PROGRAM), *passing]
    done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, check=True, timeout=100)
    said = dict(zip(passing, done.stdout.splitlines(), strict=True))

    assert said[passing[0]] == "loads"
    assert len(passing) > 50
    assert {path: word for path, word in said.items() if word.startswith("signal")} == {}
