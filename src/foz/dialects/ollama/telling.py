"""
What callers are told: events as lines, answers as bodies.

A call is told when the answer is finished, whole, as Ollama does: its arguments are an object, so that a piece of them
cannot be told. The last line has why it ended, the counts, and how long it took in nanoseconds: what an Ollama server
measured itself, else what the gateway did. What is zero or unknown is left out.
"""

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache

from msgspec import Raw

from foz.canon.content import ToolCall
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
from foz.canon.fault import Garbled
from foz.canon.request import Request, Vendor
from foz.canon.response import Choice, EmbedResponse, Response
from foz.canon.usage import Timing, Usage
from foz.dialects.ollama.answer import DURATIONS
from foz.dialects.ollama.frames import DIALECT
from foz.wire import json, ndjson

Wire = dict[str, object]

_REASONS: Mapping[str | None, str] = {"length": "length", "content_filter": "content_filter"}
_DURATIONS = frozenset(DURATIONS)
_NOTHING: dict[str, Raw] = {}
_FLAT = bytes.maketrans(b"\r\n", b"  ")
"""Line breaks in JSON stand between its tokens only: a line must have none."""
_UNLOADED = frozenset({b"0", b'"0"', b'"0s"', b"0.0"})
UNIT = 1e-6
"""How far from 1 the length of a vector may be."""


@lru_cache(maxsize=64)
def moment(seconds: int) -> str:
    """When an answer began, as RFC 3339; the beginning of time where it says none that can be."""
    try:
        then = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        then = datetime.fromtimestamp(0, UTC)
    return then.isoformat().replace("+00:00", "Z")


def _likely(tokens: Iterable[TokenLogprob]) -> list[Wire]:
    return [
        {
            "token": it.token,
            "logprob": it.logprob,
            **({} if it.bytes is None else {"bytes": list(it.bytes)}),
            **({"top_logprobs": _likely(it.top)} if it.top else {}),
        }
        for it in tokens
    ]


def say_calls(calls: Iterable[ToolCall], reason: Reason | None) -> list[Wire]:
    """Calls, each whole. One that a limit cut short is left out. Raises Garbled where arguments are no object."""
    said: list[Wire] = []
    for call in calls:
        written = call.arguments.strip().encode("utf-8", "backslashreplace").translate(_FLAT) or b"{}"
        if not (written.startswith(b"{") and not json.too_deep(written) and json.valid(written)):
            if reason == "length":
                continue
            raise Garbled(f"the model called '{call.name}' with arguments that are no JSON object")
        said.append({"id": call.id, "function": {"index": len(said), "name": call.name, "arguments": Raw(written)}})
    return said


def say_took(usage: Usage | None, timing: Timing | None, vendor: Mapping[str, Raw]) -> Wire:
    """Counts and nanoseconds; nothing where nothing was counted: a count that is missing beside others is zero."""
    if usage is None:
        return dict(vendor)
    said: Wire = {}
    if usage.input:
        said["prompt_eval_count"] = usage.input
    if usage.output:
        said["eval_count"] = usage.output
    if timing is not None and _DURATIONS.isdisjoint(vendor):
        first = timing.first or 0
        if timing.total:
            said["total_duration"] = timing.total
        if first:
            said["prompt_eval_duration"] = first
        said["eval_duration"] = max(timing.total - first, 1)
    said.update(vendor)
    return said


def _bag(vendor: Vendor) -> dict[str, Raw]:
    return vendor.get(DIALECT, _NOTHING)


def _ended(reason: Reason | None, detail: str | None) -> str:
    if reason == "other" and detail:
        return detail
    return _REASONS.get(reason, "stop")


class Teller:
    """One stream on its way. Implements `ports.codec.EventEncoder`. `chat` says which path's it is."""

    def __init__(self, model: str, *, chat: bool) -> None:
        self._model = model
        self._chat = chat
        self._head: Wire = {"model": model, "created_at": moment(0)}
        self._open = self._opening()
        """What stands before the words of a line that has only words."""
        self._close = b'},"done":false}\n' if chat else b',"done":false}\n'
        self._calls: dict[int, tuple[str, str, list[str]]] = {}
        self._reason: Reason | None = None
        self._detail: str | None = None
        self._measured: Measured | None = None
        self._timing: Timing | None = None

    def feed(self, event: Event) -> bytes:
        """The line that says this event, if it is one for a line."""
        if event.__class__ is TextGrew and event.text and not event.logprobs and not event.choice:
            return self._open + json.encode(event.text) + self._close
        match event:
            case TextGrew(text=text, choice=0, logprobs=tokens) if tokens:
                return self._line(text, more={"logprobs": _likely(tokens)})
            case ReasoningGrew(text=text, choice=0) if text:
                return self._line("", {"thinking": text})
            case RefusalGrew(text=text, choice=0, logprobs=tokens) if text or tokens:
                return self._line(text, more={"logprobs": _likely(tokens)} if tokens else {})
            case VendorSaid(dialect="ollama", fields=fields, choice=0):
                return self._line("", dict(fields))
            case _:
                return self._note(event)

    def say(self, words: bytes, text: str) -> bytes | None:  # noqa: ARG002 - the words say it
        """The line that brings these words."""
        return b'%b"%b"%b' % (self._open, words, self._close)

    def _opening(self) -> bytes:
        head = json.encode(self._head).translate(_FLAT)[:-1]
        return head + (b',"message":{"role":"assistant","content":' if self._chat else b',"response":')

    def _note(self, event: Event) -> bytes:
        """What is told later, if at all."""
        match event:
            case Started(created=created, vendor=vendor):
                self._head = {"model": self._model, "created_at": moment(created), **_bag(vendor)}
                self._open = self._opening()
            case CallOpened(index=index, id=id, name=name, choice=0):
                self._calls[index] = (id, name, [])
            case CallGrew(index=index, arguments=arguments, choice=0):
                self._calls[index][2].append(arguments)
            case ChoiceFinished(reason=reason, detail=detail, choice=0):
                self._reason, self._detail = reason, detail
                return self._say_calls()
            case Measured():
                self._measured = event
            case Finished(timing=timing):
                self._timing = timing
                return self._say_calls()
            case _:
                pass
        return b""

    def _say_calls(self) -> bytes:
        """The calls that were not told yet."""
        found = [ToolCall(id, name, "".join(pieces)) for _, (id, name, pieces) in sorted(self._calls.items())]
        self._calls = {}
        said = say_calls(found, self._reason)
        return self._line("", {"tool_calls": said}) if said else b""

    def _line(self, text: str, said: Wire | None = None, more: Wire | None = None) -> bytes:
        return self._said({**self._words(text, said or {}), "done": False, **(more or {})})

    def _words(self, text: str, said: Wire) -> Wire:
        if self._chat:
            return {"message": {"role": "assistant", "content": text, **said}}
        return {"response": text, **said}

    def _said(self, rest: Wire) -> bytes:
        return ndjson.encode(json.encode({**self._head, **rest}).translate(_FLAT))

    def close(self) -> bytes:
        """The line that says that it is done."""
        measured = self._measured
        told = {} if measured is None else say_took(measured.usage, self._timing, _bag(measured.vendor))
        ended = _ended(self._reason, self._detail)
        return self._said({**self._words("", {}), "done": True, "done_reason": ended, **told})


def say_whole(answer: Response, request: Request, model: str, *, chat: bool) -> bytes:
    """A whole answer's body; of one that says nothing, that the model is there."""
    said: Wire = {"model": model, "created_at": moment(answer.created), **_bag(answer.vendor)}
    if not answer.choices:
        said |= {"message": {"role": "assistant", "content": ""}} if chat else {"response": ""}
        return json.encode(said | {"done": True, "done_reason": _loaded(request)})
    choice = answer.choices[0]
    text = (choice.text or "") + (choice.refusal or "")
    if chat:
        said["message"] = {"role": "assistant", "content": text, **_beside(choice)}
    else:
        said |= {"response": text, **_beside(choice)}
    said["done"] = True
    said["done_reason"] = _ended(choice.reason, choice.detail)
    if choice.logprobs or choice.refusal_logprobs:
        said["logprobs"] = _likely((*choice.logprobs, *choice.refusal_logprobs))
    said |= say_took(answer.usage, answer.timing, _bag(answer.usage_vendor))
    return json.encode(said)


def _beside(choice: Choice) -> Wire:
    """What a message has beside its text."""
    said: Wire = {}
    if choice.reasoning:
        thoughts = "".join(block.text for block in choice.reasoning)
        if thoughts:
            said["thinking"] = thoughts
    if choice.calls:
        calls = say_calls(choice.calls, choice.reason)
        if calls:
            said["tool_calls"] = calls
    if choice.vendor:
        said.update(_bag(choice.vendor))
    return said


def _loaded(request: Request) -> str:
    kept = bytes(request.vendor.get(DIALECT, {}).get("keep_alive", Raw(b"null")))
    return "unload" if kept in _UNLOADED else "load"


# Vectors.


def unit(vector: tuple[float, ...]) -> tuple[float, ...]:
    """The vector with length 1; one without any length as it is."""
    length = math.hypot(*vector)
    if not length or not math.isfinite(length) or abs(length - 1) <= UNIT:
        return vector
    return tuple(value / length for value in vector)


def say_vectors(answer: EmbedResponse, model: str) -> bytes:
    """The answer of `/api/embed`."""
    counted = answer.usage.input if answer.usage else None
    took = {"total_duration": answer.timing.total} if answer.timing is not None else {}
    said: Wire = {"model": model, "embeddings": [unit(vector) for vector in answer.vectors], **took}
    if counted:
        said["prompt_eval_count"] = counted
    return json.encode({**said, **_bag(answer.vendor)})


def say_vector(answer: EmbedResponse) -> bytes:
    """The answer of the older form: one vector, as its target made it."""
    return json.encode({"embedding": answer.vectors[0] if answer.vectors else ()})
