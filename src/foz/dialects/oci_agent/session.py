"""
Sessions of an agent: which one a chat wants, and the calls that open and end one.

A chat may name its session (`sessionId`), or its channel and its user there (`channel`, `cuid`), for whom one session
is kept; else it has one of its own, ended after the answer. A call of this dialect can be said in any session
(`Call.within`); whoever sends it sees to the session. What session it was is told in the answer: in these headers of a
whole one, in a frame before the first of a stream.
"""

from collections.abc import Callable
from urllib.parse import quote

import msgspec
from msgspec import Struct

from foz.canon.fault import BadRequest
from foz.canon.request import ChatRequest
from foz.dialects.oci_agent.frames import BROKEN, DIALECT, HEADERS, garbled
from foz.wire import http, json, sse
from foz.wire.http import Headers

ROOT = "/20240531/agentEndpoints"
LONGEST = 256
SESSION, REUSED = b"x-foz-session", b"x-foz-session-reused"


class Wish(Struct, frozen=True):
    """Which session a chat wants."""

    session: str | None = None
    channel: str | None = None
    cuid: str | None = None


class Used(Struct, frozen=True):
    """Which session it was."""

    session: str
    reused: bool = False


class Call(http.Call, frozen=True, dict=True):
    """A chat, which can be said in any session."""

    agent: str = ""
    wish: Wish = Wish()
    within: Callable[[str], http.Call] | None = None


class _Made(Struct):
    id: str


class _Mark(Struct, frozen=True):
    """The frame that tells the session of a stream."""

    fozSession: Used  # noqa: N815 - as all names of this API


_MADE = msgspec.json.Decoder(_Made)
_WORD = msgspec.json.Decoder(str)


def path(agent: str, rest: str) -> str:
    """Of an agent's endpoint."""
    return f"{ROOT}/{quote(agent, safe='')}/{rest}"


def opening(agent: str, name: str | None = None) -> http.Call:
    """The call that opens a session."""
    return http.Call("POST", path(agent, "sessions"), HEADERS, json.encode({"displayName": name} if name else {}))


def ending(agent: str, session: str) -> http.Call:
    """The call that ends one."""
    return http.Call("DELETE", path(agent, f"sessions/{quote(session, safe='')}"), HEADERS)


def opened(body: bytes) -> str:
    """The id of a session that was opened. Raises Garbled."""
    try:
        return _MADE.decode(body).id
    except BROKEN as error:
        raise garbled("session", error) from None


def wish_of(request: ChatRequest) -> Wish:
    """
    What a chat says about its session: fields that no dialect of callers has a word for, so they are looked for in the
    bag of whichever the caller speaks. Raises BadRequest.
    """
    said: dict[str, str] = {}
    for bag in (request.vendor.get(DIALECT, {}), *request.vendor.values()):
        for field in ("sessionId", "channel", "cuid"):
            raw = bag.get(field)
            if raw is not None and field not in said:
                said[field] = _word(field, raw)
    if "sessionId" in said:
        return Wish(session=said["sessionId"])
    for field, other in (("channel", "cuid"), ("cuid", "channel")):
        if other in said and field not in said:
            raise BadRequest(f"'{other}' needs '{field}' beside it: together they name the conversation.", field=field)
    return Wish(channel=said["channel"], cuid=said["cuid"]) if said else Wish()


def _word(field: str, raw: msgspec.Raw) -> str:
    try:
        word = _WORD.decode(raw)
    except BROKEN:
        word = ""
    if not word or len(word) > LONGEST:
        raise BadRequest(f"'{field}' must be a string of 1 to {LONGEST} characters.", field=field)
    return word


def told(used: Used) -> Headers:
    """Which session it was, for a whole answer."""
    return ((SESSION, used.session.encode()), (REUSED, b"1" if used.reused else b"0"))


def mark(used: Used) -> bytes:
    """Which session it was, for a stream."""
    return sse.encode(json.encode(_Mark(used)))


def used_of(headers: Headers) -> Used | None:
    """What `told` says."""
    said = dict(headers)
    session = said.get(SESSION)
    return None if session is None else Used(session.decode(), said.get(REUSED) == b"1")
