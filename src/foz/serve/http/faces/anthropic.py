"""What Anthropic's face has beside inference: how many tokens a request has, and messages that were not waited for."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from foz.dialects.anthropic.counting import count
from foz.dialects.anthropic.deferred import say_cancelled, say_waiting
from foz.dialects.anthropic.frames import PATH
from foz.ports.skin import JSON, WHOLE
from foz.serve.http.desk import Desk, request_id, response, told, who
from foz.serve.http.faces import deferred
from foz.serve.http.faces.files import heard
from foz.serve.http.guard import check_body
from foz.wire.http import Reply

NAME = "anthropic"
ANSWER = {
    "id": "msg_0123456789abcdef",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-5-5",
    "content": [{"type": "text", "text": "Into the sea."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 9, "output_tokens": 4},
}
_COUNTED = {
    "requestBody": {
        "required": True,
        "content": {
            JSON.decode(): {
                "schema": {"$ref": "#/components/schemas/anthropic.Asked"},
                "example": {"model": "gpt-4o", "messages": [{"role": "user", "content": "Where do rivers end?"}]},
            }
        },
    }
}
_JOB = {
    "type": "message_job",
    "id": "0198a2b4-7c1e-7d3a-9f10-2b5c6d7e8f90",
    "status": "cancelled",
    "created_at": "2026-11-21T09:00:00Z",
    "model": "claude-sonnet-5-5",
}


def _answered(request: Request, reply: Reply) -> Response:
    """With the request's id as Anthropic's callers look for it."""
    id = request_id(request).encode("ascii", "replace")
    return response(Reply(reply.status, (*reply.headers, (b"request-id", id)), reply.body))


_MESSAGES = deferred.Deferred(NAME, PATH, "message", ANSWER, _JOB, say_waiting, say_cancelled, _answered)


def router(desk: Desk) -> APIRouter:
    """Everything beside inference."""
    made = APIRouter(tags=[NAME])

    counted = told({"input_tokens": 14})
    counted["openapi_extra"] = {**counted["openapi_extra"], **_COUNTED}

    @made.post(f"{PATH}/count_tokens", summary="How many tokens a request has", **counted)
    async def count_tokens(request: Request) -> Response:
        """An estimate, and nothing is asked of a model: four characters are a token, a picture or document is 256."""
        check_body(heard(request), (JSON,))
        asked, body = count(await request.body())
        desk.gateway.find(who(request), asked)
        return _answered(request, Reply(200, WHOLE, body))

    if desk.jobs is not None:
        deferred.add(made, desk.jobs, _MESSAGES)
    return made
