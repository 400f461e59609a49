"""
Callers half of whom hang up in the middle, at moments drawn from a printed seed.

The moments: inside the request's body, after the request and before the first byte (whole and streamed), and after
any event of a stream. They leave by a clean close or by a reset. The other half wait for their whole answer.
"""

import asyncio
import random
import socket
import struct
from collections import Counter
from enum import StrEnum
from typing import cast

from msgspec import Struct
from typing_extensions import override

from bench.lab import Endpoint

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with 0 seconds: closing sends a reset."""
WHOLE = "whole-5"
STREAM = "paced-2-5"
EVENTS = 5
MODELS = (WHOLE, STREAM)


class Moment(StrEnum):
    """When a caller leaves."""

    NEVER = "never"
    IN_REQUEST = "inside the request"
    BEFORE_FIRST = "before the first byte"
    IN_STREAM = "inside the stream"


class Visit(Struct, frozen=True):
    """One planned call."""

    stream: bool
    leave: Moment
    after: float = 0.0
    """Seconds of patience (`IN_REQUEST`, `BEFORE_FIRST`)."""
    events: int = 0
    """Events seen before leaving (`IN_STREAM`)."""
    reset: bool = False


def planned(index: int, dice: random.Random) -> Visit:
    """Every second call hangs up."""
    stream = dice.random() < 0.5
    if index % 2:
        return Visit(stream, Moment.NEVER)
    leave = dice.choice([Moment.IN_REQUEST, Moment.BEFORE_FIRST, Moment.IN_STREAM])
    reset = dice.random() < 0.5
    if leave is Moment.IN_STREAM:
        return Visit(True, leave, events=dice.randint(1, EVENTS), reset=reset)
    return Visit(stream, leave, after=dice.uniform(0, 0.004), reset=reset)


class Visitor(asyncio.Protocol):
    """One connection, used for one visit or for several that stay to the end."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._data = b""
        self._visit: Visit | None = None
        self.over: asyncio.Future[str] = self._loop.create_future()
        self.open = True

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def begin(self, visit: Visit, request: bytes) -> "asyncio.Future[str]":
        """Sends the request, or the half of it; the future says how the visit ended."""
        self.over = self._loop.create_future()
        self._data = b""
        self._visit = visit
        self.transport.write(request[: len(request) - 60] if visit.leave is Moment.IN_REQUEST else request)
        if visit.leave in {Moment.IN_REQUEST, Moment.BEFORE_FIRST}:
            self._loop.call_later(visit.after, self._leave, visit)
        return self.over

    def _leave(self, visit: Visit) -> None:
        if self.over.done() or not self.open:
            return
        if visit.reset:
            line = self.transport.get_extra_info("socket")
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.transport.abort()
        else:
            self.transport.close()
        self._ends("left " + visit.leave)

    def _ends(self, how: str) -> None:
        if not self.over.done():
            self.over.set_result(how)

    @override
    def data_received(self, data: bytes) -> None:
        visit = self._visit
        if visit is None or self.over.done():
            return
        self._data += data
        if not self._data.startswith(b"HTTP/1.1 200"):
            self._ends(f"answered {self._data[:40]!r}")
            self.transport.abort()
        elif visit.leave is Moment.IN_STREAM and self._data.count(b"\n\n") >= visit.events:
            self._leave(visit)
        elif (self._data.endswith(b"0\r\n\r\n") and b"[DONE]" in self._data) or _whole(self._data):
            self._ends("complete")

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        self._ends("cut by the gateway")


def _whole(data: bytes) -> bool:
    head, found, body = data.partition(b"\r\n\r\n")
    at = head.lower().find(b"content-length:")
    return bool(found) and at >= 0 and len(body) >= int(head[at + 15 :].split(b"\r\n", 1)[0])


async def visit_all(endpoint: Endpoint, count: int, dice: random.Random, *, at_once: int) -> Counter[str]:
    """`count` visits by `at_once` callers; how they ended. All connections are closed at the end."""
    ends: Counter[str] = Counter()
    waiting = iter(range(count))
    requests = {stream: endpoint.wire(STREAM if stream else WHOLE, stream=stream) for stream in (False, True)}
    loop = asyncio.get_running_loop()

    async def caller() -> None:
        kept: Visitor | None = None
        for index in waiting:
            visit = planned(index, dice)
            if kept is None or not kept.open or visit.leave is not Moment.NEVER:
                if kept is not None:
                    kept.transport.close()
                _, kept = await loop.create_connection(Visitor, "127.0.0.1", endpoint.stream_port)
            async with asyncio.timeout(30):
                ends[await kept.begin(visit, requests[visit.stream])] += 1
        if kept is not None:
            kept.transport.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(caller())
    return ends
