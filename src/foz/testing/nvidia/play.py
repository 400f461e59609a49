"""
One call to a fake NVIDIA as a play: chat, texts, embeddings, models, and the answers of calls that were put off.
Implements `simulated.play.Face`.

Every call needs a bearer that begins with `nvapi-`; `nvapi-wrong` is none. Refusals come in the forms of the hosts: of
the gateway (401, 402, 404, 429), of the embedding servers (`error` is a text) and of containers (problem details).
"""

from collections import OrderedDict
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import msgspec

from foz.canon.content import Text
from foz.canon.event import ChoiceFinished, Event, ReasoningGrew, TextGrew
from foz.canon.fault import BadRequest, Fault, NotFound
from foz.canon.request import ChatRequest, EmbedRequest, Operation, ReasoningWish
from foz.canon.usage import Usage
from foz.dialects.openai.speech import SPEECH
from foz.ports.codec import ServerCodec
from foz.testing.nvidia.models import CHATS, EMBEDS, Chats
from foz.testing.simulated.answer import CREATED
from foz.testing.simulated.counted import JSON, chat, complete
from foz.testing.simulated.embed import embed
from foz.testing.simulated.mischief import NONE, Mischief
from foz.testing.simulated.play import Play, events_of, failure
from foz.wire import json
from foz.wire.http import Call, Headers

STATUSES = "/v2/nvcf/pexec/status/"
MOST_PENDING = 1_000
_OPENS, _CLOSES = "<think>\n", "\n</think>\n\n"
_BROKEN = (
    b'data: {"error":{"object":"error","message":"simulated","type":"InternalServerError"}}\n\n',
    b'data: {"id":"garbled","choices":[{"delta"\n\n',
)
_GATEWAYS = frozenset({401, 402, 403, 404, 429})
_WORDS = {"detailed": ("detailed thinking on", "detailed thinking off"), "slash": ("/think", "/no_think")}


class NvidiaFace:
    """How NVIDIA answers. What is put off is kept until it is asked for."""

    def __init__(self) -> None:
        self._pending: OrderedDict[str, tuple[int, ChatRequest, Chats]] = OrderedDict()
        self._number = 0

    def perform(self, call: Call, mischief: Mischief) -> Play:
        """The play of a call."""
        key = call.header(b"authorization") or b""
        if not key.startswith(b"Bearer nvapi-") or key == b"Bearer nvapi-wrong":
            return _gateway(401, "Authentication failed")
        try:
            if mischief.status is not None:
                raise failure(mischief.status, mischief)
            return self._answered(call, mischief)
        except Fault as fault:
            return self.refuse(fault)

    def refuse(self, fault: Fault) -> Play:
        """A fault as its hosts tell it."""
        wait: Headers = () if fault.retry_after is None else ((b"retry-after", b"%g" % fault.retry_after),)
        if fault.status in _GATEWAYS:
            return _gateway(fault.status, fault.message, wait)
        return _container(fault.status, fault.message, wait)

    def _answered(self, call: Call, mischief: Mischief) -> Play:
        path = call.path.rstrip("/")
        if call.method == "GET" and path.startswith(STATUSES):
            return self._status(path.removeprefix(STATUSES))
        if call.method == "GET" and path == "/v1/models":
            rows = [
                {"id": name, "object": "model", "created": CREATED, "owned_by": name.partition("/")[0], "root": name}
                for name in (*CHATS, *EMBEDS)
            ]
            return Play(200, JSON, (json.encode({"object": "list", "data": rows}),))
        operation = {
            "/v1/chat/completions": Operation.CHAT,
            "/v1/completions": Operation.COMPLETE,
            "/v1/embeddings": Operation.EMBED,
        }.get(path)
        if operation is None:
            raise NotFound(f"{path} was not found")
        if call.method != "POST":
            raise BadRequest(f"{path} is not asked with {call.method}", status=405)
        codec = SPEECH[operation].server
        assert codec is not None  # noqa: S101 - OpenAI's dialect has it
        request = codec.decode_request(call.body)
        if isinstance(request, EmbedRequest):
            return _embed(codec, request, mischief)
        known = CHATS.get(request.model)
        if known is None:
            raise NotFound(f"Function 'simulated': Not found for account '{request.model}'")
        if not isinstance(request, ChatRequest):
            return chat(codec, request, list(events_of(request, _counting(mischief))), mischief, _BROKEN)
        if known.put_off:
            return self._put_off(request, known)
        return _chat(codec, request, known, mischief)

    def _put_off(self, request: ChatRequest, known: Chats) -> Play:
        self._number += 1
        id = f"simulated-{self._number}"
        self._pending[id] = (known.put_off, request, known)
        if len(self._pending) > MOST_PENDING:
            self._pending.popitem(last=False)
        return _later(id)

    def _status(self, id: str) -> Play:
        """What has become of a call: not there yet so often, then its answer, once."""
        if id not in self._pending:
            return _gateway(404, f"Not found: {id}")
        left, request, known = self._pending.pop(id)
        if left > 1:
            self._pending[id] = (left - 1, request, known)
            return _later(id)
        codec = SPEECH[Operation.CHAT].server
        assert codec is not None  # noqa: S101 - OpenAI's dialect has it
        return _chat(codec, request, known, NONE)


def _counting(mischief: Mischief) -> Mischief:
    """The model counts in any case; what is shown of it is another matter."""
    return msgspec.structs.replace(mischief, no_usage=False)


def _later(id: str) -> Play:
    """Empty, with where to ask again."""
    return Play(202, ((b"nvcf-reqid", id.encode()), (b"nvcf-status", b"pending-evaluation")), (b"",))


# Thinking.


def _thinks(request: ChatRequest, known: Chats) -> bool:
    """Whether this model thinks about this request."""
    first = request.messages[0] if request.messages else None
    words = "".join(part.text for part in first.parts if isinstance(part, Text)) if first is not None else ""
    if known.switch in _WORDS and first is not None and first.role in {"system", "developer"}:
        on, off = _WORDS[known.switch]
        if words.startswith(off):
            return False
        return words.startswith(on) or known.thinks
    if known.switch == "template":
        fields = request.vendor.get("openai", {}).get("chat_template_kwargs")
        said: dict[str, Any] = {} if fields is None else msgspec.json.decode(fields)
        return bool(said.get("enable_thinking", known.thinks))
    return known.thinks


def _in_form(events: Iterator[Event], known: Chats) -> Iterator[Event]:
    """Thoughts as this model's host tells them."""
    thinking = False
    for event in events:
        if known.form in {"tags", "closing"} and isinstance(event, ReasoningGrew):
            opens = _OPENS if known.form == "tags" and not thinking else ""
            thinking = True
            yield TextGrew(opens + event.text, event.choice)
        elif thinking and not isinstance(event, ReasoningGrew):
            thinking = False
            if not isinstance(event, ChoiceFinished):  # a limit cuts thoughts short, without their end
                yield TextGrew(_CLOSES, getattr(event, "choice", 0))
            yield event
        else:
            yield event


def _chat(codec: ServerCodec, request: ChatRequest, known: Chats, mischief: Mischief) -> Play:
    wish = ReasoningWish(effort="low") if _thinks(request, known) else None
    events = events_of(msgspec.structs.replace(request, reasoning=wish), _counting(mischief))
    play = chat(codec, request, list(_in_form(events, known)), mischief, _BROKEN)
    if known.form != "reasoning":
        return play
    named = (
        step.replace(b'"reasoning_content":', b'"reasoning":') if isinstance(step, bytes) else step
        for step in play.steps
    )
    return msgspec.structs.replace(play, steps=named)


def _embed(codec: ServerCodec, request: EmbedRequest, mischief: Mischief) -> Play:
    name = request.model
    side = request.vendor.get("openai", {}).get("input_type")
    for suffix in ("-query", "-passage"):
        if name.endswith(suffix):
            name, side = name.removesuffix(suffix), msgspec.Raw(b'"%b"' % suffix[1:].encode())
    known = EMBEDS.get(name)
    if known is None:
        raise NotFound(f"Function 'simulated': Not found for account '{request.model}'")
    if known.asymmetric and side is None:
        return _text(400, "'input_type' parameter is required for asymmetric models")
    if known.asymmetric and bytes(side or b"") not in {b'"query"', b'"passage"'}:
        return _text(400, "'input_type' must be one of query, passage")
    if known.asymmetric and request.dimensions is not None:
        return _text(
            400,
            "Your request cannot be validated, it is incorrect. detail={'type': 'extra_forbidden', "
            "'loc': ('body', 'dimensions'), 'msg': 'Extra inputs are not permitted'}",
        )
    sided = (
        tuple(f"{bytes(side or b'').decode()} {text}" for text in request.inputs)
        if known.asymmetric
        else request.inputs
    )
    response = embed(msgspec.structs.replace(request, inputs=sided))
    counted = embed(request).usage or Usage(input=0, output=0)
    response = msgspec.structs.replace(response, usage=None if mischief.no_usage else counted)
    return complete(codec.encode_response(response, request, request.model), counted, mischief)


# What it refuses with.


def _gateway(status: int, detail: str, headers: Headers = ()) -> Play:
    said = {"status": status, "title": HTTPStatus(status).phrase, "detail": detail}
    return Play(status, (*JSON, *headers), (json.encode(said),))


def _container(status: int, detail: str, headers: Headers = ()) -> Play:
    kind = "bad-request" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "internal-server-error"
    said = {
        "type": f"urn:inference-service:problem-details:{kind}",
        "title": kind.replace("-", " ").title(),
        "status": status,
        "detail": detail,
        "instance": "/v2/nvcf/pexec/functions/simulated",
        "requestId": "simulated",
    }
    return Play(status, ((b"content-type", b"application/problem+json"), *headers), (json.encode(said),))


def _text(status: int, words: str) -> Play:
    return Play(status, JSON, (json.encode({"error": words}),))
