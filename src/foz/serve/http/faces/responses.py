"""What OpenAI's Responses API has beside `POST /v1/responses`: looking at one again, ending it, forgetting it."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from foz.dialects.openai.responses import keeping
from foz.ports.responses import Whose
from foz.ports.skin import WHOLE
from foz.serve.http.desk import response, told, who
from foz.serve.http.faces.files import project_of
from foz.serve.http.responding import Responding
from foz.skins.openai import RESPONSES
from foz.wire import json
from foz.wire.http import Reply

EVENTS = "text/event-stream; charset=utf-8"
_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}
_ID = "resp_0198a2b47c1e7d3a9f102b5c6d7e8f90"
EXAMPLE = {
    "id": _ID,
    "object": "response",
    "created_at": 1764000000,
    "status": "completed",
    "model": "gpt-4o",
    "output": [
        {
            "id": "msg_0198a2b47c1e7d3a9f102b5c6d7e8f900000",
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Into the sea.", "annotations": [], "logprobs": []}],
        }
    ],
    "previous_response_id": None,
    "usage": {"input_tokens": 9, "output_tokens": 4, "total_tokens": 13},
}
_DELETED = {"id": _ID, "object": "response", "deleted": True}
_CANCELLED = {**EXAMPLE, "status": "cancelled", "output": [], "usage": None}
_ITEM = {
    "id": "msg_0198a2b47c1e7d3a9f102b5c6d7e8f908000",
    "type": "message",
    "status": "completed",
    "role": "user",
    "content": [{"type": "input_text", "text": "Where do rivers end?"}],
}
_ITEMS = {"object": "list", "data": [_ITEM], "first_id": _ITEM["id"], "last_id": _ITEM["id"], "has_more": False}


def _whose(request: Request) -> Whose:
    principal = who(request)
    return principal.id, project_of(request, principal)


def _include(request: Request) -> list[str]:
    query = request.query_params
    return [*query.getlist("include"), *query.getlist("include[]")]


def add_responses(made: APIRouter, responding: Responding) -> None:
    """The endpoints."""

    @made.get(f"{RESPONSES}/{{id}}", summary="A response again", **told(EXAMPLE))
    async def shown(
        request: Request,
        id: str,
        stream: Annotated[bool, Query(description="The events of one that was made in the background.")] = False,
        starting_after: Annotated[int, Query(ge=-1, description="The number of the event that was read last.")] = -1,
    ) -> Response:
        """As it stands. What was made in the background can be streamed, from any event on, while it runs and after."""
        if stream:
            events = await responding.follow(who(request), _whose(request), id, starting_after)
            return StreamingResponse(events, headers=_HEADERS, media_type=EVENTS)
        body = await responding.look(who(request), _whose(request), id)
        return response(Reply(200, WHOLE, keeping.shown(body, _include(request))))

    @made.delete(f"{RESPONSES}/{{id}}", summary="Delete a response", **told(_DELETED))
    async def removed(request: Request, id: str) -> Response:
        """It is unknown from now on; what was said stays part of responses that go on from it, until they go too."""
        await responding.remove(who(request), _whose(request), id)
        return response(Reply(200, WHOLE, json.encode({"id": id, "object": "response", "deleted": True})))

    @made.post(f"{RESPONSES}/{{id}}/cancel", summary="Cancel a response in the background", **told(_CANCELLED))
    async def cancelled(request: Request, id: str) -> Response:
        """Ends it, up to the model that is asked. One that has its end keeps it."""
        body = await responding.cancel(who(request), _whose(request), id)
        return response(Reply(200, WHOLE, keeping.shown(body, ())))

    @made.get(f"{RESPONSES}/{{id}}/input_items", summary="What was asked", **told(_ITEMS))
    async def items(
        request: Request,
        id: str,
        limit: Annotated[int, Query(ge=1, le=keeping.MOST_LISTED)] = keeping.USUAL,
        order: Annotated[str, Query(pattern="^(asc|desc)$")] = "desc",
        after: Annotated[str, Query(max_length=128, description="The last id of the page before.")] = "",
    ) -> Response:
        """Of this response, not of those that it goes on from."""
        kept = await responding.find(_whose(request), id)
        page = keeping.Page(limit, order == "asc", after)
        return response(Reply(200, WHOLE, keeping.say_items(kept, page)))
