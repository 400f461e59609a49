"""One connection: whose bytes are whose, how it ends, and that nothing of it is left."""

import asyncio
import gc
import weakref
from contextlib import nullcontext, suppress

import pytest

from foz.canon.fault import Cut, Down, Fault, Garbled, Timeout
from foz.canon.model import Patience
from foz.net.connection import MAX_HEAD, Answer, Connection
from foz.net.watch import TickingWatch
from tests.unit.net.served import (
    GET,
    HELLO,
    PATIENCE,
    Handler,
    LoopOf,
    asked,
    on_each_loop,
    origin_at,
    run,
    saying,
    served,
)

WORLD = HELLO.replace(b"hello", b"WORLD")


@pytest.mark.parametrize(
    "after",
    [WORLD, b"HTTP/1.1 200 OK\r\nx-eat: ", b"H", b"garbage", WORLD[:-2]],
    ids=["a whole answer", "half a head", "one byte", "garbage", "half a body"],
)
@on_each_loop
def test_what_follows_an_answer_is_nobodys(loop_of: LoopOf, after: bytes) -> None:
    """Bytes after an answer in the same read reach no caller, and the connection is not used again."""
    connections: list[int] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(1)
        await saying(HELLO + after)(reader, writer)

    async def main() -> None:
        async with served(handler) as port:
            origin = origin_at(port)
            for _ in range(3):
                reply = await asked(origin)
                assert (reply.body, reply.headers) == (b"hello", ((b"content-length", b"5"),))
            await origin.close()

    run(main(), loop_of)
    assert len(connections) == 3


@on_each_loop
def test_what_comes_between_two_answers_closes_the_connection(loop_of: LoopOf) -> None:
    """Bytes that come while a connection is kept close it: the next caller gets another one."""

    async def main() -> None:
        over = asyncio.Event()

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(HELLO)
            await more.wait()
            writer.write(WORLD)
            try:
                await reader.read()
            finally:
                over.set()

        more = asyncio.Event()
        async with served(handler) as port:
            origin = origin_at(port)
            assert (await asked(origin)).body == b"hello"
            more.set()
            async with asyncio.timeout(5):
                await over.wait()
            assert (await asked(origin)).body == b"hello"
            await origin.close()

    run(main(), loop_of)


@on_each_loop
def test_interim_answers_and_trailers_are_not_the_answer(loop_of: LoopOf) -> None:
    """What a 100 and a trailer say is in no header of the answer, and the connection is kept."""
    answer = (
        b"HTTP/1.1 100 Continue\r\nx-interim: 1\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nX-Real: 1\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-trailer: 1\r\n\r\n"
    )
    connections: list[int] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(1)
        await saying(answer)(reader, writer)

    async def main() -> None:
        async with served(handler) as port:
            origin = origin_at(port)
            for _ in range(2):
                reply = await asked(origin)
                assert reply.body == b"hello"
                assert reply.headers == ((b"x-real", b"1"), (b"transfer-encoding", b"chunked"))
            await origin.close()

    run(main(), loop_of)
    assert len(connections) == 1


def _then_closed(answer: bytes) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    return handler


@on_each_loop
def test_an_end_of_the_connection_is_the_end_of_some_answers(loop_of: LoopOf) -> None:
    """Without length and chunks the end is the end; else it is a Cut; before any byte it is Down."""

    async def main() -> None:
        async with served(_then_closed(b"HTTP/1.1 200 OK\r\n\r\nall of it")) as port:
            assert (await asked(origin_at(port))).body == b"all of it"
        for half in (HELLO[:-1], b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"):
            async with served(_then_closed(half)) as port:
                with pytest.raises(Cut, match="in the middle"):
                    await asked(origin_at(port))
        for nothing in (b"", b"HTTP/1.1 200 OK\r\nx: "):
            async with served(_then_closed(nothing)) as port:
                with pytest.raises(Down, match="before it answered"):
                    await asked(origin_at(port))

    run(main(), loop_of)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n" + b"x: %s\r\n" % (b"y" * 1000) * 200,
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n" + b"x: %s\r\n" % (b"y" * 1000) * 1000,
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    ],
    ids=["head", "header", "interim", "trailer", "not http", "upgrade"],
)
@on_each_loop
def test_an_answer_that_is_none_is_garbled(loop_of: LoopOf, answer: bytes) -> None:
    """A head, interim answers or a trailer without end, and what is no HTTP/1.1 answer, end as Garbled."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await reader.read()

    async def main() -> None:
        async with served(handler) as port:
            with pytest.raises(Garbled):
                await asked(origin_at(port))

    assert len(answer) > MAX_HEAD or answer.endswith(b"\r\n")
    run(main(), loop_of)


@on_each_loop
def test_a_closed_connection_cannot_be_asked(loop_of: LoopOf) -> None:
    """To ask on a connection that its server has closed is Down with nothing sent, at once."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        closed = loop.create_future()

        def freed(connection: Connection, usable: bool) -> None:
            assert not usable
            closed.set_result(None)

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            pass

        async with served(handler) as port:
            watch = TickingWatch(loop)
            _, connection = await loop.create_connection(lambda: Connection(loop, watch, freed), "127.0.0.1", port)
            await asyncio.wait_for(closed, 5)
            for _ in range(2):
                with pytest.raises(Down) as caught:
                    await connection.ask(b"GET / HTTP/1.1\r\n\r\n", PATIENCE)
                assert not caught.value.sent
                await asyncio.sleep(0)

    run(main(), loop_of)


class Defect(Exception):
    """What a sink may raise."""


@pytest.mark.parametrize("part", [b"h", b"hello"], ids=["first piece", "last piece"])
@pytest.mark.parametrize("raised", [Defect(), Garbled("no")], ids=["defect", "fault"])
@on_each_loop
def test_what_a_sink_raises_reaches_whoever_pours(loop_of: LoopOf, raised: Exception, part: bytes) -> None:
    """A defect or a fault of a sink, on the first or on the last piece, ends the pouring with itself."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: None)  # the loop tells of the defect too
        pours = asyncio.Event()

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(HELLO[:-5])
            await pours.wait()
            writer.write(part)
            await reader.read()

        def sink(piece: bytes) -> None:
            raise raised

        async with served(handler) as port:
            answer = await origin_at(port).send(GET, PATIENCE)
            pouring = loop.create_task(answer.pour(sink))
            loop.call_soon(pours.set)
            with pytest.raises(type(raised)) as caught:
                await asyncio.wait_for(pouring, 5)
            assert caught.value is raised
            answer.close()

    run(main(), loop_of)


async def _silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


def _alive() -> list[Answer | Connection]:
    return [one for one in gc.get_objects() if isinstance(one, Answer | Connection)]


ENDS: list[tuple[Handler, type[Fault] | None]] = [
    (saying(HELLO), None),
    (saying(HELLO + b"x"), None),
    (_then_closed(HELLO), None),
    (_then_closed(HELLO[:-1]), Cut),
    (_then_closed(b""), Down),
    (saying(b"garbage\r\n"), Garbled),
    (saying(HELLO[:-1]), Timeout),
    (_silent, Timeout),
]


@pytest.mark.parametrize(("handler", "expected"), ENDS)
@on_each_loop
def test_nothing_is_left_of_what_is_over(loop_of: LoopOf, handler: Handler, expected: type[Fault] | None) -> None:
    """However an exchange ends, read or given up, counting references alone frees its connection and its answer."""
    short = Patience(connect=5, first_byte=0.1, idle=0.1, total=20)

    async def main() -> None:
        async with served(handler) as port:
            origin = origin_at(port)
            with pytest.raises(expected) if expected else nullcontext():
                await asked(origin, short)
            with suppress(Fault):
                (await origin.send(GET, short)).close()
            await origin.close()

    gc.collect()
    gc.disable()
    try:
        before = _alive()
        run(main(), loop_of)
        left = [one for one in _alive() if not any(one is other for other in before)]
    finally:
        gc.enable()
    assert left == []


@on_each_loop
def test_what_is_over_is_freed_while_the_loop_runs(loop_of: LoopOf) -> None:
    """A given up exchange's connection is freed within the next turns of the loop, not only with it."""

    async def main() -> None:
        async with served(saying(HELLO[:-1])) as port:
            answer = await origin_at(port).send(GET, PATIENCE)
            connection = weakref.ref(answer._connection)
            answer.close()
            for _ in range(10):
                await asyncio.sleep(0)
            assert connection() is None

    gc.disable()
    try:
        run(main(), loop_of)
    finally:
        gc.enable()
