"""
Where jobs may be kept and how they may wait, for the contract suite: one line in TOPOLOGIES for each.

A topology makes grounds: places with nothing in them, which nobody else uses. On one ground any number of sides are
opened, each as another process would open it: a store and a queue with connections of their own, which know of each
other only through what is kept. No test knows which topology it runs on.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Protocol

import pytest

from foz.ports.jobs import JobQueue, JobStore


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

TOPOLOGIES: Mapping[str, Topology] = {}
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
