"""
Answers of upstreams as events: whole bodies and chunks alike, for a message is a delta that came at once.

Many servers speak this dialect, each in its own way: thoughts in `reasoning_content` or `reasoning`, null where a
field is not said, calls in pieces or whole, with or without an index, all at index 0, usage late, in every chunk or
never, own finish chunks, filler. What is the same is read the same; what is unknown but said goes to `VendorSaid`.
"""

from typing import Any, Literal

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
    RefusalGrew,
    Started,
    TextGrew,
    TokenLogprob,
    VendorSaid,
)
from foz.canon.response import Choice as Chosen
from foz.canon.response import Response, fold
from foz.dialects.openai import usage
from foz.dialects.openai.faults import fault_in_stream
from foz.dialects.openai.frames import BROKEN, DIALECT, NULL, garbled
from foz.wire import json

_NULL = Raw(NULL)
NO_ERROR = frozenset({NULL, b"{}", b'""', b"false"})
REASONS: dict[str, Reason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "function_call": "tool_calls",
}
_TOP = frozenset({"id", "object", "created", "model", "choices", "usage", "obfuscation", "error"})
_SAID = frozenset({"role", "content", "refusal", "reasoning_content", "reasoning", "tool_calls", "function_call"})


class Called(Struct):
    """`arguments` is text; some servers send the object itself."""

    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class Call(Struct):
    """A call, or a piece of one."""

    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: Called | None = None
    custom: Raw = _NULL


class Piece(Struct):
    """A part of content that is a list: Mistral's thinking models."""

    type: str | None = None
    text: str | None = None
    thinking: "str | list[Piece] | None" = None


class Delta(Struct):
    """What a choice says, or more of it."""

    content: str | list[Piece] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | dict[str, Any] | None = None
    tool_calls: list[Call] | None = None
    function_call: Called | None = None


class Token(Struct):
    """One token and how likely it was."""

    token: str
    logprob: float | None = None
    bytes: list[int] | None = None
    top_logprobs: "list[Token] | None" = None


class Logprobs(Struct):
    """Of the text and of the refusal."""

    content: list[Token] | None = None
    refusal: list[Token] | None = None


class Choice(Struct):
    """One of the answers, whole (`message`) or more of it (`delta`). `stop_reason` is vLLM's."""

    index: int | None = None
    delta: Delta | None = None
    message: Delta | None = None
    logprobs: Logprobs | None = None
    finish_reason: str | None = None
    stop_reason: str | int | None = None


class Chunk(Struct):
    """A whole answer or a piece of a stream."""

    id: str | None = None
    object: str | None = None
    created: float | None = None
    model: str | None = None
    choices: list[Choice] | None = None
    usage: Raw = _NULL
    error: Raw = _NULL


class _KnownCall(Call):
    type: Literal["function"] | None = None
    custom: None = None  # type: ignore[assignment]  # there is none: else it is not read so


class _KnownDelta(Delta, forbid_unknown_fields=True):
    """One that says nothing but what stands here."""

    role: Raw = _NULL
    tool_calls: list[_KnownCall] | None = None  # type: ignore[assignment]  # nobody puts another call there


class _KnownChoice(Choice):
    delta: _KnownDelta | None = None
    message: _KnownDelta | None = None


class _KnownChunk(Chunk, forbid_unknown_fields=True):
    """One of which nothing is lost by reading it so."""

    system_fingerprint: Raw = _NULL
    service_tier: Raw = _NULL
    obfuscation: Raw = _NULL
    choices: list[_KnownChoice] | None = None  # type: ignore[assignment]  # nobody puts another choice there


class _LooseChoice(Struct):
    delta: dict[str, Raw] | None = None
    message: dict[str, Raw] | None = None


class _Loose(Struct):
    choices: list[_LooseChoice] | None = None


_NOTHING = Delta()
_CHUNK = msgspec.json.Decoder(Chunk)
_KNOWN = msgspec.json.Decoder(_KnownChunk)
_LOOSE = msgspec.json.Decoder(_Loose)
_BAG = msgspec.json.Decoder(dict[str, Raw])


def text_of(content: str | list[Piece] | None) -> tuple[str, str]:
    """(text, thoughts) of a content."""
    if content is None or isinstance(content, str):
        return content or "", ""
    text = "".join(piece.text or "" for piece in content if piece.type != "thinking")
    thoughts = [text_of(piece.thinking)[0] for piece in content if piece.type == "thinking"]
    return text, "".join(thoughts)


def _written(arguments: str | dict[str, Any] | None) -> str:
    if arguments is None or isinstance(arguments, str):
        return arguments or ""
    return json.encode(arguments).decode()


def _tokens(tokens: list[Token] | None) -> tuple[TokenLogprob, ...]:
    return tuple(
        TokenLogprob(it.token, it.logprob, None if it.bytes is None else tuple(it.bytes), _tokens(it.top_logprobs))
        for it in tokens or ()
    )


class _Pending:
    """A call of the model while its pieces come in. It is told once it has a name."""

    __slots__ = ("arguments", "id", "index", "opened")

    def __init__(self, index: int, id: str) -> None:
        self.index = index
        self.id = id
        self.opened = False
        self.arguments = ""


class _Calls:
    """The calls of one choice: which piece belongs to which, whatever the server does with `index` and `id`."""

    def __init__(self, choice: int) -> None:
        self._choice = choice
        self._calls: list[_Pending] = []
        self._by_index: dict[int, _Pending] = {}

    def __bool__(self) -> bool:
        return bool(self._calls)

    def take(self, piece: Call, *, whole: bool) -> list[Event]:
        """The events of one piece."""
        called = piece.function or Called()
        call = self._find(piece, called.name, whole=whole)
        call.arguments += _written(called.arguments)
        events: list[Event] = []
        if called.name and not call.opened:
            call.opened = True
            events.append(CallOpened(call.index, call.id, called.name, self._choice))
        if call.opened and call.arguments:
            events.append(CallGrew(call.index, call.arguments, self._choice))
            call.arguments = ""
        return events

    def _find(self, piece: Call, name: str | None, *, whole: bool) -> _Pending:
        if piece.index is None:
            if self._calls and not whole and not name and piece.id in {None, "", self._calls[-1].id}:
                return self._calls[-1]
            return self._open(piece)
        known = self._by_index.get(piece.index)
        if known is None or (name and known.opened and piece.id and piece.id != known.id):
            known = self._by_index[piece.index] = self._open(piece)
        return known

    def _open(self, piece: Call) -> _Pending:
        index = len(self._calls)
        call = _Pending(index, piece.id or f"call_{self._choice}_{index}")
        self._calls.append(call)
        return call


class Reader:
    """One answer while it comes in."""

    def __init__(self) -> None:
        self.done = False
        self._started = False
        self._open: set[int] = set()
        self._closed: set[int] = set()
        self._calls: dict[int, _Calls] = {}
        self._usage: Raw | None = None
        self._known = True

    @property
    def complete(self) -> bool:
        """Whether every choice that was begun has its finish reason."""
        return bool(self._closed) and not self._open

    def take(self, data: bytes, *, whole: bool = False) -> list[Event]:
        """The events of a body or of a chunk. Raises Garbled, or the fault that the upstream reports."""
        what = "answer" if whole else "stream"
        try:
            chunk, loose = self._sound(data, what)
            return self._take(chunk, loose, data, whole=whole)
        except BROKEN as error:
            raise garbled(what, error) from None

    def whole(self, data: bytes) -> Response:
        """A whole answer, the fold of its events. Most are one text and its count: for these none need be made."""
        try:
            chunk, loose = self._sound(data, "answer")
            said = _plain(chunk, data) if loose is None else None
            if said is not None:
                return said
            events = self._take(chunk, loose, data, whole=True)
        except BROKEN as error:
            raise garbled("answer", error) from None
        return fold([*events, *self.finish()])

    def _sound(self, data: bytes, what: str) -> "tuple[Chunk, list[_LooseChoice] | None]":
        chunk, loose = self._read(data)
        if chunk.object == "error" or (chunk.error is not _NULL and bytes(chunk.error) not in NO_ERROR):
            raise fault_in_stream(data)
        if what == "answer" and not chunk.choices:
            raise garbled(what, "it has no choices")
        return chunk, loose

    def _read(self, data: bytes) -> "tuple[Chunk, list[_LooseChoice] | None]":
        """A chunk, and the fields of its choices where there may be some that are not known."""
        if self._known:
            try:
                return _KNOWN.decode(data), None
            except msgspec.ValidationError:
                self._known = False  # who writes such fields writes them often
        return _CHUNK.decode(data), _LOOSE.decode(data).choices

    def finish(self) -> list[Event]:
        """The last events."""
        if not self._started:
            raise garbled("stream", "it ended before it began")
        self.done = True
        counted = None if self._usage is None else _counted(self._usage)
        return [Finished()] if counted is None else [counted, Finished()]

    def _take(self, chunk: Chunk, loose: "list[_LooseChoice] | None", data: bytes, *, whole: bool) -> list[Event]:
        events: list[Event] = []
        counted = bytes(chunk.usage) != NULL
        if counted:
            self._usage = chunk.usage
        if not self._started and (chunk.choices or counted):
            self._started = True
            vendor = _beside(chunk, data)
            about = {DIALECT: vendor} if vendor else {}
            events.append(Started(chunk.id or "", chunk.model or "", int(chunk.created or 0), about))
        for place, choice in enumerate(chunk.choices or ()):
            fields = None if loose is None else loose[place].message if whole else loose[place].delta
            events += self._choose(choice, fields or {}, whole=whole)
        return events

    def _choose(self, choice: Choice, fields: dict[str, Raw], *, whole: bool) -> list[Event]:
        index = choice.index or 0
        if index not in self._closed:
            self._open.add(index)
        delta = (choice.message if whole else choice.delta) or _NOTHING
        events = _words(delta, choice.logprobs, index)
        extra = {name: raw for name, raw in fields.items() if name not in _SAID and bytes(raw) != NULL}
        for call in delta.tool_calls or ():
            if call.__class__ is Call and (call.type == "custom" or bytes(call.custom) != NULL):
                extra["tool_calls"] = fields["tool_calls"]
        if "tool_calls" not in extra:
            for call in delta.tool_calls or ():
                events += self._calls_of(index).take(call, whole=whole)
        if delta.function_call is not None:
            events += self._calls_of(index).take(Call(index=-1, function=delta.function_call), whole=whole)
        if extra:
            events.append(VendorSaid(DIALECT, extra, index))
        if choice.finish_reason and index not in self._closed:
            self._open.discard(index)
            self._closed.add(index)
            events.append(_finish(choice, index, called=bool(self._calls.get(index))))
        return events

    def _calls_of(self, index: int) -> _Calls:
        known = self._calls.get(index)
        if known is None:
            known = self._calls[index] = _Calls(index)
        return known


def _plain(chunk: Chunk, data: bytes) -> Response | None:
    """The answer, where it is one text and its count: what its events fold to. None where it says more, or less."""
    choices = chunk.choices
    if choices is None or len(choices) != 1:
        return None
    choice = choices[0]
    said = choice.message or _NOTHING
    text = said.content
    if not isinstance(text, str) or not text or choice.logprobs or not choice.finish_reason:
        return None
    if said.refusal or said.reasoning_content or said.reasoning or said.tool_calls or said.function_call:
        return None
    counted = _counted(chunk.usage)
    if counted is None:
        return None
    finish, vendor = _finish(choice, 0, called=False), _beside(chunk, data)
    return Response(
        chunk.id or "",
        chunk.model or "",
        int(chunk.created or 0),
        (Chosen(text, reason=finish.reason, detail=finish.detail),),
        counted.usage,
        {DIALECT: vendor} if vendor else {},
        counted.vendor,
    )


def _counted(raw: Raw) -> Measured | None:
    try:
        told = usage.hear(raw)
    except BROKEN as error:
        raise garbled("usage", error) from None
    if told is None:
        return None
    measured, vendor = told
    return Measured(measured, {DIALECT: vendor} if vendor else {})


def _beside(chunk: Chunk, data: bytes) -> dict[str, Raw]:
    """What an answer says beside its choices that only this dialect has words for."""
    if isinstance(chunk, _KnownChunk):
        vendor = {}
        if chunk.system_fingerprint is not _NULL and bytes(chunk.system_fingerprint) != NULL:
            vendor["system_fingerprint"] = chunk.system_fingerprint
        if chunk.service_tier is not _NULL and bytes(chunk.service_tier) != NULL:
            vendor["service_tier"] = chunk.service_tier
        return vendor
    return {name: raw for name, raw in _BAG.decode(data).items() if name not in _TOP and bytes(raw) != NULL}


def _words(delta: Delta, logprobs: Logprobs | None, index: int) -> list[Event]:
    events: list[Event] = []
    text, thoughts = text_of(delta.content)
    thoughts += delta.reasoning_content or (delta.reasoning if isinstance(delta.reasoning, str) else "")
    if thoughts:
        events.append(ReasoningGrew(thoughts, index))
    likely = _tokens(logprobs.content) if logprobs else ()
    if text or likely:
        events.append(TextGrew(text, index, likely))
    unlikely = _tokens(logprobs.refusal) if logprobs else ()
    if delta.refusal or unlikely:
        events.append(RefusalGrew(delta.refusal or "", index, unlikely))
    return events


def _finish(choice: Choice, index: int, *, called: bool) -> ChoiceFinished:
    """Servers that call tools and say `stop` mean `tool_calls`."""
    said = choice.finish_reason or ""
    reason = REASONS.get(said, "other")
    if reason == "stop" and called:
        reason = "tool_calls"
    detail = said if reason == "other" else choice.stop_reason
    return ChoiceFinished(reason, index, None if detail is None else str(detail))
