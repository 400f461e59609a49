"""A provider's endpoint: the connections it keeps, and what it tells to whom."""

import asyncio

import pytest

from foz.canon.fault import Down
from foz.net.origin import KEPT_SECONDS, Endpoint, Origin
from foz.net.watch import TickingWatch
from tests.unit.net.served import HELLO, asked, origin_at, run, saying, served


@pytest.mark.parametrize("host", ["a..b", "a" * 70 + ".example", "127.0.0.1:1"])
def test_a_host_that_cannot_be_reached_is_down(host: str, caplog: pytest.LogCaptureFixture) -> None:
    """A host that is no name or does not answer is Down, nothing sent; its address is in the log once, not in it."""

    async def main() -> None:
        origin = Origin(Endpoint(f"http://{host}/v1"), TickingWatch(asyncio.get_running_loop()))
        for _ in range(3):
            with pytest.raises(Down) as caught:
                await asked(origin)
            assert caught.value.message == "cannot connect to the provider"
            assert not caught.value.sent

    run(main())
    assert caplog.text.count(f"cannot connect to {host}") == 1


def test_an_endpoint_shows_host_and_path_only() -> None:
    """Neither the repr of an endpoint nor the refusal of a bad one shows what may be secret in it."""
    secret = Endpoint("ftp://user:s3cret@host.example:8443/v1?key=s3cret", ((b"authorization", b"s3cret"),))

    assert repr(secret) == "Endpoint(host.example/v1)"

    async def main() -> None:
        with pytest.raises(ValueError, match="has no http") as caught:
            Origin(secret, TickingWatch(asyncio.get_running_loop()))
        assert "s3cret" not in str(caught.value)

    run(main())


def test_kept_connections_do_not_linger() -> None:
    """A kept connection has `KEPT_SECONDS` to be used again; those whose time is over are closed with nobody asking."""
    gone: list[asyncio.StreamWriter] = []

    async def main() -> None:
        over = asyncio.Event()

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await saying(HELLO)(reader, writer)
            finally:
                gone.append(writer)
                if len(gone) == 19:
                    over.set()

        async with served(handler) as port:
            loop = asyncio.get_running_loop()
            origin = origin_at(port)
            await asyncio.gather(*(asked(origin) for _ in range(20)))
            kept = list(origin._idle)
            assert len(kept) == 20
            assert all(0 < one.deadline - loop.time() <= KEPT_SECONDS for one in kept)
            for one in kept[:-1]:
                one.deadline = 0.0
            await asyncio.wait_for(over.wait(), 5)
            await asked(origin)
            assert list(origin._idle) == kept[-1:]
            await origin.close()
            assert not origin._idle

    run(main())


def test_a_connection_that_its_server_has_closed_is_not_used() -> None:
    """After the server has closed a kept connection, the next request is sent on a new one and succeeds."""
    count: list[int] = []

    async def main() -> None:
        over = asyncio.Event()

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            count.append(1)
            await reader.readuntil(b"\r\n\r\n")
            writer.write(HELLO)
            writer.write_eof()
            await reader.read()
            over.set()

        async with served(handler) as port:
            origin = origin_at(port)
            for _ in range(20):
                assert (await asked(origin)).body == b"hello"
                await asyncio.wait_for(over.wait(), 5)
                over.clear()
            await origin.close()

    run(main())
    assert len(count) == 20
