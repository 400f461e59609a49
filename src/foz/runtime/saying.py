"""What engines' programs are told to do, what they say line by line, and how they ended: for people, too."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress

import msgspec

from foz.canon.fault import Bug

LONGEST_LINE = 2_000
TAIL = 200
"""Lines of standard error that are kept."""
_ENDS = re.compile(rb"[\r\n]+")
"""Bars of progress are written over and over on one line."""


async def ordered(process: asyncio.subprocess.Process, order: msgspec.Struct) -> None:
    """Tells it, on its standard input, what to do. One that has ended meanwhile says so by its exit status."""
    if process.stdin is None:
        raise Bug("an engine without a standard input")
    if process.stdin.is_closing():  # uvloop takes it for a defect to write there
        return
    with suppress(ConnectionError):
        process.stdin.write(msgspec.json.encode(order) + b"\n")
        await process.stdin.drain()


def ending(code: int | None) -> str:
    """What an exit status means; None is that there is none yet."""
    return "it runs" if code is None else f"signal {-code}" if code < 0 else f"exit status {code}"


async def lines(stream: asyncio.StreamReader | None) -> AsyncIterator[str]:
    """Lines as they come; of one that does not end, its beginning."""
    rest = b""
    while stream is not None and (piece := await stream.read(65_536)):
        *whole, rest = _ENDS.split(rest + piece)
        for line in whole:
            if line:
                yield _plain(line)
        rest = rest[:LONGEST_LINE]
    if rest:
        yield _plain(rest)


def _plain(line: bytes) -> str:
    return line[:LONGEST_LINE].decode("utf-8", "replace").rstrip()
