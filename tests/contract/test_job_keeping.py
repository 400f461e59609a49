"""What every store of jobs promises of those that wait, and for those who wait for them: overdue, forget, wait."""

import asyncio
from collections.abc import Callable

import pytest
from msgspec import structs

from foz.canon.job import START, Job, JobEnd, JobState, Mark
from foz.canon.model import Placement
from foz.ports.jobs import KEY_TTL, REPUBLISH, RESULT_TTL, UNPUBLISHED, Claim, JobStore
from tests.jobs import LEASE, NOW, claimed, done, job
from tests.topologies import Ground, Side, play

GPU, API = Placement.GPU, Placement.API
SHORT = 0.05
SOON = 10.0


def test_what_was_accepted_and_not_published_is_overdue(ground: Ground) -> None:
    """UNPUBLISHED after its acceptance it is, a millisecond before it is not; published, not until REPUBLISH later."""

    async def story(_: Ground, side: Side) -> None:
        store = side.store
        one = await store.add(job(), b"")
        assert await store.overdue(NOW + UNPUBLISHED - 1, 10) == []
        assert await store.overdue(NOW + UNPUBLISHED, 10) == [one]
        await store.published(one.id, NOW + UNPUBLISHED)
        again = NOW + UNPUBLISHED + REPUBLISH
        assert await store.overdue(again - 1, 10) == []
        assert await store.overdue(again, 10) == [one]
        await store.published(one.id, again)
        assert await store.overdue(again, 10) == []

    play(ground, story)


def test_what_was_put_back_is_overdue_when_it_is_due(ground: Ground) -> None:
    """Put back, it is overdue from the moment it is due, though it was published before; published again, not."""

    async def story(_: Ground, side: Side) -> None:
        store = side.store
        one = await store.add(job(), b"")
        await store.published(one.id, NOW)
        await claimed(store, one.id)
        await store.put_back(one.id, 1, GPU, NOW + 500, counts=True)
        assert await store.overdue(NOW + 499, 10) == []
        (found,) = await store.overdue(NOW + 500, 10)
        assert (found.id, found.lane) == (one.id, GPU)
        await store.published(one.id, NOW + 500)
        assert await store.overdue(NOW + 501, 10) == []

    play(ground, story)


def test_what_is_not_due_is_not_overdue(ground: Ground) -> None:
    """A job that waits for its time is not overdue, however long ago it was accepted or published."""

    async def story(_: Ground, side: Side) -> None:
        due = NOW + 5 * REPUBLISH
        one = await side.store.add(job(due=due), b"")
        assert await side.store.overdue(due - 1, 10) == []
        await side.store.published(one.id, NOW)
        assert await side.store.overdue(due - 1, 10) == []
        assert await side.store.overdue(due, 10) == [one]

    play(ground, story)


def test_late_news_of_a_publication_hides_nothing(ground: Ground) -> None:
    """Told of a publication that was before a job was claimed and put back, the store still has it overdue when due."""

    async def story(_: Ground, side: Side) -> None:
        store = side.store
        one = await store.add(job(), b"")
        await claimed(store, one.id)
        await store.put_back(one.id, 1, GPU, NOW + 500, counts=True)
        await store.published(one.id, NOW)
        (found,) = await store.overdue(NOW + 500, 10)
        assert found.id == one.id

    play(ground, story)


def test_a_lapsed_lease_is_overdue(ground: Ground) -> None:
    """From the moment a lease lapses its job is overdue, until it is renewed, claimed or over; both lanes alike."""

    async def story(_: Ground, side: Side) -> None:
        store = side.store
        jobs = [await store.add(job(lane=lane), b"") for lane in (GPU, API, API, API)]
        for one in jobs:
            await store.published(one.id, NOW)
            await claimed(store, one.id)
        lapsed = NOW + LEASE
        assert await store.overdue(lapsed - 1, 10) == []
        assert {one.id for one in await store.overdue(lapsed, 10)} == {one.id for one in jobs}
        assert len(await store.overdue(lapsed, 2)) == 2
        await store.renew([(jobs[1].id, 1)], lapsed + LEASE)
        await store.claim(jobs[2].id, lapsed, lapsed + LEASE)
        await store.end(jobs[3].id, 1, JobEnd(JobState.COMPLETED, lapsed))
        assert [one.id for one in await store.overdue(lapsed, 10)] == [jobs[0].id]

    play(ground, story)


def test_a_lapsed_lease_is_published_once(ground: Ground) -> None:
    """Published since its lease lapsed, a job is not overdue until REPUBLISH later, or until another lease lapses."""

    async def story(_: Ground, side: Side) -> None:
        store = side.store
        one = await store.add(job(), b"")
        await claimed(store, one.id)
        lapsed = NOW + LEASE
        await store.published(one.id, lapsed)
        assert await store.overdue(lapsed + REPUBLISH - 1, 10) == []
        assert [late.id for late in await store.overdue(lapsed + REPUBLISH, 10)] == [one.id]
        await store.published(one.id, lapsed + REPUBLISH)
        await store.renew([(one.id, 1)], lapsed + REPUBLISH + LEASE)
        assert [late.id for late in await store.overdue(lapsed + REPUBLISH + LEASE, 10)] == [one.id]
        await store.published(one.id, lapsed + REPUBLISH + LEASE)
        await store.claim(one.id, lapsed + REPUBLISH + LEASE, lapsed + REPUBLISH + 2 * LEASE)
        assert [late.id for late in await store.overdue(lapsed + REPUBLISH + 2 * LEASE, 10)] == [one.id]

    play(ground, story)


def test_no_kind_of_overdue_jobs_hides_the_other(ground: Ground) -> None:
    """Where more are overdue than asked for, some of both kinds are among them, as many as were asked for."""

    async def story(_: Ground, side: Side) -> None:
        store = side.store
        leased = {(await store.add(job(), b"")).id for _ in range(8)}
        for id in leased:
            await claimed(store, id)
        waiting = {(await store.add(job(), b"")).id for _ in range(8)}
        late = {one.id for one in await store.overdue(NOW + UNPUBLISHED + LEASE, 6)}
        assert len(late) == 6
        assert late & leased
        assert late & waiting
        assert {one.id for one in await store.overdue(NOW + UNPUBLISHED + LEASE, 100)} == leased | waiting

    play(ground, story)


def test_a_revived_job_is_overdue_at_once(ground: Ground) -> None:
    """It needs to be published again: it is overdue from then on."""

    async def story(_: Ground, side: Side) -> None:
        failed = await done(side.store, JobState.FAILED)
        await side.store.revive(failed.id, NOW + 5)
        assert [one.id for one in await side.store.overdue(NOW + 5, 10)] == [failed.id]

    play(ground, story)


def test_what_is_over_is_forgotten_in_time(ground: Ground) -> None:
    """RESULT_TTL after its end a job is forgotten with its log, and counted; before that, or without an end, never."""

    async def story(_: Ground, side: Side) -> None:
        store = side.store
        states = [JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED]
        over = [await done(store, state) for state in states]
        waiting, working = await done(store, JobState.PENDING), await done(store, JobState.PROCESSING)
        dead = await done(store, JobState.FAILED, dead=True)
        assert await store.forget(NOW + RESULT_TTL - 1) == 0
        assert [await store.find(one.id) for one in over] == over
        assert await store.forget(NOW + RESULT_TTL) == 4
        for one in (*over, dead):
            assert await store.find(one.id) is None
            assert await store.log(one.id, START, 10) == []
        assert await store.dead(10) == []
        assert await store.listed(None, 10) == [working, waiting]
        assert [piece.data for piece in await store.log(working.id, START, 10)] == [b"said"]
        assert await store.forget(NOW + RESULT_TTL) == 0

    play(ground, story)


def test_what_is_over_can_be_removed_before_its_time(ground: Ground) -> None:
    """A job that is over is unknown once it is removed, with its log and its key; one without an end is as before."""

    async def story(_: Ground, side: Side) -> None:
        store = side.store
        states = [JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED]
        over = [*[await done(store, state) for state in states], await done(store, JobState.FAILED, dead=True)]
        left = [await done(store, JobState.PENDING), await done(store, JobState.PROCESSING)]
        for one in (*over, *left, job()):
            await store.remove(one.id)
        for one in over:
            assert await store.find(one.id) is None
            assert await store.told(one.id) is None
            assert await store.log(one.id, START, 10) == []
            again = structs.replace(job(), key=one.key, digest=b"another")
            assert await store.add(again, b"") == again
        assert await store.dead(10) == []
        assert [await store.find(one.id) for one in left] == left
        assert [piece.data for piece in await store.log(left[1].id, START, 10)] == [b"said"]

    play(ground, story)


def test_many_are_forgotten_in_one_go(ground: Ground) -> None:
    """700 jobs whose time is over are forgotten by one call, and those of others stay."""

    async def story(_: Ground, side: Side) -> None:
        store = side.store
        jobs = await asyncio.gather(*(store.add(job(), b"") for _ in range(700)))
        await asyncio.gather(*(store.cancel(one.id, NOW) for one in jobs))
        kept = await done(store, JobState.COMPLETED, at=NOW + 1)
        assert await store.forget(NOW + RESULT_TTL) == 700
        assert await store.listed(None, 10) == [kept]

    play(ground, story)


def test_keys_are_forgotten_in_time(ground: Ground) -> None:
    """After `forget` a key that is a day old stands for nothing; a younger one stands for its job."""

    async def story(_: Ground, side: Side) -> None:
        store = side.store
        old = await store.add(job(key="old"), b"")
        young = await store.add(job(key="young", at=NOW + 1), b"")
        await store.forget(NOW + KEY_TTL)
        assert await store.add(job(key="young", at=NOW + 2), b"") == young
        fresh = job(key="old", at=NOW + KEY_TTL)
        assert await store.add(fresh, b"") == fresh
        assert await store.find(old.id) == old

    play(ground, story)


def test_waiting_ends_after_a_while(ground: Ground) -> None:
    """Where nothing changes, `wait` lasts as long as it was told, and not much longer."""

    async def story(_: Ground, side: Side) -> None:
        one = await side.store.add(job(), b"")
        loop = asyncio.get_running_loop()
        began = loop.time()
        await side.store.wait(one, START, SHORT)
        assert SHORT * 0.9 <= loop.time() - began < SOON

    play(ground, story)


def test_waiting_ends_at_once_where_it_has_changed_already(ground: Ground) -> None:
    """A job in another state or epoch than was seen, with more after the mark, or unknown, is not waited for."""

    async def story(_: Ground, side: Side) -> None:
        store = side.store
        seen = await store.add(job(), b"")
        claim = await claimed(store, seen.id)
        async with asyncio.timeout(SOON):
            await store.wait(seen, START, 60)
            await store.append(seen.id, 1, 0, [b"a", b"b"])
            for mark in (START, Mark(1, 0), Mark(0, 9)):
                await store.wait(claim.job, mark, 60)
            await store.claim(seen.id, claim.job.due, claim.job.due + LEASE)
            await store.wait(claim.job, Mark(1, 1), 60)
            await store.wait(job(), START, 60)

    play(ground, story)


async def _claims(store: JobStore, one: Job) -> None:
    await store.claim(one.id, one.due, one.due + LEASE)


async def _appends(store: JobStore, one: Job) -> None:
    await store.append(one.id, 1, 1, [b"more"])


async def _ends(store: JobStore, one: Job) -> None:
    await store.end(one.id, 1, JobEnd(JobState.COMPLETED, NOW))


async def _cancels(store: JobStore, one: Job) -> None:
    await store.cancel(one.id, NOW)


async def _puts_back(store: JobStore, one: Job) -> None:
    await store.put_back(one.id, 1, API, NOW, counts=True)


@pytest.mark.parametrize("change", [_claims, _appends, _ends, _cancels, _puts_back])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_waiting_ends_with_a_change(
    ground: Ground, change: Callable[[JobStore, Job], asyncio.Future[None]], elsewhere: bool
) -> None:
    """All who wait for a job are let go when it changes, wherever it was changed, within two seconds."""

    async def story(ground: Ground, side: Side) -> None:
        one = await side.store.add(job(), b"")
        await claimed(side.store, one.id)
        await side.store.append(one.id, 1, 0, [b"a"])
        seen = await side.store.find(one.id)
        assert seen is not None
        other = await ground.open()
        try:
            waiting = [asyncio.ensure_future(side.store.wait(seen, Mark(1, 0), 60)) for _ in range(3)]
            finished, still = await asyncio.wait(waiting, timeout=SHORT)
            assert not finished
            await change(other.store if elsewhere else side.store, seen)
            finished, still = await asyncio.wait(waiting, timeout=2)
            for task in still:
                task.cancel()
            assert len(finished) == 3
        finally:
            await other.close()

    play(ground, story)


def test_who_waits_for_the_state_alone_sleeps_through_the_log(ground: Ground) -> None:
    """With a mark behind everything, an append ends no waiting, and the end does."""

    async def story(_: Ground, side: Side) -> None:
        one = await side.store.add(job(), b"")
        claim = await claimed(side.store, one.id)
        waiting = asyncio.ensure_future(side.store.wait(claim.job, Mark(1, 2**62), 60))
        await side.store.append(one.id, 1, 0, [b"a"])
        await asyncio.wait({waiting}, timeout=0.5)
        assert not waiting.done()
        await side.store.end(one.id, 1, JobEnd(JobState.COMPLETED, NOW), 1)
        await asyncio.wait_for(waiting, SOON)

    play(ground, story)


def test_what_was_acknowledged_is_there_after_a_restart(ground: Ground) -> None:
    """All that a side has been told is kept: another that is opened after it has closed finds jobs, log and ends."""

    async def story(ground: Ground, side: Side) -> None:
        jobs = [await done(side.store, state) for state in JobState]
        await side.close()
        later = await ground.open()
        try:
            assert [await later.store.find(one.id) for one in jobs] == jobs
            assert await later.store.answer(jobs[1].id) == b"said"
            assert isinstance(await later.store.claim(jobs[0].id, NOW, NOW + LEASE), Claim)
        finally:
            await later.close()

    play(ground, story)
