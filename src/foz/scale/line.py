"""
One connection to Redis that all questions of a process share.

Questions go out at the end of the loop's turn, together, and are answered in their order: so many callers cost Redis
and us few reads, few writes, and few syncs of its disk. Nobody waits for a connection, and a caller who leaves only
leaves the answer to nobody.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import cast

from redis import exceptions
from redis.asyncio import Connection
from typing_extensions import override

Answer = int | bytes | None | list["Answer"]
Argument = bytes | str | int

MOST_WAITING = 20_000
"""Questions that wait for their answers at once."""
_ERRORS: dict[bytes, type[exceptions.RedisError]] = {
    b"NOSCRIPT": exceptions.NoScriptError,
    b"LOADING": exceptions.BusyLoadingError,
    b"NOAUTH": exceptions.AuthenticationError,
    b"WRONGPASS": exceptions.AuthenticationError,
}


def packed(*arguments: Argument) -> bytes:
    """Arguments as Redis reads them, without their number."""
    said = [argument if isinstance(argument, bytes) else str(argument).encode() for argument in arguments]
    return b"".join([b"$%d\r\n%b\r\n" % (len(argument), argument) for argument in said])


def command(*arguments: Argument) -> bytes:
    """A whole question."""
    return b"*%d\r\n%b" % (len(arguments), packed(*arguments))


class _Short(Exception):
    """An answer is not all there: so many bytes are needed at least."""

    def __init__(self, needed: int) -> None:
        self.needed = needed


def _read(data: bytes, at: int) -> tuple[Answer | exceptions.RedisError, int]:
    """One answer, and where it ends. Raises _Short."""
    end = data.find(b"\r\n", at)
    if end < 0:
        raise _Short(len(data) + 1)
    kind, start = data[at : at + 1], end + 2
    if kind == b"$":
        return _bulk(data, int(data[at + 1 : end]), start)
    if kind == b":":
        return int(data[at + 1 : end]), start
    if kind == b"*":
        return _row(data, int(data[at + 1 : end]), start)
    if kind == b"+":
        return data[at + 1 : end], start
    if kind == b"-":
        return _error(data[at + 1 : end]), start
    raise exceptions.InvalidResponse(f"Redis said what is no answer: {data[at : at + 20]!r}")


def _bulk(data: bytes, length: int, start: int) -> tuple[bytes | None, int]:
    if length < 0:
        return None, start
    last = start + length
    if len(data) < last + 2:
        raise _Short(last + 2)
    return data[start:last], last + 2


def _row(data: bytes, count: int, start: int) -> tuple[list[Answer] | None, int]:
    if count < 0:
        return None, start
    row: list[Answer] = []
    for _ in range(count):
        if data[start : start + 1] == b"$":  # nearly always
            end = data.find(b"\r\n", start)
            if end < 0:
                raise _Short(len(data) + 1)
            bulk, start = _bulk(data, int(data[start + 1 : end]), end + 2)
            row.append(bulk)
            continue
        one, start = _read(data, start)
        if isinstance(one, exceptions.RedisError):
            raise one
        row.append(one)
    return row, start


def _error(said: bytes) -> exceptions.RedisError:
    leaf = _ERRORS.get(said.partition(b" ")[0], exceptions.ResponseError)
    return leaf(said.decode(errors="replace"))


class Line(asyncio.Protocol):
    """A connection. `told` gets what was not asked for: what is heard of channels."""

    def __init__(self, told: Callable[[Answer], None] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._told = told
        self._waiting: deque[asyncio.Future[Answer]] = deque()
        self._out: list[bytes] = []
        self._data = b""
        self._more: list[bytes] = []
        self._size = 0
        self._needed = 0
        self.heard = self._loop.time()
        """When it last said something."""
        self.lost: asyncio.Future[None] = self._loop.create_future()

    @property
    def alive(self) -> bool:
        """As far as is known."""
        return not self.lost.done()

    def ask(self, question: bytes) -> "asyncio.Future[Answer]":
        """Its answer comes, or ConnectionError. Raises RedisError where too many wait."""
        answer: asyncio.Future[Answer] = self._loop.create_future()
        if self.lost.done():
            answer.set_exception(exceptions.ConnectionError("the connection is lost"))
            return answer
        if len(self._waiting) >= MOST_WAITING:
            raise exceptions.RedisError(f"{MOST_WAITING:,} questions wait already")
        self._waiting.append(answer)
        self.say(question)
        return answer

    def say(self, question: bytes) -> None:
        """Something that has no answer of its own."""
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(question)

    def _flush(self) -> None:
        out, self._out = self._out, []
        if not self.lost.done():
            self._transport.write(b"".join(out))

    def drop(self) -> None:
        """It is of no use."""
        if not self.lost.done():
            self.lost.set_result(None)
            self._transport.abort()
            self._leave()

    def _leave(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        for answer in waiting:
            if not answer.done():
                answer.set_exception(exceptions.ConnectionError("the connection was lost"))

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(None)
        self._leave()

    @override
    def data_received(self, data: bytes) -> None:
        self.heard = self._loop.time()
        if self._more:
            self._more.append(data)
            self._size += len(data)
            if self._size < self._needed:
                return
            data = b"".join(self._more)
            self._more = []
        try:
            self._take(data)
        except (exceptions.RedisError, ValueError):
            self.drop()

    def _take(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            try:
                answer, following = _read(data, at)
            except _Short as short:
                self._more, self._size, self._needed = [data[at:]], len(data) - at, short.needed - at
                return
            at = following
            self._give(answer)

    def _give(self, answer: Answer | exceptions.RedisError) -> None:
        if self._told is not None and isinstance(answer, list):
            self._told(answer)
            return
        waiting = self._waiting.popleft() if self._waiting else None
        if waiting is None or waiting.done():
            return
        if isinstance(answer, exceptions.RedisError):
            waiting.set_exception(answer)
        else:
            waiting.set_result(answer)


async def connected(address: Connection, told: Callable[[Answer], None] | None = None) -> Line:
    """A line to where this would connect to, as who it would be. Raises RedisError or OSError."""
    where = address._connection_arguments()  # noqa: SLF001 - what an address in words comes to, TLS and all
    _, line = await asyncio.get_running_loop().create_connection(lambda: Line(told), **where)
    try:
        await _introduced(line, _greeting(address))
    except BaseException:
        line.drop()
        raise
    return line


def _greeting(address: Connection) -> list[bytes]:
    greeting = [command("CLIENT", "SETNAME", "foz")]
    if address.db:
        greeting.insert(0, command("SELECT", int(address.db)))
    if address.password:
        word = (address.username, address.password) if address.username else (address.password,)
        greeting.insert(0, command("AUTH", *word))
    return greeting


async def _introduced(line: Line, greeting: Sequence[bytes]) -> None:
    answers = await asyncio.gather(*map(line.ask, greeting), return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
