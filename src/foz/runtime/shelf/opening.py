"""
Asking for a file, or for the rest of one, and reading what the answer's head says: what downloads need of HTTP.

Redirects are followed here, a few, and never from TLS to none. Credentials go to the server that they are for and to
nobody else: hubs redirect to storage of others. Who is reached, and whether a public source may lead into the network
that we stand in, is the reach's to say.
"""

import re
from typing import Protocol
from urllib.parse import urljoin, urlsplit

from msgspec import Struct
from typing_extensions import override

from foz.canon.fault import Down, Fault, Garbled, Limited, NotFound, Refused
from foz.canon.model import Patience
from foz.ports.upstream import Upstream, UpstreamAnswer
from foz.wire.complaint import clean, retry_after
from foz.wire.http import Call, Headers, Reply

MOST_REDIRECTS = 5
MAX_REFUSAL = 16 * 1024
LONGEST_URL = 8192
WHOLE, REST, BEYOND = 200, 206, 416
_MOVED = frozenset({301, 302, 303, 307, 308})
_WAIT = frozenset({408, 425, 429})
_RANGE = re.compile(rb"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)")
_BEYOND = re.compile(rb"bytes \*/(\d{1,19})")
_NUMBER = re.compile(rb"\d{1,19}")
_ODD = re.compile(r"[^\x21-\x7e]")


class Reach(Protocol):
    """How servers are reached whose addresses nobody configured one by one."""

    def __call__(self, origin: str, *, via: str) -> Upstream:
        """
        One server (scheme, host and port). `via` is the server that the operator named, and that may have sent here;
        empty where nobody named one. It may stand anywhere, and one that stands in our own network may send to others
        there. All else must have public addresses: asking one that has not raises Refused.
        """
        ...


class Source(Struct, frozen=True):
    """A server that files come from: where it is, whether the operator named it, and what it must be told."""

    url: str
    own: bool = False
    headers: Headers = ()
    """Credentials; only ever sent to this server."""

    @override
    def __repr__(self) -> str:
        return f"Source({self.url})"


class Head(Struct, frozen=True):
    """What an answer says of the file before it comes."""

    begins: int
    """The place of its first byte."""
    size: int | None
    """Of the whole file."""
    validator: str | None
    """What this state of the file is called; only what may be asked for again with If-Range."""


async def ask(
    reach: Reach, source: Source, url: str, headers: Headers, patience: Patience, method: str = "GET"
) -> UpstreamAnswer:
    """An answer that is no redirect, and no refusal but 416. Raises NotFound, Refused, Limited, Down or Garbled."""
    for _ in range(MOST_REDIRECTS + 1):
        host = _host(url)
        home, named = origin_of(source.url), origin_of(source.url) if source.own else ""
        parts = urlsplit(url)
        along = (*headers, *source.headers) if origin_of(url) == home else headers
        upstream = reach(origin_of(url), via=named)
        answer = await upstream.send(Call(method, parts.path or "/", along, query=parts.query), patience)
        if answer.status in _MOVED:
            url = _moved(answer, url)
            continue
        if answer.status in {WHOLE, REST, BEYOND}:
            return answer
        raise await _refusal(answer, host)
    raise Garbled(f"the source sends from one place to the next, more than {MOST_REDIRECTS} times")


def origin_of(url: str) -> str:
    """Scheme, host and port, without what may stand before the host."""
    parts = urlsplit(url)
    return f"{parts.scheme.lower()}://{parts.netloc.rpartition('@')[2].lower()}"


def rest(offset: int, validator: str | None) -> Headers:
    """The headers that ask for what is missing."""
    plain: Headers = ((b"accept-encoding", b"identity"),)
    if offset == 0:
        return plain
    after: Headers = ((b"range", b"bytes=%d-" % offset),)
    return (*plain, *after, (b"if-range", validator.encode("latin-1"))) if validator else (*plain, *after)


def read_head(answer: UpstreamAnswer) -> Head:
    """What comes. Raises Garbled where the head contradicts itself or the file comes packed."""
    named = dict(reversed(answer.headers))
    if named.get(b"content-encoding", b"identity").lower() not in {b"identity", b""}:
        raise Garbled("the source sends the file packed, although it was asked not to")
    validator = _validator(named)
    if answer.status == REST:
        found = _RANGE.fullmatch(named.get(b"content-range", b""))
        if found is None:
            raise Garbled("the source sends a part of the file without saying which")
        return Head(int(found[1]), None if found[3] == b"*" else int(found[3]), validator)
    if answer.status == BEYOND:
        beyond = _BEYOND.fullmatch(named.get(b"content-range", b""))
        return Head(0, None if beyond is None else int(beyond[1]), validator)
    length = named.get(b"content-length", b"")
    return Head(0, int(length) if _NUMBER.fullmatch(length) else None, validator)


def _validator(named: dict[bytes, bytes]) -> str | None:
    """A strong ETag, else the date of the last change; If-Range takes no other."""
    etag = named.get(b"etag", b"")
    if etag.startswith(b'"') and len(etag) <= 512:  # noqa: PLR2004 - nobody's is longer
        return etag.decode("latin-1")
    changed = named.get(b"last-modified", b"")
    return changed.decode("latin-1") if 0 < len(changed) <= 64 else None  # noqa: PLR2004 - a date


def _host(url: str) -> str:
    """Whose it is. Raises Garbled where it is no address that can be asked."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and parts.port != 0
    except ValueError:
        raise Garbled("the source sends to an address that is none") from None
    if not good or not parts.hostname or len(url) > LONGEST_URL or _ODD.search(url):
        raise Garbled("the source sends to an address that is none")
    return parts.hostname


def _moved(answer: UpstreamAnswer, url: str) -> str:
    location = dict(reversed(answer.headers)).get(b"location", b"").decode("latin-1")
    answer.close()
    try:
        following = urljoin(url, location)
    except ValueError:
        raise Garbled("the source sends to an address that is none") from None
    if not location or (url.startswith("https:") and not following.startswith("https:")):
        raise Garbled("the source sends to another place without TLS, or without naming it")
    return following


async def _refusal(answer: UpstreamAnswer, host: str) -> Fault:
    status = answer.status
    try:
        reply = await answer.whole(MAX_REFUSAL)
    except Fault:
        reply = Reply(status, answer.headers)
    finally:
        answer.close()
    said = (
        clean(_ODD.sub(" ", reply.body[:300].decode("utf-8", "replace"))) if reply.body[:1] not in {b"<", b""} else ""
    )
    words = f"{host} answered {status}" + (f": {said}" if said else "")
    if status in {401, 403}:
        return Refused(
            f"{words}. The file is not open to us: is the right token set, and its licence accepted?", status=status
        )
    if status in {404, 410}:
        return NotFound(f"{words}. There is no such file.")
    if status in _WAIT:
        return Limited(words, retry_after=retry_after(reply))
    if status >= 500:  # noqa: PLR2004 - the server's doing
        return Down(words, retry_after=retry_after(reply))
    return Refused(words, status=status)
