"""Waiting on behalf of a caller, no longer than this process serves."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from foz.gateway.services import Services

T = TypeVar("T")
GLANCE = 0.5
"""Seconds after which somebody who waits looks whether we are being stopped."""


async def while_here(services: Services, work: Awaitable[T]) -> T | None:
    """What it comes to; None where we are being stopped before, and it is stopped too."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done() and not services.draining:
            await asyncio.wait({task}, timeout=GLANCE)
        return task.result() if task.done() else None
    finally:
        task.cancel()
        await asyncio.wait({task})
