"""
A way out through an HTTP proxy (`HTTPS_PROXY`): a CONNECT tunnel, for plain and TLS origins alike,
so that the proxy sees host and port and nothing else.
"""

import asyncio
import ssl
from base64 import b64encode
from collections.abc import Callable, Sequence
from urllib.parse import unquote, urlsplit

from msgspec import Struct
from typing_extensions import override

from foz.canon.fault import Down
from foz.net.connection import Connection

MAX_REPLY = 16 * 1024
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
    """A connection to `origin` through the proxy. Raises Down where the proxy refuses."""
    loop = asyncio.get_running_loop()
    reader, writer = await asyncio.open_connection(proxy.host, proxy.port, limit=MAX_REPLY)
    try:
        authority = f"{origin[0]}:{origin[1]}".encode("idna" if not origin[0].isascii() else "ascii")
        lines = [b"CONNECT %s HTTP/1.1\r\nhost: %s\r\n" % (authority, authority)]
        if proxy.authorization is not None:
            lines.append(b"proxy-authorization: %s\r\n" % proxy.authorization)
        writer.write(b"".join([*lines, b"\r\n"]))
        head = await reader.readuntil(b"\r\n\r\n")
        status = head.split(b" ", 2)[1:2]
        if status != [b"200"]:
            shown = head.split(b"\r\n", 1)[0].decode("latin-1")
            raise Down(f"the proxy {proxy.host}:{proxy.port} refused the tunnel: {shown}", sent=False)
        connection = protocol()
        transport: asyncio.BaseTransport | None = writer.transport
        if tls is not None:
            transport = await loop.start_tls(writer.transport, connection, tls, server_hostname=origin[0])
        else:
            writer.transport.set_protocol(connection)
        if transport is None:
            raise Down(f"the proxy {proxy.host}:{proxy.port} closed the tunnel", sent=False)
        connection.connection_made(transport)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        writer.close()
        raise Down(f"the proxy {proxy.host}:{proxy.port} did not answer as a proxy", sent=False) from error
    except BaseException:
        writer.close()
        raise
    return connection
