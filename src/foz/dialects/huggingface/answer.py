"""
Answers as events: a whole one, and a stream's frames.

A whole answer is a list of results, a list of such lists, or one result. A stream's frames are TGI's: a token each,
the last with the whole text and how it ended; `data:` without a space, no `[DONE]`. Endpoints that do not stream
answer a stream's request with a whole answer; whichever comes is read.

The endpoints leave a stop text in the answer, or know no stops at all: the text is cut here, so that streamed and whole
answers end alike. White space before a chat's answer belongs to the prompt's form and is dropped.
"""

import msgspec
from msgspec import Struct

from foz.canon.event import ChoiceFinished, Event, Finished, Measured, Reason, Started, TextGrew, TokenLogprob
from foz.canon.fault import Cut, Fault
from foz.canon.usage import Usage
from foz.dialects.huggingface.faults import complaint, fault_in_answer
from foz.dialects.huggingface.frames import BROKEN, garbled
from foz.wire import sse
from foz.wire.http import Reply

MAX_WHOLE = 16 * 1024 * 1024
_REASONS: dict[str, Reason] = {"length": "length", "eos_token": "stop", "stop_sequence": "stop"}
_STARTED = Started("", "", 0)


class Token(Struct):
    """One token and how likely it was."""

    text: str
    logprob: float | None = None
    special: bool = False


class Prefilled(Struct):
    """One token of the prompt."""

    text: str | None = None


class Details(Struct):
    """How it ended, and what it took."""

    finish_reason: str | None = None
    generated_tokens: int | None = None
    input_length: int | None = None
    prefill: list[Prefilled] | None = None
    tokens: list[Token] | None = None
    top_tokens: list[list[Token]] | None = None


class Result(Struct):
    """One whole answer."""

    generated_text: str | None = None
    details: Details | None = None


class Frame(Struct):
    """A piece of a stream."""

    token: Token | None = None
    top_tokens: list[Token] | None = None
    generated_text: str | None = None
    details: Details | None = None


_WHOLE = msgspec.json.Decoder(list[Result] | Result)
_BATCH = msgspec.json.Decoder(list[list[Result]])
_FRAME = msgspec.json.Decoder(Frame)


class Cutter:
    """Text as it comes, up to the stop text that is complete first; stops may come in pieces."""

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = stops
        self._held = ""
        self.hit: str | None = None

    def feed(self, text: str) -> str:
        """What is certain to stand before every stop."""
        if self.hit is not None:
            return ""
        held = self._held + text
        found = [(held.find(stop) + len(stop), -len(stop), stop) for stop in self._stops if stop in held]
        if found:
            end, _, self.hit = min(found)
            self._held = ""
            return held[: end - len(self.hit)]
        keep = max((_overlap(held, stop) for stop in self._stops), default=0)
        self._held = held[len(held) - keep :]
        return held[: len(held) - keep]

    def close(self) -> str:
        """What was held back and is no stop."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """How much of the end of a text may be the beginning of a stop."""
    return next((size for size in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:size])), 0)


class Telling(Struct, frozen=True):
    """How an answer is to be read."""

    stops: tuple[str, ...] = ()
    own_stops: frozenset[str] = frozenset()
    """Those that the caller did not ask for: what ended the answer is not told."""
    chat: bool = True
    logprobs: bool = False


class _Choice:
    """One answer while it comes in."""

    def __init__(self, telling: Telling, index: int = 0) -> None:
        self._telling = telling
        self._index = index
        self._cutter = Cutter(telling.stops)
        self._begun = not telling.chat

    def grow(self, text: str, likely: tuple[TokenLogprob, ...] = ()) -> list[Event]:
        """More of the text."""
        return self._say(self._cutter.feed(text), likely)

    def finish(self, reason: str | None) -> list[Event]:
        """Its end."""
        events = self._say(self._cutter.close(), ())
        hit = self._cutter.hit
        if hit is not None:
            detail = None if hit in self._telling.own_stops else hit
            return [*events, ChoiceFinished("stop", self._index, detail)]
        told: Reason = _REASONS.get(reason or "eos_token", "other")
        return [*events, ChoiceFinished(told, self._index, reason if told == "other" else None)]

    def _say(self, text: str, likely: tuple[TokenLogprob, ...]) -> list[Event]:
        if not self._begun:
            text = text.lstrip()
            self._begun = bool(text)
        if not self._telling.logprobs or self._cutter.hit is not None:
            likely = ()
        return [TextGrew(text, self._index, likely)] if text or likely else []


def _likely(token: Token, top: list[Token] | None) -> tuple[TokenLogprob, ...]:
    others = tuple(TokenLogprob(other.text, other.logprob) for other in top or ())
    return (TokenLogprob(token.text, token.logprob, top=others),)


def _tokens(choice: _Choice, tokens: list[Token], tops: list[list[Token]]) -> list[Event]:
    """A whole answer token by token, as a stream tells it."""
    events: list[Event] = []
    for at, token in enumerate(tokens):
        if not token.special:
            events += choice.grow(token.text, _likely(token, tops[at] if at < len(tops) else None))
    return events


def _measured(output: int | None, prompt: int | None) -> list[Event]:
    return [] if output is None and prompt is None else [Measured(Usage(input=prompt, output=output))]


def _counted(reply: Reply, name: bytes) -> int | None:
    value = reply.header(name) or b""
    return int(value) if value.isdigit() and len(value) <= 12 else None  # noqa: PLR2004 - no answer is longer


def _results(body: bytes) -> list[Result]:
    said = complaint(body)
    if said is not None:
        raise fault_in_answer(said)
    try:
        whole = _WHOLE.decode(body)
        return whole if isinstance(whole, list) else [whole]
    except BROKEN as error:
        try:
            return [result for batch in _BATCH.decode(body) for result in batch]
        except BROKEN:
            raise garbled("answer", error) from None


def hear(reply: Reply, telling: Telling) -> list[Event]:
    """A whole answer's events. Raises Garbled, or the fault that it tells."""
    results = _results(reply.body)
    if not results or any(result.generated_text is None for result in results):
        raise garbled("answer", "it has no generated_text")
    events: list[Event] = [_STARTED]
    output: int | None = None
    prompt = _counted(reply, b"x-prompt-tokens")
    for index, result in enumerate(results):
        details = result.details or Details()
        choice = _Choice(telling, index)
        if telling.logprobs and details.tokens:
            events += _tokens(choice, details.tokens, details.top_tokens or [])
        else:
            events += choice.grow(result.generated_text or "")
        events += choice.finish(details.finish_reason)
        if details.generated_tokens is not None:
            output = (output or 0) + details.generated_tokens
        if prompt is None and details.prefill:
            prompt = len(details.prefill)
    counted = _counted(reply, b"x-generated-tokens")
    return [*events, *_measured(output if counted is None else counted, prompt), Finished()]


class StreamDecoder:
    """The bytes of a stream, or of a whole answer in its place, to events. Implements `ports.codec.EventDecoder`."""

    def __init__(self, telling: Telling) -> None:
        self._telling = telling
        self._choice = _Choice(telling)
        self._frames = sse.Decoder()
        self._whole: bytearray | None = None
        self._seen = False
        self._started = False
        self._done = False
        self._fault: Fault | None = None

    def feed(self, chunk: bytes) -> list[Event]:
        """
        The events that this chunk completes. A fault that comes with good frames before it in one chunk
        is raised by the next call, so that it does not matter how the network cuts the stream.
        """
        if self._fault is not None:
            raise self._fault
        if not self._seen:
            chunk = chunk.lstrip()
            if not chunk:
                return []
            self._seen = True
            if chunk[:1] in {b"[", b"{"}:
                self._whole = bytearray()
        if self._whole is not None:
            self._whole += chunk
            if len(self._whole) > MAX_WHOLE:
                raise garbled("answer", f"it is longer than {MAX_WHOLE} bytes")
            return []
        try:
            frames = self._frames.feed(chunk)
        except sse.TooLong as error:
            raise garbled("stream", error) from None
        return self._take_all(frames)

    def close(self) -> list[Event]:
        """The end of input. Raises Cut where the last token was not told."""
        if self._fault is not None:
            raise self._fault
        if self._whole is not None:
            return hear(Reply(200, body=bytes(self._whole)), self._telling)
        if not self._done:
            raise Cut("the upstream's stream ended before it was finished")
        return []

    def _take_all(self, frames: list[sse.Frame]) -> list[Event]:
        events: list[Event] = []
        for frame in frames:
            data = frame.data.strip()
            if self._done or not data or data == b"[DONE]":
                continue
            try:
                events += self._take(data)
            except Fault as fault:
                self._fault = fault
                if not events:
                    raise
                break
        return events

    def _take(self, data: bytes) -> list[Event]:
        said = complaint(data)
        if said is not None:
            raise fault_in_answer(said)
        try:
            frame = _FRAME.decode(data)
        except BROKEN as error:
            raise garbled("stream", error) from None
        token = frame.token
        if token is None and frame.generated_text is None:
            raise garbled("stream", "a frame has neither a token nor a text")
        events: list[Event] = [] if self._started else [_STARTED]
        self._started = True
        if token is not None and not token.special:
            events += self._choice.grow(token.text, _likely(token, frame.top_tokens))
        if frame.generated_text is not None:
            details = frame.details or Details()
            self._done = True
            events += self._choice.finish(details.finish_reason)
            events += [*_measured(details.generated_tokens, details.input_length), Finished()]
        return events
