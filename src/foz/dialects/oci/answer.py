"""
Answers as events: whole bodies and pieces of streams alike, in any of the three formats.

COHERE says its whole text again where it calls tools and where it finishes: only what had not been said is taken.
Usage comes late, with the finish event or after it; the last count is the one that is told.
"""

from datetime import datetime

from msgspec import Raw

from foz.canon.event import (
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
from foz.canon.fault import Down
from foz.canon.usage import Usage
from foz.dialects.oci import schema
from foz.dialects.oci.calls import Calls
from foz.dialects.oci.faults import fault_in_stream
from foz.dialects.oci.frames import BROKEN, DIALECT, NULL, garbled
from foz.wire import json

_REASONS: dict[str, Reason] = {
    "stop": "stop",
    "complete": "stop",
    "stop_sequence": "stop",
    "end_turn": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "length": "length",
    "max_tokens": "length",
    "error_limit": "length",
    "tool_calls": "tool_calls",
    "tool_call": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "error_toxic": "content_filter",
    "safety": "content_filter",
}


def usage_of(counted: schema.Counted | None) -> Usage | None:
    """The counts in our words. What was not counted of a known total is what is left of it."""
    if counted is None:
        return None
    asked, given, total = counted.promptTokens, counted.completionTokens, counted.totalTokens
    if given is None and asked is not None and total is not None and total >= asked:
        given = total - asked
    before, after = counted.promptTokensDetails, counted.completionTokensDetails
    usage = Usage(
        input=asked,
        output=given,
        cached=before.cachedTokens if before else None,
        reasoning=after.reasoningTokens if after else None,
    )
    return None if usage == _NOTHING else usage


def _seconds(written: str | None) -> int:
    """Seconds since the epoch of a time as Oracle writes it; 0 where there is none."""
    try:
        return max(int(datetime.fromisoformat(written or "").timestamp()), 0)
    except (ValueError, OverflowError):
        return 0


def _tokens(said: schema.Logprobs | None) -> tuple[TokenLogprob, ...]:
    """Lists of logprobs as tokens; a list that is shorter leaves the rest unknown."""
    if said is None or not said.tokens:
        return ()
    likely, top, offsets = said.tokenLogprobs or [], said.topLogprobs or [], said.textOffset or []
    tokens = []
    for at, token in enumerate(said.tokens):
        best = top[at] if at < len(top) else None
        others = tuple(TokenLogprob(other, logprob) for other, logprob in (best or {}).items())
        logprob = likely[at] if at < len(likely) else None
        tokens.append(TokenLogprob(token, logprob, None, others, offsets[at] if at < len(offsets) else None))
    return tuple(tokens)


class _Spoken:
    """One choice while it comes in."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.calls = Calls(index)
        self.closed = False
        self._text: list[str] = []

    def words(self, text: str, tokens: tuple[TokenLogprob, ...] = ()) -> list[Event]:
        """More text."""
        self._text.append(text)
        return [TextGrew(text, self.index, tokens)] if text or tokens else []

    def again(self, text: str) -> list[Event]:
        """The whole text, said once more: what is new of it."""
        said = "".join(self._text)
        self._text = [said]
        return self.words(text[len(said) :]) if text.startswith(said) else []


class Reader:
    """One answer while it comes in."""

    def __init__(self) -> None:
        self.done = False
        self._started = False
        self._choices: dict[int, _Spoken] = {}
        self._usage: Usage | None = None

    @property
    def complete(self) -> bool:
        """Whether every choice that was begun has its finish reason."""
        return bool(self._choices) and all(choice.closed for choice in self._choices.values())

    def whole(self, data: bytes) -> list[Event]:
        """The events of a whole body. Raises Garbled, or the fault that the upstream reports."""
        try:
            body = schema.WHOLE.decode(data)
        except BROKEN as error:
            raise garbled("answer", error) from None
        said = body.chatResponse
        if said is None:
            if bytes(body.error) != NULL or body.code is not None:
                raise fault_in_stream(data)
            raise garbled("answer", "it has no chatResponse")
        vendor = {"modelVersion": Raw(json.encode(body.modelVersion))} if body.modelVersion else {}
        events = self._start(said, body.modelId or "", vendor)
        if said.choices is not None:
            if not said.choices:
                raise garbled("answer", "it has no choices")
            self._usage = usage_of(said.usage)
            for choice in said.choices:
                events += self._choose(choice)
        else:
            events += self._take(said, data)
        for spoken in self._choices.values():
            events += [] if spoken.closed else self._close(spoken, "stop")
        return events

    def take(self, data: bytes) -> list[Event]:
        """The events of a frame. Raises Garbled, or the fault that the upstream reports."""
        try:
            chunk = schema.CHUNK.decode(data)
        except BROKEN as error:
            raise garbled("stream", error) from None
        events = [] if self._started else self._start(chunk, "", {})
        return events + self._take(chunk, data)

    def finish(self) -> list[Event]:
        """The last events."""
        self.done = True
        return [Finished()] if self._usage is None else [Measured(self._usage), Finished()]

    def _start(self, said: schema.Chunk, model: str, vendor: dict[str, Raw]) -> list[Event]:
        self._started = True
        about = {DIALECT: vendor} if vendor else {}
        return [Started(said.id or "", model, _seconds(said.timeCreated), about)]

    def _take(self, chunk: schema.Chunk, data: bytes) -> list[Event]:
        if bytes(chunk.error) != NULL or isinstance(chunk.message, str) or chunk.code is not None:
            raise fault_in_stream(data)
        self._usage = usage_of(chunk.usage) or self._usage
        if chunk.choices is not None:
            return [event for choice in chunk.choices for event in self._choose(choice)]
        if (chunk.finishReason or "").lower() == "error":
            why = f": {chunk.errorMessage}" if chunk.errorMessage else ""
            raise Down(f"the upstream broke off its answer with an error{why[:500]}")
        if chunk.text is not None or chunk.toolCalls is not None or chunk.apiFormat == "COHERE":
            return self._cohere(chunk)
        if chunk.message is None and chunk.finishReason is None:
            return []
        return self._choose(chunk)

    def _spoken(self, index: int | None) -> _Spoken:
        if index is None:
            index = min((one.index for one in self._choices.values() if not one.closed), default=0)
        return self._choices.setdefault(index, _Spoken(index))

    def _choose(self, choice: schema.Choice) -> list[Event]:
        spoken = self._spoken(choice.index)
        message = choice.message if isinstance(choice.message, schema.Message) else schema.Message()
        self._usage = self._usage or usage_of(choice.usage)
        thoughts, text = _words(message)
        events: list[Event] = [ReasoningGrew(thoughts, spoken.index)] if thoughts else []
        events += spoken.words(text, _tokens(choice.logprobs))
        if message.refusal:
            events.append(RefusalGrew(message.refusal, spoken.index))
        for call in message.toolCalls or ():
            events += spoken.calls.take(call)
        events += _vendor(spoken.index, annotations=message.annotations, citations=message.citations)
        return events + (self._close(spoken, choice.finishReason) if choice.finishReason else [])

    def _cohere(self, chunk: schema.Chunk) -> list[Event]:
        """A piece of COHERE's. Where it calls or finishes, text and calls are what was said already."""
        spoken = self._spoken(0)
        last = bool(chunk.finishReason)
        text = chunk.text or ""
        events = spoken.again(text) if last or chunk.toolCalls else spoken.words(text)
        if not (last and spoken.calls):
            for call in chunk.toolCalls or ():
                events += spoken.calls.take(call)
        events += _vendor(0, citations=chunk.citations)
        return events + (self._close(spoken, chunk.finishReason) if chunk.finishReason else [])

    def _close(self, spoken: _Spoken, said: str) -> list[Event]:
        """The API's word is any text. Models that call tools and say that they are complete mean `tool_calls`."""
        if spoken.closed:
            return []
        spoken.closed = True
        reason = _REASONS.get(said.lower(), "other")
        if reason == "stop" and spoken.calls:
            reason = "tool_calls"
        return [ChoiceFinished(reason, spoken.index, said if reason == "other" else None)]


def _words(message: schema.Message) -> tuple[str, str]:
    """(thoughts, text) of a message."""
    thoughts = (message.reasoningContent or "") + (message.toolPlan or "")
    if message.content is None or isinstance(message.content, str):
        return thoughts, message.content or ""
    thoughts += "".join(part.thinking or "" for part in message.content)
    return thoughts, "".join(part.text or "" for part in message.content)


def _vendor(index: int, **fields: Raw) -> list[Event]:
    said = {name: raw for name, raw in fields.items() if bytes(raw) not in {NULL, b"[]"}}
    return [VendorSaid(DIALECT, said, index)] if said else []


_NOTHING = Usage()
