"""What is left after a kill: processes by what they hold, and the ledger as another program sees it."""

import os
import random
import signal
import sqlite3
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from foz.testing.process import Served, Upstream, wait_until


def seeds(count: int) -> list[int]:
    """So many seeds for runs, or the one of `FOZ_KILL_SEED`."""
    replayed = os.environ.get("FOZ_KILL_SEED")
    return [int(replayed)] if replayed else [random.SystemRandom().getrandbits(32) for _ in range(count)]


def children(pid: int) -> list[int]:
    """The processes that this one has started and that still run."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in found.split()]


def owner(pid: int) -> str:
    """The name, in hexadecimal digits, under which a process opens entries: it holds that lock file."""
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            path = link.readlink()
        except FileNotFoundError:
            continue
        if path.suffix == ".lock" and path.parent.name == "owners":
            return path.stem
    raise LookupError(f"process {pid} holds no owner's lock")


def is_owner(pid: int) -> bool:
    """Whether it holds an owner's lock yet."""
    try:
        return bool(owner(pid))
    except (LookupError, OSError):
        return False


def kill_all(pids: Iterable[int]) -> None:
    """`kill -9`, one after the other, at once."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has waited for yet has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


class Ledger:
    """The database of a gateway's folder, read by SQLite of another make."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "data" / "foz.db"

    def rows(self, query: str, *values: object) -> list[tuple[object, ...]]:
        """What a query gives, now."""
        with closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=10)) as connection:
            return connection.execute(query, values).fetchall()

    def states(self, name: str) -> dict[str, str]:
        """How the entries of a load stand, by request id. Raises AssertionError where an id has two."""
        found = self.rows("SELECT request_id, state FROM entries WHERE request_id GLOB ?", f"{name}-*")
        states = {str(id): str(state) for id, state in found}
        assert len(states) == len(found), "a request has two entries"
        return states

    def attempts(self, name: str) -> Counter[str]:
        """How many attempts each request of a load had."""
        query = (
            "SELECT e.request_id, count(*) FROM entries e JOIN attempts a ON a.entry_id = e.id"
            " WHERE e.request_id GLOB ? GROUP BY 1"
        )
        return Counter({str(id): int(str(count)) for id, count in self.rows(query, f"{name}-*")})

    def owners(self) -> set[str]:
        """Those who have entries open."""
        return {
            str(row[0]).lower() for row in self.rows("SELECT DISTINCT hex(owner) FROM entries WHERE owner NOT NULL")
        }

    def wait_for_sweep(self, dead: set[str] | None = None) -> None:
        """Until these, or all, have no open entries any more."""

        def swept() -> bool:
            owners = self.owners()
            return not (owners if dead is None else owners & dead)

        wait_until(swept, "the entries of the dead to be interrupted", 20.0)

    def is_sound(self) -> bool:
        """Whether SQLite finds nothing wrong with it, nor with what was captured."""
        found = [self.rows("PRAGMA integrity_check")]
        for path in self._path.parent.glob("content/*/content.db"):
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as connection:
                found.append(connection.execute("PRAGMA integrity_check").fetchall())
        return all(rows == [("ok",)] for rows in found)


def seen_by(upstream: Upstream, name: str) -> Counter[str]:
    """How often the upstream was asked for each request of a load."""
    return Counter(id for _, id, _ in upstream.logged() if id.startswith(f"{name}-"))


def workers(gateway: Served, count: int) -> list[int]:
    """The process ids of a supervisor's workers, once all of them serve."""
    gateway.wait_for(lambda: sum(map(is_owner, children(gateway.pid))) == count, f"{count} workers to serve")
    return children(gateway.pid)
