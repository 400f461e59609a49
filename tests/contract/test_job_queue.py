"""What every queue of jobs promises: the sentences of `ports.jobs.JobQueue` and `Delivery`."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from foz.canon.job import Job, JobEnd, JobState
from foz.canon.model import Placement
from foz.jobs.working import sweep
from foz.ports.jobs import UNPUBLISHED, Claim, Delivery, Lane
from foz.testing.clock import LoopClock
from tests.jobs import LEASE, NOW, job
from tests.topologies import Ground, Side, play

GPU, API = Placement.GPU, Placement.API
SHORT = 0.3
SOON = 10.0
now = LoopClock().now


async def published(side: Side, lane: Placement = API) -> Job:
    one = await side.store.add(job(lane=lane), b"order")
    await side.queue.publish(lane, one.id)
    await side.store.published(one.id, NOW)
    return one


async def taken(side: Side, lane: Placement = API) -> Delivery:
    return await asyncio.wait_for(side.queue.take(lane), SOON)


async def claimed(side: Side, id: bytes, lease: int = LEASE) -> Job:
    claim = await side.store.claim(id, now(), now() + lease)
    assert isinstance(claim, Claim)
    return claim.job


async def ended(side: Side, delivery: Delivery) -> None:
    """The usual life of a delivery."""
    one = await claimed(side, delivery.id)
    assert await side.store.end(one.id, one.epoch, JobEnd(JobState.COMPLETED, now()))
    await delivery.done()


async def nothing_comes(side: Side, lane: Placement = API, seconds: float = SHORT) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(side.queue.take(lane), seconds)


def waiting(count: int) -> Callable[[Lane], bool]:
    return lambda lane: lane.waiting == count


def working(count: int) -> Callable[[Lane], bool]:
    return lambda lane: lane.workers in {count, None}


async def stands(side: Side, place: Placement, is_so: Callable[[Lane], bool]) -> None:
    """Waits until a lane stands so."""
    async with asyncio.timeout(SOON):
        while not is_so(await side.queue.lane(place)):  # noqa: ASYNC110 - another process's doing is looked for
            await asyncio.sleep(0.02)


def test_what_is_published_is_taken(ground: Ground) -> None:
    """An id that was published is handed to who takes from its lane, and to nobody in the other lane."""

    async def story(ground: Ground, side: Side) -> None:
        one, two = await published(side, GPU), await published(side, API)
        assert (await taken(side, API)).id == two.id
        assert (await taken(side, GPU)).id == one.id
        await nothing_comes(side, GPU)
        await nothing_comes(side, API)

    play(ground, story)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_who_takes_waits(ground: Ground, elsewhere: bool) -> None:
    """Whoever takes while nothing waits is given what is published later, by any process, within two seconds."""

    async def story(ground: Ground, side: Side) -> None:
        other = await ground.open()
        try:
            taking = asyncio.ensure_future(side.queue.take(API))
            await asyncio.wait({taking}, timeout=SHORT)
            assert not taking.done()
            one = await published(other if elsewhere else side)
            assert (await asyncio.wait_for(taking, 2)).id == one.id
        finally:
            await other.close()

    play(ground, story)


def test_what_is_published_outlives_its_publisher(ground: Ground) -> None:
    """What was published is taken by another process after the first has closed."""

    async def story(ground: Ground, side: Side) -> None:
        jobs = [await published(side) for _ in range(3)]
        await side.close()
        later = await ground.open()
        try:
            assert {(await taken(later)).id for _ in jobs} == {one.id for one in jobs}
        finally:
            await later.close()

    play(ground, story)


def test_jobs_come_in_the_order_in_which_they_were_published(ground: Ground) -> None:
    """One taker is given 20 jobs of one publisher in their order."""

    async def story(ground: Ground, side: Side) -> None:
        jobs = [await published(side) for _ in range(20)]
        got = []
        for _ in jobs:
            delivery = await taken(side)
            got.append(delivery.id)
            await ended(side, delivery)
        assert got == [one.id for one in jobs]

    play(ground, story)


def test_a_job_is_in_one_pair_of_hands(ground: Ground) -> None:
    """Until it is answered, nobody else in the same process is given the same id."""

    async def story(ground: Ground, side: Side) -> None:
        jobs = [await published(side) for _ in range(5)]
        hands = [await taken(side) for _ in jobs]
        assert {delivery.id for delivery in hands} == {one.id for one in jobs}
        await nothing_comes(side, seconds=2 * SHORT)
        for delivery in hands:
            await ended(side, delivery)

    play(ground, story)


def test_what_is_done_comes_no_more(ground: Ground) -> None:
    """After `done` at a job that has its end, and after `dead` at a dead letter, the id comes to nobody."""

    async def story(ground: Ground, side: Side) -> None:
        await published(side)
        await published(side)
        await ended(side, await taken(side))
        delivery = await taken(side)
        one = await claimed(side, delivery.id)
        await side.store.end(one.id, one.epoch, JobEnd(JobState.FAILED, now(), dead=True))
        await delivery.dead()
        other = await ground.open()
        try:
            await asyncio.gather(nothing_comes(side), nothing_comes(other))
            assert (await side.queue.lane(API)).waiting == 0
        finally:
            await other.close()

    play(ground, story)


def test_later_is_not_now(ground: Ground) -> None:
    """After `later` the id comes again, not before about so long, and not long after."""

    async def story(ground: Ground, side: Side) -> None:
        one = await published(side)
        loop = asyncio.get_running_loop()
        delivery = await taken(side)
        began = loop.time()
        await delivery.later(1.0)
        again = await taken(side)
        assert again.id == one.id
        assert 0.8 <= loop.time() - began <= 4.0
        await again.later(0.0)
        await ended(side, await taken(side))

    play(ground, story)


def test_what_another_put_off_may_be_anybodys(ground: Ground) -> None:
    """An id that was answered with `later` is taken and done by another process when the first takes no more."""

    async def story(ground: Ground, side: Side) -> None:
        one = await published(side)
        await (await taken(side)).later(0.1)
        other = await ground.open()
        try:
            delivery = await taken(other)
            assert delivery.id == one.id
            await ended(other, delivery)
        finally:
            await other.close()

    play(ground, story)


def test_what_was_put_back_and_published_comes_again(ground: Ground) -> None:
    """Put back into the other lane and published there before the delivery is answered, a job comes from that lane."""

    async def story(ground: Ground, side: Side) -> None:
        one = await published(side, GPU)
        delivery = await taken(side, GPU)
        held = await claimed(side, one.id)
        assert await side.store.put_back(one.id, held.epoch, API, now(), counts=False)
        await side.queue.publish(API, one.id)
        await delivery.done()
        again = await taken(side, API)
        assert again.id == one.id
        await ended(side, again)
        await nothing_comes(side, GPU)

    play(ground, story)


def test_what_was_put_back_into_its_lane_comes_again(ground: Ground) -> None:
    """The same in the same lane: `done` does not take what was published anew."""

    async def story(ground: Ground, side: Side) -> None:
        one = await published(side)
        for _ in range(3):
            delivery = await taken(side)
            held = await claimed(side, one.id)
            assert await side.store.put_back(one.id, held.epoch, API, now(), counts=False)
            await side.queue.publish(API, one.id)
            await delivery.done()
        await ended(side, await taken(side))

    play(ground, story)


def test_closing_gives_back_what_was_not_answered(ground: Ground) -> None:
    """What a side has taken and not answered when it closes is taken by another."""

    async def story(ground: Ground, side: Side) -> None:
        jobs = [await published(side) for _ in range(3)]
        for _ in range(2):
            await taken(side)
        await side.close()
        other = await ground.open()
        try:
            assert {(await taken(other)).id for _ in jobs} == {one.id for one in jobs}
        finally:
            await other.close()

    play(ground, story)


def test_what_its_holder_left_is_swept_and_comes_again(ground: Ground) -> None:
    """A job whose lease lapsed comes to another process after a sweep, though its first holder never answered."""

    async def story(ground: Ground, side: Side) -> None:
        one = await published(side)
        await taken(side)
        held = await claimed(side, one.id, lease=1)
        await side.close()
        other = await ground.open()
        try:
            await asyncio.sleep(0.002)
            assert await sweep(other.store, other.queue, now()) == 1
            delivery = await taken(other)
            assert delivery.id == one.id
            assert (await claimed(other, one.id)).epoch == held.epoch + 1
        finally:
            await other.close()

    play(ground, story)


def test_what_was_never_published_is_swept_and_comes(ground: Ground) -> None:
    """A job that was accepted and not published comes after a sweep; a sweep right after that finds nothing."""

    async def story(ground: Ground, side: Side) -> None:
        one = await side.store.add(job(at=now() - UNPUBLISHED), b"")
        moment = now()
        assert await sweep(side.store, side.queue, moment) == 1
        assert await sweep(side.store, side.queue, moment) == 0
        assert (await taken(side)).id == one.id

    play(ground, story)


def test_published_twice_is_done_once(ground: Ground) -> None:
    """However often an id is published, one claim of it works, and its end is the end of it."""

    async def story(ground: Ground, side: Side) -> None:
        one = await published(side)
        for _ in range(4):
            await side.queue.publish(API, one.id)
        await ended(side, await taken(side))
        while True:
            try:
                delivery = await asyncio.wait_for(side.queue.take(API), SHORT)
            except TimeoutError:
                break
            assert delivery.id == one.id
            again = await side.store.claim(one.id, now(), now() + LEASE)
            assert isinstance(again, Job)
            await delivery.done()

    play(ground, story)


def test_a_taker_that_gives_up_takes_nothing_along(ground: Ground) -> None:
    """Of takers that are cancelled while jobs are published, none keeps a job from the next."""

    async def story(ground: Ground, side: Side) -> None:
        for _ in range(20):
            *leaving, staying = [asyncio.ensure_future(side.queue.take(API)) for _ in range(3)]
            await asyncio.sleep(0)
            one = await side.store.add(job(), b"")
            await side.queue.publish(API, one.id)
            for task in leaving:
                task.cancel()
            results = await asyncio.gather(*leaving, return_exceptions=True)
            got = {result.id: result for result in results if not isinstance(result, BaseException)}
            if one.id not in got:
                delivery = await asyncio.wait_for(staying, SOON)
                while delivery.id != one.id:  # an older one, carried twice
                    await delivery.done()
                    delivery = await taken(side)
                got[delivery.id] = delivery
            staying.cancel()
            await asyncio.gather(staying, return_exceptions=True)
            await ended(side, got.pop(one.id))
            for twice in got.values():
                await twice.done()

    play(ground, story)


async def _works(side: Side, counts: Counter[bytes], lane: Placement) -> None:
    while True:
        delivery = await side.queue.take(lane)
        found = await side.store.claim(delivery.id, now(), now() + LEASE)
        if isinstance(found, Claim):
            counts[delivery.id] += 1
            await side.store.end(delivery.id, found.job.epoch, JobEnd(JobState.COMPLETED, now()))
            await delivery.done()
        elif found is None or found.over:
            await delivery.done()
        else:
            await delivery.later((found.due - now()) / 1000)


def test_many_workers_of_two_processes_do_each_job_once(ground: Ground) -> None:
    """400 jobs of two processes in two lanes are each claimed once by the 16 workers of both, and all end."""

    async def story(ground: Ground, side: Side) -> None:
        other = await ground.open()
        counts: Counter[bytes] = Counter()
        sides = [side, other]
        try:
            workers = [
                asyncio.ensure_future(_works(one, counts, lane))
                for one in sides
                for lane in (GPU, API)
                for _ in range(4)
            ]
            adding: list[Awaitable[Job]] = [published(sides[n % 2], (GPU, API)[n // 2 % 2]) for n in range(400)]
            jobs = await asyncio.gather(*adding)
            async with asyncio.timeout(SOON):
                while len(counts) < len(jobs) and not any(worker.done() for worker in workers):  # noqa: ASYNC110 - they say nothing
                    await asyncio.sleep(0.02)
            for worker in workers:
                worker.cancel()
            results = await asyncio.gather(*workers, return_exceptions=True)
        finally:
            await other.close()
        assert all(isinstance(result, asyncio.CancelledError) for result in results)
        assert counts == Counter(one.id for one in jobs)
        found = [await side.store.find(one.id) for one in jobs]
        assert {one.state for one in found if one is not None} == {JobState.COMPLETED}

    play(ground, story)


def test_a_lane_knows_how_many_wait(ground: Ground) -> None:
    """`waiting` is what was published and not taken, per lane, on every side; what is worked at waits no more."""

    async def story(ground: Ground, side: Side) -> None:
        other = await ground.open()
        try:
            assert (await side.queue.lane(API)).waiting == 0
            for _ in range(5):
                await published(side)
            await published(side, GPU)
            for one in (side, other):
                await stands(one, API, waiting(5))
                await stands(one, GPU, waiting(1))
            hands = [await taken(side, API) for _ in range(5)]
            for delivery in hands[:3]:
                await ended(side, delivery)
            await claimed(side, hands[3].id)
            await claimed(side, hands[4].id)
            for one in (side, other):
                await stands(one, API, waiting(0))
        finally:
            await other.close()

    play(ground, story)


def test_a_lane_knows_who_takes_from_it(ground: Ground) -> None:
    """Where it is known, `workers` is 0 while nobody takes, and 1 on every side while one process does."""

    async def story(ground: Ground, side: Side) -> None:
        other = await ground.open()
        try:
            assert (await side.queue.lane(API)).workers in {0, None}
            taking = asyncio.ensure_future(side.queue.take(API))
            for one in (side, other):
                await stands(one, API, working(1))
                await stands(one, GPU, working(0))
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)
            await side.close()
            await stands(other, API, working(0))
        finally:
            await other.close()

    play(ground, story)
