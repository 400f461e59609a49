"""
Events as chunks of completions. All chunks share one head, which is written once; they have the shape of whole
answers. The usage chunk, where the caller asked for it, and `[DONE]` come last, whenever the count came in.
"""

from foz.canon.event import (
    ChoiceFinished,
    Event,
    Finished,
    Measured,
    RefusalGrew,
    Started,
    TextGrew,
    TokenLogprob,
    VendorSaid,
)
from foz.canon.request import CompleteRequest
from foz.dialects.openai import usage
from foz.dialects.openai.completions.answer import counted
from foz.dialects.openai.frames import DIALECT, DONE
from foz.wire import json

Wire = dict[str, object]
_NOTHING = b'"logprobs":null,"finish_reason":null'


def say_reason(event: ChoiceFinished) -> Wire:
    """`finish_reason`, and vLLM's `stop_reason` where it is known what stopped it. There are no calls here."""
    if event.reason == "other":
        return {"finish_reason": event.detail or "stop"}
    said: Wire = {"finish_reason": "stop" if event.reason == "tool_calls" else event.reason}
    if event.detail is not None:
        said["stop_reason"] = event.detail
    return said


def say_id(id: str) -> str:
    """An answer's id; a chat that stands for a completion bears the latter's prefix."""
    return id.removeprefix("chat") if id.startswith("chatcmpl-") else id


def say_logprobs(tokens: tuple[TokenLogprob, ...], behind: int = 0) -> Wire | None:
    """
    `logprobs` of a choice; null where there are none. `behind` is how many characters were said before,
    for targets that do not count.
    """
    if not tokens:
        return None
    tokens = counted(tokens, behind)
    return {
        "tokens": [token.token for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [_say_top(token) for token in tokens],
        "text_offset": [token.offset for token in tokens],
    }


def _say_top(token: TokenLogprob) -> Wire | None:
    if token.logprob is None and not token.top:
        return None
    return {other.token: other.logprob for other in token.top}


class CompletionEncoder:
    """Events to the bytes of a stream. Implements `ports.codec.EventEncoder`."""

    def __init__(self, request: CompleteRequest, model: str) -> None:
        self._model = model
        self._shows_usage = request.wants_usage
        self._head = b""
        self._tail = b'],"usage":null}\n\n' if request.wants_usage else b"]}\n\n"
        self._said: dict[int, int] = {}
        self._measured: Measured | None = None

    def feed(self, event: Event) -> bytes:
        """The bytes that say this event; may be none."""
        match event:
            case (
                TextGrew(text=text, choice=choice, logprobs=tokens)
                | RefusalGrew(text=text, choice=choice, logprobs=tokens)
            ):
                return self._words(text, choice, tokens)
            case ChoiceFinished(choice=choice):
                return self._chunk(choice, b'""', b'"logprobs":null,' + json.encode(say_reason(event))[1:-1])
            case Started():
                self._start(event)
            case Measured():
                self._measured = event
            case Finished():
                return self._usage()
            case VendorSaid(dialect=dialect, fields=fields, choice=choice) if dialect == DIALECT and fields:
                return self._chunk(choice, b'""', _NOTHING + b"," + json.encode(fields)[1:-1])
            case _:
                pass
        return b""

    def close(self) -> bytes:
        """The terminal frame."""
        return DONE

    def _start(self, event: Started) -> None:
        head: Wire = {
            "id": say_id(event.id),
            "object": "text_completion",
            "created": event.created,
            "model": self._model,
        }
        said = {**head, **event.vendor.get(DIALECT, {})}
        self._head = b"data: " + json.encode(said)[:-1] + b',"choices":['

    def _chunk(self, choice: int, text: bytes, rest: bytes = _NOTHING) -> bytes:
        return b'%b{"text":%b,"index":%d,%b}%b' % (self._head, text, choice, rest, self._tail)

    def _words(self, text: str, choice: int, tokens: tuple[TokenLogprob, ...]) -> bytes:
        written = json.encode(text)
        behind = self._said.get(choice, 0)
        self._said[choice] = behind + len(text)
        if not tokens:
            return self._chunk(choice, written)
        logprobs = json.encode(say_logprobs(tokens, behind))
        return self._chunk(choice, written, b'"logprobs":%b,"finish_reason":null' % logprobs)

    def _usage(self) -> bytes:
        if self._measured is None or not self._shows_usage:
            return b""
        said = usage.say(self._measured.usage, self._measured.vendor.get(DIALECT, {}))
        return b'%b],"usage":%b}\n\n' % (self._head, json.encode(said))
