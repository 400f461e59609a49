"""
The simulated model behind a real socket: `python -m foz.testing.server --port 0 --pace 0.02 --log FILE`.

It prints `listening on http://127.0.0.1:PORT` and serves `/v1/...` until SIGTERM. What it saw is told by
`foz.testing.seen`, how it is made to misbehave by `foz.testing.simulated.mischief`; it is a test's upstream, so it
always obeys. It speaks HTTP/1.1 with keep-alive, streams in chunks, answers pipelined requests one after another,
and stops writing while the peer does not read.
"""

import argparse
import asyncio
import signal
import socket
import struct
import sys
from collections import deque
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from pathlib import Path
from typing import Any, cast

import httptools
from typing_extensions import override

from foz.canon.fault import BadRequest, Cut, Down
from foz.canon.model import Patience
from foz.dialects.openai.speech import SPEECH
from foz.testing.clock import LoopClock
from foz.testing.seen import Seen, milliseconds
from foz.testing.simulated.mischief import NONE, Mischief, read
from foz.testing.simulated.upstream import FOREVER, SimulatedAnswer, SimulatedUpstream
from foz.wire import json
from foz.wire.http import Call, Headers

if sys.platform != "win32":
    import uvloop

MAX_BODY = 64 * 1024 * 1024
MAX_HEADERS = 64 * 1024
MAX_HELD = 1024 * 1024
PATIENT = Patience(connect=FOREVER, first_byte=FOREVER, idle=FOREVER, total=FOREVER)
_LOCAL = (b"x-simulate-fragment", b"x-simulate-socket")
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}


def _head(status: int, headers: Headers) -> bytes:
    first = b"HTTP/1.1 %d %s" % (status, _REASONS.get(status, b"Simulated"))
    return b"\r\n".join((first, *(b"%s: %s" % header for header in headers), b"", b""))


class Connection(asyncio.Protocol):
    """One connection: requests in, answers out, in order."""

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._seen = server.seen
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[tuple[Call, bool]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._answer: SimulatedAnswer | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._number = 0
        self._opened = 0.0
        self._by = "peer"
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._size = 0

    # What the loop tells.

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A peer."""
        self._transport = cast("asyncio.Transport", transport)
        self._number = self._seen.connected()
        self._opened = milliseconds()
        self._server.connections.add(self)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone: whatever was being answered is cancelled."""
        self._server.connections.discard(self)
        self._seen.disconnected(self._number, self._opened, self._by)
        self._transport = None
        self._writable.set()
        if self._task is not None:
            self._task.cancel()

    @override
    def pause_writing(self) -> None:
        """The peer does not read."""
        self._writable.clear()
        if self._answer is not None:
            self._answer.pause()

    @override
    def resume_writing(self) -> None:
        """It reads again."""
        self._writable.set()
        if self._answer is not None:
            self._answer.resume()

    @override
    def data_received(self, data: bytes) -> None:
        """Bytes of requests."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, BadRequest) as wrong:
            body = json.encode({"error": {"message": f"the simulated upstream cannot read this: {wrong}"}})
            headers = ((b"content-type", b"application/json"), (b"connection", b"close"))
            self.write(_head(400, (*headers, (b"content-length", b"%d" % len(body)))) + body)
            self._close()

    def close(self) -> None:
        """The server goes away."""
        self._close()

    # What the parser tells.

    def on_message_begin(self) -> None:
        """A request begins."""
        self._url, self._headers, self._body, self._size = b"", [], [], 0

    def on_url(self, url: bytes) -> None:
        """Of its target, some."""
        self._url += url
        self._grow(len(url), MAX_HEADERS, "target")

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._headers.append((name.lower(), value))
        self._grow(len(name) + len(value), MAX_HEADERS, "headers")

    def on_headers_complete(self) -> None:
        """The moment that counts as seen."""
        self._seen.asked(self._call(b""))
        self._size = 0

    def on_body(self, body: bytes) -> None:
        """Of its body, some."""
        self._body.append(body)
        self._grow(len(body), MAX_BODY, "body")

    def on_message_complete(self) -> None:
        """It is whole: answered when those before it are."""
        self._waiting.append((self._call(b"".join(self._body)), self._parser.should_keep_alive()))
        if self._task is None:
            self._task = self._server.own(self._serve())

    def _grow(self, by: int, limit: int, what: str) -> None:
        self._size += by
        if self._size > limit:
            raise BadRequest(f"the {what} is longer than {limit} bytes", status=413)

    def _call(self, body: bytes) -> Call:
        path, _, query = self._url.decode("latin-1").partition("?")
        return Call(self._parser.get_method().decode("latin-1"), path, tuple(self._headers), body, query)

    # The answers.

    async def _serve(self) -> None:
        try:
            while self._waiting and self._transport is not None and not self._transport.is_closing():
                call, alive = self._waiting.popleft()
                if call.path == "/_seen":
                    self._tell(call, alive=alive)
                else:
                    await self._one(call, alive=alive)
                if not alive:
                    self._close()
        finally:
            self._task = None

    def _tell(self, call: Call, *, alive: bool) -> None:
        if call.method == "DELETE":
            self._seen.forget()
        self._whole(200, ((b"content-type", b"application/json"),), json.encode(self._seen.told()), alive=alive)

    async def _one(self, call: Call, *, alive: bool) -> None:
        """One call; a peer that leaves in the middle of it is noted."""
        done = ended = False
        self._seen.answering += 1
        try:
            await self._play(call, alive=alive)
            done = ended = True
        except (Down, Cut):
            done = self._transport is not None
            self._close()
        finally:
            self._seen.answering -= 1
            if not done:
                self._seen.left(call, self._answer.pieces if self._answer is not None else 0)
            if self._answer is not None and (made := self._answer.produced) is not None:
                whole = ended and not self._answer.mischief.spoils
                self._seen.made(call, made.input, made.after(1), whole=whole)
            self._answer = None

    async def _play(self, call: Call, *, alive: bool) -> None:
        local = _local(call)
        plain = call if local == NONE else _without_local(call)
        if local.socket == "close":
            raise Down("closed before any byte, as asked")
        answer = await self._server.upstream.send(plain, PATIENT)
        self._answer = answer
        writer = _Writer(self, answer, local.fragment)
        if answer.stream or local.socket == "chunk":
            await self._stream(answer, writer, local, alive=alive)
        elif answer.mischief.cut is not None or answer.mischief.hang is not None or answer.mischief.endless:
            await self._half(answer, writer)
        else:
            reply = await answer.whole(MAX_BODY * 4)
            if local.socket is not None:
                size = len(reply.body) + (100 if local.socket == "length" else 0)
                half = reply.body if local.socket == "length" else reply.body[: len(reply.body) // 2]
                writer.add(_head(answer.status, (*answer.headers, (b"content-length", b"%d" % size))) + half)
                await writer.done()
                self._break(local)
                return
            writer.add(self._framed(answer.status, answer.headers, reply.body, alive=alive))
            await writer.done()

    async def _stream(self, answer: SimulatedAnswer, writer: "_Writer", local: Mischief, *, alive: bool) -> None:
        closing: Headers = () if alive else ((b"connection", b"close"),)
        writer.add(_head(answer.status, (*answer.headers, (b"transfer-encoding", b"chunked"), *closing)))

        def chunk(piece: bytes) -> None:
            writer.add(b"%x\r\n%s\r\n" % (len(piece), piece))
            if local.socket is not None:
                raise Cut("broken, as asked")

        if not self._writable.is_set():
            answer.pause()
        try:
            await answer.pour(chunk)
        except Cut:
            await writer.done()
            if local.socket is None:
                raise
            self._break(local)
            return
        writer.add(b"0\r\n\r\n")
        await writer.done()

    async def _half(self, answer: SimulatedAnswer, writer: "_Writer") -> None:
        """A whole answer that never gets whole: its head promises more than comes."""

        def promise(piece: bytes) -> None:
            writer.add(
                _head(answer.status, (*answer.headers, (b"content-length", b"%d" % (len(piece) * 2 + 2)))) + piece
            )

        try:
            await answer.pour(promise)
        finally:
            await writer.done()

    def _break(self, local: Mischief) -> None:
        """The raw mistake that was asked for, in the middle of an answer."""
        if local.socket == "chunk":
            self.write(b"zz\r\nno chunk\r\n")
        if local.socket == "reset" and self._transport is not None:
            peer = self._transport.get_extra_info("socket")
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._by = "us"
            self._transport.abort()
            return
        self._close()

    def _whole(self, status: int, headers: Headers, body: bytes, *, alive: bool) -> None:
        self.write(self._framed(status, headers, body, alive=alive))

    def _framed(self, status: int, headers: Headers, body: bytes, *, alive: bool) -> bytes:
        closing: Headers = () if alive else ((b"connection", b"close"),)
        return _head(status, (*headers, (b"content-length", b"%d" % len(body)), *closing)) + body

    def write(self, data: bytes) -> bool:
        """Bytes as they are; says whether there was anybody to write to."""
        if self._transport is None or self._transport.is_closing():
            return False
        self._transport.write(data)
        return True

    def _close(self) -> None:
        if self._transport is not None:
            self._by = "us"
            self._transport.close()


class _Writer:
    """Writes as it comes; or so many bytes at a time, each in a turn of the loop and a TCP segment of its own."""

    def __init__(self, connection: Connection, answer: SimulatedAnswer, fragment: int | None) -> None:
        self._connection = connection
        self._answer = answer
        self._fragment = fragment
        self._held = bytearray()
        self._empty = asyncio.Event()
        self._empty.set()

    def add(self, data: bytes) -> None:
        """More bytes."""
        if self._fragment is None:
            self._connection.write(data)
            return
        self._held += data
        if len(self._held) > MAX_HELD:
            self._answer.pause()
        if self._empty.is_set():
            self._empty.clear()
            self._step()

    def _step(self) -> None:
        width = self._fragment or 1
        if self._held and self._connection.write(bytes(self._held[:width])):
            del self._held[:width]
            asyncio.get_running_loop().call_soon(self._step)
            return
        self._held.clear()
        self._empty.set()
        self._answer.resume()

    async def done(self) -> None:
        """Everything is written."""
        await self._empty.wait()


def _local(call: Call) -> Mischief:
    """What only a socket can do wrong; a value that cannot be read is left to the upstream, which refuses it."""
    try:
        asked = read(call.headers)
    except BadRequest:
        return NONE
    return Mischief(fragment=asked.fragment, socket=asked.socket)


def _without_local(call: Call) -> Call:
    headers = tuple(header for header in call.headers if header[0] not in _LOCAL)
    return Call(call.method, call.path, headers, call.body, call.query)


class Server:
    """The listening server and all that is alive of it."""

    def __init__(self, upstream: SimulatedUpstream, seen: Seen) -> None:
        self.upstream = upstream
        self.seen = seen
        self.connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    def own(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Runs it, and keeps it until it ends."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def start(self, port: int = 0, host: str = "127.0.0.1") -> int:
        """Listens; gives the port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), host, port, backlog=1024)
        found: int = self._server.sockets[0].getsockname()[1]
        return found

    async def stop(self) -> None:
        """Closes everything and waits until it is."""
        if self._server is not None:
            self._server.close()
        for connection in tuple(self.connections):
            connection.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def serve(upstream: SimulatedUpstream, port: int, log: Path | None) -> None:
    """Serves until SIGTERM or SIGINT."""
    server = Server(upstream, Seen(log))
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    found = await server.start(port)
    sys.stdout.write(f"listening on http://127.0.0.1:{found}\n")
    sys.stdout.flush()
    await stopping.wait()
    await server.stop()


def run(program: str, description: str, make: Callable[[float], SimulatedUpstream]) -> None:
    """Reads the arguments and serves what `make` gives for a pace."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=description)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--pace", type=float, default=0.0, help="seconds between the pieces of a stream")
    parser.add_argument("--log", type=Path, help="a line for each request, written before it is answered")
    given = parser.parse_args()
    factory = uvloop.new_event_loop if sys.platform != "win32" else None
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(serve(make(given.pace), given.port, given.log))


def main() -> None:
    """The simulated model's own server."""
    run(
        "foz.testing.server",
        "The simulated upstream.",
        lambda pace: SimulatedUpstream(SPEECH, LoopClock(), pace=pace, misbehaves=True),
    )


if __name__ == "__main__":
    main()
