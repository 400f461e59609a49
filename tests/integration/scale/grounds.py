"""A broker and a Redis of a test's own, to be frozen and killed; ids and what is asked of them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest

from foz.canon.fault import NoCapacity
from foz.scale.rabbit import RabbitQueue

DEADLINE = 1.0
SLACK = 0.6
"""Seconds by which a busy machine may be late."""
SOON = 15.0


@contextmanager
def refused(deadline: float = DEADLINE) -> Iterator[None]:
    """What is asked in it comes to NoCapacity, status 503, within the deadline."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(NoCapacity) as raised:
        yield
    assert raised.value.status == 503
    assert loop.time() - began < deadline + SLACK


async def at_last(ask: Callable[[], Awaitable[object]]) -> None:
    """Asks until it is not refused."""
    async with asyncio.timeout(SOON):
        while True:
            try:
                await ask()
            except NoCapacity:
                await asyncio.sleep(0.05)
            else:
                return


async def ended(queue: RabbitQueue) -> None:
    """Closes it, within its own time."""
    async with asyncio.timeout(SOON):
        await queue.close()
