"""Requests that were not waited for (`Prefer: respond-async`): their answers, and their end before that."""

from collections.abc import Callable

from fastapi import APIRouter
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from foz.canon.fault import Conflict
from foz.canon.job import Job, JobState
from foz.jobs.intake import Jobs
from foz.jobs.lanes import fault_of
from foz.ports.skin import STREAM, WHOLE
from foz.serve.http.desk import told, who
from foz.wire.http import Reply

GONE = 409


class Deferred(Struct, frozen=True):
    """What differs from skin to skin."""

    skin: str
    path: str
    noun: str
    """What is not waited for."""
    answer: object
    """Examples, for the reference: an answer, and a job that was cancelled."""
    job: object
    waiting: Callable[[Job], Reply]
    cancelled: Callable[[Job], Reply]
    respond: Callable[[Request, Reply], Response]


def add(made: APIRouter, jobs: Jobs, one: Deferred) -> None:
    """Where the answer is, and how to cancel."""
    telling = told(one.answer)
    telling["responses"] = {**telling["responses"], 202: {"description": "There is none yet."}}
    path = f"{one.path}/{{job_id}}"

    @made.get(path, name=one.noun, summary=f"The answer of a {one.noun} that was not waited for", **telling)
    async def answer(request: Request, job_id: str) -> Response:
        """While there is none: 202 and how the job stands. What it failed of is told as if it had been waited for."""
        job, body = await jobs.told(who(request), job_id, one.skin)
        return one.respond(request, _answer(one, job, body))

    @made.delete(path, summary=f"Cancel a {one.noun} that was not waited for", **told(one.job))
    async def cancel(request: Request, job_id: str) -> Response:
        """Ends it, up to the model that is asked. One that has its end keeps it."""
        return one.respond(request, one.cancelled(await jobs.cancel(who(request), job_id, one.skin)))


def _answer(one: Deferred, job: Job, body: bytes) -> Reply:
    match job.state:
        case JobState.COMPLETED:
            return Reply(200, STREAM if job.stream else WHOLE, body)
        case JobState.FAILED:
            raise fault_of(job)
        case JobState.CANCELLED:
            raise Conflict("This job was cancelled.", field="job_id", vendor_code="cancelled", status=GONE)
        case _:
            return one.waiting(job)
