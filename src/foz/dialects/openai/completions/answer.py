"""
What upstreams answer to completions, as events: whole bodies and chunks have one shape.

Logprobs come as four lists of one length, or as chat's list of tokens (llama.cpp). What is unknown but said
goes to `VendorSaid`.
"""

from collections.abc import Iterable, Iterator

import msgspec
from msgspec import Raw, Struct

from foz.canon.event import (
    ChoiceFinished,
    Event,
    Finished,
    Measured,
    Reason,
    Started,
    TextGrew,
    TokenLogprob,
    VendorSaid,
)
from foz.dialects.openai import usage
from foz.dialects.openai.faults import fault_in_stream
from foz.dialects.openai.frames import BROKEN, DIALECT, NULL, garbled

REASONS: dict[str, Reason] = {"stop": "stop", "length": "length", "content_filter": "content_filter"}
_TOP = frozenset({"id", "object", "created", "model", "choices", "usage", "obfuscation", "error"})
_SAID = frozenset({"text", "index", "logprobs", "finish_reason", "stop_reason"})


class Token(Struct):
    """One token as chat has it."""

    token: str
    logprob: float | None = None
    top_logprobs: "list[Token] | None" = None


class Logprobs(Struct):
    """Four lists of one length, or `content`."""

    tokens: list[str] | None = None
    token_logprobs: list[float | None] | None = None
    top_logprobs: list[dict[str, float | None] | None] | None = None
    text_offset: list[int] | None = None
    content: list[Token] | None = None


class Choice(Struct):
    """One of the texts, or a piece of it. `stop_reason` is vLLM's."""

    text: str | None = None
    index: int | None = None
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
    usage: Raw = Raw(NULL)
    error: Raw = Raw(NULL)


class _Loose(Struct):
    choices: list[dict[str, Raw]] | None = None


_CHUNK = msgspec.json.Decoder(Chunk)
_LOOSE = msgspec.json.Decoder(_Loose)
_BAG = msgspec.json.Decoder(dict[str, Raw])


def _from_chat(tokens: list[Token]) -> Iterator[TokenLogprob]:
    """Chat's tokens, without the bytes that completions have no place for."""
    for it in tokens:
        yield TokenLogprob(it.token, it.logprob, top=tuple(_from_chat(it.top_logprobs or [])))


def _from_lists(logprobs: Logprobs) -> Iterator[TokenLogprob]:
    """The tokens, however long the other lists are."""
    tokens = logprobs.tokens or []
    blank: list[None] = [None] * len(tokens)
    likely = [*(logprobs.token_logprobs or ()), *blank]
    tops = [*(logprobs.top_logprobs or ()), *blank]
    offsets = [*(logprobs.text_offset or ()), *blank]
    for at, token in enumerate(tokens):
        top = tuple(TokenLogprob(other, how) for other, how in (tops[at] or {}).items())
        yield TokenLogprob(token, likely[at], top=top, offset=offsets[at])


def counted(tokens: Iterable[TokenLogprob], behind: int) -> tuple[TokenLogprob, ...]:
    """Each token with its offset; it is counted from `behind`, the text before them, where it was not said."""
    placed = []
    for token in tokens:
        placed.append(token if token.offset is not None else msgspec.structs.replace(token, offset=behind))
        behind += len(token.token)
    return tuple(placed)


def likely(logprobs: Logprobs | None, behind: int) -> tuple[TokenLogprob, ...]:
    """How likely the tokens of a choice were, in whichever form that is told."""
    if logprobs is None:
        return ()
    said = _from_lists(logprobs) if logprobs.content is None else _from_chat(logprobs.content)
    return counted(said, behind)


class Reader:
    """One answer while it comes in."""

    def __init__(self) -> None:
        self.done = False
        self._started = False
        self._open: set[int] = set()
        self._closed: set[int] = set()
        self._said: dict[int, int] = {}
        self._usage: Raw | None = None

    @property
    def complete(self) -> bool:
        """Whether every choice that was begun has its finish reason."""
        return bool(self._closed) and not self._open

    def take(self, data: bytes, *, whole: bool = False) -> list[Event]:
        """The events of a body or of a chunk. Raises Garbled, or the fault that the upstream reports."""
        what = "answer" if whole else "stream"
        try:
            chunk = _CHUNK.decode(data)
            if bytes(chunk.error) != NULL or chunk.object == "error":
                raise fault_in_stream(data)
            if whole and not chunk.choices:
                raise garbled(what, "it has no choices")
            return self._take(chunk, data)
        except BROKEN as error:
            raise garbled(what, error) from None

    def finish(self) -> list[Event]:
        """The last events."""
        if not self._started:
            raise garbled("stream", "it ended before it began")
        self.done = True
        try:
            told = None if self._usage is None else usage.hear(self._usage)
        except BROKEN as error:
            raise garbled("usage", error) from None
        if told is None:
            return [Finished()]
        measured, vendor = told
        return [Measured(measured, {DIALECT: vendor} if vendor else {}), Finished()]

    def _take(self, chunk: Chunk, data: bytes) -> list[Event]:
        events: list[Event] = []
        measured = bytes(chunk.usage) != NULL
        if measured:
            self._usage = chunk.usage
        if not self._started and (chunk.choices or measured):
            self._started = True
            vendor = {name: raw for name, raw in _BAG.decode(data).items() if name not in _TOP and bytes(raw) != NULL}
            about = {DIALECT: vendor} if vendor else {}
            events.append(Started(chunk.id or "", chunk.model or "", int(chunk.created or 0), about))
        loose = _LOOSE.decode(data).choices or ()
        for choice, fields in zip(chunk.choices or (), loose, strict=True):
            events.extend(self._choose(choice, fields))
        return events

    def _choose(self, choice: Choice, fields: dict[str, Raw]) -> list[Event]:
        index = choice.index or 0
        if index not in self._closed:
            self._open.add(index)
        events: list[Event] = []
        text = choice.text or ""
        behind = self._said.get(index, 0)
        self._said[index] = behind + len(text)
        tokens = likely(choice.logprobs, behind)
        if text or tokens:
            events.append(TextGrew(text, index, tokens))
        extra = {name: raw for name, raw in fields.items() if name not in _SAID and bytes(raw) != NULL}
        if extra:
            events.append(VendorSaid(DIALECT, extra, index))
        if choice.finish_reason and index not in self._closed:
            self._open.discard(index)
            self._closed.add(index)
            events.append(_finish(choice, index))
        return events


def _finish(choice: Choice, index: int) -> ChoiceFinished:
    said = choice.finish_reason or ""
    reason = REASONS.get(said, "other")
    detail = said if reason == "other" else choice.stop_reason
    return ChoiceFinished(reason, index, None if detail is None else str(detail))
