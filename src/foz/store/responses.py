"""
Responses that callers go on from, in SQLite. Writes are the writer's, each one transaction; reads have a connection of
their own, so that a long conversation keeps nobody's ledger waiting.

What is over its time, or was removed, is kept while something that goes on from it is: then it goes too. Where one
owner has too many, or too much, the oldest are forgotten whatever goes on from them.
"""

from collections.abc import Callable, Sequence

import apsw
import msgspec
from msgspec import Struct

from foz.canon.fault import BadRequest, Fault, NotFound
from foz.ports.responses import KeptResponse, Whose
from foz.store.lookups import Lookups
from foz.store.queries import load
from foz.store.writer import Writer

FORGET_SECONDS = 60.0
AT_ONCE = 1_000
TOO_LARGE = 413
FIELD = "previous_response_id"
_SQL = load("responses")


class Room(Struct, frozen=True):
    """How much there may be."""

    seconds: float = 30 * 86400.0
    """For how long each is kept."""
    most: int = 10_000
    """Of one owner."""
    total: int = 2**30
    """Bytes of one owner."""
    turns: int = 1_000
    """Of one chain."""
    length: int = 32 * 2**20
    """Bytes of one chain."""


class SqliteResponses:
    """Implements `ports.responses.Responses`. `forget` should be called every FORGET_SECONDS."""

    def __init__(self, writer: Writer, lookups: Lookups, now: Callable[[], int], room: Room) -> None:
        self.room = room
        self._writer = writer
        self._lookups = lookups
        self._now = now

    async def keep(self, whose: Whose, kept: KeptResponse) -> None:
        """Durable when it returns."""
        until = kept.created + round(self.room.seconds * 1000)
        size = sum(len(part) for part in (kept.input, kept.body, kept.queued) if part is not None)
        row = (kept.id, *whose, kept.previous, kept.created, until, until, size, kept.input, kept.body, kept.queued)

        def work(connection: apsw.Connection) -> None:
            connection.execute(_SQL["keep"], row)
            if kept.previous is not None:
                connection.execute(_SQL["prolong"], (kept.previous, until, self.room.turns + 1))
            self._make_room(connection, whose, kept.id)

        await self._writer.call(work)

    def _make_room(self, connection: apsw.Connection, whose: Whose, new: str) -> None:
        """The oldest go until there is no more than there may be; the new one stays."""
        while True:
            row = connection.execute(_SQL["room"], whose).fetchone()
            count, size = (int(str(one)) for one in row or (0, 0))
            if count <= self.room.most and size <= self.room.total:
                return
            oldest = connection.execute(_SQL["oldest"], (*whose, new)).fetchone()
            if oldest is None:
                return
            connection.execute(_SQL["forget_one"], (oldest[0],))

    async def find(self, whose: Whose, id: str) -> KeptResponse | None:
        """None where it is not there, or no longer, or somebody else's."""
        asked = (id, *whose, self._now())
        row = await self._lookups.ask(lambda connection: connection.execute(_SQL["find"], asked).fetchone())
        return None if row is None else _kept(row)

    async def chain(self, whose: Whose, id: str) -> Sequence[KeptResponse]:
        """It and all that it goes on from, the oldest first. Raises NotFound, BadRequest."""
        asked = (id, *whose, self._now(), self.room.turns)

        def work(connection: apsw.Connection) -> Fault | Sequence[KeptResponse]:
            links = connection.execute(_SQL["links"], asked).fetchall()
            against = _against(links, self.room)
            if against is not None:
                return against
            return [_kept(connection.execute(_SQL["link"], (link[0],)).fetchall()[0]) for link in links]

        found = await self._lookups.ask(work)
        if isinstance(found, Fault):
            raise found
        return found

    async def settle(self, whose: Whose, id: str, body: bytes) -> None:
        """What was made in the background."""
        await self._writer.call(lambda connection: connection.execute(_SQL["settle"], (body, id, *whose)).fetchall())

    async def remove(self, whose: Whose, id: str) -> bool:
        """Whether it was there. What others go on from stays for them."""
        asked = (id, *whose, self._now())

        def work(connection: apsw.Connection) -> bool:
            if not connection.execute(_SQL["remove"], asked).fetchall():
                return False
            unneeded: object = id
            while unneeded is not None:
                dropped = connection.execute(_SQL["drop_unneeded"], (unneeded,)).fetchall()
                unneeded = dropped[0][0] if dropped else None
            return True

        return await self._writer.call(work)

    async def forget(self) -> None:
        """Removes what is over its time, a part at a time."""
        while await self._writer.call(self._forget_some):
            pass

    def _forget_some(self, connection: apsw.Connection) -> bool:
        connection.execute(_SQL["forget"], (self._now(), AT_ONCE))
        return connection.changes() == AT_ONCE


def _against(links: Sequence[Sequence[object]], room: Room) -> Fault | None:
    """Why a chain cannot be gone on from."""
    if len(links) > room.turns:
        return BadRequest(
            f"The conversation has more than {room.turns} responses ([responses] max_turns); begin a new one.",
            field=FIELD,
        )
    if sum(int(str(link[2])) for link in links) > room.length:
        return BadRequest(
            f"The conversation has more than {room.length} bytes ([responses] max_length); begin a new one.",
            field=FIELD,
            status=TOO_LARGE,
        )
    if links and links[0][1] is not None:
        return NotFound(
            "The beginning of this conversation is not kept any more; begin a new one.",
            field=FIELD,
            vendor_code="previous_response_not_found",
        )
    return None


def _kept(row: Sequence[object]) -> KeptResponse:
    return msgspec.convert(dict(zip(KeptResponse.__struct_fields__, row, strict=True)), KeptResponse)
