"""
Who will settle an open entry: a process, known by a UUID and by the lock it holds while it lives.

The lock is on `<data>/owners/<uuid>.lock`; the kernel gives it up when the process ends, however it ends.
`sweep` tries the locks of all who have entries open: one that can be taken, or whose file is gone, is a dead owner's,
and what it left open becomes `interrupted`. The living are never touched. Names are never used twice,
and a lock file is unlinked only by one who holds its lock, after the entries are settled.
"""

import fcntl
import os
import uuid
from collections.abc import Callable
from pathlib import Path

import apsw

from foz.store.queries import load

FOLDER = "owners"
_SQL = {**load("ledger"), "drop_held": load("leases")["drop_owner"]}
_FAULT = "interrupted: the process that served this call ended before the call did"


class Owner:
    """A process as an owner. Hold it as long as entries are opened; a forked child must make its own."""

    def __init__(self, data: Path) -> None:
        folder = data / FOLDER
        folder.mkdir(mode=0o700, exist_ok=True)
        while True:
            self.id = uuid.uuid4().bytes
            self.path = _lock_path(data, self.id)
            self._lock = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            if _take(self._lock) and self.path.exists():
                return
            os.close(self._lock)  # a sweeper came between making and locking: another name

    def close(self) -> None:
        """Gives the lock up: what is still open becomes `interrupted` at the next sweep."""
        os.close(self._lock)


def dead_owners(data: Path, having_open: set[bytes], own: bytes) -> dict[bytes, int | None]:
    """Owners that live no more, each with its lock, taken; None where the file is gone already."""
    known = {path.stem for path in (data / FOLDER).glob("*.lock")}
    dead: dict[bytes, int | None] = {}
    for id in having_open | {bytes.fromhex(name) for name in known if _is_id(name)}:
        if id == own:
            continue
        try:
            lock = os.open(_lock_path(data, id), os.O_RDWR)
        except FileNotFoundError:
            if id in having_open:
                dead[id] = None
            continue
        if _take(lock):
            dead[id] = lock
        else:
            os.close(lock)
    return dead


def bury(data: Path, dead: dict[bytes, int | None]) -> None:
    """Removes the lock files of the dead, once their entries are settled, and takes them out of `dead`."""
    for id in list(dead):
        if dead[id] is not None:
            _lock_path(data, id).unlink(missing_ok=True)
        let_go({id: dead.pop(id)})


def let_go(dead: dict[bytes, int | None]) -> None:
    """Gives the locks of the dead up without removing them: another sweep will."""
    for lock in dead.values():
        if lock is not None:
            os.close(lock)


def interrupt(ids: list[bytes]) -> Callable[[apsw.Connection], int]:
    """
    Work for the writer: what these owners left open is `interrupted`, what they held of budgets goes back.
    Its result is how many entries.
    """

    def work(connection: apsw.Connection) -> int:
        count = 0
        for id in ids:
            values = {"owner": id, "fault": _FAULT}
            connection.execute(_SQL["interrupt_further"], values)
            connection.execute(_SQL["interrupt"], values)
            count += connection.changes()
            connection.execute(_SQL["drop_held"], {"owner": id})
        return count

    return work


def _lock_path(data: Path, id: bytes) -> Path:
    return data / FOLDER / f"{id.hex()}.lock"


def _is_id(name: str) -> bool:
    return len(name) == 32 and all(digit in "0123456789abcdef" for digit in name)  # noqa: PLR2004 - a UUID's digits


def _take(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
