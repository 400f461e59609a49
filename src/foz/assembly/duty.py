"""
What is done from time to time, and goes on whatever one round comes to.

A locked database or a full disk is told, with what it means, once for as long as it stays the same; then the next
round tries again. A defect is told with its traceback. Neither may end the process that serves.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import apsw

from foz.canon.fault import Fault

log = logging.getLogger("foz.duty")

Round = Callable[[], Awaitable[object]]


async def tried(meaning: str, do: Round) -> BaseException | None:
    """Does it; what it came to, told as `meaning`, unless it went well."""
    error = await _outcome(do)
    if error is not None:
        _tell(meaning, error)
    return error


async def every(seconds: float, do: Round, meaning: str, sleep: Callable[[float], Awaitable[object]]) -> None:
    """Does it now and again and again, until cancelled. `meaning` says what a failed round means."""
    last = ""
    while True:
        error = await _outcome(do)
        found = "" if error is None else f"{type(error).__name__}: {error}"
        if error is not None and found != last:
            _tell(meaning, error)
        elif last and not found:
            log.info("no longer so: %s", meaning)
        last = found
        await sleep(seconds)


async def _outcome(do: Round) -> BaseException | None:
    (came,) = await asyncio.gather(do(), return_exceptions=True)
    return came if isinstance(came, BaseException) else None


def _tell(meaning: str, error: BaseException) -> None:
    foreseen = isinstance(error, Fault | apsw.Error | OSError)
    log.warning("%s: %s", meaning, error, exc_info=None if foreseen else error)
