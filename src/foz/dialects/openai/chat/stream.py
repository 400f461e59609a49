"""
Events as chunks, and frames as events.

Chunks have the role first, then pieces, then a finish chunk with an empty delta; all share one head, which is
written once. The usage chunk, where the caller asked for it, and `[DONE]` come last, whenever the count came in.
"""

from foz.canon.event import (
    CallGrew,
    CallOpened,
    ChoiceFinished,
    Event,
    Finished,
    Measured,
    ReasoningGrew,
    RefusalGrew,
    Started,
    TextGrew,
    TokenLogprob,
    VendorSaid,
)
from foz.canon.request import ChatRequest
from foz.dialects.openai import usage
from foz.dialects.openai.chat.messages import Wire
from foz.dialects.openai.frames import DIALECT, DONE, NULL
from foz.wire import json


def say_reason(reason: str, detail: str | None, *, legacy: bool) -> Wire:
    """`finish_reason`, and vLLM's `stop_reason` where it is known what stopped it."""
    if reason == "other":
        return {"finish_reason": detail or "stop"}
    if reason == "tool_calls" and legacy:
        reason = "function_call"
    said: Wire = {"finish_reason": reason}
    if detail is not None:
        said["stop_reason"] = detail
    return said


def say_tokens(tokens: tuple[TokenLogprob, ...]) -> list[Wire]:
    """Logprobs of tokens."""
    return [
        {"token": it.token, "logprob": it.logprob, "bytes": it.bytes, "top_logprobs": say_top(it.top)} for it in tokens
    ]


def say_top(tokens: tuple[TokenLogprob, ...]) -> list[Wire]:
    """The alternatives of a token."""
    return [{"token": it.token, "logprob": it.logprob, "bytes": it.bytes} for it in tokens]


def say_logprobs(text: tuple[TokenLogprob, ...], refusal: tuple[TokenLogprob, ...]) -> Wire | None:
    """`logprobs` of a choice; null where there are none."""
    if not text and not refusal:
        return None
    return {"content": say_tokens(text) if text else None, "refusal": say_tokens(refusal) if refusal else None}


class ChatEncoder:
    """Events to the bytes of a stream. Implements `ports.codec.EventEncoder`."""

    def __init__(self, request: ChatRequest, model: str) -> None:
        self._model = model
        self._shows_usage = request.wants_usage
        self._legacy = "functions" in request.vendor.get(DIALECT, {})
        self._head = b""
        self._tail = b'],"usage":null}\n\n' if request.wants_usage else b"]}\n\n"
        self._begun: set[int] = set()
        self._before = b""
        """What stands before the words of a chunk of the first choice, once it has begun."""
        self._after = b""
        self._measured: Measured | None = None

    def say(self, words: bytes, text: str) -> bytes | None:  # noqa: ARG002 - the words say it
        """The chunk that brings these words."""
        before = self._before
        return before + words + self._after if before else None

    def feed(self, event: Event) -> bytes:
        """The bytes that say this event; may be none."""
        match event:
            case TextGrew(text=text, choice=choice, logprobs=()):
                return self._role(choice, b'""') + self._chunk(choice, b'{"content":%s}' % json.encode(text))
            case Started():
                self._start(event)
            case Measured():
                self._measured = event
            case Finished():
                return self._usage()
            case ChoiceFinished(choice=choice):
                return self._role(choice, b'""') + self._finish(event)
            case TextGrew(choice=choice):
                return self._role(choice, b'""') + self._words(event)
            case _:
                return self._role(event.choice, NULL) + self._words(event)
        return b""

    def close(self) -> bytes:
        """The terminal frame."""
        return DONE

    def _start(self, event: Started) -> None:
        head: Wire = {"id": event.id, "object": "chat.completion.chunk", "created": event.created, "model": self._model}
        said = {**head, **event.vendor.get(DIALECT, {})}
        self._head = b"data: " + json.encode(said)[:-1] + b',"choices":['

    def _chunk(self, choice: int, delta: bytes, rest: bytes = b'"logprobs":null,"finish_reason":null') -> bytes:
        return b'%b{"index":%d,"delta":%b,%b}%b' % (self._head, choice, delta, rest, self._tail)

    def _role(self, choice: int, content: bytes) -> bytes:
        """The first chunk of a choice."""
        if choice in self._begun:
            return b""
        self._begun.add(choice)
        if not choice:
            self._before, _, self._after = self._chunk(0, b'{"content":"\0"}').partition(b"\0")
        return self._chunk(choice, b'{"role":"assistant","content":%b}' % content)

    def _words(self, event: Event) -> bytes:
        match event:
            case TextGrew(text=text, choice=choice, logprobs=tokens):
                return self._likely(choice, {"content": text}, tokens, ())
            case RefusalGrew(text=text, choice=choice, logprobs=tokens):
                return self._likely(choice, {"refusal": text}, (), tokens)
            case ReasoningGrew(text=text, choice=choice):
                return self._chunk(choice, b'{"reasoning_content":%b}' % json.encode(text)) if text else b""
            case CallOpened(index=index, id=id, name=name, choice=choice):
                called: Wire = {"name": name, "arguments": ""}
                return self._call(choice, called, {"index": index, "id": id, "type": "function", "function": called})
            case CallGrew(index=index, arguments=arguments, choice=choice):
                grown: Wire = {"arguments": arguments}
                return self._call(choice, grown, {"index": index, "function": grown})
            case VendorSaid(dialect=dialect, fields=fields, choice=choice) if dialect == DIALECT:
                return self._chunk(choice, json.encode(fields))
            case _:
                return b""

    def _call(self, choice: int, legacy: Wire, call: Wire) -> bytes:
        """Legacy answers have one call."""
        if not self._legacy:
            return self._chunk(choice, json.encode({"tool_calls": [call]}))
        return b"" if call["index"] else self._chunk(choice, json.encode({"function_call": legacy}))

    def _likely(
        self, choice: int, delta: Wire, text: tuple[TokenLogprob, ...], refusal: tuple[TokenLogprob, ...]
    ) -> bytes:
        logprobs = json.encode(say_logprobs(text, refusal))
        return self._chunk(choice, json.encode(delta), b'"logprobs":%b,"finish_reason":null' % logprobs)

    def _finish(self, event: ChoiceFinished) -> bytes:
        reason = json.encode(say_reason(event.reason, event.detail, legacy=self._legacy))[1:-1]
        return self._chunk(event.choice, b"{}", b'"logprobs":null,%b' % reason)

    def _usage(self) -> bytes:
        if self._measured is None or not self._shows_usage:
            return b""
        said = usage.say(self._measured.usage, self._measured.vendor.get(DIALECT, {}))
        return b'%b],"usage":%b}\n\n' % (self._head, json.encode(said))
