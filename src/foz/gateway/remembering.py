"""
Answers that answer again: where a model has a `cache_ttl`, the same request of the same project gets the same answer.

What is the same is decided in our words. The key is a digest of whose request it is (the key's project, else the key
and the project that its caller says), of the model and its targets, of the caller's headers that go along to them, and
of the request without what only says how the answer is written, or for whom. So a whole answer serves a streamed
request, and one face's answer another's. Kept is the canonical answer, if it is complete and small enough.

It is not asked for requests that depend on what stands elsewhere: agents, which keep a session, and files by an id
that is not ours. A caller has a say, by `Cache-Control`: `no-cache` and `max-age` on what is read, `no-store` on all.
Nobody waits for somebody else's answer: equal requests that come at once are all asked.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec
from msgspec import Struct, structs

from foz.canon.content import Media
from foz.canon.entry import Attempt, AttemptEnd, EntryEnd, State
from foz.canon.event import Event
from foz.canon.fault import Bug, Fault
from foz.canon.model import Model, Placement
from foz.canon.money import FREE
from foz.canon.principal import Principal
from foz.canon.request import Ask, ChatRequest, EmbedRequest, Mode, Operation, Request, over
from foz.canon.response import EmbedResponse, Response, fold, unfold
from foz.canon.usage import Timing, Usage
from foz.gateway.capture import heard
from foz.gateway.lane import tallied, words
from foz.gateway.opening import entry_of
from foz.gateway.services import Services
from foz.ports.cache import MOST, Cache
from foz.ports.caller import Caller
from foz.ports.codec import Answer, Tally
from foz.ports.turn import Turn

log = logging.getLogger("foz.gateway")

Headers = tuple[tuple[bytes, bytes], ...]

HEADER = b"x-foz-cache"
TARGET = "cache"
"""What the ledger and the metrics call it."""
MOST_EVENTS = 32_768
"""Of a stream that is to be kept."""
_LEAST_DIGITS = 2
"""Bytes that a number of a vector takes, with its comma."""
NOTHING = Usage(input=0, output=0)
AT_ONCE = Timing(1)
"""It took no time that anybody would measure, and none is no time that dialects could tell."""
_FORM = b"\x01"
"""Of what is kept: another form is not read."""
_WHOLE = frozenset({"stop", "tool_calls", "length"})
"""Reasons of an answer that is as long as it was to be."""


class Kept(Struct, frozen=True):
    """An answer, when it was given, and by whom."""

    at: int
    placement: Placement
    response: Response | None = None
    vectors: EmbedResponse | None = None

    @property
    def answer(self) -> Answer | None:
        """The one that it is."""
        return self.response or self.vectors


_KEPT = msgspec.json.Decoder(Kept)


class Wishes(NamedTuple):
    """What a caller's `Cache-Control` (RFC 9111) says."""

    reads: bool = True
    keeps: bool = True
    oldest: float | None = None
    """Seconds that an answer may be old."""


def wishes(headers: Headers) -> Wishes:
    """The caller's."""
    said: dict[str, str] = {}
    for name, value in headers:
        if name == b"cache-control":
            for directive in value.decode("latin-1").lower().split(","):
                word, _, amount = directive.partition("=")
                said[word.strip()] = amount.strip().strip('"')
    oldest = said.get("max-age")
    return Wishes(
        reads="no-cache" not in said and "no-store" not in said,
        keeps="no-store" not in said,
        oldest=None if oldest is None else float(oldest) if oldest.isdecimal() and oldest.isascii() else 0.0,
    )


# -- what is the same ------------------------------------------------------


class Scope(NamedTuple):
    """Who shares what is kept."""

    kind: str
    who: str
    project: str = ""


def scope_of(principal: Principal, said: str | None) -> Scope:
    """All keys of a project share; a key without one shares with itself, for each project that its caller says."""
    return Scope("project", principal.project) if principal.project else Scope("key", principal.id, said or "")


def same(request: Request) -> Request:
    """The request without what only says how the answer is written, or for whom."""
    if isinstance(request, EmbedRequest):
        return structs.replace(request, model="", encoding="float", user=None)
    return structs.replace(request, model="", stream=False, wants_usage=True, user=None)


def key_of(scope: Scope, model: Model, operation: Operation, request: Request, along: Headers = ()) -> bytes:
    """Under what its answer is kept. `along` is what of the caller's headers goes to a target."""
    targets = [target.name for target in model.targets]
    matter = (scope, model.name, targets, operation, along, same(request))
    return hashlib.sha256(msgspec.json.encode(matter, order="deterministic")).digest()


def _elsewhere(request: Request) -> bool:
    """Whether it names files that only somebody else knows."""
    if not isinstance(request, ChatRequest):
        return False
    parts = (part for message in request.messages for part in message.parts)
    return any(isinstance(part, Media) and part.file_id is not None for part in parts)


def _along(prefixes: Iterable[tuple[bytes, ...]], headers: Headers) -> Headers:
    """The headers that go along to any target."""
    taken = tuple({prefix for some in prefixes for prefix in some})
    return tuple(sorted(header for header in headers if header[0].startswith(taken))) if taken else ()


# -- what is kept ----------------------------------------------------------


class Memory:
    """What was found for one request, and what its answer leaves."""

    def __init__(
        self, cache: Cache, key: bytes, expires: Callable[[int], int], request: Request, *, keeps: bool
    ) -> None:
        self._cache = cache
        self._key = key
        self._expires = expires
        self._keeps = keeps
        self._events: list[Event] | None = None
        self._tally = Tally()
        self.request = request
        self.found: Kept | None = None
        self.answer: Answer | None = None
        """The answer of the attempt, where it is whole."""

    def begin(self, tally: Tally) -> None:
        """A stream begins, of which so much is known."""
        self._events = [] if self._keeps else None
        self._tally = tally

    def hear(self, event: Event) -> None:
        """One event of it."""
        if self._events is not None:
            self._events.append(event)
            if len(self._events) > MOST_EVENTS or self._tally.content > MOST:
                self._events = None

    def keep(self, placement: Placement, now: int) -> None:
        """The attempt was complete: its answer is kept, if it is worth it. Fails nobody."""
        if not self._keeps:
            return
        try:
            answer = self.answer if self._events is None else fold(self._events)
            if answer is not None and _worth(answer):
                data = packed(Kept(now, placement, *_either(answer)))
                if len(data) <= MOST:
                    self._cache.keep(self._key, data, self._expires(now))
        except (LookupError, ValueError) as error:
            log.warning("an answer that was complete cannot be kept for another time: %r", error)


def _either(answer: Answer) -> tuple[Response | None, EmbedResponse | None]:
    return (None, answer) if isinstance(answer, EmbedResponse) else (answer, None)


def _worth(answer: Answer) -> bool:
    """Whether it is an answer, all of it, and may be small enough: what is far too large is not even written down."""
    if isinstance(answer, EmbedResponse):
        return sum(map(len, answer.vectors)) * _LEAST_DIGITS <= MOST
    whole = bool(answer.choices) and all(choice.reason in _WHOLE for choice in answer.choices)
    return whole and tallied(answer).content <= MOST


def packed(kept: Kept) -> bytes:
    """As bytes."""
    return _FORM + msgspec.json.encode(kept)


def unpacked(data: bytes) -> Kept | None:
    """What was kept; nothing where another Foz has kept it otherwise."""
    if data[:1] != _FORM:
        return None
    try:
        return _KEPT.decode(memoryview(data)[1:])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


async def remembered(services: Services, turn: Turn, ask: Ask, model: Model) -> Memory | None:
    """What is known of this request; None where its answer is neither looked for nor kept. Raises BadRequest."""
    cache, ttl = services.cache, model.cache_ttl
    if cache is None or ttl is None:
        return None
    request = turn.codec.decode_request(turn.body)
    lines = [services.directory.line(target) for target in model.targets if not target.barred]
    if _elsewhere(request) or any(line.agency is not None for line in lines):
        return None
    wished = wishes(turn.headers)
    scope = scope_of(turn.principal, over(ask.attribution, turn.attribution).project)
    along = _along((line.forwards for line in lines), turn.headers)
    key = key_of(scope, model, ask.operation, request, along)
    lasts = round(ttl * 1000)
    memory = Memory(cache, key, lambda at: at + lasts, request, keeps=wished.keeps)
    if wished.reads:
        now = services.clock.now()
        data = await cache.find(key, now)
        kept = None if data is None else unpacked(data)
        oldest = lasts if wished.oldest is None else min(lasts, wished.oldest * 1000)
        if kept is not None and kept.answer is not None and now - kept.at < oldest and _in_mode(kept, ask.mode):
            memory.found = kept
    return memory


def _in_mode(kept: Kept, mode: Mode) -> bool:
    """Whether it was given where this request may run."""
    return mode is Mode.AUTO or kept.placement.value == mode.value


# -- what answers again ----------------------------------------------------


class Recall:
    """One entry that an earlier answer answers: its one attempt has the target `cache`, took nothing, and was free."""

    asked = TARGET
    spent = NOTHING
    price = 0

    def __init__(self, services: Services, turn: Turn, ask: Ask, caller: Caller, memory: Memory) -> None:
        kept = memory.found
        if kept is None or kept.answer is None:
            raise Bug("nothing is remembered")
        self._services = services
        self._turn = turn
        self._ask = ask
        self._caller = caller
        self._request = memory.request
        self._placement = kept.placement
        self._answer = kept.answer
        self._began = services.clock.monotonic()
        self._said = _said(turn, ask, memory.request, kept.answer)
        self._end: EntryEnd | None = None

    def ended(self) -> EntryEnd:
        """How it ended; known once `serve` is over."""
        if self._end is None:
            raise Bug("a recall that was not settled")
        return self._end

    async def serve(self) -> None:
        """Everything, up to the caller's last byte. Opened and settled in one write: nobody is asked in between."""
        services, id = self._services, self._turn.id
        entry = entry_of(self._turn, self._ask, services.clock.now())
        took = round((services.clock.monotonic() - self._began) * 1000)
        self._end = end = EntryEnd(
            id=id,
            state=State.COMPLETE,
            status=200,
            usage=NOTHING,
            first_token=took,
            duration=took,
            price=self.price,
            currency=FREE.currency,
            price_version=TARGET,
        )
        ledger = services.ledger
        try:
            await asyncio.gather(
                ledger.open(entry, Attempt(id, 1, TARGET, self._placement, entry.at)),
                ledger.settle(end, AttemptEnd(id, 1, State.COMPLETE, NOTHING, duration=took)),
            )
        except Fault as fault:
            self._end = structs.replace(end, state=State.FAILED, status=fault.status)
            raise
        if services.content is not None and self._turn.skin.name in services.policy.captured:
            services.content.keep(entry, heard(self._request), "".join(words(self._answer)))
        if self._ask.stream:
            self._caller.start()
            self._caller.end(self._said)
        else:
            self._caller.whole(self._said)


def _said(turn: Turn, ask: Ask, request: Request, answer: Answer) -> bytes:
    """The answer in the caller's words."""
    if not ask.stream or isinstance(answer, EmbedResponse):
        return turn.codec.encode_response(structs.replace(answer, timing=AT_ONCE), request, ask.model)
    encoder = turn.codec.encoder(request, ask.model)
    return (
        b"".join([encoder.feed(event) for event in unfold(structs.replace(answer, timing=AT_ONCE))]) + encoder.close()
    )
