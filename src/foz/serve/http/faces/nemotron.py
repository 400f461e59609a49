"""
What the Nemotron Chat API has beside `POST /chat` and how a job stands: its events, its end before the end, the
caller's jobs, and what the modes have to offer. Somebody else's job, and another API's, is nobody's.

Whoever waits here is sent away when the gateway is being stopped, to come back to the next one.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Query
from msgspec import structs
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from foz.canon.fault import Fault, NoRoute
from foz.canon.identity import text
from foz.canon.job import START, Job, JobState, Mark, Piece
from foz.canon.model import Capability, Model, Placement, Target
from foz.canon.principal import Principal
from foz.canon.request import Ask, Mode, Operation
from foz.gateway.completing import can_do
from foz.gateway.pipeline import Gateway
from foz.jobs.following import Told
from foz.jobs.intake import Jobs
from foz.ports.devices import Device
from foz.ports.jobs import Lane
from foz.serve.http.desk import Desk, response, told, who
from foz.serve.http.staying import while_here
from foz.skins.nemotron import examples, schema
from foz.skins.nemotron.bodies import (
    KEEP_ALIVE,
    mark_of,
    say_end,
    say_fault,
    say_info,
    say_jobs,
    say_piece,
    say_restarted,
    say_standing,
    say_status,
)
from foz.skins.nemotron.skin import NAME
from foz.wire.http import Reply

Queues = Mapping[Placement, Lane] | Fault
"""How both lanes' queues stand, or why nobody can tell."""
MOST_LISTED = 100
MOST_MODELS = 1_000
EVENTS = "text/event-stream; charset=utf-8"
_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}
_LAST = {
    "in": "header",
    "name": "Last-Event-ID",
    "schema": {"type": "string"},
    "description": "The id of the last event that was read: what comes after it is told.",
}


def router(desk: Desk, model: str) -> APIRouter:
    """Everything beside inference; `model` answers where a request names none."""
    made = APIRouter(tags=[NAME])
    if desk.jobs is not None:
        _add_info(made, desk, desk.jobs, model)
        _add_jobs(made, desk.gateway, desk.jobs)
    return made


async def _standing(jobs: Jobs, job: Job) -> Reply:
    answer = await jobs.answer(job) if job.state is JobState.COMPLETED else b""
    return say_status(job, answer)


def _add_jobs(made: APIRouter, gateway: Gateway, jobs: Jobs) -> None:
    streamed = told(examples.EVENTS, "text/event-stream")
    streamed["openapi_extra"] = {**streamed["openapi_extra"], "parameters": [_LAST]}

    @made.get("/chat/stream/{job_id}", summary="Segue um job (a job's events as they come)", **streamed)
    async def stream(
        request: Request,
        job_id: str,
        after: Annotated[
            str | None, Query(max_length=64, description="The same as `Last-Event-ID`, which wins over it.")
        ] = None,
    ) -> Response:
        """
        Server-sent events, from the beginning or after an event, while the job runs and after: `piece` (more `text` or
        `reasoning`, at last `finish_reason` and `usage`), `status` when it stands otherwise, `restarted` when it runs
        anew and is told from the beginning, and `end`.
        """
        said = request.headers.get("last-event-id") or after
        mark = mark_of(said, "after") if said else START
        job = await jobs.find(who(request), job_id, NAME)
        return StreamingResponse(_events(gateway, jobs, who(request), job, mark), headers=_HEADERS, media_type=EVENTS)

    @made.delete("/chat/{job_id}", summary="Cancela um job (cancel a job)", **told(examples.CANCELLED))
    async def cancel(request: Request, job_id: str) -> Response:
        """Ends it, up to the model that is asked. A job that has its end keeps it."""
        return response(await _standing(jobs, await jobs.cancel(who(request), job_id, NAME)))

    @made.get("/chat/jobs", summary="Lista os jobs (your jobs, newest first)", **told(examples.JOBS))
    async def listed(
        request: Request,
        limit: Annotated[int, Query(ge=1, le=MOST_LISTED, description="Most jobs of the answer.")] = 20,
        before: Annotated[str | None, Query(max_length=64, description="The `next` of the page before.")] = None,
    ) -> Response:
        """Of this API and this key only. A page may be short where its key has used other APIs too."""
        found = await jobs.listed(who(request), limit, before)
        following = text(found[-1].id) if len(found) == limit else None
        return response(say_jobs([job for job in found if job.skin == NAME], following))


async def _events(gateway: Gateway, jobs: Jobs, principal: Principal, job: Job, mark: Mark) -> AsyncIterator[bytes]:
    """A job's events after a mark, as bytes, until it ends or we do."""
    teller = _Teller(job, mark)
    async with aclosing(jobs.follow(principal, text(job.id), mark)) as following:
        try:
            while got := await while_here(gateway.services, _next(following)):
                yield teller.tell(*got)
        except Fault as fault:
            yield say_fault(fault)


async def _next(following: AsyncIterator[Told]) -> tuple[Told] | tuple[()]:
    async for one in following:
        return (one,)
    return ()


class _Teller:
    """What one follower is told of a job."""

    def __init__(self, job: Job, mark: Mark) -> None:
        self._job = job
        self._read = mark
        self._first = True
        self._quiet = False
        """Whether nothing was said since there was last nothing to say."""

    def tell(self, one: Told) -> bytes:
        """The event of what the following gave."""
        quiet, self._quiet = self._quiet, one is None
        if one is None:
            return KEEP_ALIVE if quiet else b""
        if isinstance(one, Piece):
            anew = self._at(one.mark.epoch)
            self._read = one.mark
            return anew + say_piece(one)
        first, self._first, self._job = self._first, False, one
        if one.over and not first:
            return say_end(one)
        return self._at(one.epoch) + say_standing(one)

    def _at(self, epoch: int) -> bytes:
        """That what was read counts no more, where it was read in another epoch."""
        if self._read.number < 0 or epoch == self._read.epoch:
            return b""
        self._read = Mark(epoch, -1)
        return say_restarted(self._job, epoch)


# What the modes have to offer.


def _add_info(made: APIRouter, desk: Desk, jobs: Jobs, name: str) -> None:
    gateway = desk.gateway

    @made.get(
        "/chat/info",
        summary="Fornece informações sobre os modos disponíveis (what the modes have to offer)",
        **told(examples.INFO),
    )
    async def info(request: Request) -> Response:
        """
        Of each mode: whether it can be asked now and else why not, the models that answer in it, this machine's GPUs,
        how many jobs wait and how many processes take them, and whether the usual model can think there.
        """
        found = [] if desk.devices is None else await asyncio.to_thread(desk.devices.look)
        modes, queues = _Modes(gateway, who(request), name), await _queues(jobs)
        lanes = {place: modes.lane(place, queues) for place in Placement}
        lanes[Placement.GPU] = structs.replace(lanes[Placement.GPU], device=_device(found))
        return response(say_info(lanes))


async def _queues(jobs: Jobs) -> Queues:
    try:
        return await jobs.lanes()
    except Fault as fault:
        return fault


def _device(found: Sequence[Device]) -> schema.Device | None:
    if not found:
        return None
    names = ", ".join(dict.fromkeys(device.name for device in found))
    total, free = sum(device.total for device in found), sum(device.free for device in found)
    return schema.Device(names, len(found), total, free)


def _answers(target: Target) -> bool:
    """Whether it is one to chat with, as far as is known."""
    return not target.barred and can_do(target.profile.operations, Operation.CHAT)


class _Modes:
    """What one caller can ask in each mode."""

    def __init__(self, gateway: Gateway, principal: Principal, name: str) -> None:
        self._gateway = gateway
        self._name = name
        self._models = gateway.models(principal)
        self._model: Model | None = None
        self._fault: Fault | None = None
        try:
            self._model = gateway.find(principal, name)
        except Fault as fault:
            self._fault = fault

    def _against(self, place: Placement, needs: frozenset[str] = frozenset()) -> Fault | None:
        if self._model is None:
            return self._fault or NoRoute("There is no such model.")
        ask = Ask(Operation.CHAT, self._name, stream=True, needs=needs, mode=Mode(place.value))
        return self._gateway.against(self._model, ask)[place]

    def _names(self, place: Placement) -> list[str]:
        usual = [] if self._model is None else [self._model]
        names = [
            model.name
            for model in (*usual, *self._models)
            if any(target.placement is place and _answers(target) for target in model.targets)
        ]
        return list(dict.fromkeys(names))[:MOST_MODELS]

    def lane(self, place: Placement, queues: Queues) -> schema.Lane:
        """One mode."""
        against = self._against(place) or (queues if isinstance(queues, Fault) else None)
        stands = None if isinstance(queues, Fault) else queues[place]
        return schema.Lane(
            available=against is None,
            reason=None if against is None else against.message,
            models=self._names(place),
            device=None,
            queue_depth=None if stands is None else stands.waiting,
            workers=None if stands is None else stands.workers,
            reasoning=self._against(place, frozenset({Capability.REASONING.value})) is None,
        )
