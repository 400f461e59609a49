"""
The envelope: `{"success": true, "data": {...}}` around answers and pieces of them, `{"success": false, "error",
"field"}` around faults.

An upstream's 401 and 404 are told as such, with the document's hint; every other fault of an upstream is a 500, also
that of a model which is still asleep when the call's time is up. What is the caller's or our own doing keeps its
status.
"""

from http import HTTPStatus

from foz.canon.estimate import filled, in_characters
from foz.canon.event import (
    CallGrew,
    CallOpened,
    Event,
    Finished,
    Measured,
    ReasoningGrew,
    RefusalGrew,
    TextGrew,
)
from foz.canon.fault import Fault, NotFound, Timeout, UpstreamFault
from foz.canon.request import Request
from foz.canon.response import Response
from foz.canon.usage import Usage
from foz.dialects.openai.faults import encode_fault as encode_openai
from foz.dialects.openai.frames import DONE
from foz.wire import json, sse
from foz.wire.http import Reply

Wire = dict[str, object]
_ASLEEP = HTTPStatus.SERVICE_UNAVAILABLE
_PLACE = rb"\u001f"
"""How JSON writes what no answer begins with: where the words of a piece stand."""
_UNSERVED = "model_not_supported"
"""The router's code for a model that no provider serves, under 400."""
HINTS = {
    HTTPStatus.UNAUTHORIZED: "Verifique sua chave da API (HUGGINGFACE_API_KEY).",
    HTTPStatus.NOT_FOUND: "Verifique se o modelo existe na API Inference do HuggingFace.",
    _ASLEEP: 'Alguns modelos podem estar "dormindo" e precisam ser carregados na primeira requisição.',
}
"""The document's own words on what to do."""


def status_of(fault: Fault) -> int:
    """The status that callers of this API are told."""
    if not isinstance(fault, UpstreamFault):
        return fault.status
    if fault.answered == HTTPStatus.UNAUTHORIZED:
        return HTTPStatus.UNAUTHORIZED
    if fault.answered == HTTPStatus.NOT_FOUND or fault.vendor_code == _UNSERVED:
        return HTTPStatus.NOT_FOUND
    return HTTPStatus.INTERNAL_SERVER_ERROR


def _hint(fault: Fault, status: int) -> str | None:
    if isinstance(fault, UpstreamFault):
        asleep = isinstance(fault, Timeout) and fault.status == _ASLEEP
        return HINTS.get(_ASLEEP if asleep else HTTPStatus(status))
    return HINTS[HTTPStatus.NOT_FOUND] if isinstance(fault, NotFound) and fault.field == "model" else None


def _told(fault: Fault, status: int) -> Wire:
    message = fault.message
    if isinstance(fault, UpstreamFault) and fault.target and fault.target not in message:
        message = f"{message} (target {fault.target})"
    hint = _hint(fault, status)
    told: Wire = {"success": False, "error": f"{message.rstrip('.')}. {hint}" if hint else message}
    if fault.field is not None:
        told["field"] = fault.field
    return told


def encode_fault(fault: Fault, request_id: str) -> Reply:
    """A fault before anything was sent, with the headers that tell programs whether and when to ask again."""
    reply = encode_openai(fault, request_id)
    status = int(status_of(fault))
    headers = reply.headers
    if status == HTTPStatus.UNAUTHORIZED and reply.header(b"www-authenticate") is None:
        headers += ((b"www-authenticate", b"Bearer"),)
    return Reply(status, headers, json.encode(_told(fault, status)))


def encode_fault_event(fault: Fault) -> bytes:
    """A fault in the middle of a stream."""
    return sse.encode(json.encode(_told(fault, status_of(fault))))


def _usage(usage: Usage | None, request: Request, content: int) -> Wire:
    """All three counts in any case; where the target did not say, by the ledger's rule of thumb, marked so."""
    counted = filled(usage, request, in_characters(content))
    before, after = counted.input or 0, counted.output or 0
    said: Wire = {"prompt_tokens": before, "completion_tokens": after, "total_tokens": before + after}
    return {**said, "estimated": True} if counted.estimated else said


def wrap(data: Wire) -> bytes:
    """What went well, in its envelope."""
    return json.encode({"success": True, "data": data})


def _characters(answer: Response) -> int:
    """Of all that was said and thought, as the ledger counts them."""
    total = 0
    for choice in answer.choices:
        total += len(choice.text or "") + len(choice.refusal or "")
        total += sum(len(block.text) for block in choice.reasoning)
        total += sum(len(call.name) + len(call.arguments) for call in choice.calls)
    return total


def encode_response(answer: Response, request: Request, model: str) -> bytes:
    """A whole answer: what the model said, or its words for no."""
    choice = answer.choices[0] if answer.choices else None
    said = "" if choice is None else (choice.text or "") + (choice.refusal or "")
    counts = _usage(answer.usage, request, _characters(answer))
    return wrap({"response": said, "model": model, "usage": counts})


class Pieces:
    """A stream of pieces, the last event with the counts. Implements `ports.codec.WordsEncoder`."""

    def __init__(self, request: Request, model: str) -> None:
        self._before, _, self._after = sse.encode(wrap({"response": "\x1f", "model": model})).partition(_PLACE)
        self._request = request
        self._model = model
        self._content = 0
        self._usage: Usage | None = None

    def feed(self, event: Event) -> bytes:
        """The bytes that say this event; may be none."""
        match event:
            case TextGrew(text=text, choice=choice) | RefusalGrew(text=text, choice=choice):
                self._content += len(text)
                return self._piece(text) if text and not choice else b""
            case ReasoningGrew(text=text) | CallGrew(arguments=text) | CallOpened(name=text):
                self._content += len(text)
            case Measured(usage=usage):
                self._usage = usage
            case Finished():
                counts = _usage(self._usage, self._request, self._content)
                return sse.encode(wrap({"response": "", "model": self._model, "usage": counts}))
            case _:
                pass
        return b""

    def say(self, words: bytes, text: str) -> bytes | None:
        """The piece that these words are."""
        self._content += len(text)
        return self._before + words + self._after

    def close(self) -> bytes:
        """`[DONE]`."""
        return DONE

    def _piece(self, text: str) -> bytes:
        return sse.encode(wrap({"response": text, "model": self._model}))
