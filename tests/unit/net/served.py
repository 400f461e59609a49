"""Small raw servers on 127.0.0.1 and an origin that asks them: what the tests of `foz.net` share."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import pytest
import uvloop

from foz.canon.model import Patience
from foz.net.origin import Endpoint, Origin
from foz.net.watch import TickingWatch
from foz.wire.http import Call, Reply

T = TypeVar("T")
LIMIT = 64 * 1024 * 1024
PATIENCE = Patience(connect=5, first_byte=5, idle=5, total=20)
GET = Call("GET", "/x")
HELLO = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
LOOPS = [asyncio.SelectorEventLoop, uvloop.new_event_loop]
on_each_loop = pytest.mark.parametrize("loop_of", LOOPS, ids=["asyncio", "uvloop"])
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
LoopOf = Callable[[], asyncio.AbstractEventLoop]


def run(main: Coroutine[Any, Any, T], loop_of: LoopOf = uvloop.new_event_loop) -> T:
    """The result of it, on a loop of this kind."""
    with asyncio.Runner(loop_factory=loop_of) as runner:
        return runner.run(main)


@asynccontextmanager
async def served(handler: Handler, **options: Any) -> Any:
    """The port of a server whose every connection is given to the handler, and closed when it returns."""
    serving: dict[asyncio.Task[None] | None, asyncio.StreamWriter] = {}

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving[asyncio.current_task()] = writer
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):  # one side has gone
            await handler(reader, writer)
        writer.close()

    server = await asyncio.start_server(one, "127.0.0.1", 0, **options)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task, writer in serving.items():
            if task is not None:
                task.cancel()
            writer.transport.abort()
        await asyncio.gather(*filter(None, serving))
        await server.wait_closed()


def saying(*answers: bytes) -> Handler:
    """Answers each request of a connection with the next of these bytes, the last again and again."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        turn = 0
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answers[min(turn, len(answers) - 1)])
            await writer.drain()
            turn += 1

    return handler


def origin_at(port: int, scheme: str = "http") -> Origin:
    """An origin for a server on this port."""
    return Origin(Endpoint(f"{scheme}://127.0.0.1:{port}"), TickingWatch(asyncio.get_running_loop()))


async def asked(origin: Origin, patience: Patience = PATIENCE) -> Reply:
    """One request, its whole answer."""
    answer = await origin.send(GET, patience)
    try:
        return await answer.whole(LIMIT)
    finally:
        answer.close()
