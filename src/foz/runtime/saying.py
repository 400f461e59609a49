"""What programs say, line by line: kept, and read by people where something went wrong."""

import asyncio
import re
from collections.abc import AsyncIterator

LONGEST_LINE = 2_000
TAIL = 200
"""Lines of standard error that are kept."""
_ENDS = re.compile(rb"[\r\n]+")
"""Bars of progress are written over and over on one line."""


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
