"""Rates and budgets in SQLite: one truth for many processes."""

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from foz.canon.fault import Fault, NoCapacity, OverBudget, RateLimited
from foz.canon.money import PICO
from foz.canon.principal import Allowance, Principal
from foz.canon.usage import Usage
from foz.ledger.book import DAY, MINUTE
from foz.store.database import connect, connect_reader
from foz.store.disk import Disk
from foz.store.leases import SqliteBook
from foz.testing.clock import StillClock

NOW = 1_700_000_000_000
ASKER = Path(__file__).with_name("asker.py")
ROOT = Path(__file__).parents[3]


def limited(**allowance: int) -> Principal:
    return Principal("key-1", allowance=Allowance(**allowance))


async def admitted(book: SqliteBook, principal: Principal, tokens: int = 0) -> bool:
    try:
        waiting = book.reserve(principal, tokens)
        if waiting is not None:
            await waiting
    except (RateLimited, OverBudget):
        return False
    return True


def told(data: Path, story: Callable[[Disk, SqliteBook, StillClock], Awaitable[None]]) -> None:
    async def run() -> None:
        clock = StillClock(NOW)
        disk = Disk(data)
        try:
            await story(disk, SqliteBook(disk.writer, disk.owner.id, clock.now), clock)
        finally:
            await disk.close()

    asyncio.run(run())


def test_processes_together_admit_exactly_the_limit(tmp_path: Path) -> None:
    """Three processes that ask at once until they are refused are admitted as often as the limit says, together."""
    askers = [
        subprocess.Popen(
            [sys.executable, str(ASKER), str(tmp_path), "1000"],
            stdout=subprocess.PIPE,
            env={"PYTHONPATH": str(ROOT / "src")},
        )
        for _ in range(3)
    ]

    counts = [int(asker.communicate(timeout=60)[0]) for asker in askers]

    assert sum(counts) == 1000


def test_a_principal_without_limits_never_waits(tmp_path: Path) -> None:
    """Who has no limits gets None at once, and nothing is written about them."""

    async def story(disk: Disk, book: SqliteBook, _: StillClock) -> None:
        assert all(book.reserve(Principal("key-1"), 10**9) is None for _ in range(100))
        book.settle(Principal("key-1"), 10**9, Usage(input=5, output=5), 5)
        assert disk.writer.written == 0

    told(tmp_path, story)


def test_a_used_up_minute_says_when_it_opens_again(tmp_path: Path) -> None:
    """The refusal names the seconds to the next minute, and then calls are admitted again."""
    principal = limited(requests_per_minute=3)

    async def story(_: Disk, book: SqliteBook, clock: StillClock) -> None:
        assert [await admitted(book, principal) for _ in range(5)] == [True, True, True, False, False]
        with pytest.raises(RateLimited, match=r"3 requests a minute are used up; ask again in \d+ s") as refused:
            await (book.reserve(principal, 0) or asyncio.sleep(0))
        wait = refused.value.retry_after
        assert wait == (MINUTE - NOW % MINUTE) / 1000
        clock.shift(wait)
        assert await admitted(book, principal)

    told(tmp_path, story)


def test_a_refusal_takes_nothing(tmp_path: Path) -> None:
    """Where tokens are refused, the request is not counted either."""
    principal = limited(requests_per_minute=2, tokens_per_minute=100)

    async def story(_: Disk, book: SqliteBook, __: StillClock) -> None:
        assert await admitted(book, principal, 80)
        assert [await admitted(book, principal, 80) for _ in range(5)] == [False] * 5
        assert await admitted(book, principal, 20)

    told(tmp_path, story)


def test_tokens_that_were_not_taken_come_back(tmp_path: Path) -> None:
    """What a call reserved and did not use may be used by the next; what it used beyond is charged."""
    principal = limited(tokens_per_minute=100)

    async def story(disk: Disk, book: SqliteBook, __: StillClock) -> None:
        assert await admitted(book, principal, 100)
        assert not await admitted(book, principal, 1)
        book.settle(principal, 100, Usage(input=10, output=30), None)
        assert await admitted(book, principal, 60)
        book.settle(principal, 60, Usage(input=60, output=40), None)
        await disk.writer.call(lambda _: None)
        assert disk_value(disk, "SELECT used FROM uses WHERE quantity = 'tokens'") == 140
        assert not await admitted(book, principal, 1)

    told(tmp_path, story)


def test_a_budget_closes_when_it_is_spent_and_opens_with_its_period(tmp_path: Path) -> None:
    """Calls at 0.10 are admitted ten times from a budget of one dollar, then again in the next period."""
    principal = limited(budget=PICO, budget_days=7)

    async def story(disk: Disk, book: SqliteBook, clock: StillClock) -> None:
        count = 0
        while await admitted(book, principal):
            book.settle(principal, 0, Usage(), PICO // 10)
            count += 1
        assert count == 10
        with pytest.raises(OverBudget, match="used up"):
            await (book.reserve(principal, 0) or asyncio.sleep(0))
        await disk.writer.call(lambda _: None)
        assert disk_value(disk, "SELECT used FROM uses WHERE quantity = 'budget'") == PICO
        clock.shift(7 * DAY / 1000)
        assert await admitted(book, principal)

    told(tmp_path, story)


def test_what_an_idle_process_holds_goes_back(tmp_path: Path) -> None:
    """Money that one process was lent and does not use can be spent by another after two looks."""
    principal = limited(budget=1000)

    async def story(disk: Disk, book: SqliteBook, clock: StillClock) -> None:
        other = SqliteBook(disk.writer, b"another process.", clock.now)
        assert await admitted(other, principal)
        other.settle(principal, 0, Usage(), 1)
        assert disk_value(disk, "SELECT sum(held) FROM held_budgets") >= 0
        for _ in range(2):
            await other.return_idle()
        assert disk_value(disk, "SELECT sum(held) FROM held_budgets") == 0
        spent = 1
        while await admitted(book, principal):
            book.settle(principal, 0, Usage(), 1)
            spent += 1
        assert spent == 1000

    told(tmp_path, story)


def test_what_a_dead_process_held_goes_back(tmp_path: Path) -> None:
    """The sweep gives back what a process held of a budget when it died; what it spent stays spent."""
    principal = limited(budget=1000)

    async def first(_: Disk, book: SqliteBook, __: StillClock) -> None:
        assert await admitted(book, principal)
        book.settle(principal, 0, Usage(), 7)
        assert await admitted(book, principal)

    async def second(disk: Disk, _: SqliteBook, __: StillClock) -> None:
        assert disk_value(disk, "SELECT sum(held) FROM held_budgets") > 0
        await disk.sweep()
        assert disk_value(disk, "SELECT count(*) FROM held_budgets") == 0
        assert disk_value(disk, "SELECT used FROM uses WHERE quantity = 'budget'") == 7

    told(tmp_path, first)
    told(tmp_path, second)


def test_refusals_do_not_reach_the_store_each_time(tmp_path: Path) -> None:
    """Who goes on asking after a refusal is answered from memory for a second."""
    principal = limited(requests_per_minute=1)

    async def story(disk: Disk, book: SqliteBook, clock: StillClock) -> None:
        assert await admitted(book, principal)
        assert not await admitted(book, principal)
        written = disk.writer.written
        for _ in range(100):
            with pytest.raises(Fault):
                book.reserve(principal, 0)
        assert disk.writer.written == written
        clock.shift(1.0)
        assert not await admitted(book, principal)
        assert disk.writer.written == written + 1

    told(tmp_path, story)


@pytest.mark.parametrize("turns", [0, 1, 2])
def test_what_was_lent_to_a_caller_who_left_is_for_the_next(turns: int, tmp_path: Path) -> None:
    """However many callers hang up while something is lent for them, others get all of the limit and the money."""
    principal = limited(requests_per_minute=40, budget=1000)

    async def story(disk: Disk, book: SqliteBook, __: StillClock) -> None:
        for _ in range(60):
            waiting = book.reserve(principal, 0)
            assert waiting is not None, "nothing was granted yet, or it went to who left"
            leaving = asyncio.ensure_future(waiting)
            for _ in range(1 + turns):
                await asyncio.sleep(0)
            leaving.cancel()
            await asyncio.wait([leaving])
            if disk.writer.written:
                break
        await disk.writer.call(lambda _: None)
        count = 0
        while await admitted(book, principal):
            count += 1
        assert count == 40
        assert disk_value(disk, "SELECT sum(held) FROM held_budgets") == book._accounts[principal.id].budget.held

    told(tmp_path, story)


def test_what_cannot_be_given_back_is_kept(tmp_path: Path) -> None:
    """Money whose return could not be written is still held here, and returned by a later look."""
    principal = limited(budget=1000)

    async def run() -> None:
        disk = Disk(tmp_path, patience=0.01)
        other = connect(tmp_path)
        try:
            book = SqliteBook(disk.writer, disk.owner.id, StillClock(NOW).now)
            assert await admitted(book, principal)
            book.settle(principal, 0, Usage(), 1)
            await book.return_idle()
            await disk.writer.call(lambda _: None)
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(NoCapacity):
                await book.return_idle()
            other.execute("ROLLBACK")
            assert disk_value(disk, "SELECT sum(held) FROM held_budgets") > 0
            await book.return_idle()
            assert disk_value(disk, "SELECT sum(held) FROM held_budgets") == 0
        finally:
            other.close()
            await disk.close()

    asyncio.run(run())


def test_a_settle_that_cannot_be_written_fails_no_call(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With the writer closed, `settle` logs what is not written and raises nothing."""
    principal = limited(budget=1000, tokens_per_minute=10)

    async def story(disk: Disk, book: SqliteBook, _: StillClock) -> None:
        assert await admitted(book, principal, 10)
        await disk.close()
        book.settle(principal, 10, Usage(input=30, output=30), 5)

    async def run() -> None:
        disk = Disk(tmp_path)
        await story(disk, SqliteBook(disk.writer, disk.owner.id, StillClock(NOW).now), StillClock(NOW))

    asyncio.run(run())

    assert caplog.text.count("could not be written: The database is being closed.") == 2


def disk_value(disk: Disk, sql: str) -> int:
    reader = connect_reader(disk.data)
    try:
        value = reader.execute(sql).get
    finally:
        reader.close()
    assert isinstance(value, int)
    return value
