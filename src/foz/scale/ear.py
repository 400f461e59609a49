"""
Who waits for a job to change, in one process: one connection that hears which jobs did.

What is heard is a nudge, never a fact: whoever waits looks again then, and every `LOOK` seconds anyway, so that a
nudge that was lost with its connection costs a moment. Who looks listens already, or what changes meanwhile would be
missed. That a subscription stands is a nudge too: what changed before it is seen by the look that follows.

All that happens to a job is said on a channel of its own; a subscription to it stays a while after its last listener,
for a follower comes back at once. That a job has its end is said to everybody: to hear of all ends costs a process less
than to subscribe to each job that somebody waits for. Ends are kept in mind for a moment, for who found a job still
running and waits then.
"""

import asyncio
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from redis import exceptions

from foz.canon.fault import NoCapacity
from foz.scale.line import Answer, Line, command
from foz.scale.pool import WHO, Pool

log = logging.getLogger("foz.scale")

LOOK = 1.0
HEARD = 0.1
"""Seconds within which a subscription should stand; who waits looks then anyway."""
LINGER = 10.0
"""Seconds between two looks at which subscriptions nobody needs."""
PAUSE = 0.2
MOST_WAITING = 20_000
MOST_RECENT = 10_000
"""Ends that are kept in mind."""


Nudge = asyncio.Future[bool]


def woken(nudge: Nudge, *, over: bool = False) -> None:
    """It need not wait any longer; whether the job's end was heard."""
    if not nudge.done():
        nudge.set_result(over)


class Ear:
    """Hears of jobs by id."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._said = f"{pool.prefix}:said:".encode()
        self._ended = f"{pool.prefix}:ended".encode()
        self._changes: dict[bytes, set[Nudge]] = {}
        """Who waits for anything, by channel."""
        self._ends: dict[bytes, set[Nudge]] = {}
        """Who waits for an end, by id."""
        self._recent: dict[bytes, None] = {}
        self._count = 0
        self._subscribed: set[bytes] = set()
        self._stands = False
        """Whether all ends are heard."""
        self._wanted = asyncio.Event()
        self._listener: asyncio.Task[None] | None = None
        self._closed = False

    def hears(self, id: bytes, *, end: bool) -> bool:
        """Whether what is said of it from now on is heard. Else that it is comes as the first nudge."""
        return self._stands if end else self._said + _name(id) in self._subscribed

    @contextmanager
    def listening(self, id: bytes, *, end: bool) -> Iterator[Nudge]:
        """
        Done when something was heard of it, or of its end alone: true where that is what was heard. Raises NoCapacity
        where too many wait, or it is closed.
        """
        if self._closed:
            raise NoCapacity(f"{WHO} is closed.")
        if self._count >= MOST_WAITING:
            raise NoCapacity(f"{MOST_WAITING:,} callers wait for jobs already; ask again later.", retry_after=1)
        if self._listener is None:
            self._listener = asyncio.ensure_future(self._listen())
        waiting, place = (self._ends, _name(id)) if end else (self._changes, self._said + _name(id))
        nudge: Nudge = asyncio.get_running_loop().create_future()
        waiting.setdefault(place, set()).add(nudge)
        self._count += 1
        if end and place in self._recent:
            nudge.set_result(True)
        elif not end and place not in self._subscribed:
            self._wanted.set()
        try:
            yield nudge
        finally:
            self._count -= 1
            waiting[place].discard(nudge)
            if not waiting[place]:
                del waiting[place]

    def _told(self, said: Answer) -> None:
        """`[b"message", channel, word]`, or that a subscription stands."""
        match said:
            case [b"message", self._ended, bytes() as id]:
                self._recent[id] = None
                if len(self._recent) > MOST_RECENT:
                    del self._recent[next(iter(self._recent))]
                _wake(self._ends.get(id, ()), over=True)
            case [b"subscribe", self._ended, _]:
                self._stands = True
                for nudges in self._ends.values():
                    _wake(nudges)
            case [b"message" | b"subscribe", bytes() as channel, _]:
                _wake(self._changes.get(channel, ()))
            case _:
                return

    async def _listen(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._pool.deadline):
                    line = await self._pool.listening(self._told)
                try:
                    await self._hear(line)
                finally:
                    line.drop()
            except (exceptions.RedisError, OSError) as error:
                log.debug("nothing is heard from Redis for now: %r", error)
            self._stands = False
            self._recent.clear()
            self._subscribed.clear()
            await asyncio.sleep(PAUSE)

    async def _hear(self, line: Line) -> None:
        """Subscribes to what is wanted, as it is, until the line is lost."""
        loop = asyncio.get_running_loop()
        tidied = loop.time()
        line.say(command("SUBSCRIBE", self._ended))
        while line.alive:
            new = self._changes.keys() - self._subscribed
            if new:
                self._subscribed |= new
                line.say(command("SUBSCRIBE", *new))
            if loop.time() - tidied > LINGER:
                tidied = loop.time()
                if idle := self._subscribed - self._changes.keys():
                    self._subscribed -= idle
                    line.say(command("UNSUBSCRIBE", *idle))
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK):
                    await self._wanted.wait()
            self._wanted.clear()

    async def close(self) -> None:
        """Hears no more, for good; whoever waits is woken."""
        self._closed = True
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.gather(self._listener, return_exceptions=True)
        for nudges in (*self._changes.values(), *self._ends.values()):
            _wake(nudges)


def _name(id: bytes) -> bytes:
    return id.hex().encode()


def _wake(nudges: Iterable[Nudge], *, over: bool = False) -> None:
    for nudge in nudges:
        woken(nudge, over=over)
