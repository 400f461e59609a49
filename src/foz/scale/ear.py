"""
Who waits for a job to change, in one process: one connection that hears which jobs did.

What is heard is a nudge, never a fact: whoever waits looks again then, and every `LOOK` seconds anyway, so that a
nudge that was lost with its connection costs a moment. Who looks listens already, or what changes meanwhile would be
missed. That a subscription stands is a nudge too: what changed before it is seen by the look that follows. A
subscription stays a while after its last listener, for a follower comes back at once.
"""

import asyncio
import logging
from collections.abc import Iterator
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


def woken(nudge: "asyncio.Future[None]") -> None:
    """It need not wait any longer."""
    if not nudge.done():
        nudge.set_result(None)


class Ear:
    """Hears of jobs by id."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._waiting: dict[bytes, dict[asyncio.Future[None], bool]] = {}
        self._count = 0
        self._subscribed: set[bytes] = set()
        self._wanted = asyncio.Event()
        self._listener: asyncio.Task[None] | None = None
        self._closed = False

    def _channel(self, id: bytes) -> bytes:
        return f"{self._pool.prefix}:said:{id.hex()}".encode()

    def hears(self, id: bytes) -> bool:
        """Whether what is said of it from now on is heard. Else that it is comes as the first nudge."""
        return self._channel(id) in self._subscribed

    @contextmanager
    def listening(self, id: bytes, *, end: bool) -> "Iterator[asyncio.Future[None]]":
        """Done when something was heard of it, or of its end alone. Raises NoCapacity: too many wait, or closed."""
        if self._closed:
            raise NoCapacity(f"{WHO} is closed.")
        if self._count >= MOST_WAITING:
            raise NoCapacity(f"{MOST_WAITING:,} callers wait for jobs already; ask again later.", retry_after=1)
        if self._listener is None:
            self._listener = asyncio.ensure_future(self._listen())
        channel = self._channel(id)
        nudge: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(channel, {})[nudge] = end
        self._count += 1
        if channel not in self._subscribed:
            self._wanted.set()
        try:
            yield nudge
        finally:
            self._count -= 1
            del self._waiting[channel][nudge]
            if not self._waiting[channel]:
                del self._waiting[channel]

    def _nudge(self, channel: bytes, *, end: bool) -> None:
        for nudge, last in self._waiting.get(channel, {}).items():
            if end or not last:
                woken(nudge)

    def _told(self, said: Answer) -> None:
        """`[b"message", channel, b"end" or b""]`, or that a subscription stands."""
        match said:
            case [b"message", bytes() as channel, word]:
                self._nudge(channel, end=word == b"end")
            case [b"subscribe", bytes() as channel, _]:
                self._nudge(channel, end=True)
            case _:
                return

    async def _listen(self) -> None:
        while True:
            await self._wanted.wait()
            try:
                async with asyncio.timeout(self._pool.deadline):
                    line = await self._pool.listening(self._told)
                try:
                    await self._hear(line)
                finally:
                    line.drop()
            except (exceptions.RedisError, OSError) as error:
                log.debug("nothing is heard from Redis for now: %r", error)
            self._subscribed.clear()
            self._wanted.set()
            await asyncio.sleep(PAUSE)

    async def _hear(self, line: Line) -> None:
        """Subscribes to what is wanted, as it is, until the line is lost."""
        loop = asyncio.get_running_loop()
        tidied = loop.time()
        while line.alive:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK):
                    await self._wanted.wait()
            self._wanted.clear()
            new = self._waiting.keys() - self._subscribed
            if new:
                self._subscribed |= new
                line.say(command("SUBSCRIBE", *new))
            if loop.time() - tidied > LINGER:
                tidied = loop.time()
                if idle := self._subscribed - self._waiting.keys():
                    self._subscribed -= idle
                    line.say(command("UNSUBSCRIBE", *idle))

    async def close(self) -> None:
        """Hears no more, for good; whoever waits is woken."""
        self._closed = True
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.gather(self._listener, return_exceptions=True)
        for channel in list(self._waiting):
            self._nudge(channel, end=True)
