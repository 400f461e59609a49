"""
One provider's endpoint: base URL, credentials, and a pool of kept connections.

Written by hand on httptools because no client library comes near (shares of nginx `proxy_pass` on one core, same
upstream: this 0.35, pyreqwest 0.20, aiohttp 0.14, httpx 0.006); it stands behind `ports.upstream`.
"""

import asyncio
import logging
import ssl
from math import inf
from urllib.parse import urlsplit

from msgspec import Struct
from typing_extensions import override

from foz.canon.fault import Down, Timeout
from foz.canon.model import Patience
from foz.net.connection import Answer, Connection
from foz.net.proxy import Proxy, tunnel
from foz.ports.watch import Watch
from foz.wire.http import Call, Headers

KEPT = 256
KEPT_SECONDS = 4.0
"""Servers close idle connections after 5 seconds or more; asking on one that is just being closed costs an attempt."""
MAX_HEADS = 256
QUIET = 1.0
"""Seconds between two warnings that there is no connection."""

log = logging.getLogger("foz.net")


class Endpoint(Struct, frozen=True):
    """Where, and with which headers; the headers hold the credentials and are never shown."""

    url: str
    headers: Headers = ()
    proxy: Proxy | None = None
    sought: bool = False
    """Nobody named it: it is looked for, and not missed where it is not there."""

    @override
    def __repr__(self) -> str:
        parts = urlsplit(self.url)
        return f"Endpoint({parts.hostname}{parts.path})"


class Origin:
    """Implements `ports.upstream.Upstream`."""

    def __init__(self, endpoint: Endpoint, watch: Watch, tls: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(endpoint.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"{endpoint!r} has no http(s) URL")
        self._endpoint = endpoint
        self._watch = watch
        self._loop = asyncio.get_running_loop()
        self._host = parts.hostname
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._authority = parts.netloc.rpartition("@")[2]
        self._base = parts.path.rstrip("/")
        self._tls = (tls or ssl.create_default_context()) if parts.scheme == "https" else None
        self._idle: dict[Connection, None] = {}
        self._told = -inf
        self._heads: dict[tuple[str, str, str, Headers], bytes] = {}

    async def send(self, call: Call, patience: Patience, along: Headers = ()) -> Answer:
        """Sends and waits for the head; `along` are further headers."""
        connection = self._idle.popitem()[0] if self._idle else await self._connect(patience)
        try:
            return await connection.ask(self._message(call, along), patience)
        except asyncio.CancelledError:
            connection.abort()
            raise

    async def close(self) -> None:
        """Closes idle connections."""
        for connection in list(self._idle):
            connection.abort()

    def _freed(self, connection: Connection, usable: bool) -> None:
        if usable and len(self._idle) < KEPT:
            connection.deadline = self._loop.time() + KEPT_SECONDS
            self._idle[connection] = None
            return
        self._idle.pop(connection, None)
        if usable:
            connection.abort()

    async def _connect(self, patience: Patience) -> Connection:
        try:
            async with asyncio.timeout(patience.connect):
                return await self._open()
        except TimeoutError:
            within = f"within {patience.connect:g} seconds"
            self._tell(within)
            raise Timeout(f"cannot connect to the provider {within}", sent=False) from None
        except (OSError, UnicodeError) as error:  # the latter for a host that can be no name
            self._tell(error)
            raise Down("cannot connect to the provider", sent=False) from error

    def _tell(self, why: object) -> None:
        """To the log: addresses are the operator's, a fault's message is the caller's."""
        now = self._loop.time()
        if now - self._told >= QUIET:
            self._told = now
            way = f" through {self._endpoint.proxy}" if self._endpoint.proxy is not None else ""
            log.log(
                logging.DEBUG if self._endpoint.sought else logging.WARNING,
                "cannot connect to %s%s: %s",
                self._authority,
                way,
                why,
            )

    async def _open(self) -> Connection:
        def protocol() -> Connection:
            return Connection(self._loop, self._watch, self._freed)

        if self._endpoint.proxy is not None:
            return await tunnel(self._endpoint.proxy, (self._host, self._port), self._tls, protocol)
        transport, connection = await self._loop.create_connection(
            protocol,
            self._host,
            self._port,
            ssl=self._tls,
            server_hostname=self._host if self._tls else None,
        )
        self._meet(transport)
        return connection

    def _meet(self, transport: asyncio.Transport) -> None:
        """Who is there, before a word is said; those who do not trust names look (`outside.py`)."""

    def _message(self, call: Call, along: Headers) -> bytes:
        key = (call.method, call.path, call.query, call.headers)
        head = self._heads.get(key)
        if head is None:
            if len(self._heads) >= MAX_HEADS:
                self._heads.clear()
            head = self._heads[key] = self._head(call)
        further = b"%s: %s\r\n" % along[0] if len(along) == 1 else b"".join([b"%s: %s\r\n" % one for one in along])
        return b"%s%scontent-length: %d\r\n\r\n%s" % (head, further, len(call.body), call.body)

    # Values hold no line breaks: ours are constants, a caller's have come through a parser that refuses them.

    def _head(self, call: Call) -> bytes:
        target = f"{self._base}/{call.path.lstrip('/')}"
        if call.query:
            target += f"?{call.query}"
        lines = [f"{call.method} {target} HTTP/1.1\r\nhost: {self._authority}\r\nuser-agent: foz\r\n".encode("ascii")]
        lines += [b"%s: %s\r\n" % header for header in (*self._endpoint.headers, *call.headers)]
        return b"".join(lines)
