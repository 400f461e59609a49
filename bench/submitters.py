"""
Those who submit jobs and wait for them: over HTTP for Foz, in a process of its own for Celery.

A caller of Foz has one kept connection: it asks `POST /chat`, then `GET /chat/status/{id}?wait=60&until=end` until the
job is completed, and compares the answer. Celery's asks by `delay`, which returns when the broker has confirmed the
message, and waits by `get`, which hears of the result from Redis; it is `bench.rival`, told by one line of JSON what to
do.
"""

import asyncio
import socket
import time
from array import array
from collections import deque
from typing import cast

import msgspec
import uvloop
from msgspec import Struct
from typing_extensions import override

from bench import bodies

LIMIT = 60.0
"""Seconds after which a job that has no end is lost."""
ACCEPTED, OK = b"HTTP/1.1 202", b"HTTP/1.1 200"


class Order(Struct, frozen=True):
    """How to submit: so many jobs under way all the while, or so many a second, each at its moment."""

    seconds: float
    callers: int = 0
    rate: float = 0.0
    message: str = bodies.QUESTION
    answer: str = bodies.ANSWER
    limit: float = LIMIT


class Took(Struct, frozen=True):
    """What came of it. Times in milliseconds, from the moment at which a job was due to be submitted."""

    elapsed: float
    submit: list[float]
    done: list[float]


class _Said(Struct):
    job_id: str = ""
    status: str = ""
    result: dict[str, object] | None = None


_SAID = msgspec.json.Decoder(_Said)


class _Line(asyncio.Protocol):
    """One kept connection, one request at a time."""

    def __init__(self) -> None:
        self._data = b""
        self._answer: asyncio.Future[bytes] | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(RuntimeError("the gateway closed a connection before its answer"))

    @override
    def data_received(self, data: bytes) -> None:
        self._data += data
        head, found, body = self._data.partition(b"\r\n\r\n")
        at = head.lower().find(b"content-length:")
        if not found or len(body) < int(head[at + 15 :].split(b"\r\n", 1)[0]):
            return
        whole, self._data = self._data, b""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(whole)

    async def ask(self, request: bytes, status: bytes) -> _Said:
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        whole = await self._answer
        if not whole.startswith(status):
            raise RuntimeError(f"the gateway answered {whole[:300]!r}")
        return _SAID.decode(whole.partition(b"\r\n\r\n")[2])


class OverHttp:
    """Callers of one gateway."""

    def __init__(self, port: int, key: str) -> None:
        self._port = port
        host = f"127.0.0.1:{port}"
        self._head = f" HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n\r\n".encode()
        self._idle: deque[_Line] = deque()

    def submit(self, order: Order) -> Took:
        """Does it, and waits for the last of its jobs. A job that is refused, lost or failed is an error."""
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(self._submitted(order))

    async def _submitted(self, order: Order) -> Took:
        body = msgspec.json.encode({"message": order.message, "max_tokens": 256, "temperature": 0.2})
        post = bodies.http_request(f"127.0.0.1:{self._port}", body, None, "/chat")
        key = self._head.partition(b"\r\n")[2].partition(b"\r\n")[2][:-4]
        self._post = post.replace(b"\r\nAccept:", b"\r\n" + key + b"\r\nAccept:", 1)
        submit, done = array("d"), array("d")
        clock = time.perf_counter
        began = clock()

        async def one(due: float) -> None:
            line = self._idle.pop() if self._idle else await self._connected()
            accepted = await line.ask(self._post, ACCEPTED)
            submit.append((clock() - due) * 1000)
            look = b"GET /chat/status/" + accepted.job_id.encode() + b"?wait=60&until=end" + self._head
            said = accepted
            while said.status in {"pending", "processing"}:
                said = await line.ask(look, OK)
            done.append((clock() - due) * 1000)
            if said.status != "completed" or said.result is None or said.result["response"] != order.answer:
                raise RuntimeError(f"job {accepted.job_id} came to {said}")
            self._idle.append(line)

        async def caller() -> None:
            while (now := clock()) - began < order.seconds:
                await one(now)

        async with asyncio.timeout(order.seconds + order.limit), asyncio.TaskGroup() as group:
            if order.callers:
                for _ in range(order.callers):
                    group.create_task(caller())
            else:
                for number in range(int(order.seconds * order.rate)):
                    due = began + number / order.rate
                    await asyncio.sleep(due - clock())
                    group.create_task(one(due))
        elapsed = clock() - began
        while self._idle:
            self._idle.pop().transport.close()
        return Took(elapsed, list(submit), list(done))

    async def _connected(self) -> _Line:
        _, line = await asyncio.get_running_loop().create_connection(_Line, "127.0.0.1", self._port)
        return line


class ByCelery:
    """Celery's submitter, at the port on which it takes orders."""

    def __init__(self, port: int) -> None:
        self._port = port

    def submit(self, order: Order) -> Took:
        """Does it, and waits for the last of its jobs. A job that is lost or failed is an error."""
        with socket.create_connection(("127.0.0.1", self._port), 10) as line:
            line.settimeout(order.seconds + order.limit)
            line.sendall(msgspec.json.encode(order) + b"\n")
            with line.makefile("rb") as read:
                said = read.readline()
        if not said:
            raise RuntimeError("Celery's submitter ended inside a run: see its log")
        return msgspec.json.decode(said, type=Took)


def ready(port: int) -> bool:
    """Whether a submitter takes orders."""
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False
