"""Time, as the core may know it."""

from typing import Protocol


class Clock(Protocol):
    """The only source of time and of waiting."""

    def now(self) -> int:
        """UTC in integer milliseconds."""
        ...

    def monotonic(self) -> float:
        """Seconds that only go forward."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Waits."""
        ...
