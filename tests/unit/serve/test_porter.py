"""A port that is held for somebody else's socket, and its first callers."""

import asyncio
import socket
from uuid import uuid4

import pytest

from foz.serve.http.server import InUse
from foz.serve.porter import Porch, Porter, porch, reserve
from foz.testing.process import free_port


def test_a_held_port_is_shared_with_who_shares_it() -> None:
    """While it is held another socket that shares the port can listen there and is reached; then the port is free."""
    port = free_port()
    with reserve("127.0.0.1", port), socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server.bind(("127.0.0.1", port))
        server.listen()
        with socket.create_connection(("127.0.0.1", port), 5), server.accept()[0] as reached:
            assert reached.getsockname()[1] == port
    reserve("127.0.0.1", port).close()


def test_a_taken_port_is_seen() -> None:
    """A port that somebody listens on cannot be held; the error names the address."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]

        with pytest.raises(InUse, match=f"cannot listen for gRPC on 127.0.0.1:{port}"):
            reserve("127.0.0.1", port)


async def _shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says all that was said, loudly, once it was all said."""
    writer.write((await reader.read()).upper())
    writer.close()


def test_first_callers_are_led_to_who_comes_later() -> None:
    """What they said before anybody served is heard, to its end, and they are answered; later ones are not taken."""
    port, inner, said = free_port(), f"foz-test-{uuid4().hex}", []

    async def story() -> None:
        porter = Porter(Porch(porch("127.0.0.1", port), inner, lambda: said.append("come")))
        stopping = asyncio.Event()
        assert said == ["come"]
        lines = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        for number, (_, writer) in enumerate(lines):
            writer.write(b"caller %d" % number * 10_000)
            writer.write_eof()
        assert await porter.wait(stopping)
        async with await asyncio.start_unix_server(_shout, f"\0{inner}"):
            porter.lead()
            heard = [await reader.read() for reader, _ in lines]
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)
            await porter.close()
        for _, writer in lines:
            writer.close()
        assert heard == [b"CALLER %d" % number * 10_000 for number in range(3)]

    asyncio.run(story())


def test_who_is_told_to_stop_waits_for_no_caller() -> None:
    """Told to stop, nobody is waited for; closed, whoever waits is left and the port is free."""
    port = free_port()

    async def story() -> None:
        porter = Porter(Porch(porch("127.0.0.1", port), f"foz-test-{uuid4().hex}", lambda: None))
        stopping = asyncio.Event()
        waiting = asyncio.ensure_future(porter.wait(stopping))
        await asyncio.sleep(0)
        stopping.set()
        assert not await waiting
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        await porter.close()
        writer.close()
        with reserve("127.0.0.1", port):
            pass

    asyncio.run(story())
