"""
Answers of an Ollama server as events: whole bodies and lines alike, for a whole answer is a stream of one line.

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
from foz.canon.usage import Usage
from foz.dialects.ollama import schema
from foz.dialects.ollama.faults import NO_ERROR, fault_in_stream
from foz.dialects.ollama.frames import BROKEN, DIALECT, garbled

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
    took = (counted.total_duration, counted.load_duration, counted.prompt_eval_duration, counted.eval_duration)
    return {name: Raw(b"%d" % value) for name, value in zip(DURATIONS, took, strict=True) if value is not None}


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


class Reader:
    """One answer while it comes in, of chat or of generate."""

    def __init__(self) -> None:
        self.done = False
        self._seed: str | None = None
        """What makes the ids of this answer its own; None before it began."""
        self._calls: set[str] = set()
        self._known = True

    def take(self, data: bytes, *, whole: bool = False) -> list[Event]:
        """The events of a body or of a line. Raises Garbled, or the fault that the upstream reports."""
        what = "answer" if whole else "stream"
        try:
            chunk = self._read(data)
            if bytes(chunk.error) not in NO_ERROR:
                raise fault_in_stream(chunk.error)
            if chunk.message is None and chunk.response is None and not chunk.done:
                raise garbled(what, "it says nothing and is not done")
            events = self._take(chunk, data if chunk.__class__ is schema.Chunk else NO_MORE)
        except BROKEN as error:
            raise garbled(what, error) from None
        if whole and not self.done:
            raise garbled(what, "it is whole and says that it is not done")
        return events

    @property
    def started(self) -> bool:
        """Whether its first line was taken."""
        return self._seed is not None

    def end(self) -> list[Event]:
        """The end of the input, where not all was said. Raises Cut."""
        raise Cut("the upstream's stream ended before it said that it was done")

    def _read(self, data: bytes) -> schema.Chunk:
        """A line: as one of which nothing is lost by reading it so, where it is."""
        if self._known:
            try:
                return schema.KNOWN.decode(data)
            except msgspec.ValidationError:
                self._known = False  # who writes such fields writes them often
        return schema.CHUNK.decode(data)

    def _take(self, chunk: schema.Chunk, data: bytes) -> list[Event]:
        """`data` has what is not known of it, if there is any."""
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
        self._seed = f"{chunk.created_at}\n{chunk.model}"
        bag = {} if data is NO_MORE else schema.BAG.decode(data)
        vendor = {name: raw for name, raw in bag.items() if name in _HEAD and bytes(raw) != NULL} if bag else {}
        return Started(f"ollama-{self._digest('')}", chunk.model or "", seconds(chunk.created_at), _bagged(vendor))

    def _digest(self, of: str) -> str:
        return blake2b(f"{self._seed}\n{of}".encode("utf-8", "backslashreplace"), digest_size=12).hexdigest()

    def _call(self, call: schema.Call) -> tuple[Event, Event]:
        index = len(self._calls)
        arguments = arguments_of(call.function.arguments)
        id = call.id
        if not id or id in self._calls:
            id = f"call_{self._digest(f'{index}{call.function.name}{arguments}')}"
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
