"""What the store does while Redis is away, frozen or full, and after that: a real one, of these tests."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator

import pytest

from foz.canon.fault import NoCapacity
from foz.canon.job import START, JobEnd, JobState
from foz.ports.jobs import Claim
from foz.scale.jobs import RedisJobs
from foz.testing.servers import RedisServer
from tests.integration.scale.grounds import DEADLINE, SLACK, SOON, at_last, refused
from tests.jobs import LEASE, NOW, claimed, job, new_id


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One for all tests of this file."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


def play(redis: RedisServer, story: Callable[[RedisJobs], Awaitable[None]]) -> None:
    """Runs a story with one process, on keys that nobody else uses; nothing goes wrong in it that nobody hears of."""
    unheard: list[object] = []

    async def told() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
        store = RedisJobs(redis.url, deadline=DEADLINE, name=new_id().hex())
        try:
            await asyncio.wait_for(story(store), 60)
        finally:
            async with asyncio.timeout(SOON):
                await store.close()

    asyncio.run(told())
    gc.collect()
    assert not unheard


def test_a_frozen_redis_is_told_of_within_the_deadline(redis: RedisServer) -> None:
    """Frozen, every step is refused within the deadline, forty at once too; thawed, all works by itself."""

    async def story(store: RedisJobs) -> None:
        one = await store.add(job(), b"order")
        redis.freeze()
        try:
            for step in (store.add(job(), b""), store.claim(one.id, NOW, NOW + LEASE), store.find(one.id)):
                with refused():
                    await step
            with refused():
                await store.wait(one, START, 60)
            loop = asyncio.get_running_loop()
            began = loop.time()
            results = await asyncio.gather(*(store.find(one.id) for _ in range(40)), return_exceptions=True)
            assert all(isinstance(result, NoCapacity) for result in results)
            assert loop.time() - began < DEADLINE + SLACK
        finally:
            redis.thaw()
        await at_last(lambda: store.find(one.id))

    play(redis, story)


def test_a_killed_redis_keeps_what_it_acknowledged(redis: RedisServer) -> None:
    """Killed with fsync at every step and started again, it has every job, claim, log and end that it had told of."""

    async def story(store: RedisJobs) -> None:
        jobs = [await store.add(job(), b"order") for _ in range(20)]
        for one in jobs[:10]:
            await claimed(store, one.id)
            assert await store.append(one.id, 1, 0, [b"a", b"b"])
        for one in jobs[:5]:
            assert await store.end(one.id, 1, JobEnd(JobState.COMPLETED, NOW), 2, [b"c"])
        before = [await store.find(one.id) for one in jobs]
        redis.kill()
        try:
            with refused():
                await store.find(jobs[0].id)
            with refused():
                await store.add(job(), b"")
        finally:
            await asyncio.to_thread(redis.start)
        await at_last(lambda: store.find(jobs[0].id))
        assert [await store.find(one.id) for one in jobs] == before
        assert await store.answer(jobs[0].id) == b"abc"
        assert await store.append(jobs[5].id, 1, 2, [b"!"])
        assert isinstance(await store.claim(jobs[10].id, NOW, NOW + LEASE), Claim)

    play(redis, story)


def test_who_waits_is_told_after_a_restart_too(redis: RedisServer) -> None:
    """A process that heard of changes before Redis was killed hears of them after it is back."""

    async def story(store: RedisJobs) -> None:
        one = await store.add(job(), b"order")
        await store.wait(one, START, 0.05)
        await asyncio.to_thread(redis.restart)
        await at_last(lambda: store.find(one.id))
        waiting = asyncio.ensure_future(store.wait(one, START, 60))
        await asyncio.wait({waiting}, timeout=0.3)
        assert not waiting.done()
        await claimed(store, one.id)
        await asyncio.wait_for(waiting, 2)

    play(redis, story)


def test_a_full_redis_refuses_what_is_new_and_loses_nothing(redis: RedisServer) -> None:
    """Out of memory it takes no more jobs, in the words of any other refusal, and keeps those that it has."""

    async def story(store: RedisJobs) -> None:
        one = await store.add(job(), b"order")
        await redis_says(redis, "CONFIG SET maxmemory 1")
        try:
            with refused():
                await store.add(job(), b"")
            assert await store.find(one.id) == one
        finally:
            await redis_says(redis, "CONFIG SET maxmemory 0")
        assert await store.add(second := job(), b"") == second

    play(redis, story)


async def redis_says(redis: RedisServer, command: str) -> None:
    """One command, said by hand."""
    reader, writer = await asyncio.open_connection("127.0.0.1", redis.port)
    writer.write(command.encode() + b"\r\n")
    assert await reader.readline() == b"+OK\r\n"
    writer.close()
    await writer.wait_closed()
