"""
Several engines of one model as one upstream: who is least busy is asked, and of those that are equally so the one that
was longest not asked.

An engine that cannot be reached, or ends before it answers, is left aside for a moment, and the next one is asked the
same: what runs on machines of our own costs nothing twice, and who is gone answers nobody. Who has answered a status is
not asked again elsewhere; that is the gateway's to decide.
"""

import asyncio
from collections.abc import Callable, Sequence

from foz.canon.fault import Cut, Down, Timeout
from foz.canon.model import Patience
from foz.ports.upstream import Upstream, UpstreamAnswer
from foz.wire.http import Call, Headers, Reply

ASIDE = 5.0
"""Seconds that an engine is not asked after it could not be reached, while there is another one."""


class Way:
    """One engine, and how it does."""

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.running = 0
        """Requests that it has now."""
        self.aside = 0.0
        """Until when it is left aside."""
        self.last = 0
        """When it was asked last, in turns."""


class Fleet:
    """Implements `ports.upstream.Upstream`. `now` is in monotonic seconds."""

    def __init__(self, ways: Sequence[Way], now: Callable[[], float]) -> None:
        self._ways = tuple(ways)
        self._now = now
        self._turn = 0

    async def send(self, call: Call, patience: Patience, along: Headers = ()) -> UpstreamAnswer:
        """Sends to one of them, and waits for the head."""
        left = list(self._ways)
        while True:
            way = min(left, key=self._standing)
            left.remove(way)
            self._turn += 1
            way.last = self._turn
            way.running += 1
            try:
                return _Answer(await way.upstream.send(call, patience, along), way, self._leave_aside)
            except (Down, Timeout) as fault:
                way.running -= 1
                gone = isinstance(fault, Down) or not fault.sent
                if gone:
                    self._leave_aside(way)
                if not gone or not left:
                    raise
            except BaseException:
                way.running -= 1
                raise

    async def close(self) -> None:
        """Closes idle connections."""
        await asyncio.gather(*(way.upstream.close() for way in self._ways))

    def _standing(self, way: Way) -> tuple[bool, int, int]:
        return way.aside > self._now(), way.running, way.last

    def _leave_aside(self, way: Way) -> None:
        way.aside = self._now() + ASIDE


class _Answer:
    """Implements `ports.upstream.UpstreamAnswer`: counted until it is closed."""

    def __init__(self, answer: UpstreamAnswer, way: Way, leave_aside: Callable[[Way], None]) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self.pause = answer.pause
        self.resume = answer.resume
        self._answer = answer
        self._way: Way | None = way
        self._leave_aside = leave_aside

    async def whole(self, limit: int) -> Reply:
        """All of it."""
        try:
            return await self._answer.whole(limit)
        except Cut:
            self._is_cut()
            raise

    async def pour(self, sink: Callable[[bytes], None]) -> None:
        """Each piece to the sink."""
        try:
            await self._answer.pour(sink)
        except Cut:
            self._is_cut()
            raise

    def close(self) -> None:
        """Done with it."""
        way, self._way = self._way, None
        if way is not None:
            way.running -= 1
            self._answer.close()

    def _is_cut(self) -> None:
        if self._way is not None:
            self._leave_aside(self._way)
