"""
Deadlines for what is asked of a server: every answer comes within one, or NoCapacity does.

What stands against it is logged by who noticed; a caller is told only that it did not work and may be tried again.
"""

import asyncio
from types import TracebackType

from foz.canon.fault import NoCapacity

DEADLINE = 2.0
"""Seconds."""
AGAIN = 1.0
"""Seconds after which a caller may try again."""


class within:  # noqa: N801 - reads as what it does: `async with within(...)`
    """Runs its body for so long at most; that it was too long, or one of these troubles, is NoCapacity."""

    __slots__ = ("_asked", "_deadline", "_late", "_task", "_timer", "_troubles", "_who")

    def __init__(self, deadline: float, who: str, *troubles: type[BaseException]) -> None:
        self._deadline = deadline
        self._who = who
        self._troubles = (*troubles, TimeoutError)
        self._late = False

    async def __aenter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("nobody can be stopped here: this is no task")
        self._task = task
        self._asked = task.cancelling()
        self._timer = task.get_loop().call_later(self._deadline, self._stop)

    def _stop(self) -> None:
        self._late = True
        self._task.cancel()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        left = self._task.uncancel() if self._late else self._task.cancelling()
        if error is None:
            return
        if isinstance(error, asyncio.CancelledError):
            # A connection that is torn down cancels those who wait for it; only who was asked to end ends.
            if left > self._asked:
                return
            why = f"did not answer within {self._deadline:g} s; ask again." if self._late else "went away; ask again."
            cause = TimeoutError() if self._late else error
            raise NoCapacity(f"{self._who} {why}", retry_after=AGAIN) from cause
        if isinstance(error, self._troubles):
            late = isinstance(error, TimeoutError)
            why = f"did not answer within {self._deadline:g} s" if late else "cannot be used for now"
            raise NoCapacity(f"{self._who} {why}; ask again.", retry_after=AGAIN) from error
