"""
Who runs the engines of a data directory: the process that holds its lock. The kernel gives the lock up when the process
ends, however it ends; whoever tries next has it then.
"""

import fcntl
import os
from pathlib import Path

NAME = "engines.lock"


class Ownership:
    """Tried again and again until it is ours, then ours until `close`."""

    def __init__(self, data: Path) -> None:
        self._path = data / NAME
        self._lock: int | None = None

    def take(self) -> bool:
        """Whether it is ours now. Descriptors of Python are not inherited: no engine holds it on."""
        if self._lock is None:
            lock = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                return False
            self._lock = lock
        return True

    def taken(self) -> bool:
        """Whether somebody has it, now."""
        if self._lock is not None:
            return True
        free = self.take()
        self.close()
        return not free

    def close(self) -> None:
        """Another may have it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
