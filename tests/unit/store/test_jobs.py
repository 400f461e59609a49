"""What is SQLite's own of jobs and their queue: looks, plans, limits, what is found without being published."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import apsw
import pytest

from foz.canon.fault import Draining, NoCapacity
from foz.canon.job import START, JobEnd, JobState, Mark
from foz.canon.model import Placement
from foz.ports.jobs import RESULT_TTL
from foz.store.database import connect, connect_reader, prepare
from foz.store.disk import Disk
from foz.store.jobs import SqliteJobs
from foz.store.lanes import MOST_AT_HAND, PRESENT, SqliteQueue
from foz.store.lookups import Lookups
from foz.store.queries import load
from foz.store.watch import Standing, Watch
from foz.testing.clock import LoopClock
from tests.jobs import LEASE, NOW, claimed, job

API, GPU = Placement.API, Placement.GPU
SOON = 10.0
real_now = LoopClock().now


class House:
    """One process; its queue's clock says what the test says, where it says something."""

    def __init__(self, data: Path, patience: float = SOON) -> None:
        self.disk = Disk(data, patience=patience)
        self.lookups = Lookups(connect_reader(data))
        self.store = SqliteJobs(self.disk.writer, self.lookups)
        self.time: int | None = None
        self.queue = SqliteQueue(self.disk.writer, self.lookups, lambda: real_now() if self.time is None else self.time)

    async def close(self) -> None:
        for one in (self.queue, self.store, self.lookups, self.disk):
            await one.close()


def run(story: Callable[[House], Awaitable[None]], data: Path, patience: float = SOON) -> None:
    async def told() -> None:
        house = House(data, patience)
        try:
            await asyncio.wait_for(story(house), 60)
        finally:
            await house.close()

    asyncio.run(told())


def test_no_question_reads_all_jobs(tmp_path: Path) -> None:
    """Every statement on jobs finds its rows by an index: none scans a table or sorts what it found."""
    prepare(tmp_path)
    connection = connect(tmp_path)
    try:
        plans = {name: _plan(connection, text.replace("/*job*/", "*")) for name, text in load("jobs").items()}
    finally:
        connection.close()
    slow = {
        name: steps
        for name, steps in plans.items()
        for step in steps
        if "B-TREE" in step or (step.startswith("SCAN") and "CONSTANT ROW" not in step and step not in _SMALL)
    }
    assert slow == {}
    assert any("jobs_waiting" in step for step in plans["next"])
    assert any("jobs_unpublished" in step for step in plans["unpublished"])


_SMALL = {"SCAN jobs USING INDEX jobs_dead", "SCAN job_workers", "SCAN next", "SCAN held"}
"""The dead letters, which are asked for; a row for each process and lane; the values that are given."""


def _plan(connection: apsw.Connection, sql: str) -> list[str]:
    numbered = [number for number in range(1, 9) if f"?{number}" in sql]
    values = (None,) * (max(numbered) if numbered else sql.count("?"))
    return [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)]


def test_what_another_process_accepted_is_found(tmp_path: Path) -> None:
    """A job that another process accepted and never published is handed out within a second."""

    async def story(house: House) -> None:
        other = House(tmp_path)
        try:
            taking = asyncio.ensure_future(house.queue.take(API))
            await house.store.listed(None, 1)  # the first look is over, and found nothing
            one = await other.store.add(job(), b"")
            assert (await asyncio.wait_for(taking, 1)).id == one.id
        finally:
            await other.close()

    run(story, tmp_path)


def test_what_is_not_due_is_not_handed_out(tmp_path: Path) -> None:
    """A job that waits for its time comes when that has come, and not before."""

    async def story(house: House) -> None:
        house.time = NOW
        one = await house.store.add(job(due=NOW + 500), b"")
        taking = asyncio.ensure_future(house.queue.take(API))
        finished, _ = await asyncio.wait({taking}, timeout=0.6)
        assert not finished
        house.time = NOW + 500
        assert (await asyncio.wait_for(taking, 1)).id == one.id

    run(story, tmp_path)


def test_a_lapsed_lease_is_found(tmp_path: Path) -> None:
    """A job whose lease has lapsed is handed out without a sweep, before what waits."""

    async def story(house: House) -> None:
        left = await house.store.add(job(), b"")
        await claimed(house.store, left.id)
        for _ in range(3):
            await house.store.add(job(), b"")
        house.time = NOW + LEASE
        assert (await asyncio.wait_for(house.queue.take(API), SOON)).id == left.id

    run(story, tmp_path)


def test_more_than_there_is_room_for_comes_in_order(tmp_path: Path) -> None:
    """Of more jobs than are kept in memory each is handed out once, in their order, while others are published."""

    async def story(house: House) -> None:
        jobs = await asyncio.gather(*(house.store.add(job(), b"") for _ in range(MOST_AT_HAND + 1_000)))
        for one in jobs:
            await house.queue.publish(API, one.id)
        got = []
        for _ in range(len(jobs) + 10):
            delivery = await house.queue.take(API)
            got.append(delivery.id)
            await claimed(house.store, delivery.id, real_now())
            await delivery.done()
            if len(got) == MOST_AT_HAND + 100:
                late = [await house.store.add(job(), b"") for _ in range(10)]
                for one in late:
                    await house.queue.publish(API, one.id)
        assert got == [one.id for one in (*jobs, *late)]

    run(story, tmp_path)


async def turns() -> None:
    """Some turns of the loop: too few for a look."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_word_that_reaches_a_taker_who_leaves_is_passed_on(tmp_path: Path) -> None:
    """Where the taker that was told of a job is cancelled at once, the next one has it without a look."""

    async def story(house: House) -> None:
        leaving, staying = [asyncio.ensure_future(house.queue.take(API)) for _ in range(2)]
        await turns()
        await house.store.listed(None, 1)  # the first look is over
        await turns()
        await house.queue.publish(API, bytes(16))
        leaving.cancel()
        await turns()
        assert (leaving.cancelled(), staying.done()) == (True, True)
        assert staying.result().id == bytes(16)

    run(story, tmp_path)


def test_what_is_published_while_it_is_out_comes_when_it_is_answered(tmp_path: Path) -> None:
    """An id that is published in either lane while somebody holds it is handed out once that one answers, at once."""

    async def story(house: House) -> None:
        one, queue = bytes(16), house.queue
        await queue.publish(GPU, one)
        await queue.publish(API, one)
        delivery = await queue.take(GPU)
        taking = asyncio.ensure_future(queue.take(API))
        await turns()
        await house.store.listed(None, 1)
        await turns()
        assert not taking.done()
        await delivery.done()
        await turns()
        assert taking.done()
        await queue.publish(API, one)
        await taking.result().later(60)
        again = asyncio.ensure_future(queue.take(API))
        await turns()
        assert again.done()

    run(story, tmp_path)


def test_who_is_gone_works_no_more(tmp_path: Path) -> None:
    """A process that said it takes from a lane is not counted any more when it has not said so for long."""

    async def story(house: House) -> None:
        taking = asyncio.ensure_future(house.queue.take(API))
        async with asyncio.timeout(SOON):
            while (await house.queue.lane(API)).workers != 1:  # noqa: ASYNC110 - a row is looked for
                await asyncio.sleep(0.01)
        house.time = real_now() + round(4_000 * PRESENT)
        assert (await house.queue.lane(API)).workers == 0
        taking.cancel()

    run(story, tmp_path)


def test_a_locked_database_is_no_capacity(tmp_path: Path) -> None:
    """While another program holds the lock, a submission raises NoCapacity within its patience, and looks go on."""

    async def story(house: House) -> None:
        one = await house.store.add(job(), b"")
        blocker = connect(tmp_path)
        try:
            blocker.execute("BEGIN IMMEDIATE")
            with pytest.raises(NoCapacity):
                await asyncio.wait_for(house.store.add(job(), b""), 5)
            assert await house.store.find(one.id) == one
            blocker.execute("ROLLBACK")
        finally:
            blocker.close()
        await house.store.add(job(), b"")

    run(story, tmp_path, patience=0.1)


def test_a_closed_queue_says_so(tmp_path: Path) -> None:
    """Whoever waits for a job when its queue closes is told Draining, and so is who comes later."""

    async def story(house: House) -> None:
        taking = asyncio.ensure_future(house.queue.take(API))
        await asyncio.sleep(0)
        await house.queue.close()
        with pytest.raises(Draining):
            await taking
        with pytest.raises(Draining):
            await house.queue.publish(API, bytes(16))
        with pytest.raises(Draining):
            await house.queue.lane(API)

    run(story, tmp_path)


def test_what_is_over_keeps_no_order(tmp_path: Path) -> None:
    """What was asked is kept until a job is completed or cancelled; of a failed one it is kept for a revival."""

    async def story(house: House) -> None:
        jobs = [await house.store.add(job(), b"x") for _ in range(4)]
        for one in jobs[:3]:
            await claimed(house.store, one.id)
        await house.store.end(jobs[0].id, 1, JobEnd(JobState.COMPLETED, NOW))
        await house.store.end(jobs[1].id, 1, JobEnd(JobState.FAILED, NOW))
        await house.store.cancel(jobs[2].id, NOW)
        assert await house.lookups.ask(_orders) == 2

    run(story, tmp_path)


def _orders(connection: apsw.Connection) -> object:
    return connection.execute("SELECT count(*) FROM job_orders").get


def test_a_log_is_read_in_bounded_parts(tmp_path: Path) -> None:
    """However many pieces are asked for, a look brings a few megabytes of a log at most."""

    async def story(house: House) -> None:
        one = await house.store.add(job(), b"")
        await claimed(house.store, one.id)
        await house.store.append(one.id, 1, 0, [bytes(100_000)] * 100)
        part = await house.store.log(one.id, START, 1_000)
        assert 10 <= len(part) <= 15
        assert (await house.store.log(one.id, part[-1].mark, 1_000))[0].mark == Mark(1, len(part))

    run(story, tmp_path)


def test_a_look_that_fails_fails_alone(tmp_path: Path) -> None:
    """Of questions asked at once, one that SQLite refuses raises NoCapacity, and the others are answered."""

    async def story(house: House) -> None:
        good = [house.lookups.ask(_orders) for _ in range(2)]
        bad = house.lookups.ask(lambda connection: connection.execute("SELECT * FROM nowhere").fetchall())
        writes = house.lookups.ask(lambda connection: connection.execute("DELETE FROM jobs").fetchall())
        results = await asyncio.gather(good[0], bad, writes, good[1], return_exceptions=True)
        assert (results[0], results[3]) == (0, 0)
        assert all(isinstance(result, NoCapacity) for result in results[1:3])

    run(story, tmp_path)


def test_looks_have_a_limit_and_an_end(tmp_path: Path) -> None:
    """More questions than may wait raise NoCapacity at once; after closing, which answers the others, Draining."""

    async def story(_: House) -> None:
        lookups = Lookups(connect_reader(tmp_path), limit=3)
        asked = [lookups.ask(_orders) for _ in range(3)]
        with pytest.raises(NoCapacity):
            lookups.ask(_orders)
        await lookups.close()
        assert [await one for one in asked] == [0, 0, 0]
        with pytest.raises(Draining):
            lookups.ask(_orders)
        await lookups.close()

    run(story, tmp_path)


def test_so_many_may_wait_for_jobs() -> None:
    """One more than may wait is told NoCapacity at once; where one has gone there is room."""

    async def story() -> None:
        one = job()

        async def look(ids: object) -> dict[bytes, Standing]:
            return {one.id: (JobState.PENDING, 0, -1)}

        watch = Watch(look, limit=3)
        waiting = [asyncio.ensure_future(watch.wait(one, START, 60)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(NoCapacity):
            await watch.wait(one, START, 60)
        waiting[0].cancel()
        await asyncio.gather(waiting[0], return_exceptions=True)
        last = asyncio.ensure_future(watch.wait(one, START, 60))
        await asyncio.sleep(0)
        assert not last.done()
        await watch.close()
        await asyncio.gather(last, *waiting[1:])

    asyncio.run(story())


def test_two_processes_do_not_reach_for_the_same_jobs(tmp_path: Path) -> None:
    """Of a long backlog two processes that both take are given different jobs; one that goes on alone is given all."""

    async def story(house: House) -> None:
        other = House(tmp_path)
        try:
            sides = (house, other)
            taking = [asyncio.ensure_future(side.queue.take(GPU)) for side in sides]
            async with asyncio.timeout(SOON):
                while (await house.queue.lane(GPU)).workers != len(sides):  # noqa: ASYNC110 - rows are looked for
                    await asyncio.sleep(0.01)
            for side, task in zip(sides, taking, strict=True):
                task.cancel()
                await side.store.listed(None, 1)  # no look is under way any more
            jobs = await asyncio.gather(*(house.store.add(job(lane=GPU), b"") for _ in range(1_200)))
            got = [{(await side.queue.take(GPU)).id for _ in range(400)} for side in sides]
            assert not got[0] & got[1]
            rest = {(await house.queue.take(GPU)).id for _ in range(len(jobs) - 400)}
            assert got[0] | rest == {one.id for one in jobs}
        finally:
            await other.close()

    run(story, tmp_path)


def test_a_lane_is_counted_exactly(tmp_path: Path) -> None:
    """After every kind of step the lanes count what waits in them: no more and no less, down to nothing."""

    async def story(house: House) -> None:
        store = house.store

        async def counted(gpu: int, api: int) -> None:
            assert ((await house.queue.lane(GPU)).waiting, (await house.queue.lane(API)).waiting) == (gpu, api)

        first, second, third = [await store.add(job(lane=lane), b"") for lane in (GPU, GPU, API)]
        await counted(2, 1)
        await claimed(store, first.id)
        await counted(1, 1)
        await store.put_back(first.id, 1, API, NOW, counts=False)
        await counted(1, 2)
        await store.cancel(second.id, NOW)
        await counted(0, 2)
        await store.withdraw(third.id)
        await counted(0, 1)
        await claimed(store, first.id)
        await store.claim(first.id, NOW + LEASE, NOW + 2 * LEASE)
        await store.end(first.id, 3, JobEnd(JobState.FAILED, NOW))
        await counted(0, 0)
        await store.revive(first.id, NOW)
        await counted(0, 1)
        await store.cancel(first.id, NOW)
        await store.forget(NOW + RESULT_TTL)
        await counted(0, 0)

    run(story, tmp_path)
