"""One request's way back over its connection. Implements `ports.caller.Caller`."""

import asyncio
import http
from collections.abc import Callable

from foz.canon.fault import Fault
from foz.ports.codec import ServerCodec
from foz.ports.skin import STREAM, WHOLE, Route, Skin
from foz.ports.upstream import UpstreamAnswer
from foz.wire.http import Headers, Reply

_STATUS = {status.value: b"HTTP/1.1 %d %s\r\n" % (status.value, status.phrase.encode()) for status in http.HTTPStatus}
_WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
_OK = _STATUS[200]
_CLOSE = b"connection: close\r\n"


def status_line(status: int) -> bytes:
    """The first line of an answer; statuses without a name of their own have an empty one."""
    return _STATUS.get(status) or b"HTTP/1.1 %d \r\n" % status


class Exchange:
    """Writes one answer, whole or streamed, exactly once."""

    __slots__ = (
        "_chunked", "_codec", "_finished", "_head", "_transport", "beside", "bodiless", "fed_by", "keep_alive", "over",
        "paused", "request_id", "route", "skin", "started", "task",
    )  # fmt: skip

    def __init__(
        self, transport: asyncio.Transport, skin: Skin, request_id: str, finished: "Callable[[Exchange], None]"
    ) -> None:
        self._transport = transport
        self._finished = finished
        self._head: bytes | None = None
        self._chunked = True
        self._codec: ServerCodec | None = None
        """How a fault is told in the stream that is waited for."""
        self.skin = skin
        self.route: Route | None = None
        """What is answered; None where the request came to no route."""
        self.request_id = request_id
        self.keep_alive = True
        self.bodiless = False
        self.beside = b""
        """Header lines beside the route's own: those for pages of other origins, and what was noted."""
        self.fed_by: UpstreamAnswer | None = None
        self.paused = False
        self.started = False
        self.over = False
        self.task: asyncio.Task[None] | None = None

    def http_1_0(self) -> None:
        """The caller speaks HTTP/1.0: no chunks, the end of the connection ends the answer."""
        self._chunked = False
        self.keep_alive = False

    # -- whole answers -----------------------------------------------------

    def whole(self, body: bytes) -> None:
        """A whole answer."""
        route = self.route
        self._send(_WHOLE if route is None or route.whole is WHOLE else _OK + _lines(route.whole), body)

    def reply(self, reply: Reply) -> None:
        """A whole answer of any status."""
        own = (b"x-request-id", b"" if self.route is None else self.route.echo)  # they are on every answer
        headers = tuple(header for header in reply.headers if header[0] not in own)
        self._send(status_line(reply.status) + _lines(headers), reply.body)

    def refuse(self, fault: Fault) -> None:
        """A fault in place of an answer; of a stream that was kept waiting it is the last word."""
        if self._codec is None or not self.started:
            self.reply(self.skin.encode_fault(fault, self.request_id))
            return
        self.write(self._codec.encode_fault_event(fault))
        self.abort()

    def _send(self, head: bytes, body: bytes) -> None:
        if self.over or self.started:
            return
        self.started = True
        self._transport.write(
            b"%s%s%scontent-length: %d\r\n%s\r\n%s"
            % (
                head,
                self.beside,
                self._id_lines(),
                len(body),
                b"" if self.keep_alive else _CLOSE,
                b"" if self.bodiless else body,
            )
        )
        self._end()

    # -- streamed answers --------------------------------------------------

    def waits(self, codec: ServerCodec) -> None:
        """A stream is asked for and nothing of it is here yet."""
        self._codec = codec

    def keep(self) -> bool:
        """Keeps alive the stream that is waited for, where its dialect has a word for it; False where there is none."""
        if self._codec is None or self.over or self.route is None or not self.route.waiting:
            return False
        if not self.started:
            self._begin()
        self.write(self.route.waiting)
        return True

    def start(self) -> None:
        """A streamed answer begins; its head goes out with the first piece."""
        self._codec = None
        if not self.started:
            self._begin()

    def _id_lines(self) -> bytes:
        id = self.request_id.encode("ascii")
        if self.route is None or not self.route.echo:
            return b"x-request-id: %s\r\n" % id
        return b"x-request-id: %s\r\n%s: %s\r\n" % (id, self.route.echo, id)

    def _begin(self) -> None:
        self.started = True
        self._head = b"HTTP/1.1 200 OK\r\n%s%s%s%s%s\r\n" % (
            _lines(STREAM if self.route is None else self.route.stream),
            self.beside,
            self._id_lines(),
            b"transfer-encoding: chunked\r\n" if self._chunked else b"",
            b"" if self.keep_alive else _CLOSE,
        )

    def write(self, piece: bytes) -> None:
        """A piece of it."""
        if self.over or not piece:
            return
        framed = b"%x\r\n%s\r\n" % (len(piece), piece) if self._chunked else piece
        if self._head is not None:
            framed, self._head = self._head + framed, None
        self._transport.write(framed)

    def end(self, last: bytes) -> None:
        """The last piece of a streamed answer, which is complete."""
        if self.over:
            return
        framed = last
        if self._chunked:
            framed = b"%x\r\n%s\r\n0\r\n\r\n" % (len(last), last) if last else b"0\r\n\r\n"
        if self._head is not None:
            framed, self._head = self._head + framed, None
        self._transport.write(framed)
        self._end()

    def abort(self) -> None:
        """Closes without the last chunk."""
        if self.over:
            return
        self.keep_alive = False
        if self._head is not None:  # what was said has no words here, nor has the fault
            self._transport.write(self._head)
        self._end()

    def _end(self) -> None:
        self.over = True
        self.fed_by = None
        self._finished(self)

    def note(self, name: bytes, value: bytes) -> None:
        """A header of the answer, said before it begins."""
        self.beside += b"%s: %s\r\n" % (name, value)

    # -- keeping pace ------------------------------------------------------

    def feed_from(self, answer: UpstreamAnswer | None) -> None:
        """Whom to pause while the caller does not keep up."""
        self.fed_by = answer
        if answer is not None and self.paused:
            answer.pause()

    def pace(self, *, paused: bool) -> None:
        """The caller's connection is full, or flows again."""
        self.paused = paused
        if self.fed_by is not None:
            if paused:
                self.fed_by.pause()
            else:
                self.fed_by.resume()


def _lines(headers: Headers) -> bytes:
    return b"".join([b"%s: %s\r\n" % header for header in headers])
