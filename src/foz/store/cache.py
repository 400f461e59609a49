"""
Answers that answer again, in a SQLite database of their own, `cache.db`: it never swells the ledger's, and may be
removed at any time. A file that another Foz has made otherwise, or that is no database, is begun anew.

Nobody waits for a write, so this writer checkpoints by itself. What it has not written yet is found in memory; what
comes faster than it can be written is not kept. The size is that of the database's used pages: the oldest answers make
room for the newest in the same transaction.
"""

import asyncio
import logging
from functools import partial
from pathlib import Path

import apsw

from foz.canon.fault import Fault
from foz.ports.cache import MOST
from foz.store.database import PATIENCE, StoreError, alone, be_patient
from foz.store.lookups import Lookups
from foz.store.queries import load
from foz.store.writer import Writer

log = logging.getLogger("foz.cache")

NAME = "cache.db"
FORGET_SECONDS = 60.0
FORMAT = 1
MOST_WAITING = 16 * MOST
"""Bytes that wait to be written."""
_LOG_BYTES = 16 * 2**20
"""Of the write-ahead log, that are kept after a checkpoint."""
_SOME_EXPIRED = 256
_SQL = load("cache")


class SqliteCache:
    """
    Implements `ports.cache.Cache`, with `size` bytes of disk. Belongs to the loop it is made in. `forget` should be
    called every FORGET_SECONDS. Raises StoreError where the file cannot be used.
    """

    def __init__(self, data: Path, size: int) -> None:
        self.size = size
        self._waiting: dict[bytes, tuple[bytes, int]] = {}
        self._unwritten = 0
        self._told: set[str] = set()
        path = data / NAME
        try:
            with alone(data):
                connection = _opened(path)
            self._writer = Writer(connection)
            self._lookups = Lookups(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY))
        except (OSError, apsw.Error) as error:
            raise StoreError(f"{path}: SQLite cannot use it: {error}. It may be removed.") from error

    async def find(self, key: bytes, now: int) -> bytes | None:
        """What was kept under this key and has not expired."""
        waiting = self._waiting.get(key)
        if waiting is not None:
            return waiting[0] if waiting[1] > now else None

        def look(connection: apsw.Connection) -> bytes | None:
            row = connection.execute(_SQL["find"], (key, now)).fetchone()
            return None if row is None else bytes(row[0])

        try:
            found = await self._lookups.ask(look)
        except Fault as fault:
            self._tell("kept answers are not found", fault.message)
            return None
        self._well("kept answers are not found")
        return found

    def keep(self, key: bytes, data: bytes, expires: int) -> None:
        """Takes it and returns at once."""
        if self._unwritten + len(data) > MOST_WAITING:
            self._tell("answers are not kept", "more of them come than can be written")
            return
        kept = (data, expires)

        def write(connection: apsw.Connection) -> None:
            connection.execute(_SQL["keep"], (key, expires, data))
            _trim(connection, self.size)

        try:
            written = self._writer.call(write)
        except Fault as fault:
            self._tell("answers are not kept", fault.message)
            return
        self._waiting[key] = kept
        self._unwritten += len(data)
        written.add_done_callback(partial(self._written, key, kept))

    async def forget(self, now: int) -> None:
        """Removes what has expired, and what is too much, and gives the disk back what is free beyond that."""
        while await self._writer.call(partial(_drop_expired, now)) == _SOME_EXPIRED:
            continue
        await self._writer.call(partial(_shrink, self.size))

    async def close(self) -> None:
        """Writes what waits."""
        await self._writer.close()
        await self._lookups.close()

    def _written(self, key: bytes, kept: tuple[bytes, int], written: "asyncio.Future[None]") -> None:
        self._unwritten -= len(kept[0])
        if self._waiting.get(key) is kept:
            del self._waiting[key]
        error = None if written.cancelled() else written.exception()
        if error is not None:
            self._tell("answers are not kept", str(error))
        else:
            self._well("answers are not kept")

    def _tell(self, meaning: str, why: str) -> None:
        """Once, until it is well again."""
        if meaning not in self._told:
            self._told.add(meaning)
            log.warning("%s: %s", meaning, why)

    def _well(self, meaning: str) -> None:
        if meaning in self._told:
            self._told.discard(meaning)
            log.info("no longer so: %s", meaning)


def _opened(path: Path) -> apsw.Connection:
    """A connection that writes, to a database of this form."""
    try:
        connection = _connection(path)
        found = int(connection.pragma("user_version"))
        if found == FORMAT:
            return connection
        empty = found == 0 and connection.pragma("schema_version") == 0
        if not empty:
            connection.close()
    except (apsw.NotADBError, apsw.CorruptError):
        empty = False
    if not empty:
        log.info("%s is of another form; it is begun anew", path)
        for end in ("", "-wal", "-shm"):
            path.with_name(path.name + end).unlink(missing_ok=True)
        connection = _connection(path)
    with connection:
        for _ in connection.execute(_SQL["make"]):
            pass
        connection.pragma("user_version", FORMAT)
    return connection


def _connection(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    be_patient(connection, PATIENCE)
    connection.pragma("auto_vacuum", "incremental")
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "normal")
    connection.pragma("journal_size_limit", _LOG_BYTES)
    connection.pragma("temp_store", "memory")
    return connection


def _number(connection: apsw.Connection, pragma: str) -> int:
    return int(connection.pragma(pragma))


def _trim(connection: apsw.Connection, most: int) -> None:
    """Drops the oldest until the rest has room."""
    pages = most // _number(connection, "page_size")
    while _number(connection, "page_count") - _number(connection, "freelist_count") > pages:
        connection.execute(_SQL["drop_oldest"])
        if not connection.changes():
            return


def _drop_expired(now: int, connection: apsw.Connection) -> int:
    connection.execute(_SQL["drop_expired"], (now, _SOME_EXPIRED))
    return int(connection.changes())


def _shrink(most: int, connection: apsw.Connection) -> None:
    _trim(connection, most)
    if _number(connection, "page_count") * _number(connection, "page_size") > most:
        connection.execute("PRAGMA incremental_vacuum").fetchall()
