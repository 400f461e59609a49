"""
The way back of one call. Implement `ports.caller.Caller`.

A stream's messages wait in a queue of their own while gRPC's flow control lets nothing through; who feeds it is paused
while too much waits. A caller who takes nothing for too long is left.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from math import inf

from foz.ports.codec import ServerCodec
from foz.ports.upstream import UpstreamAnswer
from foz.ports.watch import Watch
from foz.wire.protobuf import frames

Metadata = tuple[tuple[str, str], ...]

MUCH = 64 * 1024
"""Bytes that may wait before who feeds is paused."""


class Patience:
    """
    How long a caller may take: for the message to come, then for each message of ours to be taken. Implements
    `ports.watch.Waiting`.
    """

    __slots__ = ("_seconds", "_task", "_watch", "arrived", "deadline", "late")

    def __init__(self, task: "asyncio.Task[object]", watch: Watch, seconds: float) -> None:
        self._task = task
        self._watch = watch
        self._seconds = seconds
        self.deadline = watch.now + seconds
        self.arrived = False
        """The message is here."""
        self.late = False
        """They took too long: the task was cancelled for it."""

    def begin(self, seconds: float | None = None) -> None:
        """From now on, for so long, or as long as before."""
        if seconds is not None:
            self._seconds = seconds
        self.deadline = self._watch.now + self._seconds

    def expired(self) -> None:
        """Too long."""
        self.deadline = inf
        self.late = True
        self._task.cancel()


class WholeCaller:
    """Keeps a whole answer until it is returned."""

    __slots__ = ("body", "noted")

    def __init__(self) -> None:
        self.body = b""
        self.noted: Metadata = ()

    def whole(self, body: bytes) -> None:
        """A whole answer."""
        self.body = body

    def waits(self, codec: ServerCodec) -> None:
        """There is no stream to wait for."""

    def start(self) -> None:
        """As `waits`."""

    def write(self, piece: bytes) -> None:
        """A piece of it, which nobody asks for."""
        self.body += piece

    def end(self, last: bytes) -> None:
        """As `write`."""
        self.body += last

    def abort(self) -> None:
        """Nothing was sent."""

    def note(self, name: bytes, value: bytes) -> None:
        """Metadata of the answer."""
        self.noted = (*self.noted, (name.decode("ascii"), value.decode("latin-1")))

    def feed_from(self, answer: UpstreamAnswer | None) -> None:
        """Whole answers wait for nobody."""


class StreamCaller:
    """Writes messages as fast as they are taken. Each must be taken in time."""

    __slots__ = ("_feeder", "_loop", "_patience", "_paused", "_queue", "_size", "_write", "_writer", "noted")

    def __init__(
        self, write: Callable[[bytes], Awaitable[None]], loop: asyncio.AbstractEventLoop, patience: "Patience"
    ) -> None:
        self._write = write
        self._loop = loop
        self._patience = patience
        self._queue: deque[bytes] = deque()
        self._size = 0
        self._paused = False
        self._feeder: UpstreamAnswer | None = None
        self._writer: asyncio.Task[None] | None = None
        self.noted: Metadata = ()

    def whole(self, body: bytes) -> None:
        """An answer that came at once: its only message."""
        self._put(body)

    def waits(self, codec: ServerCodec) -> None:
        """The connection's own keep-alive is enough."""

    def start(self) -> None:
        """A streamed answer begins."""

    def write(self, piece: bytes) -> None:
        """Some of its messages."""
        for message in frames(piece):
            self._put(message)

    def end(self, last: bytes) -> None:
        """The last ones."""
        self.write(last)

    def abort(self) -> None:
        """The status says it."""

    def note(self, name: bytes, value: bytes) -> None:
        """Metadata of the answer."""
        self.noted = (*self.noted, (name.decode("ascii"), value.decode("latin-1")))

    def feed_from(self, answer: UpstreamAnswer | None) -> None:
        """Whom to pause while the caller does not keep up."""
        self._feeder = answer
        if answer is not None and self._paused:
            answer.pause()

    def _put(self, message: bytes) -> None:
        self._queue.append(message)
        self._size += len(message)
        if self._writer is None:
            self._writer = asyncio.Task(self._run(), loop=self._loop, name="writer")
        if self._size > MUCH and not self._paused:
            self._paused = True
            if self._feeder is not None:
                self._feeder.pause()

    async def _run(self) -> None:
        queue, write, patience = self._queue, self._write, self._patience
        while queue:
            message = queue[0]
            patience.begin()
            await write(message)
            queue.popleft()
            self._size -= len(message)
            if self._paused and self._size <= MUCH // 2:
                self._paused = False
                if self._feeder is not None:
                    self._feeder.resume()
        patience.deadline = inf
        self._writer = None

    async def flush(self) -> None:
        """Everything has been taken."""
        while self._writer is not None:
            await self._writer

    async def close(self) -> None:
        """Writes no more."""
        writer, self._writer = self._writer, None
        self._queue.clear()
        if writer is not None:
            writer.cancel()
            await asyncio.wait((writer,))
            if not writer.cancelled():
                writer.exception()  # a call that is no more; who waited for it has heard of it
