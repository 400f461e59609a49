"""The way out through a proxy: what it is told, what comes back, and what it means when it does not play along."""

import asyncio
import ssl
from base64 import b64encode
from pathlib import Path

import pytest

from foz.canon.fault import Down, Timeout
from foz.canon.model import Patience
from foz.config.certificates import make_pair, write_pair
from foz.net.clock import SystemClock
from foz.net.origin import Endpoint, Origin
from foz.net.proxy import Proxy, way_out
from foz.net.watch import TickingWatch
from tests.unit.net.served import HELLO, Handler, LoopOf, asked, on_each_loop, run, saying, served

BIG = b"HTTP/1.1 200 OK\r\ncontent-length: 3000000\r\n\r\n" + b"x" * 3_000_000
SHORT = Patience(connect=0.3, first_byte=5, idle=5, total=20)


def tunnelling(heads: list[bytes]) -> Handler:
    """A proxy that does as it is told; it keeps what it was told."""

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        host, _, port = heads[-1].split(b" ")[1].decode().rpartition(":")
        there = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.0 200 Connection established\r\nvia: a proxy\r\n\r\n")
        try:
            await asyncio.gather(pipe(reader, there[1]), pipe(there[0], writer))
        finally:
            there[1].transport.abort()

    return handler


def through(proxy_url: str, origin_url: str, tls: ssl.SSLContext | None = None) -> Origin:
    """An origin behind a proxy."""
    way = way_out("elsewhere.example", proxy_url, ())
    return Origin(Endpoint(origin_url, (), way), TickingWatch(asyncio.get_running_loop()), tls)


@pytest.mark.parametrize("scheme", ["http", "https"])
@on_each_loop
def test_an_origin_is_asked_through_a_tunnel(loop_of: LoopOf, scheme: str, tmp_path: Path) -> None:
    """Small and big answers of a plain and of a TLS origin come through one kept tunnel, opened with credentials."""
    ca, certificate, key = write_pair(make_pair((), SystemClock().now(), 1), tmp_path, force=False)
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(certificate, key)
    trusting = ssl.create_default_context(cafile=str(ca))

    async def main() -> None:
        heads: list[bytes] = []
        options = {"ssl": serving} if scheme == "https" else {}
        async with (
            served(saying(HELLO, BIG, HELLO), **options) as port,
            served(tunnelling(heads)) as proxy,
        ):
            origin = through(f"http://me:p%40ss@127.0.0.1:{proxy}", f"{scheme}://127.0.0.1:{port}", trusting)
            sizes = [len((await asked(origin)).body) for _ in range(3)]
            await origin.close()

        assert sizes == [5, 3_000_000, 5]
        (head,) = heads
        assert head.startswith(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n" % (port, port))
        assert b"proxy-authorization: Basic " + b64encode(b"me:p@ss") in head.split(b"\r\n")

    run(main(), loop_of)


@on_each_loop
def test_a_certificate_is_judged_inside_the_tunnel(loop_of: LoopOf, tmp_path: Path) -> None:
    """A TLS origin behind a proxy whose certificate nobody vouches for is Down, and was sent nothing."""
    _, certificate, key = write_pair(make_pair((), SystemClock().now(), 1), tmp_path, force=False)
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(certificate, key)

    async def main() -> None:
        async with served(saying(HELLO), ssl=serving) as port, served(tunnelling([])) as proxy:
            with pytest.raises(Down) as caught:
                await asked(through(f"http://127.0.0.1:{proxy}", f"https://127.0.0.1:{port}"))

        assert not caught.value.sent

    run(main(), loop_of)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 407 Proxy Authentication Required at 10.9.8.7\r\n\r\n",
        b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n",
        b"220 mail.example ESMTP\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nand more",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 20_000,
        b"",
    ],
    ids=["407", "502", "garbage", "early bytes", "endless", "closed"],
)
@on_each_loop
def test_a_proxy_that_does_not_open_is_down(loop_of: LoopOf, answer: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """A refusal, garbage or an end is Down with nothing sent; only the log names the proxy and what it said."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        if answer:
            await reader.read()

    async def main() -> None:
        async with served(handler) as proxy:
            for _ in range(3):
                with pytest.raises(Down) as caught:
                    await asked(through(f"127.0.0.1:{proxy}", "http://10.1.2.3"))
                assert caught.value.message == "cannot connect to the provider"
                assert not caught.value.sent
            assert f"10.1.2.3 through Proxy(127.0.0.1:{proxy}): the proxy " in caplog.text

    run(main(), loop_of)
    assert ("10.9.8.7" in caplog.text) == (b"407" in answer)


@on_each_loop
def test_a_silent_proxy_is_a_timeout_of_the_connection(loop_of: LoopOf) -> None:
    """A proxy that says nothing, or half a head, ends with the time to connect."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n")
        await reader.read()

    async def main() -> None:
        async with served(handler) as proxy:
            with pytest.raises(Timeout, match=r"within 0\.3 seconds") as caught:
                await asked(through(f"http://127.0.0.1:{proxy}", "http://10.1.2.3"), SHORT)

        assert not caught.value.sent

    run(main(), loop_of)


@pytest.mark.parametrize(
    ("host", "exempt"),
    [
        ("api.example.com", [".example.com"]),
        ("api.example.com", ["*.example.com"]),
        ("example.com", ["Example.com"]),
        ("anything", ["*"]),
        ("localhost", []),
        ("127.0.0.1", []),
    ],
)
def test_no_proxy_leads_straight(host: str, exempt: list[str]) -> None:
    """A host that is exempt, or this machine, is reached without the proxy."""
    assert way_out(host, "http://proxy:3128", exempt) is None
    assert way_out("other.example", "http://proxy:3128", [one for one in exempt if one != "*"]) == Proxy("proxy", 3128)
