"""
One coarse tick for all deadlines of a loop.

A timer per wait costs about 1 µs to arm and to cancel, several times a request; an attribute costs nothing.
The price is precision: a deadline is noticed up to one tick late.
"""

import asyncio

from foz.ports.watch import Waiting

TICK = 0.05


class TickingWatch:
    """Implements `ports.watch.Watch`. Sleeps while nobody waits."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.now = loop.time()
        """The loop's time at the last tick."""
        self._waiting: set[Waiting] = set()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, waiting: Waiting) -> None:
        """Looks at it from now on."""
        self._waiting.add(waiting)
        if self._timer is None:
            self._timer = self._loop.call_later(TICK, self._tick)

    def discard(self, waiting: Waiting) -> None:
        """No longer."""
        self._waiting.discard(waiting)

    def _tick(self) -> None:
        self._timer = self._loop.call_later(TICK, self._tick) if self._waiting else None
        self.now = now = self._loop.time()
        for waiting in [waiting for waiting in self._waiting if waiting.deadline < now]:
            self._loop.call_soon(self._expire, waiting)  # each on its own: a defect of one is not the others'

    def _expire(self, waiting: Waiting) -> None:
        if waiting in self._waiting and waiting.deadline < self._loop.time():
            waiting.expired()
