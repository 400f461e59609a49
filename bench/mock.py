"""
The mock upstream for streams and delayed answers: one asyncio protocol on uvloop, fixed bytes, no framework.

Started as `python -m bench.mock PORT`. It speaks the dialect whose path it is asked on. `GET /stats` tells what it saw,
so that a run can be held against the upstream's own count. Each stream keeps its own schedule (start + k * pace): no
drift, no common tick that would make bursts. Whole answers without delay come from nginx instead
(`templates/mock.nginx.conf`), which costs less.
"""

import asyncio
import re
import sys
from functools import cache
from typing import cast

import httptools
import msgspec
import uvloop
from typing_extensions import override

from bench import bodies, dialects
from bench.dialects import Dialect

MODEL = re.compile(rb'"model"\s*:\s*"(paced|whole)-(\d+)(?:-(\d+))?"')
WANTS_USAGE = re.compile(rb'"include_usage"\s*:\s*true')


class Stats(msgspec.Struct):
    """What the mock saw since it started."""

    requests: int = 0
    connections: int = 0
    answering: int = 0
    """Answers begun or promised and not ended."""
    cut: int = 0
    """Answers whose connection went away before their end."""
    late_ms: float = 0.0
    """By how much the latest event missed its schedule: the mock's own doing, not the gateway's."""


def _framed(event: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(event), event)


@cache
def _first(dialect: Dialect, model: str) -> bytes:
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: %b; charset=utf-8\r\nCache-Control: no-cache\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    return head % dialect.content_type + b"".join(map(_framed, dialects.first(dialect, model)))


@cache
def _middle(dialect: Dialect, model: str) -> bytes:
    return _framed(dialects.piece(dialect, model))


@cache
def _last(dialect: Dialect, model: str, tokens: int, usage: bool) -> bytes:
    return b"".join(map(_framed, dialects.last(dialect, model, tokens, usage=usage))) + b"0\r\n\r\n"


@cache
def _whole(dialect: Dialect, model: str) -> bytes:
    body = dialects.answer(dialect, model)
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


class Mock(asyncio.Protocol):
    """One connection: requests one after the other, answers on schedule."""

    def __init__(self, stats: Stats) -> None:
        self._loop = asyncio.get_running_loop()
        self._stats = stats
        self._parser = httptools.HttpRequestParser(self)
        self._body: list[bytes] = []
        self._url = b""
        self._timer: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._stats.connections += 1

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._stats.connections -= 1
        if self._timer is not None:
            self._timer.cancel()
            self._stats.cut += 1
            self._stats.answering -= 1

    @override
    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()

    def on_message_begin(self) -> None:
        self._body.clear()

    def on_url(self, url: bytes) -> None:
        self._url = url

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        if self._url == b"/stats":
            body = msgspec.json.encode(self._stats)
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            return
        self._stats.requests += 1
        body = b"".join(self._body)
        dialect = self._dialect = dialects.spoken_at(self._url)
        found = MODEL.search(body)
        if found is None:
            self._transport.write(_whole(dialect, bodies.UPSTREAM))
            return
        kind, pace, count = found.groups()
        name = found[0].rpartition(b":")[2].strip(b' "').decode()
        self._stats.answering += 1
        if kind == b"whole":
            self._timer = self._loop.call_later(int(pace) / 1000, self._answer, name)
            return
        self._transport.write(_first(dialect, name))
        self._left = int(count or 1)
        self._end = _last(dialect, name, self._left, WANTS_USAGE.search(body) is not None)
        self._event = _middle(dialect, name)
        self._pace = int(pace) / 1000
        self._due = self._loop.time() + self._pace
        self._timer = self._loop.call_at(self._due, self._tick)

    def _answer(self, name: str) -> None:
        self._transport.write(_whole(self._dialect, name))
        self._ended()

    def _tick(self) -> None:
        late = (self._loop.time() - self._due) * 1000
        self._stats.late_ms = max(self._stats.late_ms, late)
        self._left -= 1
        if self._left < 0:
            self._transport.write(self._end)
            self._ended()
            return
        self._transport.write(self._event)
        self._due += self._pace
        self._timer = self._loop.call_at(self._due, self._tick)

    def _ended(self) -> None:
        self._timer = None
        self._stats.answering -= 1


async def serve(port: int) -> None:
    stats = Stats()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Mock(stats), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1])))
