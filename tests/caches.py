"""Where answers may be kept, for the contract suite: one line in CACHES for each. As `topologies.py` for jobs."""

import asyncio
import secrets
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Protocol

import pytest
from redis import Redis

from foz.ports.cache import Cache
from foz.scale.cache import RedisCache
from foz.store.cache import SqliteCache
from foz.testing.cache import MemoryCache
from foz.testing.servers import shared_redis

SIZE = 8 * 2**20
LONGEST = 30.0


class Opened(Cache, Protocol):
    """A cache as one process has it."""

    async def close(self) -> None:
        """As a process that ends well."""
        ...


class Ground(Protocol):
    """One place where answers are kept."""

    def open(self, size: int = SIZE) -> Opened:
        """A cache of it, as of another process. Called in the loop that uses it."""
        ...


class Embedded:
    """A file of a data directory."""

    def __init__(self, data: Path) -> None:
        self._data = data

    def open(self, size: int = SIZE) -> Opened:
        """As a process with this data directory."""
        return SqliteCache(self._data, size)


class _Remembered(MemoryCache):
    """The fake, which nobody has to close."""

    def __init__(self, ground: "InMemory", size: int) -> None:
        super().__init__(size)
        self.kept = ground.kept

    async def close(self) -> None:
        """What others do with it is not this one's any more."""
        self.kept = {}


class InMemory:
    """What tests of the core use."""

    def __init__(self) -> None:
        self.kept: dict[bytes, tuple[bytes, int]] = {}

    def open(self, size: int = SIZE) -> Opened:
        """Over the same answers."""
        return _Remembered(self, size)


class InRedis:
    """Names of its own on a Redis."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.name = f"foz-{secrets.token_hex(6)}"

    def open(self, size: int = SIZE) -> Opened:
        """As a process that was told its address."""
        return RedisCache(self.url, size, name=self.name, deadline=5.0)

    def names(self) -> list[bytes]:
        """All that is there of it."""
        with Redis.from_url(self.url) as client:
            return list(client.scan_iter(f"{{{self.name}}}:*", count=1000))

    def remove(self) -> None:
        """All of it."""
        with Redis.from_url(self.url) as client:
            for key in self.names():
                client.unlink(key)


def in_redis(_: Path, request: pytest.FixtureRequest) -> Ground:
    """Names of its own on the server of the session."""
    ground = InRedis(shared_redis())
    request.addfinalizer(ground.remove)
    return ground


Place = Callable[[Path, pytest.FixtureRequest], Ground]

CACHES: Mapping[str, Place] = {
    "embedded": lambda folder, _: Embedded(Path(tempfile.mkdtemp(dir=folder))),
    "memory": lambda *_: InMemory(),
    "redis": in_redis,
}
"""By name. What is added here has the whole suite."""

Story = Callable[[Ground, Opened], Awaitable[None]]


def play(ground: Ground, story: Story) -> None:
    """Runs a story on a ground with one cache open; what the story opens itself it closes itself."""

    async def told() -> None:
        cache = ground.open()
        try:
            await asyncio.wait_for(story(ground, cache), LONGEST)
        finally:
            await cache.close()

    asyncio.run(told())


async def found(cache: Cache, key: bytes, now: int) -> bytes:
    """What is found, as soon as it is written."""
    async with asyncio.timeout(10):
        data = await cache.find(key, now)
        while data is None:
            await asyncio.sleep(0.002)
            data = await cache.find(key, now)
    return data
