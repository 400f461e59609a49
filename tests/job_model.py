"""
What `ports.jobs.JobStore` says, as plain as it can be said: values in dictionaries, one thread, no time of its own.

The contract suite holds every store against it.
"""

from msgspec import Struct, structs

from foz.canon.job import Job, JobEnd, JobState, Mark, Piece
from foz.canon.model import Placement
from foz.ports.jobs import KEY_TTL, REPUBLISH, RESULT_TTL, UNPUBLISHED, Claim

PENDING, PROCESSING = JobState.PENDING, JobState.PROCESSING


class Kept(Struct):
    """One job."""

    job: Job
    order: bytes
    publish: int
    """When it should be published again, should it have no end till then."""
    log: list[bytes] = []
    shared: bool = False


class Model:
    """All jobs."""

    def __init__(self) -> None:
        self.jobs: dict[bytes, Kept] = {}
        self.keys: dict[tuple[str, str], Job] = {}
        """As they were when they were added."""

    def add(self, job: Job, order: bytes) -> Job | None:
        """None: a conflict."""
        first = self.keys.get((job.principal.id, job.key))
        if first is not None and first.at + KEY_TTL > job.at:
            if first.digest != job.digest:
                return None
            self.jobs[first.id].shared = True
            return self.jobs[first.id].job
        self.keys[job.principal.id, job.key] = job
        self.jobs[job.id] = Kept(job, order, max(job.at + UNPUBLISHED, job.due))
        return job

    def published(self, id: bytes, now: int) -> None:
        """Not again for a while."""
        kept = self.jobs.get(id)
        if kept is not None and not kept.job.over and kept.job.due <= now:
            kept.publish = now + REPUBLISH

    def withdraw(self, id: bytes) -> None:
        """If nobody counts on it."""
        kept = self.jobs.get(id)
        if kept is not None and kept.job.state is PENDING and kept.job.epoch == 0 and not kept.shared:
            del self.jobs[id]
            self.keys = {name: job for name, job in self.keys.items() if job.id != id}

    def remove(self, id: bytes) -> None:
        """If it is over."""
        kept = self.jobs.get(id)
        if kept is not None and kept.job.over:
            del self.jobs[id]
            self.keys = {name: job for name, job in self.keys.items() if job.id != id}

    def claim(self, id: bytes, now: int, until: int) -> Claim | Job | None:
        """Ours, or as it stands."""
        kept = self.jobs.get(id)
        if kept is None:
            return None
        job = kept.job
        if job.over or job.due > now:
            return job
        kept.log, kept.publish = [], until
        began = now if job.began is None else job.began
        return Claim(
            self._set(kept, state=PROCESSING, epoch=job.epoch + 1, attempts=job.attempts + 1, due=until, began=began),
            kept.order,
        )

    def renew(self, id: bytes, epoch: int, until: int) -> bool:
        """Whether it is held."""
        kept = self._held(id, epoch)
        if kept is not None:
            kept.publish = until if kept.job.due < until else kept.publish
            self._set(kept, due=max(kept.job.due, until))
        return kept is not None

    def append(self, id: bytes, epoch: int, pieces: list[bytes]) -> bool:
        """Whether it is held."""
        kept = self._held(id, epoch)
        if kept is not None:
            kept.log = kept.log + pieces
        return kept is not None

    def end(self, id: bytes, epoch: int, end: JobEnd, pieces: list[bytes]) -> bool:
        """Whether it is held."""
        kept = self._held(id, epoch)
        if kept is not None:
            kept.log = kept.log + pieces
            facts = {name: getattr(end, name) for name in ("state", "served", "latency", "trouble", "dead")}
            self._set(kept, ended=end.at, **facts)
        return kept is not None

    def put_back(self, id: bytes, epoch: int, lane: Placement, due: int, *, counts: bool) -> bool:
        """Whether it is held."""
        kept = self._held(id, epoch)
        if kept is not None:
            kept.publish = due
            self._set(kept, state=PENDING, lane=lane, due=due, attempts=kept.job.attempts - (not counts))
        return kept is not None

    def cancel(self, id: bytes, now: int) -> Job | None:
        """As it stands then."""
        kept = self.jobs.get(id)
        if kept is None or kept.job.over:
            return None if kept is None else kept.job
        return self._set(kept, state=JobState.CANCELLED, ended=now)

    def revive(self, id: bytes, now: int) -> Job | None:
        """As it stands then."""
        kept = self.jobs.get(id)
        if kept is None or kept.job.state is not JobState.FAILED:
            return None if kept is None else kept.job
        kept.publish = now
        none = dict.fromkeys(("ended", "served", "latency", "trouble"))
        return self._set(kept, state=PENDING, due=now, attempts=0, dead=False, **none)

    def log(self, id: bytes, after: Mark) -> list[Piece]:
        """All after a mark."""
        kept = self.jobs.get(id)
        if kept is None:
            return []
        epoch = kept.job.epoch
        first = after.number + 1 if after.epoch == epoch else 0
        return [Piece(Mark(epoch, number), data) for number, data in enumerate(kept.log)][first:]

    def overdue(self, now: int) -> set[bytes]:
        """Ids."""
        return {id for id, kept in self.jobs.items() if self._late(kept, now)}

    def forget(self, now: int) -> int:
        """How many."""
        over = [
            id for id, kept in self.jobs.items() if kept.job.ended is not None and kept.job.ended + RESULT_TTL <= now
        ]
        for id in over:
            del self.jobs[id]
        self.keys = {name: job for name, job in self.keys.items() if job.at + KEY_TTL > now}
        return len(over)

    @staticmethod
    def _late(kept: Kept, now: int) -> bool:
        job = kept.job
        return not job.over and job.due <= now and kept.publish <= now

    def _held(self, id: bytes, epoch: int) -> Kept | None:
        kept = self.jobs.get(id)
        held = kept is not None and kept.job.state is PROCESSING and kept.job.epoch == epoch
        return kept if held else None

    @staticmethod
    def _set(kept: Kept, **facts: object) -> Job:
        kept.job = structs.replace(kept.job, **facts)
        return kept.job
