"""
Answers that were given before, kept for a while under the digest of what was asked.

A cache is never in the way: what it cannot find or keep is told in the log, and the call goes on without it. It may be
emptied at any time.
"""

from typing import Protocol

MOST = 2**20
"""Bytes of one answer; a larger one is not kept."""


class Cache(Protocol):
    """Keeps answers, up to a size; the oldest go first. Processes may share one. Times are UTC in milliseconds."""

    async def find(self, key: bytes, now: int) -> bytes | None:
        """What was kept under this key and has not expired. Nothing where the cache cannot be read."""
        ...

    def keep(self, key: bytes, data: bytes, expires: int) -> None:
        """
        Takes it and returns at once; it is found from now on by who has kept it, and by others when it is written.
        What was kept under the same key gives way to it.
        """
        ...

    async def forget(self, now: int) -> None:
        """Removes what has expired, and what is too much. Raises what came of it."""
        ...
