"""A worker's ledger tells a gateway's of its jobs: at least once on the way, once in the end."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import apsw

from foz.canon.entry import Attempt, AttemptEnd, Entry, EntryEnd, State
from foz.canon.identity import Identities
from foz.canon.request import Attribution
from foz.canon.usage import Usage
from foz.store.database import connect_reader
from foz.store.disk import Disk
from foz.store.lookups import Lookups
from foz.store.posting import MOST, Posting

NOW = 1_700_000_000_000
NEW = Identities(lambda: NOW, os.urandom).new
USED = Usage(input=10, output=5)
FAILED = Usage(input=0, output=0)


class Place:
    """A data directory with its ledger."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.disk = Disk(data)
        self.read = 0
        """Rows that were read for looks."""
        reader = connect_reader(data)
        reader.row_trace = self._read
        self.lookups = Lookups(reader)
        self.posting = Posting(self.disk.writer, self.lookups, late=0.0)

    def _read(self, _: "apsw.Cursor", row: "apsw.SQLiteValues") -> "apsw.SQLiteValues":
        self.read += 1
        return row

    async def begin(self, job: str | None = "job-1", id: bytes | None = None) -> bytes:
        """An entry that is open."""
        id = id or NEW()
        what = Attribution(project="blue", process_id="p", user_key="u")
        entry = Entry(id, NOW, "key-1", "blue", what, "nemotron", "chat", "m", "r-1", True, job)
        await self.disk.ledger.open(entry, Attempt(id, 1, "ours/m", "gpu", NOW))
        return id

    async def end(self, id: bytes, *, further: bool = False) -> None:
        """It is settled, with one attempt or two."""
        number = 1
        if further:
            lost = AttemptEnd(id, 1, State.FAILED, FAILED, "upstream_down: gone", 503, 7)
            number = 2
            await self.disk.ledger.next_attempt(lost, Attempt(id, 2, "bought/m", "api", NOW + 7))
        end = EntryEnd(id, State.COMPLETE, 200, USED, 3, 20, 15, "USD", "v1")
        await self.disk.ledger.settle(end, AttemptEnd(id, number, State.COMPLETE, USED, None, 200, 13))

    async def made(self, job: str | None = "job-1", *, further: bool = False) -> bytes:
        """An entry that is settled."""
        id = await self.begin(job)
        await self.end(id, further=further)
        return id

    def rows(self) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
        """All entries and all attempts, but for who owns them."""
        reader = connect_reader(self.data)
        try:
            entries = reader.execute("SELECT * FROM entries ORDER BY id").fetchall()
            attempts = reader.execute("SELECT * FROM attempts ORDER BY entry_id, number").fetchall()
        finally:
            reader.close()
        return [(*row[:2], *row[3:]) for row in entries], attempts

    async def close(self) -> None:
        """The process ends."""
        await self.lookups.close()
        await self.disk.close()


@asynccontextmanager
async def places(folder: Path) -> AsyncIterator[tuple[Place, Place]]:
    """A worker's and a gateway's."""
    worker, gateway = Place(folder / "worker"), Place(folder / "gateway")
    try:
        yield worker, gateway
    finally:
        await worker.close()
        await gateway.close()


async def tell(sender: Place, receiver: Place) -> int:
    """One round; how many entries were told."""
    untold = await sender.posting.untold()
    await receiver.posting.keep([record for _, record in untold])
    await sender.posting.told([id for id, _ in untold])
    return len(untold)


def test_what_is_told_is_all_there_is(tmp_path: Path) -> None:
    """A job's entries, with one attempt or more, are in the gateway's ledger as in the worker's, to the column."""

    async def story() -> None:
        async with places(tmp_path) as (worker, gateway):
            await worker.made()
            await worker.made(further=True)
            assert await tell(worker, gateway) == 2
            assert gateway.rows() == worker.rows()
            assert len(gateway.rows()[1]) == 3

    asyncio.run(story())


def test_only_jobs_are_told_and_only_once_settled(tmp_path: Path) -> None:
    """A call that is no job's stays where it is; an open entry is told once it has its end, and holds up nobody."""

    async def story() -> None:
        async with places(tmp_path) as (worker, gateway):
            await worker.made(job=None)
            slow = await worker.begin()
            quick = await worker.made()
            assert await tell(worker, gateway) == 1
            assert [row[0] for row in gateway.rows()[0]] == [quick]
            assert await tell(worker, gateway) == 0
            await worker.end(slow)
            assert await tell(worker, gateway) == 1
            assert [row[0] for row in gateway.rows()[0]] == [slow, quick]

    asyncio.run(story())


def test_what_comes_twice_is_kept_once(tmp_path: Path) -> None:
    """A worker that died between sending and noting it sends again, and the gateway's ledger is the same."""

    async def story() -> None:
        async with places(tmp_path) as (worker, gateway):
            await worker.made(further=True)
            untold = [record for _, record in await worker.posting.untold()]
            await gateway.posting.keep(untold)
            before = gateway.rows()
            again = Posting(worker.disk.writer, worker.lookups, late=0.0)
            assert [record for _, record in await again.untold()] == untold
            await gateway.posting.keep(untold)
            assert gateway.rows() == before
            await worker.posting.keep(untold)
            assert worker.rows() == before

    asyncio.run(story())


def test_what_was_told_is_remembered_over_a_restart(tmp_path: Path) -> None:
    """Of more than one round can take, each entry is told, and after a restart none of them is told again."""

    async def story() -> None:
        async with places(tmp_path) as (worker, gateway):
            for _number in range(MOST + 3):
                await worker.made()
            rounds = [await tell(worker, gateway) for _ in range(3)]
            later = Posting(worker.disk.writer, worker.lookups)
            assert rounds == [MOST, 3, 0]
            assert await later.untold() == []
            assert len(gateway.rows()[0]) == MOST + 3

    asyncio.run(story())


def test_a_long_job_costs_the_others_nothing(tmp_path: Path) -> None:
    """While an entry stays open, those that were told after it are not read again each time one more is told."""

    async def story() -> None:
        async with places(tmp_path) as (worker, gateway):
            slow = await worker.begin()
            for _number in range(100):
                await worker.made()
            assert await tell(worker, gateway) == 100
            before = worker.read
            await worker.made()
            assert await tell(worker, gateway) == 1
            assert worker.read - before <= 5
            await worker.end(slow)
            assert await tell(worker, gateway) == 1
            assert gateway.rows() == worker.rows()

    asyncio.run(story())


def test_what_was_long_on_its_way_is_told(tmp_path: Path) -> None:
    """An entry that is written after those with later ids were told is told too, now and after a restart."""

    async def story() -> None:
        async with places(tmp_path) as (worker, gateway):
            worker.posting = Posting(worker.disk.writer, worker.lookups)
            early = NEW()
            await worker.made()
            assert await tell(worker, gateway) == 1
            await worker.end(await worker.begin(id=early))
            again = Posting(worker.disk.writer, worker.lookups)
            assert early in {id for id, _ in await again.untold()}
            assert await tell(worker, gateway) == 1
            assert gateway.rows() == worker.rows()

    asyncio.run(story())
