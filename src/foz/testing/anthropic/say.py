"""
What a fake Anthropic answers: events of the simulated model as its frames, written by hand as the real one writes them,
and how many tokens each of them took.

A ping comes behind the first block's beginning. A thought is signed when it is over. A request that says
`cache_control` is told that half of it came from a cache and a quarter was written to one.
"""

from collections.abc import Iterable, Iterator

from msgspec import Raw

from foz.canon.event import (
    CallGrew,
    CallOpened,
    ChoiceFinished,
    Event,
    Measured,
    ReasoningGrew,
    Started,
    TextGrew,
)
from foz.canon.request import ChatRequest
from foz.canon.response import Response
from foz.canon.usage import Usage
from foz.testing.anthropic.check import sign
from foz.testing.simulated import words
from foz.testing.simulated.counted import Told
from foz.wire import json, sse

Wire = dict[str, object]
_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}


def frame(kind: str, **fields: object) -> bytes:
    """One frame."""
    return sse.encode(json.encode({"type": kind, **fields}), kind.encode())


def named(id: str, kind: str) -> str:
    """An id as Anthropic gives them."""
    return f"{kind}_{id.rpartition('_')[2].rpartition('-')[2]}"


def counts(usage: Usage | None, *, cached: bool, output: int | None = None) -> Wire:
    """`usage`; what is unknown is told as nothing."""
    usage = usage or Usage(0, 0)
    whole = usage.input or 0
    read, written = (whole // 2, whole // 4) if cached else (0, 0)
    return {
        "input_tokens": whole - read - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "output_tokens": (usage.output or 0) if output is None else output,
        "output_tokens_details": {"thinking_tokens": usage.reasoning or 0},
        "service_tier": "standard",
    }


def stopped(reason: str, detail: str | None, request: ChatRequest) -> Wire:
    """Why it ended."""
    if reason == "stop" and detail is not None and detail in request.stop:
        return {"stop_reason": "stop_sequence", "stop_sequence": detail}
    return {"stop_reason": _REASONS.get(reason, "end_turn"), "stop_sequence": None}


class Teller:
    """One answer on its way: events in, frames out, each with the tokens that it took."""

    def __init__(self, request: ChatRequest, usage: Usage | None, *, cached: bool) -> None:
        self._request = request
        self._usage = usage
        self._cached = cached
        self._place = -1
        self._kind = ""
        self._thought: list[str] = []

    def tell(self, events: Iterable[Event]) -> Iterator[Told]:
        """The frames of a stream."""
        end = stopped("stop", None, self._request)
        for event in events:
            match event:
                case Started(id=id):
                    yield self._start(id), 0
                case ReasoningGrew(text=text):
                    yield from self._open("thinking", {"thinking": "", "signature": ""})
                    self._thought.append(text)
                    yield self._grow({"type": "thinking_delta", "thinking": text}), words.count(text)
                case TextGrew(text=text) if text:
                    yield from self._open("text", {"text": ""})
                    yield self._grow({"type": "text_delta", "text": text}), words.count(text)
                case CallOpened(id=id, name=name):
                    yield from self._shut()
                    yield from self._open("tool_use", {"id": named(id, "toolu"), "name": name, "input": {}})
                    yield self._grow({"type": "input_json_delta", "partial_json": ""}), 0
                case CallGrew(arguments=piece):
                    yield self._grow({"type": "input_json_delta", "partial_json": piece}), words.count(piece)
                case ChoiceFinished(reason=reason, detail=detail):
                    end = stopped(reason, detail, self._request)
                case _:
                    pass
        yield from self._shut()
        yield frame("message_delta", delta=end, usage=counts(self._usage, cached=self._cached)), 0
        yield frame("message_stop"), 0

    def _start(self, id: str) -> bytes:
        message: Wire = {
            "id": named(id, "msg"),
            "type": "message",
            "role": "assistant",
            "model": self._request.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": counts(self._usage, cached=self._cached, output=1),
        }
        return frame("message_start", message=message)

    def _open(self, kind: str, fields: Wire) -> Iterator[Told]:
        if self._kind == kind:
            return
        yield from self._shut()
        self._place += 1
        self._kind = kind
        yield frame("content_block_start", index=self._place, content_block={"type": kind, **fields}), 0
        if self._place == 0:
            yield frame("ping"), 0

    def _grow(self, delta: Wire) -> bytes:
        return frame("content_block_delta", index=self._place, delta=delta)

    def _shut(self) -> Iterator[Told]:
        if not self._kind:
            return
        if self._kind == "thinking":
            yield self._grow({"type": "signature_delta", "signature": sign("".join(self._thought))}), 0
            self._thought = []
        self._kind = ""
        yield frame("content_block_stop", index=self._place), 0


def say_whole(answer: Response, request: ChatRequest, usage: Usage | None, *, cached: bool) -> bytes:
    """A whole answer's body."""
    choice = answer.choices[0]
    content: list[Wire] = [
        {"type": "thinking", "thinking": block.text, "signature": sign(block.text)} for block in choice.reasoning
    ]
    if choice.text:
        content.append({"type": "text", "text": choice.text})
    content += [
        {
            "type": "tool_use",
            "id": named(call.id, "toolu"),
            "name": call.name,
            "input": Raw(call.arguments.encode()) if json.valid(call.arguments.encode()) else {},
        }
        for call in choice.calls
    ]
    said = {
        "id": named(answer.id, "msg"),
        "type": "message",
        "role": "assistant",
        "model": request.model,
        "content": content,
        **stopped(choice.reason or "stop", choice.detail, request),
        "usage": counts(usage, cached=cached),
    }
    return json.encode(said)


def measured(events: Iterable[Event]) -> Usage | None:
    """What the answer took, where that is told."""
    return next((event.usage for event in events if isinstance(event, Measured)), None)
