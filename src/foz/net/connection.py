"""
One connection to an upstream, HTTP/1.1 on httptools.

It serves one exchange at a time: `ask` writes a request, its future gives the answer's head, and the answer's
bytes go to a sink in the loop's own callback, joined per read. A connection whose answer was read to its end
goes back to its pool; any other end closes it at once, which is how an upstream learns that nobody listens.

Answer, connection and parser know each other; each end of their use lets go of the others, so that what is over
is freed by counting references: a collection of cycles would stop all requests.
"""

import asyncio
from collections.abc import Callable
from math import inf
from typing import Any, cast

import httptools
from typing_extensions import override

from foz.canon.fault import Cut, Down, Fault, Garbled, Timeout
from foz.canon.model import Patience
from foz.net.watch import TICK
from foz.ports.watch import Watch
from foz.wire.http import Headers, Reply

MAX_HEAD = 64 * 1024
EARLY_ROOM = 64 * 1024
"""How much of an answer is read before anybody takes it."""
FINAL = 200

EARLY, SLOW = 1, 2
"""Why reading is held: nobody takes the answer yet; its taker does not keep up. One never undoes the other."""


class Answer:
    """Implements `ports.upstream.UpstreamAnswer`."""

    __slots__ = (
        "_connection", "_done", "_fault", "_pieces", "_room", "_size", "_waiter", "headers", "sink", "status",
    )  # fmt: skip

    def __init__(self, connection: "Connection", status: int, headers: Headers) -> None:
        self.status = status
        self.headers = headers
        self._connection: Connection | None = connection
        self.sink: Callable[[bytes], None] | None = None
        """Who takes what arrives; what it raises ends the answer."""
        self._pieces: list[bytes] = []
        self._size = 0
        self._room = EARLY_ROOM
        self._done = False
        self._fault: BaseException | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def whole(self, limit: int) -> Reply:
        """All of it."""
        self._room = limit
        if self._size > limit:
            raise self._too_long()
        if not self._done or self._fault is not None:
            await self._end()
        pieces = self._pieces
        return Reply(self.status, self.headers, pieces[0] if len(pieces) == 1 else b"".join(pieces))

    async def pour(self, sink: Callable[[bytes], None]) -> None:
        """Hands each piece to the sink until the end."""
        self.sink = sink
        if self._pieces:
            early, self._pieces = b"".join(self._pieces), []
            sink(early)
        await self._end()

    async def _end(self) -> None:
        if not self._done:
            if self._connection is None:
                raise _given_up()
            self._waiter = self._connection.loop.create_future()
            self._connection.read_on(EARLY)
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._fault is not None:
            fault, self._fault = self._fault, _given_up()
            try:
                raise fault
            finally:
                del fault  # it knows this frame

    def _too_long(self) -> Garbled:
        return Garbled(f"the answer is longer than {self._room} bytes")

    def keep(self, piece: bytes) -> None:
        """A piece has arrived that nobody takes yet."""
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > self._room:
            if self._waiter is not None:
                raise self._too_long()
            if self._connection is not None:
                self._connection.hold(EARLY)

    def finish(self, fault: BaseException | None) -> None:
        """It is over, well or not."""
        if self._done:
            return
        self._done = True
        self._fault = fault
        self.sink = None
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def pause(self) -> None:
        """Stop reading."""
        if self._connection is not None:
            self._connection.hold(SLOW)

    def resume(self) -> None:
        """Read on."""
        if self._connection is not None:
            self._connection.read_on(SLOW)

    def close(self) -> None:
        """Done with it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.leave(self)
        if self._fault is not None and self._waiter is None:
            self._fault = _given_up()  # the one before may know whoever knows this answer


def _given_up() -> Cut:
    return Cut("the answer was given up before its end")


class _Unasked(Exception):
    """A message that nobody asked for begins: the parser must not go on."""


class Connection(asyncio.Protocol):
    """A transport, its parser, and the exchange it is in."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, watch: Watch, freed: "Callable[[Connection, bool], None]"
    ) -> None:
        self.loop = loop
        self.deadline = inf
        self.closed = False
        self._watch = watch
        self._freed = freed
        self._transport: asyncio.Transport | None = None
        self._parser: Any = None  # httptools tells no types
        self._head: asyncio.Future[Answer] | None = None
        self._answer: Answer | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._read: list[bytes] = []
        self.on_body = self._read.append
        """The parser's side: a piece of the body; pieces of one read are joined."""
        self._bare = 0
        """How much came since the last piece of a body: a head, a trailer, or what a chunk is wrapped in."""
        self._total = inf
        self._idle = inf
        self._heard = 0.0
        """When the last piece came, by the watch's clock."""
        self._held = 0
        self._complete = True
        self._keep = False

    # -- one exchange ------------------------------------------------------

    def ask(self, message: bytes, patience: Patience) -> "asyncio.Future[Answer]":
        """Writes a request; the future is the head of its answer. Raises Down where it is closed already."""
        transport = self._transport
        if transport is None or self.closed:
            raise Down("the connection was closed before the request was sent", sent=False)
        now = self.loop.time()
        first, total = now + patience.first_byte, now + patience.total
        self.deadline = min(total, first)
        self._total = total
        self._idle = patience.idle
        self._bare = 0
        self._complete = False
        self._head = head = self.loop.create_future()
        transport.write(message)
        return head

    def leave(self, answer: Answer) -> None:
        """The exchange is over for whoever asked: back to the pool, or closed if it was not read to its end."""
        if self._answer is not answer:
            return
        self._answer = None
        if self._complete and self._keep and not self.closed:
            if self._held:
                self.read_on(EARLY | SLOW)
            self._freed(self, True)
        else:
            answer.finish(_given_up())
            self.abort()

    def abort(self) -> None:
        """Closes now; what is unsent is dropped."""
        self._watch.discard(self)
        if not self.closed:
            self.closed = True
            self._freed(self, False)
        if self._transport is not None:
            self._transport.abort()

    def hold(self, why: int) -> None:
        """Stop reading; while held, silence is not the upstream's."""
        if self._complete or self.closed or self._transport is None:
            return
        if not self._held:
            self.deadline = self._total
            self._transport.pause_reading()
        self._held |= why

    def read_on(self, why: int) -> None:
        """Read on, unless there is another reason not to."""
        if not self._held & why:
            return
        self._held &= ~why
        if not self._held and not self.closed and self._transport is not None:
            self.deadline = inf if self._complete else self._by()
            self._transport.resume_reading()

    def _by(self) -> float:
        """When the next piece must be there."""
        by = self.loop.time() + self._idle
        return min(self._total, by)

    def expired(self) -> None:
        """The upstream took too long, or was kept long enough: `ports.watch.Waiting`."""
        if self._complete:
            self.abort()
            return
        by = min(self._total, self._heard + self._idle + TICK)
        if self._answer is not None and not self._held and by >= self.loop.time():
            self.deadline = by  # pieces only note when they came
            return
        where = "its first byte" if self._answer is None else "more of its answer"
        if self.loop.time() >= self._total:
            where = "the end of its answer"
        self._fail(Timeout(f"the upstream did not send {where} in time"))

    def _fail(self, fault: BaseException) -> None:
        head, self._head = self._head, None
        if head is not None and not head.done():
            head.set_exception(fault)
        if self._answer is not None:
            self._answer.finish(fault)
        self.abort()

    # -- asyncio's side ----------------------------------------------------

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpResponseParser(self)
        self._watch.add(self)

    @override
    def eof_received(self) -> None:
        if self._complete:
            self.abort()  # at once: `connection_lost` comes later, and the pool must not give it out until then

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            if exc is not None and not isinstance(exc, OSError):
                answer.finish(exc)  # a defect of ours, raised by the sink: let its owner see it
            elif exc is None and not self.closed and _ends_with_connection(answer.headers):
                answer.finish(None)
            else:
                answer.finish(Cut("the upstream closed the connection in the middle of its answer"))
        self._transport = self._parser = None
        self._fail(Down("the upstream closed the connection before it answered"))

    @override
    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self._complete:
                self._fail(Garbled(f"the answer is not HTTP/1.1: {error}"))
                return
            self._keep = False  # nobody asked for what follows: this connection cannot be trusted any more
            if self._answer is None:
                self.abort()
        read = self._read
        if not read:
            self._bare += len(data)
            if self._bare > MAX_HEAD:
                self._fail(Garbled(f"more than {MAX_HEAD} bytes of the answer are a head or a trailer"))
        else:
            piece = read[0] if len(read) == 1 else b"".join(read)
            read.clear()
            self._bare = 0
            answer = self._answer
            if answer is not None:
                try:
                    (answer.sink or answer.keep)(piece)
                except Fault as fault:
                    self._fail(fault)
        if self._complete:
            self.deadline = inf
            if self._answer is not None:
                self._answer.finish(None)
        else:
            self._heard = self._watch.now

    # -- the parser's side -------------------------------------------------

    def on_message_begin(self) -> None:
        """A message, which may be one that nobody asked for."""
        if self._complete:
            raise _Unasked
        self._headers.clear()

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header of the answer."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is whole; whoever waited for it may be gone."""
        status, head = self._parser.get_status_code(), self._head
        if status < FINAL or head is None or head.done():
            return
        self._head = None
        self.deadline = self._by()
        self._answer = answer = Answer(self, status, tuple(self._headers))
        head.set_result(answer)

    def on_message_complete(self) -> None:
        """The answer is whole."""
        if self._answer is not None:
            self._complete = True
            self._keep = self._parser.should_keep_alive()


def _ends_with_connection(headers: Headers) -> bool:
    """Whether only the connection's end can tell where the answer ends."""
    return all(name not in {b"content-length", b"transfer-encoding"} for name, _ in headers)
