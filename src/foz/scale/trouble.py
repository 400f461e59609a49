"""
Deadlines for what is asked of a server: every answer comes within one, or NoCapacity does.

What stands against it is logged by who noticed; a caller is told only that it did not work and may be tried again.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from foz.canon.fault import NoCapacity

DEADLINE = 2.0
"""Seconds."""
AGAIN = 1.0
"""Seconds after which a caller may try again."""


@asynccontextmanager
async def within(deadline: float, who: str, *troubles: type[BaseException]) -> AsyncIterator[None]:
    """Runs its body for so long at most; that it was too long, or one of these troubles, is NoCapacity."""
    caught: tuple[type[BaseException], ...] = (*troubles, TimeoutError)
    try:
        async with asyncio.timeout(deadline):
            yield
    except caught as error:
        late = isinstance(error, TimeoutError)
        why = f"did not answer within {deadline:g} s" if late else "cannot be used for now"
        raise NoCapacity(f"{who} {why}; ask again.", retry_after=AGAIN) from error
    except asyncio.CancelledError as error:
        # A connection that is torn down cancels those who wait for it; only who was asked to end ends.
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise NoCapacity(f"{who} went away; ask again.", retry_after=AGAIN) from error
