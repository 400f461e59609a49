"""Kept answers in Redis: what they take up there, and a Redis that is slow, gone or back again."""

import asyncio
import os
import time
from pathlib import Path

import pytest
from redis import Redis

from foz.canon.fault import NoCapacity
from foz.ports.cache import MOST
from foz.scale.cache import MOST_WAITING, RedisCache
from foz.testing.servers import RedisServer, shared_redis
from tests.caches import InRedis, found

NOW = time.time_ns() // 1_000_000
LATER = NOW + 3_600_000


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def test_nothing_is_left_of_what_is_over() -> None:
    """Answers that expired leave no key behind but the counters, and what was counted of them is taken back."""
    ground = InRedis(shared_redis())

    async def main() -> None:
        cache = ground.open()
        for number in range(500):
            cache.keep(key(number), b"answer", LATER)
            cache.keep(key(number), b"another", LATER)
        await cache.close()
        cache = ground.open()
        await cache.forget(LATER)
        await cache.close()

    try:
        asyncio.run(main())
        with Redis.from_url(ground.url) as client:
            prefix = f"{{{ground.name}}}:cache:".encode()
            assert sorted(ground.names()) == [prefix + b"number", prefix + b"size"]
            assert client.get(prefix + b"size") == b"0"
    finally:
        ground.remove()


def test_its_size_is_kept_to_when_it_is_lowered() -> None:
    """With less room than there was, `forget` drops the oldest until the rest has room, in Redis' own count too."""
    ground = InRedis(shared_redis())

    async def main() -> list[int]:
        cache = ground.open(32 * MOST)
        for number in range(12):
            cache.keep(key(number), os.urandom(MOST // 2), LATER)
        await cache.close()
        cache = ground.open(2 * MOST)
        try:
            await cache.forget(NOW)
            return [number for number in range(12) if await cache.find(key(number), NOW) is not None]
        finally:
            await cache.close()

    try:
        assert asyncio.run(main()) == [9, 10, 11]
        with Redis.from_url(ground.url) as client:
            assert sum(client.memory_usage(one) or 0 for one in ground.names()) < 3 * MOST
    finally:
        ground.remove()


def test_a_redis_that_is_away_is_waited_for_once(tmp_path: Path) -> None:
    """While Redis is frozen or dead one question waits its deadline, the others none; nothing but `forget` raises."""

    async def main(redis: RedisServer) -> None:
        cache = RedisCache(redis.url, 2 * MOST, deadline=1.0, rest=60.0)
        again = RedisCache(redis.url, 2 * MOST, deadline=1.0, rest=0.05)
        try:
            again.keep(key(1), b"answer", LATER)
            assert await found(cache, key(1), NOW) == b"answer"  # what it keeps itself it may know longer
            redis.freeze()
            began = time.monotonic()
            assert [await cache.find(key(1), NOW) for _ in range(500)] == [None] * 500
            assert time.monotonic() - began < 10.0
            cache.keep(key(2), b"other", LATER)
            again.keep(key(3), b"third", LATER)
            redis.thaw()
            assert await found(again, key(1), NOW) == b"answer"
            redis.kill()
            assert await again.find(key(1), NOW) is None
            with pytest.raises(NoCapacity):
                await again.forget(NOW)
            redis.start()
            again.keep(key(4), b"fourth", LATER)
            assert await found(again, key(4), NOW) == b"fourth"
            assert await cache.find(key(2), NOW) is None
        finally:
            await cache.close()
            await again.close()

    with RedisServer(tmp_path) as redis:
        asyncio.run(main(redis))


def test_a_redis_that_is_slow_takes_no_more_than_waits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """While nothing is written, answers wait up to a bound and are found; more are not kept, which is told once."""

    async def main(redis: RedisServer) -> None:
        cache = RedisCache(redis.url, 64 * MOST, deadline=30.0)
        redis.freeze()
        most = MOST_WAITING // MOST
        for number in range(2 * most):
            cache.keep(key(number), bytes(MOST), LATER)
        waiting = [number for number in range(most) if await cache.find(key(number), NOW) is not None]
        assert waiting == list(range(most))
        redis.thaw()
        await cache.close()
        cache = RedisCache(redis.url, 64 * MOST, deadline=30.0)
        kept = [number for number in range(2 * most) if await cache.find(key(number), NOW) is not None]
        await cache.close()
        assert kept == list(range(most))

    with RedisServer(tmp_path) as redis:
        asyncio.run(main(redis))
    assert caplog.text.count("answers are not kept") == 1
