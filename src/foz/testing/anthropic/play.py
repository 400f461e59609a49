"""
One call to a fake Anthropic as a play. Implements `simulated.play.Face`.

It has three models: `simulated` takes everything, `claude-sonnet-4-5` thinks by a budget of tokens and by nothing else,
`claude-opus-4-8` by an effort. Unlike the real one it runs no tools of its own and keeps no cache.
"""

from urllib.parse import unquote

import msgspec

from foz.canon.fault import BadRequest, Fault, NotFound, Unauthenticated
from foz.canon.response import fold
from foz.dialects.anthropic.counting import count
from foz.dialects.anthropic.faults import encode_fault
from foz.dialects.anthropic.server import MessagesServer
from foz.testing.anthropic import say
from foz.testing.anthropic.check import check
from foz.testing.simulated.counted import complete, streamed, usage_of
from foz.testing.simulated.mischief import Mischief
from foz.testing.simulated.play import Play, events_of, failure, whole
from foz.wire import json, sse
from foz.wire.http import Call, Headers

MODELS = ("simulated", "claude-sonnet-4-5", "claude-opus-4-8")
MESSAGES = "/v1/messages"
COUNT = "/v1/messages/count_tokens"
LIST = "/v1/models"
OVERLOADED = 529
_SERVER = MessagesServer()
_GARBAGE = sse.encode(b'{"type":"content_block_delta","index":', b"content_block_delta")
_KINDS = {402: "billing_error", 504: "timeout_error", OVERLOADED: "overloaded_error"}
"""Types of statuses that our faults have no leaf for."""


class AnthropicFace:
    """How Anthropic answers."""

    def perform(self, call: Call, mischief: Mischief) -> Play:
        """The play of a call. Raises what a caller did wrong as a fault."""
        if mischief.status is not None:
            raise failure(mischief.status, mischief)
        if not call.header(b"x-api-key") and not call.header(b"authorization"):
            raise Unauthenticated("x-api-key header is required")
        if not call.header(b"anthropic-version"):
            raise BadRequest("anthropic-version: header is required")
        path, _, query = call.path.partition("?")
        if path == LIST or path.startswith(LIST + "/"):
            _demand("GET", call)
            return _models(unquote(path.removeprefix(LIST).lstrip("/")), call.query or query, mischief)
        if path not in {MESSAGES, COUNT}:
            raise NotFound(f"Not found: {path}")
        _demand("POST", call)
        return _count(call.body, mischief) if path == COUNT else _message(call.body, mischief)

    def refuse(self, fault: Fault) -> Play:
        """A fault as Anthropic tells it."""
        reply = encode_fault(fault, "req_simulated")
        ours = {b"x-should-retry", b"www-authenticate"}
        headers = tuple(header for header in reply.headers if header[0] not in ours)
        body = reply.body
        if fault.status in _KINDS:
            told = msgspec.json.decode(body)
            told["error"]["type"] = _KINDS[fault.status]
            body = json.encode(told)
        return Play(reply.status, headers, (body,))


def _demand(method: str, call: Call) -> None:
    if call.method != method:
        raise BadRequest("Method Not Allowed", status=405)


def _known(model: str) -> None:
    if model not in MODELS:
        raise NotFound(f"model: {model}")


def _models(id: str, query: str, mischief: Mischief) -> Play:
    rows = [
        {"type": "model", "id": name, "display_name": name.title(), "created_at": "2026-01-01T00:00:00Z"}
        for name in MODELS
    ]
    if id:
        _known(id)
        return whole(json.encode(rows[MODELS.index(id)]), mischief)
    limit = int(query.partition("limit=")[2].partition("&")[0] or 20)
    shown = rows[:limit]
    page = {"data": shown, "has_more": limit < len(rows), "first_id": MODELS[0], "last_id": shown[-1]["id"]}
    return whole(json.encode(page), mischief)


def _count(body: bytes, mischief: Mischief) -> Play:
    model, told = count(body)
    _known(model)
    return whole(told, mischief)


def _message(body: bytes, mischief: Mischief) -> Play:
    request = _SERVER.decode_request(body)
    check(msgspec.json.decode(body))
    _known(request.model)
    events = list(events_of(request, msgspec.structs.replace(mischief, no_usage=False)))
    usage = usage_of(events)
    shown = None if mischief.no_usage else usage
    cached = b'"cache_control"' in body
    headers: Headers = ((b"request-id", b"req_simulated"),)
    if not request.stream:
        play = complete(say.say_whole(fold(events), request, shown, cached=cached), usage, mischief)
    else:
        told = list(say.Teller(request, shown, cached=cached).tell(events))
        broken = encode_error(failure(500, mischief))
        play = streamed(told, usage, mischief, (broken, _GARBAGE))
    return msgspec.structs.replace(play, headers=(*play.headers, *headers))


def encode_error(fault: Fault) -> bytes:
    """An error in a stream."""
    error = {"type": "overloaded_error" if fault.status == OVERLOADED else "api_error", "message": fault.message}
    return sse.encode(json.encode({"type": "error", "error": error}), b"error")
