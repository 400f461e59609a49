"""
Who waits for a job to change.

What this process changes is told at once. What others change is found by looking at all jobs that somebody waits for,
every POLL seconds, in a few questions; where nobody waits, nobody looks.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from foz.canon.fault import Fault, NoCapacity
from foz.canon.job import ENDS, Job, JobState, Mark

POLL = 0.2
MOST_WAITING = 20_000
_QUESTION = 256
"""Jobs that one question asks for: others need not wait long behind it."""

Standing = tuple[JobState, int, int]
"""State, epoch and the number of the last piece of a job's log."""
Look = Callable[[Sequence[bytes]], Awaitable[Mapping[bytes, Standing]]]


class _Waiter:
    """One who waits, and for what."""

    __slots__ = ("after", "end", "seen", "woken")

    def __init__(self, seen: Job, after: Mark, end: bool, woken: "asyncio.Future[None]") -> None:
        self.end = end
        self.seen = seen
        self.after = after
        self.woken = woken

    def tell(self, standing: Standing | None) -> None:
        """How the job stands; None where it is not there any more."""
        if not self.woken.done() and (standing is None or self._changed(*standing)):
            self.woken.set_result(None)

    def _changed(self, state: JobState, epoch: int, last: int) -> bool:
        if self.end:
            return state in ENDS
        seen, after = self.seen, self.after
        read = after.number if after.epoch == epoch else -1
        return state != seen.state or epoch != seen.epoch or last > read


class Watch:
    """All who wait, in one process. `look` says how jobs stand; those it does not name are not there."""

    def __init__(self, look: Look, limit: int = MOST_WAITING) -> None:
        self._look = look
        self._limit = limit
        self._waiters: dict[bytes, list[_Waiter]] = {}
        self._count = 0
        self._looking: asyncio.Task[None] | None = None

    async def wait(self, seen: Job, after: Mark, seconds: float, *, end: bool = False) -> None:
        """Until the job does not stand as it was seen, or there is more after the mark, or it ends; or so long."""
        if self._count >= self._limit:
            raise NoCapacity(f"{self._limit:,} callers wait for jobs already; ask again later.", retry_after=1)
        waiter = _Waiter(seen, after, end, asyncio.get_running_loop().create_future())
        waiters = self._waiters.setdefault(seen.id, [])
        waiters.append(waiter)
        self._count += 1
        try:
            async with asyncio.timeout(seconds):
                found = await self._look([seen.id])  # it may have changed before anybody listened
                waiter.tell(found.get(seen.id))
                if self._looking is None:
                    self._looking = asyncio.ensure_future(self._poll())
                await waiter.woken
        except TimeoutError:
            return
        finally:
            self._count -= 1
            waiters.remove(waiter)
            if not waiters:
                self._waiters.pop(seen.id, None)

    def tell(self, id: bytes, standing: Standing | None) -> None:
        """How one stands now, or that it is not there any more: changed by this process."""
        for waiter in self._waiters.get(id, ()):
            waiter.tell(standing)

    async def close(self) -> None:
        """Looks no more; whoever waits still is let go."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        for id in self._waiters:
            self.tell(id, None)

    async def _poll(self) -> None:
        while self._waiters:
            await asyncio.sleep(POLL)
            ids = list(self._waiters)
            try:
                for start in range(0, len(ids), _QUESTION):
                    some = ids[start : start + _QUESTION]
                    found = await self._look(some)
                    for id in some:
                        self.tell(id, found.get(id))
            except Fault:  # whoever waits asks again at the latest when the time is over, and is told
                continue
        self._looking = None
