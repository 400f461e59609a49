"""
Those who work at jobs: so many at once in each lane of a process.

An id from the queue is claimed for a lease; while it is worked at, one duty renews the leases of the whole process.
Whoever does not hold a job any more (it was cancelled, or its lease lapsed and another took it) stops, up to the
upstream. What a run came to is decided in `lanes` and written in one step under the claim's epoch; only then is the
queue told. A worker that dies says nothing: its lease lapses, and the job is claimed anew.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from msgspec import Struct

from foz.canon.fault import Bug, Draining, Fault
from foz.canon.job import Job, JobEnd, JobState
from foz.canon.model import Placement
from foz.canon.request import Mode
from foz.gateway.pipeline import Gateway
from foz.jobs.lanes import Again, Failed, Limits, fate, spent, worn
from foz.jobs.order import turn_of
from foz.jobs.scribe import Scribe
from foz.ports.clock import Clock
from foz.ports.jobs import Claim, Delivery, JobQueue, JobStore
from foz.ports.skin import Skin

log = logging.getLogger("foz.jobs")

RENEWALS = 3
"""Renewals in the length of a lease."""
AFTER_TROUBLE = 1.0
"""Seconds until an id comes again that could not even be claimed."""


class House(Struct):
    """What workers share with the rest of their process."""

    gateway: Gateway
    skins: Mapping[str, Skin]
    store: JobStore
    queue: JobQueue
    clock: Clock
    dice: Callable[[], float]
    new_id: Callable[[], bytes]
    limits: Limits
    lease: float = 10.0
    settled: Callable[[], Awaitable[None]] | None = None
    """Called when a run's entry is settled, before its job is told what it came to."""


class _Run(Struct):
    """A claim that is worked at."""

    job: Job
    scribe: Scribe
    began: float


class Workers:
    """Works at the jobs of its lanes. Made in the loop that runs it."""

    def __init__(self, house: House, numbers: Mapping[Placement, int]) -> None:
        self._house = house
        self._numbers = dict(numbers)
        self._runs: dict[bytes, _Run] = {}
        self._working: set[asyncio.Task[None]] = set()
        self._takers: list[asyncio.Task[None]] = []
        self._stopping = False

    @property
    def busy(self) -> int:
        """Jobs that are worked at."""
        return len(self._runs)

    def start(self) -> None:
        """Begins to take jobs."""
        self._takers = [
            asyncio.ensure_future(self._keep_taking(lane, asyncio.Semaphore(number)))
            for lane, number in self._numbers.items()
            if number
        ]

    async def stop(self, seconds: float) -> None:
        """Takes no more; gives those at work so long to come to an end, and puts back the rest."""
        for taker in self._takers:
            taker.cancel()
        await asyncio.gather(*self._takers, return_exceptions=True)
        if self._working:
            await asyncio.wait(self._working, timeout=seconds)
        self._stopping = True
        self._house.gateway.services.stopping = True
        for run in self._runs.values():
            run.scribe.stop()
        if self._working:
            await asyncio.wait(self._working)

    def stop_work(self, id: bytes) -> None:
        """Looks at once whether a job that was cancelled is worked at here; else its worker's next renewal does."""
        run = self._runs.get(id)
        if run is not None:
            run.scribe.lose()

    async def renew(self) -> None:
        """Extends the leases of all that is worked at here. Should be called RENEWALS times in a lease."""
        held = [(run.job.id, run.job.epoch) for run in self._runs.values()]
        if not held:
            return
        for id in await self._house.store.renew(held, self._until()):
            self.stop_work(id)

    def _until(self) -> int:
        return self._house.clock.now() + round(self._house.lease * 1000)

    # -- taking ------------------------------------------------------------

    async def _keep_taking(self, lane: Placement, hands: asyncio.Semaphore) -> None:
        """A defect of the queue costs the lane a moment, not its taker."""
        while True:
            (came,) = await asyncio.gather(self._take(lane, hands), return_exceptions=True)
            log.error("nobody takes %s jobs for a moment: a defect", lane.value, exc_info=came)
            await self._house.clock.sleep(AFTER_TROUBLE)

    async def _take(self, lane: Placement, hands: asyncio.Semaphore) -> None:
        while True:
            await hands.acquire()
            try:
                delivery = await self._house.queue.take(lane)
            except Fault as fault:
                hands.release()
                log.warning("the queue gives no %s jobs for now: %s", lane.value, fault.message)
                await self._house.clock.sleep(AFTER_TROUBLE)
                continue
            except BaseException:
                hands.release()
                raise
            task = asyncio.ensure_future(self._work(delivery))
            self._working.add(task)
            task.add_done_callback(lambda done: self._worked(done, hands))

    def _worked(self, task: "asyncio.Task[None]", hands: asyncio.Semaphore) -> None:
        self._working.discard(task)
        hands.release()
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            foreseen = isinstance(error, Fault)
            log.error(
                "work at a job ended, and the job is tried again: %s", error, exc_info=None if foreseen else error
            )

    async def _work(self, delivery: Delivery) -> None:
        answered = False
        try:
            await self._look_at(delivery)
            answered = True
        finally:
            if not answered:  # whatever went wrong, the hand is free again
                await delivery.later(AFTER_TROUBLE)

    async def _look_at(self, delivery: Delivery) -> None:
        house = self._house
        claim = await house.store.claim(delivery.id, house.clock.now(), self._until())
        if isinstance(claim, Claim):
            await self._claimed(claim, delivery)
        elif claim is None or claim.over:
            await delivery.done()
        else:  # it is leased, or waits for its time
            await delivery.later(max((claim.due - house.clock.now()) / 1000, 0.0))

    async def _claimed(self, claim: Claim, delivery: Delivery) -> None:
        house, job = self._house, claim.job
        if spent(job, house.limits):
            end = JobEnd(JobState.FAILED, house.clock.now(), trouble=worn(job), dead=True)
            await house.store.end(job.id, job.epoch, end)
            await delivery.dead()
            return
        run = self._runs[job.id] = _Run(job, Scribe(house.store, job), house.clock.monotonic())
        try:
            fault = await self._run(run, claim.order)
            await self._tell(run, fault, delivery)
        finally:
            del self._runs[job.id]

    # -- one run -----------------------------------------------------------

    async def _run(self, run: _Run, order: bytes) -> Fault | None:
        """Serves the request; what it came to. None where it is complete, or not ours any more."""
        house = self._house
        try:
            turn, witness = turn_of(order, house.skins, run.job, house.new_id())
        except Fault as fault:
            return fault
        run.scribe.run = task = asyncio.ensure_future(house.gateway.serve(turn, run.scribe))
        if self._stopping:  # it was claimed while the last ones were being stopped
            task.cancel()
        await asyncio.wait({task})
        if task.cancelled():
            return Draining("The worker was stopped.") if self._stopping and not run.scribe.lost else None
        error = task.exception()
        if isinstance(error, Fault):
            return error
        if error is not None:
            log.error("a defect while working at job %s", run.job.id.hex(), exc_info=error)
            return Bug("A defect of Foz; its log has more.")
        return witness.fault

    async def _tell(self, run: _Run, fault: Fault | None, delivery: Delivery) -> None:
        """Writes what the run came to, then answers the queue."""
        house, job, scribe = self._house, run.job, run.scribe
        pieces = await scribe.rest()
        if house.settled is not None:
            await house.settled()
        now = house.clock.now()
        if fault is None and scribe.complete:
            latency = (house.clock.monotonic() - run.began) * 1000
            end = JobEnd(JobState.COMPLETED, now, served=job.lane, latency=latency)
            await house.store.end(job.id, job.epoch, end, scribe.written, pieces)
            await delivery.done()
            return
        if fault is None:  # it was cancelled, or another has it
            await delivery.done()
            return
        step = fate(job, fault, house.limits, now, api_stands=self._api_stands(job), dice=house.dice())
        if isinstance(step, Failed):
            end = JobEnd(JobState.FAILED, now, trouble=step.trouble, dead=step.dead)
            await house.store.end(job.id, job.epoch, end, scribe.written, pieces)
            await (delivery.dead() if step.dead else delivery.done())
            return
        await self._again(job, step)
        await delivery.done()

    async def _again(self, job: Job, step: Again) -> None:
        house = self._house
        due = house.clock.now() + round(step.pause * 1000)
        put = await house.store.put_back(job.id, job.epoch, step.lane, due, counts=step.counts)
        if put and not step.pause:  # else the sweeper publishes it when its time has come
            await house.queue.publish(step.lane, job.id)

    def _api_stands(self, job: Job) -> bool:
        try:
            model = self._house.gateway.find(job.principal, job.model)
        except Fault:
            return False
        return any(target.placement is Placement.API and not target.barred for target in model.targets)


async def sweep(store: JobStore, queue: JobQueue, now: int, most: int = 1_000) -> int:
    """
    Publishes again what waits for too long or was left by those who held it. How many jobs. Where nobody works in the
    gpu lane any more, who works in the api lane takes the `auto` ones: if the gpu answers, it does; else they go over.
    """
    jobs = await store.overdue(now, most)
    left = any(map(_movable, jobs)) and await _left(queue)
    for job in jobs:
        await queue.publish(Placement.API if left and _movable(job) else job.lane, job.id)
        await store.published(job.id, now)
    return len(jobs)


def _movable(job: Job) -> bool:
    return job.mode is Mode.AUTO and job.lane is Placement.GPU


async def _left(queue: JobQueue) -> bool:
    """Whether nobody works in the gpu lane, and somebody does in the api lane."""
    return (await queue.lane(Placement.GPU)).workers == 0 and bool((await queue.lane(Placement.API)).workers)
