"""Responses on a real disk: each its owner's, for its time, as part of its chain, within its room."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest

from foz.canon.fault import BadRequest, NotFound
from foz.ports.responses import KeptResponse
from foz.store.database import connect_reader
from foz.store.disk import Disk
from foz.store.lookups import Lookups
from foz.store.responses import Room, SqliteResponses

HIS, HERS, ELSEWHERE = ("key-1", "p"), ("key-2", "p"), ("key-1", "q")
DAY = 86_400_000


class Hands:
    """A clock that is put on."""

    def __init__(self) -> None:
        self.at = 1_800_000_000_000

    def now(self) -> int:
        return self.at


def run(folder: Path, work: Callable[[SqliteResponses, Hands], Awaitable[None]], room: Room | None = None) -> None:
    """Works with the responses of a data directory, as one process would."""

    async def all_of_it() -> None:
        disk, hands = Disk(folder), Hands()
        lookups = Lookups(connect_reader(folder))
        try:
            await work(SqliteResponses(disk.writer, lookups, hands.now, room or Room()), hands)
        finally:
            await lookups.close()
            await disk.close()

    asyncio.run(all_of_it())


def one(hands: Hands, id: str, previous: str | None = None, size: int = 4) -> KeptResponse:
    return KeptResponse(id, hands.at, previous, b"[" + b" " * (size - 2) + b"]", b"{}")


def rows(folder: Path) -> tuple[list[str], tuple[int, int]]:
    """The ids on the disk, and what the owner's room says it has."""
    with closing(connect_reader(folder)) as connection:
        ids = [str(row[0]) for row in connection.execute("SELECT id FROM responses ORDER BY id")]
        room = connection.execute("SELECT count, size FROM responses_room WHERE principal = 'key-1'").fetchall()
        held = connection.execute("SELECT count(*), sum(size) FROM responses WHERE principal = 'key-1'").fetchall()
    count, size = (int(str(one or 0)) for one in held[0])
    assert [(count, size)] == (room or [(0, 0)])
    return ids, (count, size)


def test_a_response_is_its_owners(tmp_path: Path) -> None:
    """Another key, and another project of the same key, neither finds, goes on from, settles nor removes it."""

    async def work(kept: SqliteResponses, hands: Hands) -> None:
        await kept.keep(HIS, one(hands, "a"))
        for other in (HERS, ELSEWHERE):
            assert await kept.find(other, "a") is None
            assert await kept.chain(other, "a") == []
            assert not await kept.remove(other, "a")
            await kept.settle(other, "a", b"spoilt")
        found = await kept.find(HIS, "a")
        assert found is not None
        assert found == one(hands, "a")

    run(tmp_path, work)


def test_a_chain_is_told_oldest_first(tmp_path: Path) -> None:
    """A chain has all before its last response, oldest first; branches have their own."""

    async def work(kept: SqliteResponses, hands: Hands) -> None:
        for id, previous in (("a", None), ("b", "a"), ("c", "b"), ("d", "b")):
            await kept.keep(HIS, one(hands, id, previous))
        assert [link.id for link in await kept.chain(HIS, "c")] == ["a", "b", "c"]
        assert [link.id for link in await kept.chain(HIS, "d")] == ["a", "b", "d"]

    run(tmp_path, work)


def test_what_is_gone_on_from_is_kept_for_it(tmp_path: Path) -> None:
    """What is over its time is not found by itself, but stays part of what goes on from it, and no longer."""

    async def work(kept: SqliteResponses, hands: Hands) -> None:
        await kept.keep(HIS, one(hands, "a"))
        hands.at += 20 * DAY
        await kept.keep(HIS, one(hands, "b", "a"))
        hands.at += 20 * DAY
        await kept.forget()
        assert await kept.find(HIS, "a") is None
        assert [link.id for link in await kept.chain(HIS, "b")] == ["a", "b"]
        hands.at += 11 * DAY
        assert await kept.chain(HIS, "b") == []
        await kept.forget()
        assert rows(tmp_path)[0] == []

    run(tmp_path, work)


def test_what_is_removed_stays_for_what_goes_on_from_it(tmp_path: Path) -> None:
    """A removed response is unknown at once; its row goes with the last response that needs it."""

    async def work(kept: SqliteResponses, hands: Hands) -> None:
        for id, previous in (("a", None), ("b", "a"), ("c", "b"), ("d", "b")):
            await kept.keep(HIS, one(hands, id, previous))
        assert await kept.remove(HIS, "a")
        assert await kept.remove(HIS, "b")
        assert not await kept.remove(HIS, "b")
        assert await kept.chain(HIS, "b") == []
        assert [link.id for link in await kept.chain(HIS, "c")] == ["a", "b", "c"]
        assert await kept.remove(HIS, "c")
        assert rows(tmp_path)[0] == ["a", "b", "d"]
        assert await kept.remove(HIS, "d")
        assert rows(tmp_path)[0] == []

    run(tmp_path, work)


@pytest.mark.parametrize("room", [Room(most=3), Room(total=3 * 102)], ids=["most", "total"])
def test_the_oldest_give_way(tmp_path: Path, room: Room) -> None:
    """Where an owner has too many, or too much, the oldest go; what went on from them says that they are gone."""

    async def work(kept: SqliteResponses, hands: Hands) -> None:
        await kept.keep(HERS, one(hands, "hers", size=100))
        for number in range(5):
            hands.at += 1
            await kept.keep(HIS, one(hands, f"r{number}", f"r{number - 1}" if number else None, size=100))
        assert rows(tmp_path)[0] == ["hers", "r2", "r3", "r4"]
        with pytest.raises(NotFound) as caught:
            await kept.chain(HIS, "r4")
        assert caught.value.field == "previous_response_id"

    run(tmp_path, work, room)


@pytest.mark.parametrize("room", [Room(turns=3), Room(length=3 * 100 + 10)], ids=["turns", "length"])
def test_a_chain_has_an_end(tmp_path: Path, room: Room) -> None:
    """A chain of more turns, or of more bytes, than is allowed cannot be gone on from; one below it can."""

    async def work(kept: SqliteResponses, hands: Hands) -> None:
        for number in range(4):
            await kept.keep(HIS, one(hands, f"r{number}", f"r{number - 1}" if number else None, size=98))
        assert len(await kept.chain(HIS, "r2")) == 3
        with pytest.raises(BadRequest) as caught:
            await kept.chain(HIS, "r3")
        assert caught.value.field == "previous_response_id"

    run(tmp_path, work, room)


def test_what_is_made_in_the_background_is_settled_once(tmp_path: Path) -> None:
    """The first body that a queued response is given is its own; a second one changes nothing."""

    async def work(kept: SqliteResponses, hands: Hands) -> None:
        await kept.keep(HIS, KeptResponse("a", hands.at, None, b"[]", None, b'{"queued":1}'))
        await kept.settle(HIS, "a", b"first")
        await kept.settle(HIS, "a", b"second, longer")
        found = await kept.find(HIS, "a")
        assert found is not None
        assert found.body == b"first"
        assert rows(tmp_path)[1] == (1, len(b"[]") + len(b'{"queued":1}') + len(b"first"))

    run(tmp_path, work)
