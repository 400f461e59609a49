"""
Where jobs may be kept and how they may wait, for the contract suite: one line in TOPOLOGIES for each.

A topology makes grounds: places with nothing in them, which nobody else uses. On one ground any number of sides are
opened, each as another process would open it: a store and a queue with connections of their own, which know of each
other only through what is kept. No test knows which topology it runs on.
"""

import asyncio
import secrets
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Protocol

import pytest
from redis import Redis

from foz.canon.model import Placement
from foz.ports.jobs import JobQueue, JobStore
from foz.scale.jobs import RedisJobs
from foz.scale.rabbit import RabbitQueue, undeclare
from foz.store.database import connect_reader
from foz.store.disk import Disk
from foz.store.jobs import SqliteJobs
from foz.store.lanes import SqliteQueue
from foz.store.lookups import Lookups
from foz.testing.clock import LoopClock
from foz.testing.servers import shared_rabbit, shared_redis


class Side(Protocol):
    """A store and a queue, as one process has them. Belongs to the loop it was opened in."""

    @property
    def store(self) -> JobStore:
        """Its store."""
        ...

    @property
    def queue(self) -> JobQueue:
        """Its queue. The clock of the queue is the real one."""
        ...

    async def close(self) -> None:
        """As a process that ends well. Idempotent."""
        ...


class Ground(Protocol):
    """One place where jobs are kept."""

    async def open(self) -> Side:
        """A new side, as of another process."""
        ...


Topology = Callable[[Path, pytest.FixtureRequest], Ground]
"""
Makes a ground, each time another one; the folder is the test's own and may be used for several grounds.
What is costly to start (servers) is a session's fixture, asked for through the request.
"""


class Embedded:
    """Everything in one SQLite database."""

    def __init__(self, data: Path) -> None:
        self._data = data

    async def open(self) -> Side:
        """As a process with this data directory."""
        return EmbeddedSide(self._data)


class EmbeddedSide:
    """A writer, a reader and what stands on them."""

    def __init__(self, data: Path) -> None:
        self.disk = Disk(data)
        self.lookups = Lookups(connect_reader(data))
        self.store = SqliteJobs(self.disk.writer, self.lookups)
        self.queue = SqliteQueue(self.disk.writer, self.lookups, LoopClock().now)
        self._closed = False

    async def close(self) -> None:
        """In the order in which a process does it."""
        if self._closed:
            return
        self._closed = True
        await self.queue.close()
        await self.store.close()
        await self.lookups.close()
        await self.disk.close()


def embedded(folder: Path, _: pytest.FixtureRequest) -> Ground:
    """A data directory of its own."""
    return Embedded(Path(tempfile.mkdtemp(dir=folder)))


class Scale:
    """RabbitMQ and Redis; what it is called there is its own, and is removed in the end."""

    def __init__(self, rabbit: str, redis: str) -> None:
        self.rabbit = rabbit
        self.redis = redis
        self.name = f"foz-{secrets.token_hex(6)}"

    async def open(self) -> Side:
        """As a process that was told both addresses."""
        return ScaleSide(self)

    def remove(self) -> None:
        """All of it."""
        with Redis.from_url(self.redis) as client:
            for key in client.scan_iter(f"{{{self.name}}}:*", count=1000):
                client.unlink(key)
        asyncio.run(undeclare(self.rabbit, self.name))


class ScaleSide:
    """Connections to both."""

    def __init__(self, ground: Scale) -> None:
        hands = dict.fromkeys(Placement, 16)
        self.store = RedisJobs(ground.redis, name=ground.name)
        self.queue = RabbitQueue(ground.rabbit, hands, name=ground.name)
        self._closed = False

    async def close(self) -> None:
        """In the order in which a process does it."""
        if self._closed:
            return
        self._closed = True
        await self.queue.close()
        await self.store.close()


def scale(_: Path, request: pytest.FixtureRequest) -> Ground:
    """Names of its own on the servers of the session."""
    ground = Scale(shared_rabbit(), shared_redis())
    request.addfinalizer(ground.remove)
    return ground


TOPOLOGIES: Mapping[str, Topology] = {"embedded": embedded, "scale": scale}
"""By name. What is added here has the whole suite."""

Story = Callable[[Ground, Side], Awaitable[None]]
LONGEST = 60.0


def play(ground: Ground, story: Story) -> None:
    """Runs a story on a ground with one side open; what the story opens itself it closes itself."""

    async def told() -> None:
        side = await ground.open()
        try:
            await asyncio.wait_for(story(ground, side), LONGEST)
        finally:
            await side.close()

    asyncio.run(told())
