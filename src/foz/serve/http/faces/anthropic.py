"""What Anthropic's face has beside inference: how many tokens a request has, and messages that were not waited for."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from foz.canon.fault import Conflict
from foz.canon.job import Job, JobState
from foz.dialects.anthropic.counting import count
from foz.dialects.anthropic.deferred import say_cancelled, say_waiting
from foz.dialects.anthropic.frames import PATH
from foz.jobs.intake import Jobs
from foz.jobs.lanes import fault_of
from foz.ports.skin import JSON, STREAM, WHOLE
from foz.serve.http.desk import Desk, request_id, response, told, who
from foz.serve.http.faces.files import heard
from foz.serve.http.guard import check_body
from foz.wire.http import Reply

NAME = "anthropic"
GONE = 409
ANSWER = {
    "id": "msg_0123456789abcdef",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5",
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
    "model": "claude-sonnet-4-5",
}


def _answered(request: Request, reply: Reply) -> Response:
    """With the request's id as Anthropic's callers look for it."""
    id = request_id(request).encode("ascii", "replace")
    return response(Reply(reply.status, (*reply.headers, (b"request-id", id)), reply.body))


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
        _add_messages(made, desk.jobs)
    return made


def _add_messages(made: APIRouter, jobs: Jobs) -> None:
    telling = told(ANSWER)
    telling["responses"] = {**telling["responses"], 202: {"description": "There is none yet."}}

    @made.get(f"{PATH}/{{job_id}}", summary="The answer of a message that was not waited for", **telling)
    async def message(request: Request, job_id: str) -> Response:
        """While there is none: 202 and how the job stands. What it failed of is told as if it had been waited for."""
        job = await jobs.find(who(request), job_id, NAME)
        return _answered(request, await _answer(jobs, job))

    @made.delete(f"{PATH}/{{job_id}}", summary="Cancel a message that was not waited for", **told(_JOB))
    async def cancel(request: Request, job_id: str) -> Response:
        """Ends it, up to the model that is asked. One that has its end keeps it."""
        await jobs.find(who(request), job_id, NAME)
        return _answered(request, say_cancelled(await jobs.cancel(who(request), job_id)))


async def _answer(jobs: Jobs, job: Job) -> Reply:
    match job.state:
        case JobState.COMPLETED:
            return Reply(200, STREAM if job.stream else WHOLE, await jobs.answer(job))
        case JobState.FAILED:
            raise fault_of(job)
        case JobState.CANCELLED:
            raise Conflict("This job was cancelled.", field="job_id", vendor_code="cancelled", status=GONE)
        case _:
            return say_waiting(job)
