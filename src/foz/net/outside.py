"""
Servers that nobody configured one by one: where a hub keeps its files, or sends for them.

A name may lead anywhere, and another way each time it is looked up. So it is the address of the connection that is
judged, before anything is sent on it: one that is not public (loopback, private, link-local, of another net's inside)
is refused. The operator may name a server that stands anywhere, and one that they named within their own network may
send to others there: a mirror does. Behind a proxy the proxy decides; then only addresses that stand in the URL itself
are judged.
"""

import asyncio
import ssl
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

from typing_extensions import override

from foz.canon.fault import Refused
from foz.net.origin import Endpoint, Origin
from foz.net.proxy import Proxy
from foz.ports.watch import Watch

MOST = 32
"""Servers whose connections are kept."""
Way = Callable[[str, str], Proxy | None]
"""The proxy for a scheme and a host, where there is one."""


class Outside:
    """Implements `runtime.shelf.opening.Reach`."""

    def __init__(self, watch: Watch, way: Way, tls: Callable[[], ssl.SSLContext]) -> None:
        self._watch = watch
        self._way = way
        self._tls = tls
        self._kept: dict[tuple[str, str], Origin] = {}

    def __call__(self, origin: str, *, via: str) -> Origin:
        """One server. Raises Refused where its URL itself names an address that is not public and may not be asked."""
        found = self._kept.pop((origin, via), None) or self._origin(origin, via)
        while len(self._kept) >= MOST:
            del self._kept[next(iter(self._kept))]  # its connections close by themselves, soon
        self._kept[origin, via] = found
        return found

    async def close(self) -> None:
        """Closes idle connections."""
        for origin in self._kept.values():
            await origin.close()

    def _origin(self, url: str, via: str) -> Origin:
        parts = urlsplit(url)
        host = parts.hostname or ""
        endpoint = Endpoint(url, proxy=self._way(parts.scheme, host))
        tls = self._tls() if parts.scheme == "https" else None
        if url == via:
            return _Named(endpoint, self._watch, tls)
        named = self._kept.get((via, via))
        if isinstance(named, _Named) and named.inside:
            return Origin(endpoint, self._watch, tls)
        if host == "localhost" or _literal(host) is not None:
            _judge(host, host)
        return _Stranger(endpoint, self._watch, tls)


class _Named(Origin):
    """One that the operator named."""

    inside = False
    """Whether it was found in a network that is not public."""

    @override
    def _meet(self, transport: asyncio.Transport) -> None:
        self.inside = not _is_public(_peer(transport))


class _Stranger(Origin):
    """One that nobody named."""

    @override
    def _meet(self, transport: asyncio.Transport) -> None:
        try:
            _judge(_peer(transport), self._host)
        except Refused:
            transport.abort()
            raise


def _peer(transport: asyncio.Transport) -> str:
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if peer else ""


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _is_public(address: str) -> bool:
    found = _literal(address)
    if isinstance(found, IPv6Address):
        found = found.ipv4_mapped or found.sixtofour or found
    return found is not None and found.is_global and not found.is_multicast


def _judge(address: str, host: str) -> None:
    if not _is_public(address):
        raise Refused(
            f"a public source leads to {host}, which is not public: it may not send us into our own network. Where "
            "that is meant, name that server itself as the source's address in the settings."
        )
