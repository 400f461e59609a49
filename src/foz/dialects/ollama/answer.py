"""
Answers of an Ollama server as events: whole bodies and lines alike, for a whole answer is a stream of one line. Of one
that is a text and its counts, as most are, no events are made: it is told as they would fold.

Ollama gives an answer no id, and older servers give calls none either: both are made here, from when the answer
began and what was called, so that they differ between answers and not between two readings of one. Calls come whole;
each is one of its own, whatever its index. `done_reason` is `stop` also where tools are called: that is `tool_calls`.
Counts that are zero are left out: an answer that was counted at all and has no `eval_count` took no tokens, but one
without `prompt_eval_count` was read from a cache, and how long the prompt was is unknown.
"""

from datetime import UTC, datetime
from hashlib import blake2b

import msgspec
from msgspec import Raw, Struct

from foz.canon.event import (
    CallGrew,
    CallOpened,
    ChoiceFinished,
    Event,
    Finished,
    Measured,
    Reason,
    ReasoningGrew,
    Started,
    TextGrew,
    TokenLogprob,
    VendorSaid,
)
from foz.canon.fault import Cut
from foz.canon.request import Vendor
from foz.canon.response import Choice, Response, fold
from foz.canon.usage import Usage
from foz.dialects.ollama import schema
from foz.dialects.ollama.faults import NO_ERROR, fault_in_stream
from foz.dialects.ollama.frames import BROKEN, DIALECT, garbled
from foz.wire import json

NULL = b"null"
NO_MORE = b"{}"
"""Nothing is said beside what is known."""
REASONS: dict[str, Reason] = {"stop": "stop", "length": "length"}
DURATIONS = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")
_HEAD = frozenset({"remote_model", "remote_host"})
"""What every line repeats of a model that another server runs."""
_KNOWN = _HEAD | frozenset(schema.Chunk.__struct_fields__)
_SAID = frozenset({"role", *schema.Said.__struct_fields__})


class _Loose(Struct):
    message: dict[str, Raw] | None = None


_LOOSE = msgspec.json.Decoder(_Loose)
_TEXT = msgspec.json.Decoder(str)


def seconds(written: str | float | None) -> int:
    """Seconds since the epoch of RFC 3339 with nanoseconds; 0 where it is none."""
    if not isinstance(written, str):
        return int(written or 0)
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        return 0
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def usage_of(counted: schema.Counted) -> Usage | None:
    """The counts in our words; None where nothing was counted."""
    if counted.eval_count is None and counted.prompt_eval_count is None and not durations_of(counted):
        return None
    return Usage(input=counted.prompt_eval_count, output=counted.eval_count or 0)


def durations_of(counted: schema.Counted) -> dict[str, Raw]:
    """How long it took, in nanoseconds, by Ollama's names."""
    took: dict[str, Raw] = {}
    if counted.total_duration is not None:
        took["total_duration"] = Raw(json.encode(counted.total_duration))
    if counted.load_duration is not None:
        took["load_duration"] = Raw(json.encode(counted.load_duration))
    if counted.prompt_eval_duration is not None:
        took["prompt_eval_duration"] = Raw(json.encode(counted.prompt_eval_duration))
    if counted.eval_duration is not None:
        took["eval_duration"] = Raw(json.encode(counted.eval_duration))
    return took


def arguments_of(raw: Raw) -> str:
    """JSON text of a call's arguments: those of a call without any are an empty object."""
    written = bytes(raw)
    if written.startswith(b'"'):
        return _TEXT.decode(written) or "{}"
    return "{}" if written == NULL else written.decode()


def _tokens(tokens: list[schema.Token] | None) -> tuple[TokenLogprob, ...]:
    return tuple(
        TokenLogprob(it.token, it.logprob, None if it.bytes is None else tuple(it.bytes), _tokens(it.top_logprobs))
        for it in tokens or ()
    )


def _news(bag: dict[str, Raw], known: frozenset[str]) -> dict[str, Raw]:
    return {name: raw for name, raw in bag.items() if name not in known and bytes(raw) != NULL}


def _bagged(fields: dict[str, Raw]) -> Vendor:
    return {DIALECT: fields} if fields else {}


def _seed(chunk: schema.Chunk) -> str:
    """What makes the ids of this answer its own."""
    return f"{chunk.created_at}\n{chunk.model}"


def _digest(seed: str | None, of: str) -> str:
    return blake2b(f"{seed}\n{of}".encode("utf-8", "backslashreplace"), digest_size=12).hexdigest()


def _id(seed: str) -> str:
    return f"ollama-{_digest(seed, '')}"


def _read(data: bytes, what: str, *, known: bool = True) -> schema.Chunk:
    """A body or a line that says something: as one of which nothing is lost by reading it so, where it may be one."""
    chunk: schema.Chunk | None = None
    if known:
        try:
            chunk = schema.KNOWN.decode(data)
        except msgspec.ValidationError:
            chunk = None
    if chunk is None:
        chunk = schema.CHUNK.decode(data)
        if bytes(chunk.error) not in NO_ERROR:
            raise fault_in_stream(chunk.error)
    if chunk.message is None and chunk.response is None and not chunk.done:
        raise garbled(what, "it says nothing and is not done")
    return chunk


class Reader:
    """One answer while it comes in, of chat or of generate."""

    def __init__(self) -> None:
        self.done = False
        self._seed: str | None = None
        """None before it began."""
        self._calls: set[str] = set()
        self._known = True

    def take(self, data: bytes) -> list[Event]:
        """The events of a line. Raises Garbled, or the fault that the upstream reports."""
        try:
            chunk = _read(data, "stream", known=self._known)
            self._known = chunk.__class__ is schema.KnownChunk  # who writes other fields writes them often
            return self.events(chunk, data)
        except BROKEN as error:
            raise garbled("stream", error) from None

    @property
    def started(self) -> bool:
        """Whether its first line was taken."""
        return self._seed is not None

    def end(self) -> list[Event]:
        """The end of the input, where not all was said. Raises Cut."""
        raise Cut("the upstream's stream ended before it said that it was done")

    def events(self, chunk: schema.Chunk, data: bytes) -> list[Event]:
        """What a line says that was read before."""
        if chunk.__class__ is schema.KnownChunk:
            data = NO_MORE
        events: list[Event] = []
        if self._seed is None:
            events.append(self._start(chunk, data))
        said = chunk.message or schema.Said(chunk.response, chunk.thinking)
        if said.thinking:
            events.append(ReasoningGrew(said.thinking))
        likely = _tokens(chunk.logprobs)
        if said.content or likely:
            events.append(TextGrew(said.content or "", 0, likely))
        for call in said.tool_calls or ():
            events += self._call(call)
        extra = {} if data is NO_MORE else _news(_LOOSE.decode(data).message or {}, _SAID)
        if extra:
            events.append(VendorSaid(DIALECT, extra))
        if chunk.done:
            events += self._finish(chunk, data)
        return events

    def _start(self, chunk: schema.Chunk, data: bytes) -> Started:
        self._seed = _seed(chunk)
        bag = {} if data is NO_MORE else schema.BAG.decode(data)
        vendor = {name: raw for name, raw in bag.items() if name in _HEAD and bytes(raw) != NULL} if bag else {}
        return Started(_id(self._seed), chunk.model or "", seconds(chunk.created_at), _bagged(vendor))

    def _call(self, call: schema.Call) -> tuple[Event, Event]:
        index = len(self._calls)
        arguments = arguments_of(call.function.arguments)
        id = call.id
        if not id or id in self._calls:
            id = f"call_{_digest(self._seed, f'{index}{call.function.name}{arguments}')}"
        self._calls.add(id)
        return CallOpened(index, id, call.function.name), CallGrew(index, arguments)

    def _finish(self, chunk: schema.Chunk, data: bytes) -> list[Event]:
        self.done = True
        said = chunk.done_reason or "stop"
        reason = REASONS.get(said, "other")
        if reason == "stop" and self._calls:
            reason = "tool_calls"
        events: list[Event] = [ChoiceFinished(reason, 0, said if reason == "other" else None)]
        usage = usage_of(chunk)
        if usage is not None:
            vendor = durations_of(chunk)
            if data is not NO_MORE:
                vendor |= _news(schema.BAG.decode(data), _KNOWN)
            events.append(Measured(usage, _bagged(vendor)))
        return [*events, Finished()]


# Whole answers.


def hear(data: bytes) -> Response:
    """The answer of a body. Raises Garbled, or the fault that the upstream reports."""
    try:
        chunk = _read(data, "answer")
        answer = _said_at_once(chunk)
        events = Reader().events(chunk, data) if answer is None else []
    except BROKEN as error:
        raise garbled("answer", error) from None
    if not chunk.done:
        raise garbled("answer", "it is whole and says that it is not done")
    return answer or fold(events)


def _said_at_once(chunk: schema.Chunk) -> Response | None:
    """What most answers are: one text and its counts, and nothing that is not known. It is the fold of their events."""
    said, reason = chunk.message, REASONS.get(chunk.done_reason or "stop")
    if said is None or not said.content or reason is None:
        return None
    usage = usage_of(chunk)
    if said.thinking or said.tool_calls or chunk.logprobs or usage is None or chunk.__class__ is schema.Chunk:
        return None
    choice = Choice(said.content, None, (), (), reason)
    counted = _bagged(durations_of(chunk))
    return Response(_id(_seed(chunk)), chunk.model or "", seconds(chunk.created_at), (choice,), usage, {}, counted)
