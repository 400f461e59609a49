"""
One connection to an upstream, HTTP/1.1 on httptools.

It serves one exchange at a time: `ask` writes a request, its future gives the answer's head, and the answer's
bytes go to a sink in the loop's own callback, joined per read. A connection whose answer was read to its end
goes back to its pool; any other end closes it at once, which is how an upstream learns that nobody listens.
"""

import asyncio
from collections.abc import Callable
from math import inf
from typing import cast

import httptools
from typing_extensions import override

from foz.canon.fault import Cut, Down, Fault, Garbled, Timeout
from foz.canon.model import Patience
from foz.ports.watch import Watch
from foz.wire.http import Headers, Reply

MAX_HEAD = 64 * 1024
LOW_WATER = 64 * 1024
FINAL = 200


class Answer:
    """Implements `ports.upstream.UpstreamAnswer`."""

    __slots__ = ("_connection", "_done", "_fault", "_pieces", "_sink", "_waiter", "headers", "length", "status")

    def __init__(self, connection: "Connection", status: int, headers: Headers) -> None:
        self.status = status
        self.headers = headers
        self.length = 0
        self._connection: Connection | None = connection
        self._pieces: list[bytes] = []
        self._sink: Callable[[bytes], None] | None = None
        self._done = False
        self._fault: BaseException | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def whole(self, limit: int) -> Reply:
        """All of it."""
        if not self._done:
            length = sum(map(len, self._pieces))

            def keep(piece: bytes) -> None:
                nonlocal length
                length += len(piece)
                if length > limit:
                    raise Garbled(f"the answer is longer than {limit} bytes")
                self._pieces.append(piece)

            self._sink = keep
            await self._end()
        elif self._fault is not None:
            raise self._fault
        body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        if len(body) > limit:
            raise Garbled(f"the answer is longer than {limit} bytes")
        return Reply(self.status, self.headers, body)

    async def pour(self, sink: Callable[[bytes], None]) -> None:
        """Hands each piece to the sink until the end."""
        if self._pieces:
            pieces, self._pieces = b"".join(self._pieces), []
            sink(pieces)
        self._sink = sink
        await self._end()

    async def _end(self) -> None:
        if not self._done:
            if self._connection is None:
                raise Cut("the answer was given up before its end")
            self._waiter = self._connection.loop.create_future()
            await self._waiter
        if self._fault is not None:
            raise self._fault

    def feed(self, piece: bytes) -> None:
        """A piece has arrived; what the sink raises ends the answer."""
        if self._sink is None:
            self._pieces.append(piece)
            self.length += len(piece)
            if self.length > LOW_WATER and self._connection is not None:
                self._connection.hold()
        else:
            self._sink(piece)

    def finish(self, fault: BaseException | None) -> None:
        """It is over, well or not."""
        if self._done:
            return
        self._done = True
        self._fault = fault
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def pause(self) -> None:
        """Stop reading."""
        if self._connection is not None:
            self._connection.hold()

    def resume(self) -> None:
        """Read on."""
        if self._connection is not None:
            self._connection.release_hold()

    def close(self) -> None:
        """Done with it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.leave(self)


class Connection(asyncio.Protocol):
    """A transport, its parser, and the exchange it is in."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, watch: Watch, freed: "Callable[[Connection, bool], None]"
    ) -> None:
        self.loop = loop
        self.deadline = inf
        self.closed = False
        self.used = False
        self._watch = watch
        self._freed = freed
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._head: asyncio.Future[Answer] | None = None
        self._answer: Answer | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._read: list[bytes] = []
        self._size = 0
        self._total = inf
        self._idle = inf
        self._held = False
        self._until_close = False
        self._complete = True
        self._keep = False

    # -- one exchange ------------------------------------------------------

    def ask(self, message: bytes, patience: Patience) -> "asyncio.Future[Answer]":
        """Writes a request; the future is the head of its answer."""
        transport = cast("asyncio.Transport", self._transport)
        now = self.loop.time()
        self._head = self.loop.create_future()
        self._headers = []
        self._size = 0
        self._complete = False
        self._keep = False
        self._until_close = False
        self._idle = patience.idle
        self._total = now + patience.total
        self.deadline = min(now + patience.first_byte, self._total)
        self._watch.add(self)
        transport.write(message)
        return self._head

    def leave(self, answer: Answer) -> None:
        """The exchange is over for whoever asked: back to the pool, or closed if it was not read to its end."""
        if self._answer is not answer:
            return
        self._answer = None
        self._watch.discard(self)
        self.deadline = inf
        if self._complete and self._keep and not self.closed:
            self.used = True
            self.release_hold()
            self._freed(self, True)
        else:
            answer.finish(Cut("the answer was given up before its end"))
            self.abort()

    def abort(self) -> None:
        """Closes now; what is unsent is dropped."""
        self._watch.discard(self)
        if not self.closed:
            self.closed = True
            self._freed(self, False)
        if self._transport is not None:
            self._transport.abort()

    def hold(self) -> None:
        """Stop reading; while held, silence is not the upstream's."""
        if not self._held and not self.closed and self._transport is not None:
            self._held = True
            self.deadline = self._total
            self._transport.pause_reading()

    def release_hold(self) -> None:
        """Read on."""
        if self._held and not self.closed and self._transport is not None:
            self._held = False
            self.deadline = min(self.loop.time() + self._idle, self._total)
            self._transport.resume_reading()

    def expired(self) -> None:
        """The upstream took too long: `ports.watch.Waiting`."""
        where = "its first byte" if self._answer is None else "more of its answer"
        if self.loop.time() >= self._total:
            where = "the end of its answer"
        self._fail(Timeout(f"the upstream did not send {where} in time"))

    def _fail(self, fault: BaseException) -> None:
        if self._head is not None and not self._head.done():
            self._head.set_exception(fault)
        elif self._answer is not None:
            self._answer.finish(fault)
        self.abort()

    # -- asyncio's side ----------------------------------------------------

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        was_closed, self.closed = self.closed, True
        if not was_closed:
            self._freed(self, False)
        self._watch.discard(self)
        if self._head is not None and not self._head.done():
            self._head.set_exception(Down("the upstream closed the connection before it answered"))
        elif self._answer is not None:
            if self._until_close and exc is None:
                self._complete = True
                self._answer.finish(None)
            elif exc is not None and not isinstance(exc, OSError):
                self._answer.finish(exc)  # a defect of ours, raised by the sink: let its owner see it
            elif not self._complete:
                self._answer.finish(Cut("the upstream closed the connection in the middle of its answer"))

    @override
    def data_received(self, data: bytes) -> None:
        if self._complete:  # bytes that nobody asked for: this connection cannot be trusted any more
            self.abort()
            return
        try:
            self._parser.feed_data(data)
            answer = self._answer
            if answer is None:
                self._size += len(data)
                if self._size > MAX_HEAD:
                    self._fail(Garbled(f"the head of the answer is longer than {MAX_HEAD} bytes"))
                return
            if self._read:
                read, self._read = self._read, []
                answer.feed(read[0] if len(read) == 1 else b"".join(read))
        except Fault as fault:
            self._fail(fault)
            return
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(Garbled(f"the answer is not HTTP/1.1: {error}"))
            return
        if self._whole():
            self.deadline = inf
            answer.finish(None)
        elif not self._held:
            self.deadline = min(self.loop.time() + self._idle, self._total)

    def _whole(self) -> bool:
        return self._complete

    # -- the parser's side -------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header of the answer."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is whole."""
        status = self._parser.get_status_code()
        if status < FINAL:
            self._headers = []
            return
        if self._head is None or self._head.done():
            return
        headers = tuple(self._headers)
        named = dict(headers)
        self._until_close = b"content-length" not in named and b"transfer-encoding" not in named
        self._answer = Answer(self, status, headers)
        self._head.set_result(self._answer)

    def on_body(self, body: bytes) -> None:
        """A piece of the body; pieces of one read are joined."""
        self._read.append(body)

    def on_message_complete(self) -> None:
        """The answer is whole."""
        if self._answer is not None:
            self._complete = True
            self._keep = self._parser.should_keep_alive()
