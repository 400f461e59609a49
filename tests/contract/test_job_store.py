"""What every store of jobs promises: the sentences of `ports.jobs.JobStore`."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from foz.canon.fault import Fault
from foz.canon.job import START, Job, JobEnd, JobState, Mark, Piece, Trouble
from foz.canon.model import Placement
from foz.canon.principal import Allowance, Principal, Role
from foz.canon.request import Mode
from foz.ports.jobs import Claim
from tests.jobs import LEASE, NOW, claimed, done, job, new_id
from tests.topologies import Ground, Side, play

GPU, API = Placement.GPU, Placement.API
SHORT = 0.05
SOON = 10.0


def test_an_accepted_job_is_found_as_it_was_given(ground: Ground) -> None:
    """`find` gives back every field of a job that was added, on the same side and on another; an unknown id is None."""

    async def story(ground: Ground, side: Side) -> None:
        principal = Principal("key-9", Role.ADMIN, "blue", frozenset({"a", "b*"}), Allowance(5, 6, 10**15, 7))
        given = Job(
            id=new_id(), at=NOW, principal=principal, project="grün", skin="nemotron", model="m/x:1", mode=Mode.GPU,
            lane=GPU, key="schlüssel 'x'", stream=True, digest=bytes(range(32)), due=NOW + 3,
        )  # fmt: skip
        other = await ground.open()
        try:
            assert await side.store.add(given, b"order") == given
            assert await side.store.find(given.id) == given
            assert await other.store.find(given.id) == given
            assert await other.store.find(new_id()) is None
        finally:
            await other.close()

    play(ground, story)


def test_jobs_are_listed_newest_first(ground: Ground) -> None:
    """`listed` gives a principal's jobs or all, newest first, at most so many, and older ones after a bound."""

    async def story(_: Ground, side: Side) -> None:
        store = side.store
        mine = [await store.add(job(principal="a"), b"") for _ in range(3)]
        theirs = await store.add(job(principal="b"), b"")
        mine.append(await store.add(job(principal="a"), b""))
        newest = mine[::-1]
        assert await store.listed("a", 10) == newest
        assert await store.listed("a", 2) == newest[:2]
        assert await store.listed("a", 10, newest[1].id) == newest[2:]
        assert await store.listed("b", 10) == [theirs]
        assert await store.listed("c", 10) == []
        assert await store.listed(None, 10) == [newest[0], theirs, *newest[1:]]
        assert await store.listed(None, 1, theirs.id) == [newest[1]]

    play(ground, story)


def test_a_job_that_waits_is_claimed(ground: Ground) -> None:
    """A claim brings the order and the job: processed, under epoch 1, one attempt, leased till then, begun now."""

    async def story(_: Ground, side: Side) -> None:
        store = side.store
        one = await store.add(job(), b"\0order\xff")
        claim = await store.claim(one.id, NOW + 7, NOW + LEASE)
        assert isinstance(claim, Claim)
        assert claim.order == b"\0order\xff"
        got = claim.job
        assert (got.state, got.epoch, got.attempts) == (JobState.PROCESSING, 1, 1)
        assert (got.due, got.began, got.id) == (NOW + LEASE, NOW + 7, one.id)
        assert await store.find(one.id) == got

    play(ground, story)


def test_a_job_that_is_not_due_is_not_claimed(ground: Ground) -> None:
    """Before it is due a claim gives the job as it stands; at that millisecond, a claim."""

    async def story(_: Ground, side: Side) -> None:
        one = await side.store.add(job(due=NOW + 10), b"")
        assert await side.store.claim(one.id, NOW + 9, NOW + LEASE) == one
        assert isinstance(await side.store.claim(one.id, NOW + 10, NOW + LEASE), Claim)

    play(ground, story)


def test_a_leased_job_is_not_claimed_until_its_lease_has_lapsed(ground: Ground) -> None:
    """Leased it is given as it stands; lapsed, it is claimed under the next epoch, begun as before, its log empty."""

    async def story(ground: Ground, side: Side) -> None:
        one = await side.store.add(job(), b"order")
        first = await claimed(side.store, one.id)
        await side.store.append(one.id, 1, 0, [b"old"])
        other = await ground.open()
        try:
            until = first.job.due
            assert await other.store.claim(one.id, until - 1, until + LEASE) == first.job
            second = await other.store.claim(one.id, until, until + LEASE)
            assert isinstance(second, Claim)
            assert second.order == b"order"
            assert (second.job.epoch, second.job.attempts, second.job.began) == (2, 2, NOW)
            assert await other.store.log(one.id, START, 10) == []
            assert await other.store.answer(one.id) == b""
        finally:
            await other.close()

    play(ground, story)


def test_one_of_many_claims_wins(ground: Ground) -> None:
    """Of 40 that claim one job at once from two sides, one has it."""

    async def story(ground: Ground, side: Side) -> None:
        one = await side.store.add(job(), b"")
        other = await ground.open()
        try:
            stores = [side.store, other.store] * 20
            got = await asyncio.gather(*(store.claim(one.id, NOW, NOW + LEASE) for store in stores))
        finally:
            await other.close()
        assert sum(isinstance(claim, Claim) for claim in got) == 1
        assert all(isinstance(claim, (Claim, Job)) for claim in got)

    play(ground, story)


@pytest.mark.parametrize("state", [JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED])
def test_a_job_that_is_over_is_not_claimed(ground: Ground, state: JobState) -> None:
    """A claim of a job that has its end, even long after, gives it as it stands."""

    async def story(_: Ground, side: Side) -> None:
        over = await done(side.store, state)
        assert await side.store.claim(over.id, NOW + 10 * LEASE, NOW + 11 * LEASE) == over

    play(ground, story)


def test_a_lease_is_extended(ground: Ground) -> None:
    """What is renewed is leased till the new time; what is not held under that epoch is named, and is as before."""

    async def story(_: Ground, side: Side) -> None:
        store = side.store
        jobs = [await store.add(job(), b"") for _ in range(5)]
        held, put_back, over, cancelled, waiting = jobs
        for one in jobs[:4]:
            await claimed(store, one.id)
        await store.put_back(put_back.id, 1, API, NOW, counts=True)
        await store.end(over.id, 1, JobEnd(JobState.COMPLETED, NOW))
        await store.cancel(cancelled.id, NOW)
        unknown = new_id()
        asked = [(held.id, 1), (put_back.id, 1), (over.id, 1), (cancelled.id, 1), (waiting.id, 0), (unknown, 1)]
        before = [await store.find(id) for id, _ in asked[1:]]
        until = NOW + 3 * LEASE
        assert set(await store.renew(asked, until)) == {id for id, _ in asked[1:]}
        assert [await store.find(id) for id, _ in asked[1:]] == before
        assert await store.renew([(held.id, 1)], until - LEASE) == []  # one that comes late shortens nothing
        assert isinstance(await store.claim(held.id, until - 1, until), Job)
        assert isinstance(await store.claim(held.id, until, until + LEASE), Claim)
        assert await store.renew([(held.id, 1)], until + 9 * LEASE) == [held.id]
        assert await store.renew([(held.id, 2)], until + 2 * LEASE) == []
        assert await store.renew([], until) == []

    play(ground, story)


def test_many_leases_are_extended_at_once(ground: Ground) -> None:
    """Of 150 leases renewed in one step, just those under an old epoch are named."""

    async def story(_: Ground, side: Side) -> None:
        jobs = [await side.store.add(job(), b"") for _ in range(150)]
        for one in jobs:
            await claimed(side.store, one.id)
        asked = [(one.id, 0 if number % 50 == 7 else 1) for number, one in enumerate(jobs)]
        assert set(await side.store.renew(asked, NOW + 2 * LEASE)) == {jobs[n].id for n in (7, 57, 107)}

    play(ground, story)


def test_a_lapsed_lease_that_nobody_took_is_still_held(ground: Ground) -> None:
    """Until another claims it, its holder renews, appends and ends even after the lease has lapsed."""

    async def story(_: Ground, side: Side) -> None:
        one = await side.store.add(job(), b"")
        claim = await claimed(side.store, one.id)
        late = claim.job.due + 1
        assert await side.store.renew([(one.id, 1)], late + LEASE) == []
        assert await side.store.append(one.id, 1, 0, [b"a"])
        assert await side.store.end(one.id, 1, JobEnd(JobState.COMPLETED, late + 2 * LEASE), 1)

    play(ground, story)


def test_a_log_is_what_was_appended(ground: Ground) -> None:
    """Pieces come back in order with their marks, on any side, as parts after any mark, and joined as the answer."""

    async def story(ground: Ground, side: Side) -> None:
        one = await side.store.add(job(), b"")
        await claimed(side.store, one.id)
        assert await side.store.append(one.id, 1, 0, [b"a", b"", b"\xff\0"])
        assert await side.store.append(one.id, 1, 3, [b"d"])
        assert await side.store.append(one.id, 1, 4, [])
        assert await side.store.append(one.id, 1, 4, [b"e", b"f"])
        pieces = [Piece(Mark(1, n), data) for n, data in enumerate([b"a", b"", b"\xff\0", b"d", b"e", b"f"])]
        other = await ground.open()
        try:
            assert await other.store.log(one.id, START, 100) == pieces
            for number in range(-1, 7):
                assert await other.store.log(one.id, Mark(1, number), 100) == pieces[number + 1 :]
            assert await other.store.log(one.id, Mark(1, 1), 3) == pieces[2:5]
            assert await other.store.log(one.id, Mark(1, 2**63), 3) == []
            assert await other.store.answer(one.id) == b"a\xff\0def"
            assert await other.store.told(one.id) == (await other.store.find(one.id), b"")
            assert await side.store.end(one.id, 1, JobEnd(JobState.COMPLETED, NOW))
            assert await other.store.told(one.id) == (await other.store.find(one.id), b"a\xff\0def")
            assert await other.store.told(new_id()) is None
        finally:
            await other.close()

    play(ground, story)


def test_a_mark_of_another_epoch_is_the_beginning(ground: Ground) -> None:
    """Read after a mark of another epoch, the log comes from its beginning."""

    async def story(_: Ground, side: Side) -> None:
        store = side.store
        one = await store.add(job(), b"")
        claim = await claimed(store, one.id)
        await store.append(one.id, 1, 0, [b"a", b"b", b"c"])
        await store.claim(one.id, claim.job.due, claim.job.due + LEASE)
        await store.append(one.id, 2, 0, [b"x", b"y"])
        expected = [Piece(Mark(2, 0), b"x"), Piece(Mark(2, 1), b"y")]
        for mark in (Mark(1, 2), Mark(0, 7), Mark(3, 0), START):
            assert await store.log(one.id, mark, 10) == expected
        assert await store.answer(one.id) == b"xy"

    play(ground, story)


def test_an_unknown_job_has_no_log(ground: Ground) -> None:
    """The log of nobody's id is empty, and so is its answer."""

    async def story(_: Ground, side: Side) -> None:
        assert await side.store.log(new_id(), START, 10) == []
        assert await side.store.answer(new_id()) == b""

    play(ground, story)


def test_a_long_log_is_read_in_parts(ground: Ground) -> None:
    """5,000 pieces and pieces of a megabyte are read whole in parts of at most so many, none twice, none missing."""

    async def story(_: Ground, side: Side) -> None:
        one = await side.store.add(job(), b"")
        await claimed(side.store, one.id)
        small = [b"%d," % n for n in range(5_000)]
        large = [bytes([n]) * 1_000_000 for n in range(4)]
        assert await side.store.append(one.id, 1, 0, small)
        assert await side.store.end(one.id, 1, JobEnd(JobState.COMPLETED, NOW), len(small), large)
        read: list[Piece] = []
        after = START
        while part := await side.store.log(one.id, after, 999):
            assert len(part) <= 999
            read += part
            after = part[-1].mark
        assert [piece.data for piece in read] == small + large
        assert [piece.mark for piece in read] == [Mark(1, n) for n in range(len(read))]
        assert await side.store.answer(one.id) == b"".join(small + large)

    play(ground, story)


def test_the_end_is_one_step_with_the_last_of_the_log(ground: Ground) -> None:
    """An end brings its pieces and every fact of it: state, time, placement, latency; it is processed no more."""

    async def story(_: Ground, side: Side) -> None:
        store = side.store
        one = await store.add(job(), b"")
        claim = await claimed(store, one.id)
        await store.append(one.id, 1, 0, [b"a"])
        end = JobEnd(JobState.COMPLETED, NOW + 50, served=GPU, latency=12.5)
        assert await store.end(one.id, 1, end, 1, [b"b", b"c"])
        found = await store.find(one.id)
        assert found is not None
        assert (found.state, found.ended, found.served, found.latency) == (JobState.COMPLETED, NOW + 50, GPU, 12.5)
        assert (found.epoch, found.attempts, found.began, found.dead) == (1, 1, claim.job.began, False)
        assert await store.answer(one.id) == b"abc"

    play(ground, story)


def test_a_failure_keeps_its_trouble(ground: Ground) -> None:
    """A failed job keeps code, message and status of its trouble, and whether it is a dead letter."""

    async def story(_: Ground, side: Side) -> None:
        one = await side.store.add(job(), b"")
        await claimed(side.store, one.id)
        trouble = Trouble("upstream_down", "Sie schläft ☾ 'x' \\", 503)
        assert await side.store.end(one.id, 1, JobEnd(JobState.FAILED, NOW, trouble=trouble, dead=True))
        found = await side.store.find(one.id)
        assert found is not None
        assert (found.state, found.trouble, found.dead) == (JobState.FAILED, trouble, True)

    play(ground, story)


@pytest.mark.parametrize("state", [JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED])
def test_there_is_one_end(ground: Ground, state: JobState) -> None:
    """After its end nothing changes a job or its log: no end, append, renewal, cancellation nor putting back."""

    async def story(_: Ground, side: Side) -> None:
        store = side.store
        over = await done(store, state)
        log = await store.log(over.id, START, 10)
        assert not await store.end(over.id, 1, JobEnd(JobState.COMPLETED, NOW + 5), 1, [b"late"])
        assert not await store.append(over.id, 1, 1, [b"late"])
        assert not await store.append(over.id, 1, 1, [])
        assert not await store.put_back(over.id, 1, API, NOW, counts=True)
        assert await store.renew([(over.id, 1)], NOW + 9 * LEASE) == [over.id]
        assert await store.cancel(over.id, NOW + 5) == over
        assert await store.find(over.id) == over
        assert await store.log(over.id, START, 10) == log == [Piece(Mark(1, 0), b"said")]

    play(ground, story)


def test_one_of_many_ends_wins(ground: Ground) -> None:
    """Of ten ends and ten cancellations at once from two sides, one counts, and the log is that one's."""

    async def story(ground: Ground, side: Side) -> None:
        one = await side.store.add(job(), b"")
        await claimed(side.store, one.id)
        other = await ground.open()
        try:
            stores = [side.store, other.store] * 5
            ends = [
                store.end(one.id, 1, JobEnd(JobState.COMPLETED, NOW + n), 0, [b"%d" % n])
                for n, store in enumerate(stores)
            ]
            ended, cancelled = await asyncio.gather(
                asyncio.gather(*ends), asyncio.gather(*(store.cancel(one.id, NOW + 100) for store in stores))
            )
            found = await other.store.find(one.id)
        finally:
            await other.close()
        assert found is not None
        assert found.over
        if found.state is JobState.CANCELLED:
            assert not any(ended)
            assert await side.store.answer(one.id) == b""
        else:
            assert found.ended is not None
            assert ended == [NOW + n == found.ended for n in range(10)]
            assert await side.store.answer(one.id) == b"%d" % (found.ended - NOW)
        assert all(one is not None and one.over for one in cancelled)

    play(ground, story)


def test_what_is_said_under_an_old_epoch_is_not_heard(ground: Ground) -> None:
    """Once another has claimed it, the first holder's appends, ends, renewals and putting back come to nothing."""

    async def story(_: Ground, side: Side) -> None:
        store = side.store
        one = await store.add(job(), b"")
        first = await claimed(store, one.id)
        second = await store.claim(one.id, first.job.due, first.job.due + LEASE)
        assert isinstance(second, Claim)
        assert await store.append(one.id, 2, 0, [b"new"])
        assert not await store.append(one.id, 1, 0, [b"old"])
        assert not await store.end(one.id, 1, JobEnd(JobState.COMPLETED, NOW), 0, [b"old"])
        assert not await store.put_back(one.id, 1, API, NOW, counts=True)
        assert await store.renew([(one.id, 1)], NOW + 9 * LEASE) == [one.id]
        assert not await store.append(one.id, 3, 0, [b"from the future"])
        assert await store.find(one.id) == second.job
        assert await store.answer(one.id) == b"new"

    play(ground, story)


@pytest.mark.parametrize("counts", [True, False])
def test_a_job_put_back_waits_again(ground: Ground, counts: bool) -> None:
    """It waits in the lane it was given until it is due; the attempt counts or not; the next claim has epoch 2."""

    async def story(_: Ground, side: Side) -> None:
        store = side.store
        one = await store.add(job(), b"order")
        await claimed(store, one.id)
        await store.append(one.id, 1, 0, [b"half"])
        assert await store.put_back(one.id, 1, GPU, NOW + 100, counts=counts)
        found = await store.find(one.id)
        assert found is not None
        assert (found.state, found.lane, found.due) == (JobState.PENDING, GPU, NOW + 100)
        assert (found.epoch, found.attempts, found.began) == (1, int(counts), NOW)
        assert not await store.append(one.id, 1, 1, [b"late"])
        assert not await store.put_back(one.id, 1, API, NOW, counts=counts)
        assert await store.claim(one.id, NOW + 99, NOW + LEASE) == found
        second = await store.claim(one.id, NOW + 100, NOW + LEASE)
        assert isinstance(second, Claim)
        assert second.order == b"order"
        assert (second.job.epoch, second.job.attempts) == (2, 1 + counts)
        assert await store.answer(one.id) == b""

    play(ground, story)


def test_cancelling_ends_a_job_that_has_no_end(ground: Ground) -> None:
    """A job that waits or is worked at is cancelled at that time; its holder is not heard any more; None is unknown."""

    async def story(_: Ground, side: Side) -> None:
        store = side.store
        waiting, working = await store.add(job(), b""), await store.add(job(), b"")
        await claimed(store, working.id)
        for one in (waiting, working):
            cancelled = await store.cancel(one.id, NOW + 5)
            assert cancelled is not None
            assert (cancelled.state, cancelled.ended) == (JobState.CANCELLED, NOW + 5)
            assert await store.find(one.id) == cancelled
        assert not await store.end(working.id, 1, JobEnd(JobState.COMPLETED, NOW + 6))
        assert await store.cancel(new_id(), NOW) is None

    play(ground, story)


def test_a_failed_job_is_revived(ground: Ground) -> None:
    """It waits again, due now, with all its attempts, no trouble, no dead letter; its next claim has the next epoch."""

    async def story(_: Ground, side: Side) -> None:
        store = side.store
        one = await store.add(job(lane=GPU), b"order")
        await claimed(store, one.id)
        await store.append(one.id, 1, 0, [b"half"])
        await store.end(one.id, 1, JobEnd(JobState.FAILED, NOW, trouble=Trouble("poison", "x"), dead=True))
        revived = await store.revive(one.id, NOW + 9)
        assert revived is not None
        assert (revived.state, revived.attempts, revived.due, revived.epoch) == (JobState.PENDING, 0, NOW + 9, 1)
        assert (revived.trouble, revived.dead, revived.ended, revived.lane) == (None, False, None, GPU)
        assert await store.find(one.id) == revived
        assert await store.dead(10) == []
        again = await store.claim(one.id, NOW + 9, NOW + 9 + LEASE)
        assert isinstance(again, Claim)
        assert again.order == b"order"
        assert (again.job.epoch, again.job.attempts) == (2, 1)
        assert await store.answer(one.id) == b""

    play(ground, story)


@pytest.mark.parametrize("state", [JobState.PENDING, JobState.PROCESSING, JobState.COMPLETED, JobState.CANCELLED])
def test_only_a_failed_job_is_revived(ground: Ground, state: JobState) -> None:
    """In any other state `revive` gives the job as it stands and changes nothing; None is unknown."""

    async def story(_: Ground, side: Side) -> None:
        before = await done(side.store, state)
        assert await side.store.revive(before.id, NOW + 9) == before
        assert await side.store.find(before.id) == before
        assert await side.store.revive(new_id(), NOW) is None

    play(ground, story)


def test_dead_letters_are_told_newest_first(ground: Ground) -> None:
    """`dead` gives the jobs that failed as dead letters, newest first, at most so many, and no others."""

    async def story(_: Ground, side: Side) -> None:
        jobs = [await done(side.store, JobState.FAILED, dead=number != 1) for number in range(4)]
        await done(side.store, JobState.COMPLETED)
        letters = [jobs[3], jobs[2], jobs[0]]
        assert await side.store.dead(10) == letters
        assert await side.store.dead(2) == letters[:2]

    play(ground, story)


def test_a_side_that_was_closed_opens_nothing_anew(ground: Ground) -> None:
    """Whatever is asked after the end, and whatever was under way, is refused soon: no connection is made for it."""

    async def story(place: Ground, _: Side) -> None:
        for used in (True, False):
            other = await place.open()
            one = job()
            if used:
                await other.store.add(one, b"order")
                await asyncio.wait_for(other.queue.lane(one.lane), 10)
            under_way = [asyncio.ensure_future(ask) for ask in _asks(other, one)]
            await asyncio.sleep(0)
            await other.close()
            after = [asyncio.ensure_future(ask) for ask in _asks(other, one)]
            done, late = await asyncio.wait((*under_way, *after), timeout=10)
            assert not late
            assert all(isinstance(ask.exception(), Fault | None) for ask in done)
            assert all(isinstance(ask.exception(), Fault) for ask in after)

    play(ground, story)


def _asks(side: Side, one: Job) -> list[Coroutine[Any, Any, object]]:
    """Each of which needs what is kept elsewhere."""
    store, queue = side.store, side.queue
    return [
        store.find(one.id),
        store.wait(one, START, 5.0),
        queue.publish(one.lane, one.id),
        queue.take(one.lane),
        queue.lane(one.lane),
    ]
