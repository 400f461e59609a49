"""
What a fake Ollama server answers: events of the simulated model as its lines, written by hand as the real one writes
them, and how many tokens each of them took.

Calls come whole, all in one line; one that a limit cut short is never told. Counts and durations stand in the last
line, and what is zero is left out. Times are made up and always the same: a millisecond a token.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from msgspec import Raw

from foz.canon.content import ToolCall
from foz.canon.event import (
    CallGrew,
    CallOpened,
    ChoiceFinished,
    Event,
    Measured,
    ReasoningGrew,
    TextGrew,
    TokenLogprob,
)
from foz.canon.response import EmbedResponse, Response
from foz.canon.usage import Usage
from foz.testing.simulated import words
from foz.testing.simulated.answer import CREATED
from foz.wire import json, ndjson

Wire = dict[str, object]
MILLISECOND = 1_000_000


def moment(token: int) -> str:
    """When a token was made, as RFC 3339 with nanoseconds."""
    second = datetime.fromtimestamp(CREATED + token // 1000, tz=UTC)
    return f"{second:%Y-%m-%dT%H:%M:%S}.{token % 1000:03d}000789Z"


def metrics(usage: Usage | None) -> Wire:
    """Tokens and nanoseconds; what is zero is left out, as the real server does."""
    if usage is None:
        return {}
    asked, made = usage.input or 0, usage.output or 0
    said = {
        "total_duration": (asked + made + 1) * MILLISECOND,
        "load_duration": MILLISECOND,
        "prompt_eval_count": asked,
        "prompt_eval_duration": asked * MILLISECOND,
        "eval_count": made,
        "eval_duration": made * MILLISECOND,
    }
    return {name: value for name, value in said.items() if value}


def _likely(tokens: Iterable[TokenLogprob]) -> list[Wire]:
    return [
        {"token": it.token, "logprob": it.logprob, "bytes": list(it.bytes or ())}
        | ({"top_logprobs": _likely(it.top)} if it.top else {})
        for it in tokens
    ]


def _call(index: int, call: ToolCall) -> Wire:
    function = {"index": index, "name": call.name, "arguments": Raw(call.arguments.encode())}
    return {"id": call.id, "function": function}


def _told(calls: list[ToolCall]) -> list[ToolCall]:
    """Those that are whole."""
    return [call for call in calls if json.valid(call.arguments.encode())]


class Teller:
    """One answer on its way: events in, lines out, each with the tokens that it took. `chat` says which endpoint's."""

    def __init__(self, model: str, *, chat: bool) -> None:
        self._model = model
        self._chat = chat
        self._made = 0
        self._calls: list[ToolCall] = []
        self._reason = "stop"

    def tell(self, events: Iterable[Event]) -> Iterator[tuple[bytes, int]]:
        """The lines of a stream."""
        usage = None
        for event in events:
            match event:
                case ReasoningGrew(text=text):
                    yield self._line("thinking", text), words.count(text)
                case TextGrew(text=text, logprobs=tokens) if text:
                    yield self._line("text", text, tokens), words.count(text)
                case CallOpened(id=id, name=name):
                    self._calls.append(ToolCall(id, name, ""))
                case CallGrew(arguments=piece):
                    self._made += 1
                    last = self._calls[-1]
                    self._calls[-1] = ToolCall(last.id, last.name, last.arguments + piece)
                case ChoiceFinished(reason=reason):
                    self._reason = "length" if reason == "length" else "stop"
                    if self._calls:
                        taken = sum(words.count(call.arguments) for call in self._calls)
                        yield self._line("calls", ""), taken
                case Measured():
                    usage = event.usage
                case _:
                    pass
        yield self._last(usage), 0

    def _head(self) -> Wire:
        return {"model": self._model, "created_at": moment(self._made)}

    def _line(self, kind: str, text: str, tokens: tuple[TokenLogprob, ...] = ()) -> bytes:
        self._made += 1
        said: Wire = {"thinking": text} if kind == "thinking" else {}
        shown = text if kind == "text" else ""
        if kind == "calls":
            said["tool_calls"] = [_call(index, call) for index, call in enumerate(_told(self._calls))]
        line = self._head() | self._words(shown, said) | {"done": False}
        if tokens:
            line["logprobs"] = _likely(tokens)
        return ndjson.encode(json.encode(line))

    def _words(self, text: str, more: Wire) -> Wire:
        if self._chat:
            return {"message": {"role": "assistant", "content": text, **more}}
        return {"response": text, **more}

    def _last(self, usage: Usage | None) -> bytes:
        line = self._head() | self._words("", {}) | {"done": True, "done_reason": self._reason} | metrics(usage)
        if not self._chat:
            line["context"] = [1, 2, 3]
        return ndjson.encode(json.encode(line))


def say_whole(answer: Response, model: str, *, chat: bool) -> bytes:
    """A whole answer's body."""
    choice = answer.choices[0]
    more: Wire = {}
    if choice.reasoning:
        more["thinking"] = "".join(block.text for block in choice.reasoning)
    if choice.calls:
        more["tool_calls"] = [_call(index, call) for index, call in enumerate(_told(list(choice.calls)))]
    said: Wire = {"model": model, "created_at": moment(answer.usage.output or 0 if answer.usage else 0)}
    if chat:
        said["message"] = {"role": "assistant", "content": choice.text or "", **more}
    else:
        said |= {"response": choice.text or "", **more, "context": [1, 2, 3]}
    said |= {"done": True, "done_reason": "length" if choice.reason == "length" else "stop"}
    if choice.logprobs:
        said["logprobs"] = _likely(choice.logprobs)
    return json.encode(said | metrics(answer.usage))


def say_vectors(answer: EmbedResponse, model: str) -> bytes:
    """The answer of `/api/embed`."""
    counted = metrics(answer.usage)
    told = {name: counted[name] for name in ("total_duration", "load_duration", "prompt_eval_count") if name in counted}
    return json.encode({"model": model, "embeddings": answer.vectors, **told})
