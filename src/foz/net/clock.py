"""The system's time. Implements `ports.clock.Clock`."""

import asyncio
import time


class SystemClock:
    """UTC milliseconds, monotonic seconds, and the loop's sleep."""

    now = staticmethod(lambda: time.time_ns() // 1_000_000)
    monotonic = staticmethod(time.monotonic)

    async def sleep(self, seconds: float) -> None:
        """Waits."""
        await asyncio.sleep(seconds)
