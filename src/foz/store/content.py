"""
What was said, in files of its own per day: `<data>/content/2026-01-31/content.db`.

A day is a small SQLite database, so that a call's content is found by its entry's id (which tells the day)
and several processes may write it; a day that is over its time is removed by unlinking its folder's files:
no row is ever deleted, nothing of it stays behind in free pages.

`keep` cuts what is too long, puts it in a line and returns: a thread writes, a tenth of a second's calls together.
Content is not the account: it is not waited for, and where the line is full it is dropped, counted and told. Who reads
in the process that took it finds it at once, written or not; another process finds it when it is written.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import uuid4

import apsw

from foz.canon.entry import Entry
from foz.canon.identity import made_at
from foz.ports.content import Kept
from foz.store.database import BUSY_MILLISECONDS
from foz.store.queries import load

FOLDER = "content"
NAME = "content.db"
LIMIT = 64_000
"""Bytes of one call, input and output together."""
DAYS = 30
MOST_WAITING = 64 * 1024 * 1024
GATHER_SECONDS = 0.1
SWEEP_SECONDS = 3600.0
HOUR = 3_600_000
_SQL = load("content")

logger = logging.getLogger(__name__)

Row = tuple[bytes, str, str, str, str, bool, bool]


class ContentFiles:
    """Implements `ports.content.Content`."""

    def __init__(
        self,
        data: Path,
        now: Callable[[], int],
        *,
        limit: int = LIMIT,
        days: int = DAYS,
        most_waiting: int = MOST_WAITING,
        gather_seconds: float = GATHER_SECONDS,
    ) -> None:
        self._folder = data / FOLDER
        self._now = now
        self._limit = limit
        self._days = days
        self._most_waiting = most_waiting
        self._gather_seconds = gather_seconds
        self._waiting: deque[Row] = deque()
        self._unwritten_yet: dict[bytes, Row] = {}
        # Each thread counts for itself: a sum that two write would drift.
        self._taken_size = self._done_size = 0
        self._refused = self._unwritten = 0
        self._swept = -HOUR
        self._bell = threading.Event()
        self._stop = threading.Event()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._thread = threading.Thread(target=self._run, name="foz-content", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Calls whose content was not kept: too much waited, or it could not be written."""
        return self._refused + self._unwritten

    def keep(self, entry: Entry, input: str, output: str) -> None:
        """Takes it and returns at once."""
        input, output, input_cut, output_cut = cut(input, output, self._limit)
        size = len(input) + len(output)
        if self._taken_size - self._done_size + size > self._most_waiting:
            self._refuse()
            return
        self._taken_size += size
        row = (entry.id, entry.principal, entry.project, input, output, input_cut, output_cut)
        self._unwritten_yet[entry.id] = row
        self._waiting.append(row)
        if not self._bell.is_set():
            self._bell.set()

    async def read(self, entry_id: bytes) -> Kept | None:
        """What was kept of a call."""
        return await asyncio.to_thread(self.read_now, entry_id)

    def read_now(self, entry_id: bytes) -> Kept | None:
        """As `read`, for who may wait."""
        return self._read_many([entry_id]).get(entry_id)

    async def read_many(self, entry_ids: Sequence[bytes]) -> Mapping[bytes, Kept]:
        """What was kept of these calls, by entry."""
        return await asyncio.to_thread(self._read_many, entry_ids)

    def _read_many(self, entry_ids: Sequence[bytes]) -> dict[bytes, Kept]:
        """Each day is opened once. What waits is looked at first: what left there meanwhile is in its file."""
        by_day: dict[str, list[bytes]] = {}
        found: list[Kept] = []
        for id in entry_ids:
            row = self._unwritten_yet.get(id)
            if row is None:
                by_day.setdefault(_day(id), []).append(id)
            else:
                found.append(Kept(*row))
        found += [kept for day, ids in by_day.items() for kept in self._read_day(day, ids)]
        return {kept.entry_id: kept for kept in found}

    def _read_day(self, day: str, ids: list[bytes]) -> list[Kept]:
        path = self._path(day)
        if not path.exists():
            return []
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            connection.set_busy_timeout(BUSY_MILLISECONDS)
            rows = [connection.execute(_SQL["read"], (id,)).fetchone() for id in ids]
        finally:
            connection.close()
        return [_kept(*row) for row in rows if row is not None]

    def sweep(self) -> list[str]:
        """Removes the days that are over their time, and names them."""
        oldest = (datetime.fromtimestamp(self._now() / 1000, UTC).date() - timedelta(days=self._days)).isoformat()
        over = [day for day in sorted(self._folder.iterdir()) if _is_day(day.name) and day.name < oldest]
        for day in over:
            with suppress(FileNotFoundError):  # another process sweeps too
                for path in day.iterdir():
                    path.unlink(missing_ok=True)
                day.rmdir()
        return [day.name for day in over]

    def close(self) -> None:
        """Writes what waits and ends the thread."""
        self._stop.set()
        self._bell.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._bell.wait(SWEEP_SECONDS)
            stopping = self._stop.wait(self._gather_seconds)
            self._bell.clear()
            self._write_waiting()
            if self._now() - self._swept >= HOUR:
                self._swept = self._now()
                _tried("days that are over cannot be removed", self.sweep)
            if stopping:
                return

    def _write_waiting(self) -> None:
        by_day: dict[str, list[Row]] = {}
        for row in [self._waiting.popleft() for _ in range(len(self._waiting))]:
            self._done_size += len(row[3]) + len(row[4])
            by_day.setdefault(_day(row[0]), []).append(row)
        for day, rows in by_day.items():
            if not _tried(f"the content of {day} cannot be written", partial(self._write, day, rows)):
                self._unwritten += len(rows)
            for row in rows:
                self._unwritten_yet.pop(row[0], None)

    def _write(self, day: str, rows: list[Row]) -> None:
        with _opened(self._path(day)) as connection, connection:
            connection.executemany(_SQL["keep"], rows)

    def _refuse(self) -> None:
        if not self._refused:
            logger.warning("Content is not kept while too much of it waits to be written; it is counted, not told.")
        self._refused += 1

    def _path(self, day: str) -> Path:
        return self._folder / day / NAME


def _kept(  # noqa: PLR0917 - the columns of a row
    id: bytes, principal: str, project: str, input: str, output: str, input_cut: int, output_cut: int
) -> Kept:
    return Kept(id, principal, project, input, output, bool(input_cut), bool(output_cut))


def cut(input: str, output: str, limit: int) -> tuple[str, str, bool, bool]:
    """Both within `limit` bytes together, and whether they were cut: each may use what the other leaves of its half."""
    if len(input) + len(output) <= limit and input.isascii() and output.isascii():
        return input, output, False, False
    first, second = input.encode(errors="replace"), output.encode(errors="replace")
    for_first = max(limit - len(second), limit // 2)
    kept_first = first[:for_first]
    kept_second = second[: limit - len(kept_first)]
    return (
        kept_first.decode(errors="ignore"),
        kept_second.decode(errors="ignore"),
        len(kept_first) < len(first),
        len(kept_second) < len(second),
    )


def _tried(said: str, work: Callable[[], object]) -> bool:
    try:
        work()
    except (apsw.Error, OSError, ValueError) as error:
        logger.warning("%s: %s", said, error)
        return False
    return True


@contextmanager
def _opened(path: Path) -> Iterator[apsw.Connection]:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    if not path.exists():
        _make(path)
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.set_busy_timeout(BUSY_MILLISECONDS)
        connection.pragma("synchronous", "normal")
        yield connection
    finally:
        connection.close()


def _make(path: Path) -> None:
    """A day's database appears whole: who reads while it is made finds nothing, and neither waits for the other."""
    unready = path.with_name(f"{uuid4().hex}.new")
    connection = apsw.Connection(str(unready))
    try:
        connection.pragma("journal_mode", "wal")
        connection.execute(_SQL["make"])
    finally:
        connection.close()
    try:
        with suppress(FileExistsError):  # another process was first
            path.hardlink_to(unready)
    finally:
        unready.unlink(missing_ok=True)


def _day(entry_id: bytes) -> str:
    return datetime.fromtimestamp(made_at(entry_id) / 1000, UTC).date().isoformat()


def _is_day(name: str) -> bool:
    try:
        return date.fromisoformat(name).isoformat() == name
    except ValueError:
        return False
