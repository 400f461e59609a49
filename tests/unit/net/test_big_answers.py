"""Answers that come faster than they are taken: nothing is lost, and reading goes on for whoever takes them."""

import asyncio

import pytest

from foz.canon.fault import Garbled, Timeout
from foz.canon.model import Patience
from tests.unit.net.served import GET, PATIENCE, LoopOf, asked, on_each_loop, origin_at, run, saying, served

MB = 1_000_000
SIZES = pytest.mark.parametrize("size", [60_000, 100_000, MB, 5 * MB, 20 * MB])


def sized(size: int) -> bytes:
    """An answer with so long a body."""
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + b"x" * size


def chunked(size: int) -> bytes:
    """The same in chunks of 10,000 bytes."""
    chunk = b"2710\r\n" + b"x" * 10_000 + b"\r\n"
    return b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunk * (size // 10_000) + b"0\r\n\r\n"


@SIZES
@on_each_loop
def test_a_big_answer_arrives_whole(loop_of: LoopOf, size: int) -> None:
    """A body far beyond what is read ahead arrives whole, twice on one connection, with a length and in chunks."""

    async def main() -> None:
        async with served(saying(sized(size), chunked(size))) as port:
            origin = origin_at(port)
            for _ in range(2):
                assert len((await asked(origin)).body) == size
            await origin.close()

    run(main(), loop_of)


@SIZES
@on_each_loop
def test_a_big_answer_is_streamed_whole(loop_of: LoopOf, size: int) -> None:
    """All bytes of a streamed answer reach the sink, also those that came before there was a sink."""

    async def main() -> None:
        async with served(saying(sized(size), chunked(size))) as port:
            origin = origin_at(port)
            for _ in range(2):
                answer = await origin.send(GET, PATIENCE)
                pieces: list[bytes] = []
                await answer.pour(pieces.append)
                answer.close()
                assert sum(map(len, pieces)) == size
            await origin.close()

    run(main(), loop_of)


@on_each_loop
def test_a_slow_taker_holds_the_stream_until_it_resumes(loop_of: LoopOf) -> None:
    """After `pause()`, before or during pouring, nothing reaches the sink until `resume()`, and then all of it."""

    async def main() -> None:
        async with served(saying(sized(5 * MB))) as port:
            origin = origin_at(port)
            loop = asyncio.get_running_loop()
            answer = await origin.send(GET, PATIENCE)
            sizes = [0]
            paused = asyncio.Event()
            paused.set()

            def sink(piece: bytes) -> None:
                sizes.append(len(piece))
                answer.pause()
                paused.set()

            answer.pause()
            pouring = loop.create_task(answer.pour(sink))
            pouring.add_done_callback(lambda _: paused.set())
            while not pouring.done():
                await paused.wait()
                held = len(sizes)
                await asyncio.wait([pouring], timeout=0.005)
                assert len(sizes) == held or held == 1  # what was read before there was a sink comes at once
                paused.clear()
                answer.resume()
            await pouring
            answer.close()
            await origin.close()
            assert sum(sizes) == 5 * MB
            assert len(sizes) > 5

    run(main(), loop_of)


@on_each_loop
def test_silence_is_the_upstreams_only_while_reading(loop_of: LoopOf) -> None:
    """An answer that we have paused outlives the idle timeout; one that the upstream leaves unfinished does not."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sized(1000)[:-1])
        await reader.read()

    async def main() -> None:
        short = Patience(connect=5, first_byte=5, idle=0.2, total=20)
        async with served(saying(sized(MB))) as port:
            origin = origin_at(port)
            answer = await origin.send(GET, short)
            answer.pause()
            pieces: list[bytes] = []
            pouring = asyncio.get_running_loop().create_task(answer.pour(pieces.append))
            done, _ = await asyncio.wait([pouring], timeout=0.6)
            assert not done
            answer.resume()
            await pouring
            assert sum(map(len, pieces)) == MB
            answer.close()
            await origin.close()
        async with served(silent) as port:
            with pytest.raises(Timeout, match="more of its answer"):
                await asked(origin_at(port), short)

    run(main(), loop_of)


@on_each_loop
def test_an_answer_beyond_its_limit_is_garbled(loop_of: LoopOf) -> None:
    """`whole` gives up beyond its limit, whether the bytes came before it was called or after."""

    async def main() -> None:
        async with served(saying(sized(MB))) as port:
            origin = origin_at(port)
            for limit in (10, 100_000, MB - 1):
                answer = await origin.send(GET, PATIENCE)
                with pytest.raises(Garbled, match=f"longer than {limit} bytes"):
                    await answer.whole(limit)
                answer.close()
            answer = await origin.send(GET, PATIENCE)
            assert len((await answer.whole(MB)).body) == MB
            answer.close()
            await origin.close()

    run(main(), loop_of)
