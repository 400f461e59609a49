"""Agents' sessions: one for each seat, whoever asks at once, over restarts and between processes, and nobody else's."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from foz.canon.fault import Down, NotFound
from foz.sessions.keeper import Keeper, Seated
from foz.sessions.standing import CLAIM, OWNED, TTL, Standing, decide
from foz.store.disk import Disk
from foz.store.sessions import SqliteSessions
from foz.testing.clock import LoopClock

SEAT = ("key-1", "p", "agent", "web", "user-1")
HIS = ("key-1", "p")


@pytest.mark.parametrize(
    ("standing", "now", "step"),
    [
        (None, 0, "make"),
        (Standing("s", used=0), TTL, "use"),
        (Standing("s", used=0), TTL + 1, "make"),
        (Standing(None, 0, b"c", 0), CLAIM, "wait"),
        (Standing(None, 0, b"c", 0), CLAIM + 1, "make"),
        (Standing(None, 0), 0, "make"),
    ],
)
def test_what_who_asks_for_a_seat_does(standing: Standing | None, now: int, step: str) -> None:
    """A session is used for two hours from its last use; one that is being made is waited for, until its maker died."""
    assert decide(standing, now) == step


def run(folder: Path, work: Callable[[SqliteSessions], Awaitable[object]]) -> None:
    """Works with the store of a data directory, as one process would."""

    async def all_of_it() -> None:
        disk = Disk(folder)
        try:
            await work(SqliteSessions(disk.writer))
        finally:
            await disk.close()

    asyncio.run(all_of_it())


def test_many_at_once_make_one_session(tmp_path: Path) -> None:
    """Twenty callers of one seat, half of them of another process, get one session, made once."""
    made: list[str] = []

    async def make() -> str:
        made.append("s")
        await asyncio.sleep(0)
        return f"session-{len(made)}"

    async def work(store: SqliteSessions) -> None:
        other = Disk(tmp_path)
        keepers = [
            Keeper(store, LoopClock(), os.urandom),
            Keeper(SqliteSessions(other.writer), LoopClock(), os.urandom),
        ]
        try:
            seated = await asyncio.gather(*(keepers[at % 2].seat(SEAT, make) for at in range(20)))
        finally:
            await other.close()
        assert {one.session for one in seated} == {"session-1"}
        assert sum(not one.reused for one in seated) == 1

    run(tmp_path, work)
    assert made == ["s"]


def test_a_session_survives_a_restart(tmp_path: Path) -> None:
    """What one process made, the next one of the same directory uses."""

    async def make() -> str:
        return "first"

    async def never() -> str:
        raise AssertionError("it is there already")

    async def before(store: SqliteSessions) -> None:
        assert await Keeper(store, LoopClock(), os.urandom).seat(SEAT, make) == Seated("first", reused=False)

    async def after(store: SqliteSessions) -> None:
        assert await Keeper(store, LoopClock(), os.urandom).seat(SEAT, never) == Seated("first", reused=True)

    run(tmp_path, before)
    run(tmp_path, after)


def test_a_left_session_is_made_anew(tmp_path: Path) -> None:
    """After two hours without use there is another session, and the old one is named so that it can be ended."""

    async def work(store: SqliteSessions) -> None:
        assert (await store.take(SEAT, b"a", 0)).ours
        await store.settle(SEAT, b"a", "old", 0)
        assert (await store.take(SEAT, b"b", TTL)).session == "old"
        taken = await store.take(SEAT, b"b", 2 * TTL + 1)
        assert (taken.session, taken.ours, taken.stale) == (None, True, "old")

    run(tmp_path, work)


def test_a_session_that_could_not_be_made_is_nobodys(tmp_path: Path) -> None:
    """Where making fails the fault is the caller's, and the next one tries at once."""

    async def fail() -> str:
        raise Down("no agent")

    async def make() -> str:
        return "second"

    async def work(store: SqliteSessions) -> None:
        keeper = Keeper(store, LoopClock(), os.urandom)
        with pytest.raises(Down):
            await keeper.seat(SEAT, fail)
        assert (await keeper.seat(SEAT, make)).session == "second"

    run(tmp_path, work)


def test_a_repair_drops_only_what_it_saw(tmp_path: Path) -> None:
    """Who finds a session expired does not drop the one that another has made meanwhile."""

    async def work(store: SqliteSessions) -> None:
        await store.take(SEAT, b"a", 0)
        await store.settle(SEAT, b"a", "new", 0)
        await store.drop(SEAT, "old")
        assert (await store.take(SEAT, b"b", 1)).session == "new"
        await store.drop(SEAT, "new")
        assert (await store.take(SEAT, b"b", 1)).ours

    run(tmp_path, work)


def test_a_session_is_its_openers(tmp_path: Path) -> None:
    """A session opened by name, or of a seat, is known to its principal and project at its agent, to nobody else."""

    async def work(store: SqliteSessions) -> None:
        keeper = Keeper(store, LoopClock(), os.urandom)
        await keeper.own(HIS, "agent", "named")
        await store.take(SEAT, b"a", LoopClock().now())
        await store.settle(SEAT, b"a", "seated", LoopClock().now())
        for session in ("named", "seated"):
            await keeper.check(HIS, "agent", session)
            for whose, agent in ((("key-2", "p"), "agent"), (("key-1", "q"), "agent"), (HIS, "other")):
                with pytest.raises(NotFound):
                    await keeper.check(whose, agent, session)
            await keeper.end(HIS, "agent", session)
            with pytest.raises(NotFound):
                await keeper.check(HIS, "agent", session)

    run(tmp_path, work)


def test_what_is_long_over_is_forgotten(tmp_path: Path) -> None:
    """After seven days without use nothing is kept of a session."""

    async def work(store: SqliteSessions) -> None:
        await store.own(HIS, "agent", "named", 0)
        await store.forget(OWNED + 1)
        assert not await store.owns(HIS, "agent", "named", OWNED + 2)

    run(tmp_path, work)
