"""
The settled entries of jobs, for a ledger elsewhere: those of a worker go to a gateway.

An entry is told once it is settled, in the order of the ids as far as nothing is open: what is open is passed over
and told later. How far everything was told is kept; what was told beyond that is only remembered, so after a death some
is told twice. Whoever receives keeps an entry by its id, once.
"""

from collections.abc import Sequence
from typing import Any

import apsw
import msgspec

from foz.store.lookups import Lookups
from foz.store.queries import load
from foz.store.writer import Writer

MOST = 500
_SQL = load("posting")
_STATE = 13
"""The place of the state in a row."""
_OPEN = "open"
_NOTHING = b""


class Record(msgspec.Struct, frozen=True, array_like=True):
    """One entry: its row, and the rows of its further attempts."""

    entry: tuple[Any, ...]
    further: tuple[tuple[Any, ...], ...]


_RECORD = msgspec.msgpack.Decoder(Record)


class Posting:
    """What of this ledger is yet to be told, and what is told to it."""

    def __init__(self, writer: Writer, lookups: Lookups) -> None:
        self._writer = writer
        self._lookups = lookups
        self._upto: bytes | None = None
        self._told: set[bytes] = set()
        """Beyond that."""

    async def untold(self) -> list[tuple[bytes, bytes]]:
        """Entries that are settled and were not told yet, some of them: ids and records."""
        upto = self._upto

        def look(connection: apsw.Connection) -> tuple[bytes, list[tuple[bytes, Record | None]]]:
            start = upto
            if start is None:
                row = connection.execute(_SQL["upto"]).fetchone()
                start = _NOTHING if row is None else bytes(row[0])
            rows = connection.execute(_SQL["next"], {"upto": start, "most": MOST + len(self._told)}).fetchall()
            return start, [_found(connection, row) for row in rows]

        self._upto, found = await self._lookups.ask(look)
        return [(id, msgspec.msgpack.encode(one)) for id, one in found if one is not None and id not in self._told]

    async def told(self, ids: Sequence[bytes]) -> None:
        """These were sent."""
        self._told.update(ids)
        upto = self._upto or _NOTHING

        def advance(connection: apsw.Connection) -> bytes:
            now = upto
            for row in connection.execute(_SQL["next"], {"upto": upto, "most": MOST + len(self._told)}):
                if row[0] not in self._told:
                    break
                now = bytes(row[0])
            if now != upto:
                connection.execute(_SQL["tell"], {"upto": now})
            return now

        self._upto = upto = await self._writer.call(advance)
        self._told = {id for id in self._told if id > upto}

    async def keep(self, records: Sequence[bytes]) -> None:
        """Entries that were made elsewhere: each is kept once. Raises ValueError where one is no record."""
        read = [_RECORD.decode(record) for record in records]

        def work(connection: apsw.Connection) -> None:
            for record in read:
                connection.execute(_SQL["keep"], record.entry)
                for row in record.further:
                    connection.execute(_SQL["keep_further"], row)

        await self._writer.call(work)


def _found(connection: apsw.Connection, row: tuple[Any, ...]) -> tuple[bytes, Record | None]:
    id = row[0]
    if row[_STATE] == _OPEN:
        return id, None
    further = connection.execute(_SQL["next_further"], {"id": id}).fetchall()
    return id, Record(tuple(row), tuple(map(tuple, further)))
