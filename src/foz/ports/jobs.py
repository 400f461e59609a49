"""
Where jobs are kept and how they wait: two ports, so that a laptop and a company run the same jobs.

The store alone is the truth; a queue carries ids, may carry one twice, and may lose one: the sweeper publishes again
what waits for too long. All faults are the port's own: NoCapacity (503) where the store or the queue cannot be reached
within its deadline, never a hang.
"""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from foz.canon.job import Job, JobEnd, Mark, Piece
from foz.canon.model import Placement

KEY_TTL = 24 * 3600 * 1000
"""Milliseconds for which an idempotency key stands for its job, from its submission."""
RESULT_TTL = 7 * 24 * 3600 * 1000
"""Milliseconds for which a job is kept, from its end."""


UNPUBLISHED = 30 * 1000
"""
Milliseconds after its acceptance at which a job that still waits is published again: who accepted it may have died
before it did. That it did is noted only where others wait already: a job that finds none is taken at once, and is
spared that step.
"""
REPUBLISH = 10 * 60 * 1000
"""Milliseconds after which a job that still waits is published again, in case the queue has lost it."""


class Claim(Struct, frozen=True):
    """A job that is ours to work at, till `job.due`, under `job.epoch`."""

    job: Job
    order: bytes
    """What was asked, as `add` was given it."""


class Lane(Struct, frozen=True):
    """How a lane stands. None is unknown."""

    waiting: int
    workers: int | None = None


class JobStore(Protocol):
    """Keeps jobs. Each step is atomic, durable when awaited, and safe against all others of any process."""

    async def add(self, job: Job, order: bytes) -> Job:
        """
        The job is accepted: it itself is given back. Where its principal's key stands for a job already (KEY_TTL), that
        one is, if it has the same digest; else Conflict (422) is raised, with the field `idempotency_key`.
        """
        ...

    async def published(self, id: bytes, now: int) -> None:
        """
        The queue has it: it need not be published again for a while (REPUBLISH), whether it waits or its lease has
        lapsed. Nothing where it is not due by `now`: it was claimed, or put back, since it was published, and the queue
        does not have it for that.
        """
        ...

    async def withdraw(self, id: bytes) -> None:
        """Forgets a job and its key, if it still waits, was never claimed and was given to no second caller."""
        ...

    async def remove(self, id: bytes) -> None:
        """Forgets a job that is over, with its key, its log and whatever else was kept of it, before its time."""
        ...

    async def find(self, id: bytes) -> Job | None:
        """As it stands."""
        ...

    async def told(self, id: bytes) -> tuple[Job, bytes] | None:
        """The same, and the whole log of one that is completed."""
        ...

    async def listed(self, principal: str | None, most: int, before: bytes | None = None) -> list[Job]:
        """A principal's jobs, or (None) all, newest first; those older than `before`, an id."""
        ...

    async def claim(self, id: bytes, now: int, until: int) -> Claim | Job | None:
        """
        A Claim: it waited and was due, or its lease had lapsed; it is processed now, under the next epoch, its log
        empty, one more attempt counted. Else the job as it stands (over, leased, or not due yet), or None: nobody knows
        it.
        """
        ...

    async def renew(self, held: Sequence[tuple[bytes, int]], until: int) -> list[bytes]:
        """Extends leases, each by (id, epoch). Gives the ids of those that are not held any more."""
        ...

    async def append(self, id: bytes, epoch: int, first: int, pieces: Sequence[bytes]) -> bool:
        """More of the log, numbered from `first`. False where this epoch does not hold the job."""
        ...

    async def end(self, id: bytes, epoch: int, end: JobEnd, first: int = 0, pieces: Sequence[bytes] = ()) -> bool:
        """The last of the log and the end, in one step. False where this epoch does not hold the job."""
        ...

    async def put_back(self, id: bytes, epoch: int, lane: Placement, due: int, *, counts: bool) -> bool:
        """It waits again, in this lane, until it is due. Where it does not count, the attempt is taken back."""
        ...

    async def cancel(self, id: bytes, now: int) -> Job | None:
        """Ends it as cancelled unless it has an end; as it stands then. None: nobody knows it."""
        ...

    async def revive(self, id: bytes, now: int) -> Job | None:
        """An operator's: a failed job waits again with all its attempts, and is no dead letter. As it stands then."""
        ...

    async def log(self, id: bytes, after: Mark, most: int) -> list[Piece]:
        """Pieces of the present epoch after a mark: from its beginning where the mark is of another epoch."""
        ...

    async def answer(self, id: bytes) -> bytes:
        """The whole log of the present epoch, joined."""
        ...

    async def wait(self, seen: Job, after: Mark, seconds: float, *, end: bool = False) -> None:
        """
        Until the job's state or epoch is not what was seen, or there is a piece after the mark; where only its `end` is
        of interest, until it has that; or so long.
        """
        ...

    async def overdue(self, now: int, most: int) -> list[Job]:
        """
        Jobs that should be published again, in no order: those that wait, are due, and were not `published` within
        UNPUBLISHED after they were accepted (at once, where they were put back); those whose lease has lapsed and that
        were not `published` since; and of both those that were not within REPUBLISH after they last were.
        """
        ...

    async def dead(self, most: int) -> list[Job]:
        """Dead letters, newest first."""
        ...

    async def forget(self, now: int) -> int:
        """Removes jobs and keys whose time is over. How many jobs."""
        ...

    async def close(self) -> None:
        """Lets go of what is open, and of whoever waits. Idempotent."""
        ...


class Delivery(Protocol):
    """An id that came out of the queue, to be answered once."""

    @property
    def id(self) -> bytes:
        """The job's."""
        ...

    async def done(self) -> None:
        """The job has its end, or waits elsewhere: the queue may forget it."""
        ...

    async def later(self, seconds: float) -> None:
        """It is not ours now: it comes again, to anybody, after about so long."""
        ...

    async def dead(self) -> None:
        """It goes to the dead letters."""
        ...


class JobQueue(Protocol):
    """Carries ids to whoever works."""

    async def publish(self, lane: Placement, id: bytes) -> None:
        """Durable in the queue when it returns. Raises NoCapacity within its deadline."""
        ...

    async def take(self, lane: Placement) -> Delivery:
        """The next one; waits for it, over reconnections."""
        ...

    async def lane(self, lane: Placement) -> Lane:
        """How many wait, and who works. Raises NoCapacity."""
        ...

    async def close(self) -> None:
        """Gives back what was taken and not answered."""
        ...
