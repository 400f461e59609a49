"""
Files that callers upload: a row each in the ledger's database, their bytes in `<data>/files/<id>`.

Bytes come first, under another name until they are all there, then the row: a process that dies in between leaves
bytes without a row, which a later sweep removes. What a file is, its bytes say; what they say is kept with it.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, cast

import apsw
import msgspec
from msgspec import Struct

from foz.canon.fault import BadRequest, NotFound, OverBudget
from foz.ports.files import PREFIX, Kept, Whose
from foz.store.queries import load
from foz.store.writer import Writer
from foz.wire.sniff import ENOUGH, Found, is_text, sniff

FOLDER = "files"
FORGET_SECONDS = 600.0
STALE_SECONDS = 3600.0
TOO_LARGE = 413
_COMING = ".coming"
_SQL = load("files")


class Room(Struct, frozen=True):
    """How much there may be."""

    size: int = 32 * 2**20
    """Of one file."""
    files: int = 1000
    """Of one principal and project."""
    total: int = 2**30
    """Bytes of one principal and project."""
    seconds: int = 30 * 24 * 3600
    """How long a file is kept at most."""


class SqliteFiles:
    """Implements `ports.files.Files`. `forget` should be called every FORGET_SECONDS."""

    def __init__(
        self,
        data: Path,
        writer: Writer,
        now: Callable[[], int],
        room: Room,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.room = room
        self.now = now
        self._folder = data / FOLDER
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._writer = writer
        self._random = random

    async def begin(self, whose: Whose) -> "DiskDraft":
        """A new one."""
        await self._writer.call(lambda connection: self._check(connection, whose, 0))
        id = PREFIX + self._random(16).hex()
        path = self.path(id).with_suffix(_COMING)
        opened = await asyncio.to_thread(path.open, "xb")
        return DiskDraft(self, whose, id, cast(BinaryIO, opened))

    async def find(self, whose: Whose, id: str) -> Kept:
        """Raises NotFound."""
        asked = (*whose, id, self.now())
        row = await self._writer.call(lambda connection: connection.execute(_SQL["find"], asked).fetchone())
        if row is None:
            raise missing(id)
        return _kept(row)

    async def every(self, whose: Whose, purpose: str = "") -> Sequence[Kept]:
        """All of them, the oldest first."""
        asked = (*whose, self.now(), purpose, purpose)
        rows = await self._writer.call(lambda connection: connection.execute(_SQL["list"], asked).fetchall())
        return [_kept(row) for row in rows]

    async def read(self, whose: Whose, id: str) -> bytes:
        """All its bytes."""
        await self.find(whose, id)
        try:
            return await asyncio.to_thread(self.path(id).read_bytes)
        except FileNotFoundError:  # removed a moment ago
            raise missing(id) from None

    async def remove(self, whose: Whose, id: str) -> None:
        """Raises NotFound."""
        asked = (*whose, id, self.now())
        found = await self._writer.call(lambda connection: connection.execute(_SQL["remove"], asked).fetchall())
        if not found:
            raise missing(id)
        await asyncio.to_thread(self.path(id).unlink, missing_ok=True)

    async def insert(self, whose: Whose, kept: Kept) -> None:
        """The row. Raises OverBudget."""

        def work(connection: apsw.Connection) -> None:
            self._check(connection, whose, kept.size)
            row = (kept.name, kept.purpose, kept.kind, kept.mime, kept.size, kept.created, kept.expires)
            connection.execute(_SQL["keep"], (kept.id, *whose, *row))

        await self._writer.call(work)

    async def forget(self) -> None:
        """Removes what is over its time, and bytes that nobody has."""
        now = self.now()

        def work(connection: apsw.Connection) -> tuple[list[str], set[str]]:
            over = [str(row[0]) for row in connection.execute(_SQL["expired"], (now,)).fetchall()]
            return over, {str(row[0]) for row in connection.execute(_SQL["known"]).fetchall()}

        over, known = await self._writer.call(work)
        await asyncio.to_thread(self._unlink, over, known, now / 1000 - STALE_SECONDS)

    def path(self, id: str) -> Path:
        """Where its bytes are."""
        return self._folder / id

    def _unlink(self, over: list[str], known: set[str], before: float) -> None:
        for id in over:
            self.path(id).unlink(missing_ok=True)
        for path in self._folder.iterdir():
            if path.name not in known and path.stat().st_mtime < before:
                path.unlink(missing_ok=True)

    def _check(self, connection: apsw.Connection, whose: Whose, size: int) -> None:
        row = connection.execute(_SQL["used"], (*whose, self.now())).fetchone()
        count, total = (int(str(one)) for one in row or (0, 0))
        if count >= self.room.files:
            raise OverBudget(f"There are {count} files already, the most that one project may have; delete some.")
        if total + size > self.room.total:
            raise OverBudget(f"The files of one project may have {self.room.total} bytes together; delete some.")


class DiskDraft:
    """Implements `ports.files.Draft`."""

    def __init__(self, files: SqliteFiles, whose: Whose, id: str, opened: BinaryIO) -> None:
        self._files = files
        self._whose = whose
        self._id = id
        self._opened = opened
        self._coming = files.path(id).with_suffix(_COMING)
        self._size = 0

    async def write(self, data: bytes) -> None:
        """More of it."""
        self._size += len(data)
        most = self._files.room.size
        if self._size > most:
            raise BadRequest(
                f"The file is larger than {most} bytes ([files] max_size).", field="file", status=TOO_LARGE
            )
        await asyncio.to_thread(self._opened.write, data)

    async def keep(self, name: str, purpose: str, seconds: int | None) -> Kept:
        """All of it is there."""
        found = await asyncio.to_thread(self._settle)
        if found is None:
            what = "is of a kind that no model here reads" if self._size else "is empty"
            raise BadRequest(
                f"The file '{name}' {what}; send text in UTF-8, PDF, PNG, JPEG, GIF or WebP.", field="file"
            )
        now = self._files.now()
        most = self._files.room.seconds
        expires = now + min(seconds or most, most) * 1000
        kept = Kept(self._id, name, purpose, found.kind, found.mime, self._size, now, expires)
        await asyncio.to_thread(self._coming.rename, self._files.path(self._id))
        try:
            await self._files.insert(self._whose, kept)
        except OverBudget:
            await asyncio.to_thread(self._files.path(self._id).unlink, missing_ok=True)
            raise
        return kept

    async def drop(self) -> None:
        """It is not wanted, or is kept already."""
        await asyncio.to_thread(self._drop)

    def _settle(self) -> Found | None:
        """Down to the disk, and what it is."""
        self._opened.flush()
        os.fsync(self._opened.fileno())
        self._opened.close()
        with self._coming.open("rb") as data:
            head = data.read(ENOUGH)
            found = sniff(head)
            if found is not None or not head:
                return found
            return Found("text", "text/plain") if is_text(head + data.read()) else None

    def _drop(self) -> None:
        self._opened.close()
        self._coming.unlink(missing_ok=True)


def _kept(row: Sequence[object]) -> Kept:
    return msgspec.convert(dict(zip(Kept.__struct_fields__, row, strict=True)), Kept)


def missing(id: str) -> NotFound:
    """There is no such file for who asks."""
    return NotFound(f"No such File object: {id[:128]}", field="id")
