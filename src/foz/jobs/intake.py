"""
What callers may do with jobs: have one accepted, look at it, follow it, cancel it.

A submission is told to its caller only when it cannot be lost any more: it is durable in the store, and the queue has
confirmed it. Where the queue does not, it is taken back and the caller is told to ask again.
Somebody else's job is nobody's.
"""

import logging
import math
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from msgspec import Struct, structs

from foz.canon.fault import BadRequest, Fault, NoCapacity, NotFound
from foz.canon.identity import parse, text
from foz.canon.job import START, Job, Mark
from foz.canon.model import Placement
from foz.canon.principal import Principal
from foz.canon.request import Ask, Mode, over
from foz.gateway.pipeline import asked
from foz.jobs.following import Told, followed
from foz.jobs.lanes import lane
from foz.jobs.order import digest, packed
from foz.jobs.working import House, Workers
from foz.ports.jobs import Lane
from foz.ports.skin import Visit
from foz.ports.turn import Turn

log = logging.getLogger("foz.jobs")

LONGEST_KEY = 255
HELD = 60_000
"""Milliseconds for which a job that only asks for its key is kept from those who work."""
COUNT_SECONDS = 0.2
MOST_FRESH = 4_096
"""Jobs that were accepted here last, as they were then."""


class _Count(Struct):
    """How many wait in a lane, and when that was asked."""

    at: float = -math.inf
    waiting: int = 0
    found: int = 0
    """How many did when that was asked."""
    manned: float = math.inf
    """When somebody was last seen to work there; where nobody ever was, when that was first asked."""


class Jobs:
    """Jobs, for the doors of a process. `workers` are those of this process, where it has some."""

    def __init__(self, house: House, workers: Workers | None = None) -> None:
        self._house = house
        self._workers = workers
        self._counts = {place: _Count() for place in Placement}
        self._fresh: dict[bytes, Job] = {}

    async def submit(self, turn: Turn, visit: Visit) -> Job:
        """Accepts a request as a job, or gives the one that its key stands for. Raises what stands against it."""
        house = self._house
        ask = asked(turn)
        key = _key(visit, ask)
        model = house.gateway.find(turn.principal, ask.model, turn.skin.source)
        against = house.gateway.against(model, ask)
        waiting = await self._waiting(against)
        stands: Fault | None = None
        try:
            place = self._place(ask.mode, against, waiting)
        except Fault as fault:
            if key is None:
                raise
            stands, place = fault, Placement.GPU if ask.mode is Mode.GPU else Placement.API
        job = self._made(turn, ask, key or text(turn.id), place)
        if stands is not None:  # nobody takes it up before it is withdrawn
            job = structs.replace(job, due=job.at + HELD)
        accepted = await house.store.add(job, packed(visit))
        if accepted.id != job.id:  # it is durable, and never withdrawn now; who was first publishes it, or the sweeper
            return accepted
        try:
            if stands is not None:  # what was accepted under this key would have been given; there is nothing
                raise stands
            await house.queue.publish(place, job.id)
        except Fault:
            await self._withdraw(job)
            raise
        count = self._counts[place]
        count.waiting += 1
        if count.found:  # it may wait for long: it is not to be published twice for that
            await house.store.published(job.id, job.at)
        self._fresh[job.id] = job
        if len(self._fresh) > MOST_FRESH:
            del self._fresh[next(iter(self._fresh))]
        return job

    def _place(
        self, mode: Mode, against: Mapping[Placement, Fault | None], waiting: Mapping[Placement, int]
    ) -> Placement:
        """The lane that takes it. Raises what stands against it."""
        limits = self._house.limits
        left = self._left(Placement.GPU) and not self._left(Placement.API)
        before = limits.gpu_full if left else 0  # nobody comes to it: as good as full
        gpu, api = against[Placement.GPU], against[Placement.API]
        place = lane(mode, gpu, api, max(waiting[Placement.GPU], before), limits)
        if waiting[place] >= limits.waiting:
            raise NoCapacity(
                f"{waiting[place]:,} jobs wait in the {place.value} lane; ask again later.", retry_after=10
            )
        return place

    def _made(self, turn: Turn, ask: Ask, key: str, place: Placement) -> Job:
        now = self._house.clock.now()
        return Job(
            id=turn.id,
            at=now,
            principal=turn.principal,
            project=turn.principal.project or over(ask.attribution, turn.attribution).project or "",
            skin=turn.skin.name,
            model=ask.model,
            mode=ask.mode,
            lane=place,
            key=key,
            stream=ask.stream,
            digest=digest(turn.codec.decode_request(turn.body), ask.mode, turn.skin.name),
            due=now,
        )

    async def _waiting(self, against: Mapping[Placement, Fault | None]) -> dict[Placement, int]:
        open_lanes = [place for place in Placement if against[place] is None]
        found = {place: await self._count(place) for place in open_lanes}
        return {place: found.get(place, sys.maxsize) for place in Placement}

    async def _count(self, place: Placement) -> int:
        """How many wait there: asked anew after a moment, and counted on in between."""
        count, now = self._counts[place], self._house.clock.monotonic()
        if now - count.at > COUNT_SECONDS:
            count.at = now
            found = await self._house.queue.lane(place)
            count.waiting = count.found = found.waiting
            if found.workers != 0 or count.manned == math.inf:
                count.manned = now
        return count.waiting

    def _left(self, place: Placement) -> bool:
        """Whether nobody has worked there for a while, as far as is known."""
        return self._house.clock.monotonic() - self._counts[place].manned > self._house.limits.unmanned

    async def _withdraw(self, job: Job) -> None:
        try:
            await self._house.store.withdraw(job.id)
        except Fault as fault:
            log.warning("job %s was not accepted and may be done all the same: %s", text(job.id), fault.message)

    async def find(self, principal: Principal, id: str, skin: str | None = None) -> Job:
        """One's own job, by its id as text. Raises NotFound."""
        try:
            found = await self._house.store.find(parse(id))
        except ValueError:
            found = None
        if found is None or found.principal.id != principal.id or (skin is not None and found.skin != skin):
            raise _unknown(id)
        return found

    async def told(self, principal: Principal, id: str, skin: str) -> tuple[Job, bytes]:
        """One's own job, and its answer where it is completed. Raises NotFound."""
        try:
            found = await self._house.store.told(parse(id))
        except ValueError:
            found = None
        if found is None or found[0].principal.id != principal.id or found[0].skin != skin:
            raise _unknown(id)
        return found

    def fresh(self, principal: Principal, id: str, skin: str) -> Job | None:
        """One's own job as it was accepted here a moment ago: for who waits for its end, and need not look first."""
        try:
            found = self._fresh.get(parse(id))
        except ValueError:
            return None
        return found if found is not None and found.principal.id == principal.id and found.skin == skin else None

    async def waited(self, job: Job, seconds: float, *, end: bool = False) -> tuple[Job, bytes]:
        """
        The same again, once its state is not what it is here, or it has its end if that is waited for, or so many
        seconds have passed. Raises NotFound.
        """
        clock = self._house.clock.monotonic
        last = clock() + seconds
        while True:
            await self._house.store.wait(job, Mark(job.epoch, sys.maxsize), last - clock(), end=end)
            found = await self.told(job.principal, text(job.id), job.skin)
            job = found[0]
            if job.over:
                self._fresh.pop(job.id, None)
            if job.over or not end or clock() >= last:
                return found

    async def answer(self, job: Job) -> bytes:
        """The answer of a job that is completed."""
        return await self._house.store.answer(job.id)

    async def listed(self, principal: Principal, most: int, before: str | None = None) -> list[Job]:
        """One's own, newest first. Raises BadRequest."""
        try:
            bound = None if before is None else parse(before)
        except ValueError as error:
            raise BadRequest(str(error), field="before", status=422) from error
        return await self._house.store.listed(principal.id, most, bound)

    async def cancel(self, principal: Principal, id: str, skin: str | None = None) -> Job:
        """Ends one's own job, up to the upstream; as it stands then. Raises NotFound."""
        job = await self.find(principal, id, skin)
        cancelled = await self._house.store.cancel(job.id, self._house.clock.now())
        if self._workers is not None:
            self._workers.stop_work(job.id)
        return cancelled or job

    async def remove(self, principal: Principal, id: str) -> None:
        """Forgets one's own job, if there is one and it is over, with all that is kept of it."""
        try:
            job = await self.find(principal, id)
        except NotFound:
            return
        self._fresh.pop(job.id, None)
        await self._house.store.remove(job.id)

    async def follow(self, principal: Principal, id: str, after: Mark = START) -> AsyncGenerator[Told]:
        """One's own job, as `following.followed` tells it."""
        job = await self.find(principal, id)
        async with aclosing(followed(self._house.store, job, after)) as following:
            async for told in following:
                yield told

    async def lanes(self) -> dict[Placement, Lane]:
        """How both lanes stand. Raises NoCapacity, also where jobs cannot be kept."""
        await self._house.store.find(bytes(16))  # it need not be there
        return {place: await self._house.queue.lane(place) for place in Placement}


def _unknown(id: str) -> NotFound:
    return NotFound(f"There is no job '{id[:64]}'.", field="job_id")


def _key(visit: Visit, ask: Ask) -> str | None:
    """The caller's idempotency key: of the body, else of the header."""
    said = ask.key
    if said is None:
        header = visit.call.header(b"idempotency-key")
        said = None if header is None else header.decode(errors="surrogateescape")
    if said is None or said == "":
        return None
    if len(said) > LONGEST_KEY or not said.isprintable():
        raise BadRequest(
            f"An idempotency key has at most {LONGEST_KEY} printable characters.", field="idempotency_key", status=422
        )
    return said
