"""
A way out through an HTTP proxy (`HTTPS_PROXY`): a CONNECT tunnel, for plain and TLS origins alike,
so that the proxy sees host and port and nothing else.
"""

import asyncio
import re
import ssl
from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import cast
from urllib.parse import unquote, urlsplit

from msgspec import Struct
from typing_extensions import override

from foz.net.connection import Connection

MAX_REPLY = 16 * 1024
_ANSWER = re.compile(rb"HTTP/1\.[01] ([0-9])[0-9]{2}(?: [^\r\n]{0,200})?")
_HERE = frozenset({"localhost", "127.0.0.1", "::1"})


class Proxy(Struct, frozen=True):
    """Where it is; `authorization` is the value of Proxy-Authorization, never shown."""

    host: str
    port: int
    authorization: bytes | None = None

    @override
    def __repr__(self) -> str:
        return f"Proxy({self.host}:{self.port})"


def way_out(host: str, proxy_url: str | None, exempt: Sequence[str]) -> Proxy | None:
    """The proxy on the way to a host; None where it is reached directly. Raises ValueError for a URL that is none."""
    if not proxy_url or host in _HERE or any(_exempts(entry, host) for entry in exempt):
        return None
    parts = urlsplit(proxy_url if "://" in proxy_url else f"http://{proxy_url}")
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError("the proxy is not an http:// URL")
    authorization = None
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = b"Basic " + b64encode(pair.encode())
    return Proxy(parts.hostname, parts.port or 80, authorization)


def _exempts(entry: str, host: str) -> bool:
    name = entry.strip().lstrip("*").lstrip(".").lower()
    return entry.strip() == "*" or (bool(name) and (host == name or host.endswith(f".{name}")))


async def tunnel(
    proxy: Proxy, origin: tuple[str, int], tls: ssl.SSLContext | None, protocol: Callable[[], Connection]
) -> Connection:
    """A connection to `origin` through the proxy. Raises OSError where there is none, and says why."""
    loop = asyncio.get_running_loop()
    door, knock = await loop.create_connection(lambda: _Knock(loop, _request(proxy, origin)), proxy.host, proxy.port)
    try:
        await knock.opened
        connection = protocol()
        inner: asyncio.BaseTransport | None = door
        if tls is None:
            door.set_protocol(connection)
        else:
            inner = await loop.start_tls(door, connection, tls, server_hostname=origin[0])
        if inner is None or inner.is_closing():
            raise ConnectionError("the tunnel was closed as soon as it was open")
        connection.connection_made(inner)
        if tls is None:
            door.resume_reading()
    except BaseException:
        door.abort()
        raise
    return connection


def _request(proxy: Proxy, origin: tuple[str, int]) -> bytes:
    host = f"[{origin[0]}]" if ":" in origin[0] else origin[0]
    authority = b"%s:%d" % (host.encode("ascii" if host.isascii() else "idna"), origin[1])
    lines = [b"CONNECT %s HTTP/1.1\r\nhost: %s\r\n" % (authority, authority)]
    if proxy.authorization is not None:
        lines.append(b"proxy-authorization: %s\r\n" % proxy.authorization)
    return b"".join([*lines, b"\r\n"])


class _Knock(asyncio.Protocol):
    """Asks for the tunnel and reads the proxy's answer, not a byte more: what follows is another's."""

    def __init__(self, loop: asyncio.AbstractEventLoop, request: bytes) -> None:
        self.opened: asyncio.Future[None] = loop.create_future()
        self._request = request
        self._read = b""
        self._transport: asyncio.Transport | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    @override
    def data_received(self, data: bytes) -> None:
        self._read += data
        head, end, early = self._read.partition(b"\r\n\r\n")
        if end and self._transport is not None:
            self._transport.pause_reading()
        status = _ANSWER.match(head)
        if not end:
            if len(head) > MAX_REPLY:
                self._over(ConnectionError(f"the proxy answered with more than {MAX_REPLY} bytes"))
        elif status is None or early:
            self._over(ConnectionError("the proxy did not answer as a proxy"))
        elif status[1] != b"2":
            self._over(ConnectionError(f"the proxy refused the tunnel: {status[0].decode('latin-1')!r}"))
        else:
            self._over(None)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._over(ConnectionError("the proxy closed the connection before it answered"))

    def _over(self, fault: OSError | None) -> None:
        self._transport = None
        if self.opened.done():
            return
        if fault is None:
            self.opened.set_result(None)
        else:
            self.opened.set_exception(fault)
