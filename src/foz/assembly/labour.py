"""Jobs in a process: where they are kept, who works at them, and what is done for them from time to time."""

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack

from foz.assembly.books import Books
from foz.assembly.duty import every
from foz.assembly.kept import kept
from foz.canon.model import Placement
from foz.config.settings import Settings
from foz.gateway.pipeline import Gateway
from foz.jobs.intake import Jobs
from foz.jobs.lanes import Limits
from foz.jobs.working import RENEWALS, House, Workers, sweep
from foz.ports.clock import Clock
from foz.ports.post import Post
from foz.ports.skin import Skin
from foz.store.posting import MOST, Posting

SWEEP_SECONDS = 1.0
POST_SECONDS = 1.0
FORGET_SECONDS = 600.0
EACH, MOST_TOGETHER = 0.002, 0.04
"""Seconds for which a record waits for those of the jobs that are at work beside it: for each, and at most."""


class Postman:
    """Carries the settled entries of jobs from this process' ledger, or to it."""

    def __init__(self, posting: Posting, post: Post, busy: Callable[[], int]) -> None:
        """`busy` says how many jobs are at work here."""
        self._posting = posting
        self._post = post
        self._busy = busy
        self._turn = asyncio.Lock()
        self._next: asyncio.Task[None] | None = None

    async def send(self) -> None:
        """All that is settled and was not sent yet. Raises NoCapacity."""
        if self._next is None:  # who comes while a round is under way shares the next one
            self._next = asyncio.ensure_future(self._send())
            self._next.add_done_callback(_heard)
        await asyncio.shield(self._next)

    async def _send(self) -> None:
        async with self._turn:
            await asyncio.sleep(min(EACH * self._busy(), MOST_TOGETHER))
            self._next = None
            full = True
            while full:
                untold = await self._posting.untold()
                full = len(untold) >= MOST
                if untold:
                    await self._post.send([record for _, record in untold])
                    await self._posting.told([id for id, _ in untold])

    async def receive(self) -> None:
        """All that has come."""
        while await self._post.receive(self._posting.keep):
            pass


def _heard(round: "asyncio.Task[None]") -> None:
    """Whoever waited for it may have left by now: what it came to is nobody's then."""
    if not round.cancelled():
        round.exception()


class Labour:
    """
    Made in the loop that uses it. `numbers` says how many work at once in each lane; who `receives` keeps what workers
    elsewhere tell of their jobs.
    """

    def __init__(
        self,
        settings: Settings,
        books: Books,
        gateway: Gateway,
        skins: Mapping[str, Skin],
        clock: Clock,
        new_id: Callable[[], bytes],
        *,
        numbers: Mapping[Placement, int],
        receives: bool,
    ) -> None:
        rules = settings.jobs
        self._kept = kept(settings, books, numbers)
        self._clock = clock
        self._postman = (
            None if self._kept.post is None else Postman(books.posting, self._kept.post, lambda: self.workers.busy)
        )
        self._receives = receives
        self._house = House(
            gateway=gateway,
            skins=skins,
            store=self._kept.store,
            queue=self._kept.queue,
            clock=clock,
            dice=random.random,
            new_id=new_id,
            limits=Limits(
                attempts=rules.attempts,
                pause=rules.backoff,
                longest_pause=rules.backoff_cap,
                oldest=rules.oldest,
                gpu_full=rules.gpu_full,
                waiting=rules.max_waiting,
            ),
            lease=rules.lease,
            settled=None if self._postman is None else self._postman.send,
        )
        self.workers = Workers(self._house, numbers)
        self.jobs = Jobs(self._house, self.workers)

    def duties(self) -> list[Coroutine[None, None, None]]:
        """What runs beside the calls, until cancelled."""
        sleep, lease = self._clock.sleep, self._house.lease
        duties = [
            every(min(lease / RENEWALS, 1.0), self.workers.renew, "leases of jobs are not renewed", sleep),
            every(SWEEP_SECONDS, self._sweep, "jobs that were left are not taken up again for now", sleep),
        ]
        if self._postman is not None:
            carry = self._postman.receive if self._receives else self._postman.send
            duties.append(every(POST_SECONDS, carry, "what workers' ledgers tell does not arrive for now", sleep))
            duties.append(every(FORGET_SECONDS, self._forget, "jobs whose time is over are kept for now", sleep))
        return duties

    async def stop(self, seconds: float) -> None:
        """Takes no more jobs, and gives those at work so long."""
        await self.workers.stop(seconds)

    async def close(self) -> None:
        """Lets go of where jobs are kept."""
        async with AsyncExitStack() as last_first:
            if self._kept.post is not None:
                last_first.push_async_callback(self._kept.post.close)
            last_first.push_async_callback(self._kept.store.close)
            last_first.push_async_callback(self._kept.queue.close)

    async def _sweep(self) -> None:
        await sweep(self._house.store, self._house.queue, self._clock.now())

    async def _forget(self) -> None:
        await self._kept.store.forget(self._clock.now())
