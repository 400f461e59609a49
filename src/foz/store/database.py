"""
Opening the one database of a data directory: `foz.db`, SQLite in WAL mode.

Migrations are numbered files, applied forward only, each in a transaction of its own, under a file lock:
processes that start at once wait for the first. A database newer than this program is refused.
Connections never checkpoint by themselves (see `checkpoint.py`): a checkpoint inside a commit costs milliseconds.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import apsw

from foz.store.queries import FOLDER

NAME = "foz.db"
BUSY_MILLISECONDS = 10_000
PATIENCE = 10.0
"""Seconds that a write waits for the lock of another program."""
_NAP_SECONDS = 0.0001
_LONGEST_NAP = 10
_CACHED_STATEMENTS = 256
_CACHE_KIB = 4 * 1024
"""Pages that a connection keeps: the newest entries, which are those that are settled. All else is the kernel's."""
_SORTING_KIB = 32 * 1024
_MMAP_BYTES = 1 << 30

Durability = Literal["process", "power"]


class StoreError(Exception):
    """The data directory cannot be used as it is; the message says why and what to do."""


def path_of(data: Path) -> Path:
    """Where the database of a data directory lies."""
    return data / NAME


def prepare(data: Path) -> None:
    """Makes the data directory and brings its database up to date. Raises StoreError."""
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        path_of(data).touch(mode=0o600)  # what lies beside it, SQLite makes for the same eyes
        with alone(data), _closing(apsw.Connection(str(path_of(data)))) as connection:
            connection.set_busy_timeout(BUSY_MILLISECONDS)
            connection.pragma("journal_mode", "wal")
            _migrate(connection, path_of(data))
    except OSError as error:
        raise StoreError(f"{data}: the data directory cannot be used: {error.strerror}.") from error
    except apsw.Error as error:
        raise StoreError(f"{path_of(data)}: SQLite cannot use it: {error}. Move it away to begin anew.") from error


def connect(data: Path, durability: Durability = "process", patience: float = PATIENCE) -> apsw.Connection:
    """A connection that writes. The database must have been prepared."""
    connection = apsw.Connection(
        str(path_of(data)), flags=apsw.SQLITE_OPEN_READWRITE, statementcachesize=_CACHED_STATEMENTS
    )
    be_patient(connection, patience)
    connection.wal_autocheckpoint(0)
    connection.pragma("synchronous", "full" if durability == "power" else "normal")
    connection.pragma("temp_store", "memory")
    connection.pragma("cache_size", -_CACHE_KIB)
    connection.pragma("foreign_keys", True)
    return connection


def connect_reader(data: Path, *, sorts: bool = False) -> apsw.Connection:
    """A connection that only reads; it never waits for writers, nor they for it. `sorts`: for reports, and briefly."""
    connection = apsw.Connection(str(path_of(data)), flags=apsw.SQLITE_OPEN_READONLY)
    connection.set_busy_timeout(BUSY_MILLISECONDS)
    connection.pragma("query_only", True)
    connection.pragma("cache_size", -(_SORTING_KIB if sorts else _CACHE_KIB))  # sorting goes to disk beyond it
    connection.pragma("mmap_size", _MMAP_BYTES)
    connection.pragma("temp_store", "memory")
    return connection


def be_patient(connection: apsw.Connection, seconds: float) -> None:
    """
    Waits for another process's commit in naps of 0.1 to 1 ms. A commit takes that long;
    SQLite's own naps grow to 100 ms, and with two busy processes somebody always has one of those.
    """
    began = 0.0

    def nap(naps: int) -> bool:
        nonlocal began
        if naps == 0:
            began = time.monotonic()
        time.sleep(min(naps + 1, _LONGEST_NAP) * _NAP_SECONDS)
        return time.monotonic() - began < seconds

    connection.set_busy_handler(nap)


def migrations() -> list[tuple[int, str]]:
    """The numbered steps, in order: number and SQL."""
    files = sorted((FOLDER / "migrations").glob("*.sql"))
    return [(int(file.name.split("_", 1)[0]), file.read_text(encoding="utf-8")) for file in files]


def _migrate(connection: apsw.Connection, path: Path) -> None:
    steps = migrations()
    newest = steps[-1][0]
    found = int(connection.pragma("user_version"))
    if found > newest:
        raise StoreError(
            f"{path}: written by a newer Foz (format {found}; this one knows up to {newest}). "
            "Use that Foz, or another data directory."
        )
    for number, sql in steps:
        if number > found:
            with connection:
                for _ in connection.execute(sql):
                    pass
                connection.pragma("user_version", number)


@contextmanager
def alone(data: Path) -> Iterator[None]:
    """While no other process makes or changes a database of this directory."""
    lock = os.open(data / "migrating.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


@contextmanager
def _closing(connection: apsw.Connection) -> Iterator[apsw.Connection]:
    try:
        yield connection
    finally:
        connection.close()
