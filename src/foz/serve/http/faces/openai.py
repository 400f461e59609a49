"""What OpenAI's face has beside inference: files, chats whose answer was not waited for, and responses again."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from foz.canon.fault import Conflict
from foz.canon.job import Job, JobState
from foz.dialects.openai.deferred import CHATS, say_cancelled, say_waiting
from foz.jobs.intake import Jobs
from foz.jobs.lanes import fault_of
from foz.ports.skin import STREAM, WHOLE
from foz.serve.http.desk import Desk, response, told, who
from foz.serve.http.faces import files
from foz.serve.http.faces.responses import add_responses
from foz.wire.http import Reply

NAME = "openai"
GONE = 409
ANSWER = {
    "id": "chatcmpl-0123456789abcdef",
    "object": "chat.completion",
    "created": 1764000000,
    "model": "gpt-4o",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Into the sea."}, "finish_reason": "stop"},
    ],
    "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13},
}
_JOB = {
    "id": "0198a2b4-7c1e-7d3a-9f10-2b5c6d7e8f90",
    "status": "cancelled",
    "created": 1764000000,
    "model": "gpt-4o",
    "object": "chat.completion.job",
}


def router(desk: Desk) -> APIRouter:
    """Everything beside inference."""
    made = files.router(desk)
    if desk.jobs is not None:
        _add_chats(made, desk.jobs)
    if desk.responding is not None:
        add_responses(made, desk.responding)
    return made


def _add_chats(made: APIRouter, jobs: Jobs) -> None:
    telling = told(ANSWER)
    telling["responses"] = {**telling["responses"], 202: {"description": "There is none yet."}}

    @made.get(f"{CHATS}/{{job_id}}", summary="The answer of a chat that was not waited for", **telling)
    async def chat(request: Request, job_id: str) -> Response:
        """While there is none: 202 and how the job stands. What it failed of is told as if it had been waited for."""
        job = await jobs.find(who(request), job_id, NAME)
        return response(await _answer(jobs, job))

    @made.delete(f"{CHATS}/{{job_id}}", summary="Cancel a chat that was not waited for", **told(_JOB))
    async def cancel(request: Request, job_id: str) -> Response:
        """Ends it, up to the model that is asked. One that has its end keeps it."""
        await jobs.find(who(request), job_id, NAME)
        return response(say_cancelled(await jobs.cancel(who(request), job_id)))


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
