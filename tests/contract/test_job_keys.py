"""What every store of jobs promises of idempotency keys, and of taking a job back."""

import asyncio
from collections.abc import Callable

import pytest

from foz.canon.fault import Conflict
from foz.canon.job import Job, JobEnd, JobState, Trouble
from foz.canon.model import Placement
from foz.ports.jobs import KEY_TTL, REPUBLISH, JobStore
from tests.jobs import LEASE, NOW, claimed, job
from tests.topologies import Ground, Side, play

GPU, API = Placement.GPU, Placement.API
SHORT = 0.05
SOON = 10.0


def test_a_key_stands_for_its_first_job(ground: Ground) -> None:
    """The same principal, key and digest give the first job as it stands, even when it has ended, and add nothing."""

    async def story(_: Ground, side: Side) -> None:
        store = side.store
        first = await store.add(job(key="k"), b"1")
        assert await store.add(job(key="k", at=NOW + 5), b"2") == first
        claim = await claimed(store, first.id)
        assert claim.order == b"1"
        assert (await store.add(job(key="k"), b"3")).state is JobState.PROCESSING
        await store.end(first.id, 1, JobEnd(JobState.FAILED, NOW, trouble=Trouble("bug", "x")))
        again = await store.add(job(key="k"), b"4")
        assert (again.id, again.state) == (first.id, JobState.FAILED)
        assert [one.id for one in await store.listed(None, 10)] == [first.id]

    play(ground, story)


def test_a_key_with_another_digest_is_a_conflict(ground: Ground) -> None:
    """The same key with another digest raises Conflict with status 422 and the key's field, and changes nothing."""

    async def story(_: Ground, side: Side) -> None:
        first = await side.store.add(job(key="k"), b"1")
        with pytest.raises(Conflict) as raised:
            await side.store.add(job(key="k", digest=b"other"), b"2")
        assert (raised.value.status, raised.value.field) == (422, "idempotency_key")
        assert await side.store.listed(None, 10) == [first]
        assert (await claimed(side.store, first.id)).order == b"1"

    play(ground, story)


def test_a_key_is_its_principals(ground: Ground) -> None:
    """Another principal's equal key stands for nothing of ours, whatever the names are made of."""

    async def story(_: Ground, side: Side) -> None:
        names = [("a", "b:c"), ("a:b", "c"), ("", "a:b:c"), ("a", "B:C")]
        given = [job(key=key, principal=principal) for principal, key in names]
        for one in given:
            assert await side.store.add(one, b"") == one
        assert len(await side.store.listed(None, 10)) == len(names)

    play(ground, story)


def test_fifty_at_once_become_one_job(ground: Ground) -> None:
    """Of 50 that add the same key at once from two sides, all are given one and the same job, and one is kept."""

    async def story(ground: Ground, side: Side) -> None:
        other = await ground.open()
        try:
            stores = [side.store, other.store] * 25
            given = await asyncio.gather(*(store.add(job(key="k"), b"") for store in stores))
        finally:
            await other.close()
        assert len({one.id for one in given}) == 1
        assert [one.id for one in await side.store.listed(None, 100)] == [given[0].id]

    play(ground, story)


@pytest.mark.parametrize("digest", [b"digest", b"other"])
def test_a_key_stands_for_a_day(ground: Ground, digest: bytes) -> None:
    """A millisecond before KEY_TTL is over a key stands for its job; then it stands for a new one, whatever it asks."""

    async def story(ground: Ground, side: Side) -> None:
        first = await side.store.add(job(key="k"), b"1")
        await side.close()
        later = await ground.open()
        try:
            assert await later.store.add(job(key="k", at=NOW + KEY_TTL - 1), b"2") == first
            second = job(key="k", at=NOW + KEY_TTL, digest=digest)
            assert await later.store.add(second, b"3") == second
            assert await later.store.add(job(key="k", at=NOW + KEY_TTL + 1, digest=digest), b"4") == second
            assert await later.store.find(first.id) == first
        finally:
            await later.close()

    play(ground, story)


def test_what_nobody_counts_on_can_be_withdrawn(ground: Ground) -> None:
    """A withdrawn job is unknown and its key free; withdrawing what is unknown does nothing."""

    async def story(_: Ground, side: Side) -> None:
        store = side.store
        first = await store.add(job(key="k"), b"1")
        await store.withdraw(first.id)
        assert await store.find(first.id) is None
        assert await store.claim(first.id, NOW, NOW + LEASE) is None
        assert await store.listed(None, 10) == []
        assert await store.overdue(NOW + REPUBLISH, 10) == []
        await store.withdraw(first.id)
        second = job(key="k", digest=b"other")
        assert await store.add(second, b"2") == second

    play(ground, story)


async def _shared(store: JobStore, one: Job) -> None:
    await store.add(job(key=one.key), b"")


async def _claimed(store: JobStore, one: Job) -> None:
    await claimed(store, one.id)


async def _put_back(store: JobStore, one: Job) -> None:
    await claimed(store, one.id)
    await store.put_back(one.id, 1, one.lane, NOW, counts=False)


async def _cancelled(store: JobStore, one: Job) -> None:
    await store.cancel(one.id, NOW)


@pytest.mark.parametrize("touch", [_shared, _claimed, _put_back, _cancelled])
def test_what_somebody_counts_on_is_not_withdrawn(ground: Ground, touch: Callable[..., asyncio.Future[None]]) -> None:
    """A job that a second caller was given, that was ever claimed, or that is over, is as before after `withdraw`."""

    async def story(_: Ground, side: Side) -> None:
        one = await side.store.add(job(key="k"), b"1")
        await touch(side.store, one)
        before = await side.store.find(one.id)
        await side.store.withdraw(one.id)
        assert before is not None
        assert await side.store.find(one.id) == before

    play(ground, story)
