"""
Clocks: one that moves only when told, and the real one for the simulated upstream's own server.

A `StillClock` holds its sleepers in order of their waking. `advance` moves time from sleeper to sleeper and lets
the loop run dry after each, so that whoever was woken (and whoever they wake) has acted before time goes on.
"""

import asyncio
import heapq
import time
from itertools import count

TURNS = 25
"""Rounds of the loop after each waking: how deep a chain of tasks may hand on before time moves on."""


class StillClock:
    """A clock for tests. `start` is UTC in milliseconds."""

    def __init__(self, start: int = 1_700_000_000_000) -> None:
        self._start = start
        self._passed = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()

    def now(self) -> int:
        """UTC in integer milliseconds."""
        return self._start + round(self._passed * 1000)

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        return self._passed

    async def sleep(self, seconds: float) -> None:
        """Waits until the clock has been told to move that far."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        waking: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._passed + seconds, next(self._order), waking))
        await waking

    @property
    def sleepers(self) -> int:
        """How many wait."""
        return sum(not waking.done() for _, _, waking in self._sleepers)

    def next_waking(self) -> float | None:
        """Seconds until the next sleeper wakes; None where nobody sleeps."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] - self._passed if self._sleepers else None

    def shift(self, seconds: float) -> None:
        """Moves time without letting anybody run: what has passed since the loop last looked."""
        self._passed += seconds
        self._wake()

    async def advance(self, seconds: float) -> None:
        """Moves time on, waking sleepers one after another in the order of their times."""
        await self.settle()
        end = self._passed + seconds
        while (wait := self.next_waking()) is not None and self._passed + wait <= end:
            self._passed += max(wait, 0.0)
            self._wake()
            await self.settle()
        self._passed = end
        await self.settle()

    async def settle(self) -> None:
        """Lets everybody run who can without time passing."""
        for _ in range(TURNS):
            await asyncio.sleep(0)

    def _wake(self) -> None:
        while self._sleepers and self._sleepers[0][0] <= self._passed:
            waking = heapq.heappop(self._sleepers)[2]
            if not waking.done():
                waking.set_result(None)


class LoopClock:
    """The real time."""

    def now(self) -> int:
        """UTC in integer milliseconds."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds that only go forward."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Waits."""
        await asyncio.sleep(seconds)
