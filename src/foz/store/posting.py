"""
The settled entries of jobs, for a ledger elsewhere: those of a worker go to a gateway.

An entry is told once it is settled, in the order of the ids as far as nothing is open: what is open is passed over,
remembered by its id, and told later, so that a job of an hour costs those that end meanwhile nothing. Ids are given
out before their entries are written, and need not be written in that order: what a look went past is looked at again
for a while (`LATE`). How far everything was told is kept; what was told beyond that is only remembered, so after a
death some is told twice. Whoever receives keeps an entry by its id, once.
"""

import asyncio
from collections import deque
from collections.abc import Collection, Sequence
from typing import Any

import apsw
import msgspec

from foz.store.lookups import Lookups
from foz.store.queries import load
from foz.store.writer import Writer

MOST = 500
LATE = 2.0
"""Seconds for which an entry may come after those with later ids."""
_SQL = load("posting")
_OPEN = "open"
_NOTHING = b""


class Record(msgspec.Struct, frozen=True, array_like=True):
    """One entry: its row, and the rows of its further attempts."""

    entry: tuple[Any, ...]
    further: tuple[tuple[Any, ...], ...]


_RECORD = msgspec.msgpack.Decoder(Record)


class Posting:
    """What of this ledger is yet to be told, and what is told to it. Belongs to the loop it is used in."""

    def __init__(self, writer: Writer, lookups: Lookups, late: float = LATE) -> None:
        self._writer = writer
        self._lookups = lookups
        self._late = late
        self._upto: bytes | None = None
        """All was told up to this id."""
        self._passed = _NOTHING
        """Nothing new comes up to this id."""
        self._looks: deque[tuple[float, bytes]] = deque()
        """When looks went how far, beyond that."""
        self._left: set[bytes] = set()
        """Seen and not told: most of them are open."""
        self._told: set[bytes] = set()
        """Told, beyond what was passed."""

    async def untold(self) -> list[tuple[bytes, bytes]]:
        """Entries that are settled and were not told yet, some of them: ids and records."""
        if self._upto is None:
            self._upto = self._passed = await self._lookups.ask(_upto)
        self._pass()
        passed, known = self._passed, self._told
        left = sorted(id for id in self._left if id <= passed)

        def look(connection: apsw.Connection) -> tuple[list[bytes], list[tuple[bytes, Record]]]:
            rows: list[Any] = connection.execute(_SQL["next"], {"upto": passed, "most": MOST + len(known)}).fetchall()
            new = [(id, state) for id, state in rows if id not in known]
            settled = [id for id, state in new if state != _OPEN]
            return [id for id, _ in new], _records(connection, left, settled)

        new, found = await self._lookups.ask(look)
        if new:
            self._left.update(new)
            self._looks.append((asyncio.get_running_loop().time(), max(new)))
        return [(id, msgspec.msgpack.encode(record)) for id, record in found]

    async def told(self, ids: Collection[bytes]) -> None:
        """These were sent."""
        self._left.difference_update(ids)
        self._told.update(ids)
        self._pass()
        upto = min(self._passed, _before(min(self._left))) if self._left else self._passed
        if self._upto is not None and upto > self._upto:
            self._upto = upto
            await self._writer.call(lambda connection: connection.execute(_SQL["tell"], {"upto": upto}).fetchall())

    def _pass(self) -> None:
        """Goes past what was looked at long enough ago."""
        before, passed = asyncio.get_running_loop().time() - self._late, self._passed
        while self._looks and self._looks[0][0] <= before:
            passed = max(passed, self._looks.popleft()[1])
        if passed != self._passed:
            self._passed = passed
            self._told = {id for id in self._told if id > passed}

    async def keep(self, records: Sequence[bytes]) -> None:
        """Entries that were made elsewhere: each is kept once. Raises ValueError where one is no record."""
        read = [_RECORD.decode(record) for record in records]

        def work(connection: apsw.Connection) -> None:
            for record in read:
                connection.execute(_SQL["keep"], record.entry)
                for row in record.further:
                    connection.execute(_SQL["keep_further"], row)

        await self._writer.call(work)


def _upto(connection: apsw.Connection) -> bytes:
    row = connection.execute(_SQL["upto"]).fetchone()
    return _NOTHING if row is None else bytes(row[0])


def _before(id: bytes) -> bytes:
    """The greatest id that is less."""
    return (int.from_bytes(id) - 1).to_bytes(len(id))


def _records(
    connection: apsw.Connection, left: Sequence[bytes], settled: Sequence[bytes]
) -> list[tuple[bytes, Record]]:
    """Of those that were left the settled ones, then these; not too many at once."""
    found: list[tuple[bytes, Record]] = []
    for id in (*left, *settled):
        row = connection.execute(_SQL["settled"], {"id": id}).fetchone()
        if row is not None:
            further = connection.execute(_SQL["next_further"], {"id": id}).fetchall()
            found.append((id, Record(tuple(row), tuple(map(tuple, further)))))
        if len(found) >= MOST:
            break
    return found
