"""
Callers of our own, for what wrk cannot ask: one request at a time, and paced streams.

They run in the bench's process, which stands on the load's core. Streams are bare asyncio protocols on
uvloop: what they cost is seen in the run `direct`, where nothing stands between them and the mock.
"""

import asyncio
import socket
import time
from array import array
from typing import cast

from msgspec import Struct
from typing_extensions import override

TAIL = 24
"""Bytes of what came before that are looked at again: a mark or an ending may have been cut."""


class OneByOne:
    """One kept connection; each request waits for its whole answer. Blocking, so that no event loop is measured."""

    def __init__(self, port: int, request: bytes) -> None:
        self._line = socket.create_connection(("127.0.0.1", port), 20)
        self._line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._request = request

    def micros(self, count: int) -> list[float]:
        """The time of each of `count` requests, from the send to the answer's last byte."""
        clock = time.perf_counter_ns
        times = []
        for _ in range(count):
            began = clock()
            self._line.sendall(self._request)
            data = self._line.recv(65536)
            while not _complete(data):
                more = self._line.recv(65536)
                if not more:
                    raise RuntimeError(f"the connection ended inside an answer: {data[:200]!r}")
                data += more
            times.append((clock() - began) / 1000)
            if not data.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"a request was answered with {data[:200]!r}")
        return times

    def close(self) -> None:
        self._line.close()


def _complete(data: bytes) -> bool:
    head, found, body = data.partition(b"\r\n\r\n")
    if not found:
        return False
    at = head.lower().find(b"content-length:")
    if at < 0:
        return body.endswith(b"0\r\n\r\n")
    return len(body) >= int(head[at + 15 :].split(b"\r\n", 1)[0])


class Stream(Struct):
    """What one streamed call saw. Times in seconds."""

    began: float
    first: float = 0.0
    last: float = 0.0
    longest: float = 0.0
    """The longest time between two pieces; the wait for the first byte is not among them."""
    events: int = 0
    finished: bool = False
    """True when the ending was seen: `[DONE]`."""
    ok: bool = False


class Listener(asyncio.Protocol):
    """The caller of one stream, who notes when each piece comes: each `mark` is an event, `ending` is in the last."""

    def __init__(self, request: bytes, gaps: "array[float]", mark: bytes = b"\n\n", ending: bytes = b"[DONE]") -> None:
        self._mark = mark
        self._ending = ending
        self._clock = time.perf_counter  # the event loop's own clock counts whole milliseconds
        self._request = request
        self._gaps = gaps
        self._tail = b""
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.seen = Stream(began=self._clock())

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    @override
    def data_received(self, data: bytes) -> None:
        now = self._clock()
        seen = self.seen
        if seen.first:
            gap = now - seen.last
            self._gaps.append(gap)
            seen.longest = max(seen.longest, gap)
        else:
            seen.first = now
            seen.ok = data.startswith(b"HTTP/1.1 200")
        seen.last = now
        joined = self._tail + data
        seen.events += joined.count(self._mark) - self._tail.count(self._mark)
        seen.finished = seen.finished or self._ending in joined
        self._tail = joined[-TAIL:]
        if not seen.ok or (seen.finished and joined.endswith(b"0\r\n\r\n")):
            self._transport.close()

    def leave(self) -> None:
        self._transport.abort()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if not self.over.done():
            self.over.set_result(None)


async def listen(
    port: int,
    request: bytes,
    count: int,
    *,
    ramp: float,
    limit: float,
    mark: bytes = b"\n\n",
    ending: bytes = b"[DONE]",
) -> "tuple[list[Stream], array[float]]":
    """`count` streams at once, begun evenly over `ramp` seconds; after `limit` seconds all are left."""
    loop = asyncio.get_running_loop()
    gaps = array("d")
    listeners: list[Listener] = []
    began = loop.time()
    for index in range(count):
        await asyncio.sleep(max(0.0, began + index * ramp / count - loop.time()))
        _, listener = await loop.create_connection(lambda: Listener(request, gaps, mark, ending), "127.0.0.1", port)
        listeners.append(listener)
    await asyncio.wait([each.over for each in listeners], timeout=limit)
    for each in listeners:
        each.leave()
    return [each.seen for each in listeners], gaps
