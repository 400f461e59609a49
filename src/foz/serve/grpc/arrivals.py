"""Calls whose message has not come yet: each has a while, whoever asks for it and however many there are."""

import asyncio
from collections.abc import Callable
from math import inf

from msgspec import Struct

from foz.canon.fault import Fault
from foz.canon.principal import Principal
from foz.wire.http import Call


class Arrival(Struct):
    """A call's head, as it was judged before its message came."""

    until: float
    call: Call
    principal: Principal | None = None
    """None where it is to be refused."""
    fault: Fault | None = None


Task = asyncio.Task[object]


class Arrivals:
    """By the task that serves them, the oldest first. Implements `ports.watch.Waiting`."""

    def __init__(self, now: Callable[[], float], patience: float) -> None:
        self._now = now
        self._patience = patience
        self._waiting: dict[Task, Arrival] = {}
        self.deadline = inf

    def __len__(self) -> int:
        return len(self._waiting)

    def expect(self, task: Task, call: Call) -> Arrival:
        """Its message has so long to come."""
        arrival = self._waiting[task] = Arrival(self._now() + self._patience, call)
        task.add_done_callback(self._left)
        if self.deadline == inf:
            self.deadline = arrival.until
        return arrival

    def _left(self, task: Task) -> None:
        self._waiting.pop(task, None)

    def arrived(self, task: Task) -> Arrival:
        """It is here."""
        return self._waiting.pop(task)

    def expired(self) -> None:
        """Leaves those who have waited too long."""
        now = self._now()
        for task, arrival in list(self._waiting.items()):
            if arrival.until > now:
                break
            del self._waiting[task]
            task.cancel()
        self.deadline = min((arrival.until for arrival in self._waiting.values()), default=inf)
