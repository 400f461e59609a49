"""
Callers who talk to a model: each has one chat streamed to it and notes when its tokens came.

A token is an event with words in it. An answer that ended for another reason than its length, or with another number of
tokens than was asked for, is an error: then the engines would not have done the same work.
"""

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import cast

import httptools
import msgspec
from msgspec import Struct
from typing_extensions import override

APART = 0.005
"""Seconds."""
_DATA = b"data: "
_DONE = b"[DONE]"


class Talk(Struct):
    """What one caller saw. Times in seconds, of one clock."""

    began: float
    first: float = 0.0
    """When its first token came."""
    last: float = 0.0
    tokens: int = 0
    ended: str = ""
    done: bool = False


class _Delta(Struct, frozen=True):
    content: str | None = None


class _Choice(Struct, frozen=True):
    delta: _Delta = _Delta()
    finish_reason: str | None = None


class _Chunk(Struct, frozen=True):
    choices: tuple[_Choice, ...] = ()


_CHUNK = msgspec.json.Decoder(_Chunk)


class Talker(asyncio.Protocol):
    """One caller, on a connection of its own."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._parser = httptools.HttpResponseParser(self)
        self._rest = b""
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.seen = Talk(began=time.perf_counter())
        self.answer = b""
        """What came instead of a stream."""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    @override
    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, data: bytes) -> None:
        """A piece of the answer, as httptools calls it."""
        if self._parser.get_status_code() != 200:
            self.answer += data
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line.startswith(_DATA):
                self._heard(line[len(_DATA) :].strip())

    def _heard(self, data: bytes) -> None:
        now, seen = time.perf_counter(), self.seen
        if data == _DONE:
            seen.done = True
            return
        for choice in _CHUNK.decode(data).choices:
            if choice.delta.content:
                seen.first = seen.first or now
                seen.last = now
                seen.tokens += 1
            seen.ended = choice.finish_reason or seen.ended

    def on_message_complete(self) -> None:
        """The answer is over."""
        self._transport.close()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if not self.over.done():
            self.over.set_result(None)


async def talk(port: int, requests: Sequence[bytes], tokens: int, limit: float) -> list[Talk]:
    """
    One caller for each request, together but for a moment between two: an engine puts into one step whoever is there
    when it begins, and without that moment it would be chance how many those are. Raises RuntimeError where a caller
    was not told all the tokens.
    """
    loop = asyncio.get_running_loop()
    made = []
    for number, one in enumerate(requests):
        if number:
            await asyncio.sleep(APART)
        made.append(await loop.create_connection(partial(Talker, one), "127.0.0.1", port))
    await asyncio.wait([talker.over for _, talker in made], timeout=limit)
    for transport, talker in made:
        transport.abort()
        seen = talker.seen
        if (seen.tokens, seen.ended, seen.done) != (tokens, "length", True):
            told = f"{seen}, {talker.answer[:500]!r}"
            raise RuntimeError(f"an answer of {tokens} tokens was expected, and this came: {told}")
    return [talker.seen for _, talker in made]
