"""Jobs in a process: where they are kept, who works at them, and what is done for them from time to time."""

import random
from collections.abc import Callable, Coroutine, Mapping

from foz.assembly.books import Books
from foz.assembly.duty import every
from foz.canon.model import Placement
from foz.config.settings import Settings
from foz.gateway.pipeline import Gateway
from foz.jobs.intake import Jobs
from foz.jobs.lanes import Limits
from foz.jobs.working import RENEWALS, House, Workers, sweep
from foz.ports.clock import Clock
from foz.ports.skin import Skin

SWEEP_SECONDS = 1.0


class Labour:
    """Made in the loop that uses it. `numbers` says how many work at once in each lane."""

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
    ) -> None:
        kept = settings.jobs
        self._clock = clock
        self._house = House(
            gateway=gateway,
            skins=skins,
            store=books.jobs,
            queue=books.queue,
            clock=clock,
            dice=random.random,
            new_id=new_id,
            limits=Limits(
                attempts=kept.attempts,
                pause=kept.backoff,
                longest_pause=kept.backoff_cap,
                oldest=kept.oldest,
                gpu_full=kept.gpu_full,
                waiting=kept.max_waiting,
            ),
            lease=kept.lease,
        )
        self.workers = Workers(self._house, numbers)
        self.jobs = Jobs(self._house, self.workers)

    def duties(self) -> list[Coroutine[None, None, None]]:
        """What runs beside the calls, until cancelled."""
        sleep, lease = self._clock.sleep, self._house.lease
        return [
            every(min(lease / RENEWALS, 1.0), self.workers.renew, "leases of jobs are not renewed", sleep),
            every(SWEEP_SECONDS, self._sweep, "jobs that were left are not taken up again for now", sleep),
        ]

    async def close(self, seconds: float) -> None:
        """Takes no more jobs, and gives those at work so long."""
        await self.workers.stop(seconds)
        await self._house.queue.close()

    async def _sweep(self) -> None:
        await sweep(self._house.store, self._house.queue, self._clock.now())
