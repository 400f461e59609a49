"""
Answers as Oracle's three formats say them, whole and streamed, with the habits that real models have: filler in `pad`,
usage after the finish event (GENERIC) or on it, COHERE's restated text, calls that all stand at position 0.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from foz.canon.content import ToolCall
from foz.canon.event import (
    CallGrew,
    CallOpened,
    ChoiceFinished,
    Event,
    Finished,
    Measured,
    ReasoningGrew,
    TextGrew,
)
from foz.canon.response import Choice, Response
from foz.canon.usage import Usage
from foz.wire import json, sse

Bag = dict[str, Any]
TIME = "2026-01-01T00:00:00.123Z"
_FINISH = {"stop": "COMPLETE", "length": "MAX_TOKENS", "tool_calls": "TOOL_CALL"}


def _usage(usage: Usage | None) -> Bag | None:
    if usage is None:
        return None
    asked, given = usage.input or 0, usage.output or 0
    return {
        "promptTokens": asked,
        "completionTokens": given,
        "totalTokens": asked + given,
        "promptTokensDetails": {"cachedTokens": usage.cached or 0},
        "completionTokensDetails": {"reasoningTokens": usage.reasoning or 0},
    }


def _parameters(call: ToolCall) -> Bag:
    """A call as COHERE has it; arguments that were cut short are no object."""
    known = json.valid(call.arguments.encode())
    return {"name": call.name, "parameters": msgspec.json.decode(call.arguments) if known else {}}


def whole(response: Response, format: str, model: str) -> bytes:
    """A whole answer."""
    said = {"GENERIC": _generic, "COHERE": _cohere, "COHEREV2": _cohere2}[format](response)
    return json.encode({"modelId": model, "modelVersion": "1.0.0", "chatResponse": {"apiFormat": format, **said}})


def _generic(response: Response) -> Bag:
    choices = []
    for index, choice in enumerate(response.choices):
        message: Bag = {"role": "ASSISTANT"}
        if choice.text:
            message["content"] = [{"type": "TEXT", "text": choice.text}]
        if choice.calls:
            message["toolCalls"] = [
                {"id": call.id, "type": "FUNCTION", "name": call.name, "arguments": call.arguments}
                for call in choice.calls
            ]
        if choice.reasoning:
            message["reasoningContent"] = "".join(block.text for block in choice.reasoning)
        choices.append({"index": index, "message": message, "finishReason": choice.reason, **_logprobs(choice)})
    return {"timeCreated": TIME, "choices": choices, "usage": _usage(response.usage)}


def _logprobs(choice: Choice) -> Bag:
    if not choice.logprobs:
        return {}
    return {
        "logprobs": {
            "tokens": [one.token for one in choice.logprobs],
            "tokenLogprobs": [one.logprob for one in choice.logprobs],
            "topLogprobs": [{other.token: other.logprob for other in one.top} for one in choice.logprobs],
            "textOffset": [one.offset for one in choice.logprobs],
        }
    }


def _cohere(response: Response) -> Bag:
    choice = response.choices[0]
    said: Bag = {
        "text": choice.text or "",
        "finishReason": "COMPLETE" if choice.reason == "tool_calls" else _FINISH.get(choice.reason or "", "COMPLETE"),
        "chatHistory": [{"role": "CHATBOT", "message": choice.text or ""}],
        "usage": _usage(response.usage),
    }
    if choice.calls:
        said["toolCalls"] = [_parameters(call) for call in choice.calls]
    return said


def _cohere2(response: Response) -> Bag:
    choice = response.choices[0]
    content: list[Bag] = []
    if choice.reasoning:
        content.append({"type": "THINKING", "thinking": "".join(block.text for block in choice.reasoning)})
    if choice.text:
        content.append({"type": "TEXT", "text": choice.text})
    message: Bag = {"role": "ASSISTANT", "content": content}
    if choice.calls:
        message["toolCalls"] = [_function(call) for call in choice.calls]
    finish = _FINISH.get(choice.reason or "", "COMPLETE")
    return {"id": response.id, "message": message, "finishReason": finish, "usage": _usage(response.usage)}


def _function(call: ToolCall) -> Bag:
    return {"id": call.id, "type": "FUNCTION", "function": {"name": call.name, "arguments": call.arguments}}


class Teller:
    """Events to the frames of one stream."""

    def __init__(self, format: str, model: str, *, wants_usage: bool) -> None:
        self._format = format
        self._ends = model.startswith("meta.")
        self._wants_usage = wants_usage
        self._text: list[str] = []
        self._calls: dict[int, tuple[str, str, list[str]]] = {}
        self._finish: ChoiceFinished | None = None

    def feed(self, event: Event) -> Iterator[bytes]:
        """The frames of one event."""
        said = {"GENERIC": self._generic, "COHERE": self._cohere, "COHEREV2": self._cohere2}[self._format](event)
        return (sse.encode(json.encode(one)) for one in said)

    def close(self) -> Iterator[bytes]:
        """Some models say that they are done."""
        return iter((b"data: [DONE]\n\n",) if self._ends and self._format == "GENERIC" else ())

    def _generic(self, event: Event) -> Iterator[Bag]:
        match event:
            case TextGrew(text=text, choice=choice):
                piece = {"type": "TEXT", "text": text}
                yield _choice(choice, {"content": [piece]}, pad="a" * (1 + len(text) % 7))
            case ReasoningGrew(text=text, choice=choice):
                yield _choice(choice, {"content": [{"type": "TEXT", "text": ""}], "reasoningContent": text})
            case CallOpened(id=id, name=name, choice=choice):
                yield _choice(choice, {"toolCalls": [{"type": "FUNCTION", "id": id, "name": name, "arguments": ""}]})
            case CallGrew(arguments=arguments, choice=choice):
                yield _choice(choice, {"toolCalls": [{"type": "FUNCTION", "arguments": arguments}]})
            case ChoiceFinished(reason=reason, choice=choice):
                place = {"index": choice} if choice else {}
                yield {**place, "message": {"role": "ASSISTANT"}, "finishReason": reason, "pad": "aa"}
            case Measured(usage=usage) if self._wants_usage:
                yield {"usage": _usage(usage)}
            case _:
                return

    def _cohere(self, event: Event) -> Iterator[Bag]:
        match event:
            case TextGrew(text=text):
                self._text.append(text)
                yield {"apiFormat": "COHERE", "text": text, "pad": "aaaa"}
            case CallOpened() | CallGrew() | ChoiceFinished():
                self._keep(event)
            case Measured(usage=usage):
                yield from self._cohere_end(usage)
            case Finished() if self._finish is not None:
                yield from self._cohere_end(None)
            case _:
                return

    def _cohere_end(self, usage: Usage | None) -> Iterator[Bag]:
        finish, self._finish = self._finish, None
        text = "".join(self._text)
        calls = [_parameters(ToolCall(id, name, "".join(parts))) for id, name, parts in self._calls.values()]
        history: list[Bag] = [{"role": "CHATBOT", "message": text, **({"toolCalls": calls} if calls else {})}]
        if calls:
            yield {"apiFormat": "COHERE", "text": text, "toolCalls": calls}
        reason = finish.reason if finish is not None and finish.reason != "tool_calls" else "stop"
        end: Bag = {"apiFormat": "COHERE", "text": text, "chatHistory": history, "finishReason": _FINISH[reason]}
        yield {**end, **({"usage": _usage(usage)} if usage and self._wants_usage else {})}

    def _cohere2(self, event: Event) -> Iterator[Bag]:
        match event:
            case TextGrew(text=text):
                yield _second({"content": [{"type": "TEXT", "text": text}]})
            case ReasoningGrew(text=text):
                yield _second({"content": [{"type": "THINKING", "thinking": text}]})
            case CallOpened(id=id, name=name):
                yield _second({"toolCalls": [_function(ToolCall(id, name, ""))]})
            case CallGrew(arguments=arguments):
                yield _second({"toolCalls": [{"type": "FUNCTION", "function": {"arguments": arguments}}]})
            case ChoiceFinished():
                self._keep(event)
            case Measured(usage=usage):
                yield from self._cohere2_end(usage)
            case Finished() if self._finish is not None:
                yield from self._cohere2_end(None)
            case _:
                return

    def _cohere2_end(self, usage: Usage | None) -> Iterator[Bag]:
        finish, self._finish = self._finish, None
        reason = _FINISH[finish.reason if finish is not None and finish.reason in _FINISH else "stop"]
        yield {**_second({}), "finishReason": reason, **({"usage": _usage(usage)} if usage else {})}

    def _keep(self, event: CallOpened | CallGrew | ChoiceFinished) -> None:
        if isinstance(event, CallOpened):
            self._calls[event.index] = (event.id, event.name, [])
        elif isinstance(event, CallGrew):
            self._calls[event.index][2].append(event.arguments)
        else:
            self._finish = event


def _choice(index: int, message: Bag, **more: str) -> Bag:
    return {"index": index, "message": {"role": "ASSISTANT", **message}, **more}


def _second(message: Bag) -> Bag:
    return {"apiFormat": "COHEREV2", "message": {"role": "ASSISTANT", **message}}
