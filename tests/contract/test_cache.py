"""What every cache of answers promises: the sentences of `ports.cache.Cache`."""

import os
import time
from pathlib import Path

import pytest

from foz.ports.cache import MOST
from tests.caches import CACHES, Ground, Opened, found, play

NOW = time.time_ns() // 1_000_000
LATER = NOW + 3_600_000
PIECE = 64 * 2**10


@pytest.fixture(params=CACHES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Ground:
    return CACHES[request.param](tmp_path, request)


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


@pytest.mark.parametrize("data", [b"", b"\0\xff'\"", os.urandom(MOST)], ids=["nothing", "any bytes", "the most"])
def test_what_is_kept_is_found(place: Ground, data: bytes) -> None:
    """An answer of any bytes is found at once by who kept it, and by another process once it is written."""

    async def story(ground: Ground, cache: Opened) -> None:
        other = ground.open()
        try:
            cache.keep(key(1), data, LATER)
            assert await cache.find(key(1), NOW) == data
            assert await found(other, key(1), NOW) == data
            assert await cache.find(key(2), NOW) is None
        finally:
            await other.close()

    play(place, story)


def test_an_answer_expires_at_its_millisecond(place: Ground) -> None:
    """It is found until the millisecond before it expires, and from then on no more: before it is written and after."""

    async def story(ground: Ground, cache: Opened) -> None:
        other = ground.open()
        try:
            cache.keep(key(1), b"answer", LATER)
            assert await cache.find(key(1), LATER) is None
            assert await found(other, key(1), LATER - 1) == b"answer"
            assert await other.find(key(1), LATER) is None
        finally:
            await other.close()

    play(place, story)


def test_the_newer_answer_stands(place: Ground) -> None:
    """What is kept under a key replaces what was there, data and end; other keys keep theirs."""

    async def story(ground: Ground, cache: Opened) -> None:
        cache.keep(key(1), b"old", LATER + 1000)
        cache.keep(key(2), b"other", LATER)
        cache.keep(key(1), b"new", LATER)
        assert await cache.find(key(1), NOW) == b"new"
        await cache.forget(NOW)
        assert await found(cache, key(1), NOW) == b"new"
        assert await cache.find(key(1), LATER) is None
        assert await cache.find(key(2), NOW) == b"other"

    play(place, story)


def test_what_has_expired_is_removed(place: Ground) -> None:
    """After `forget` nothing that had expired by then is there, also for who asks as of before; all else is."""

    async def story(ground: Ground, cache: Opened) -> None:
        other = ground.open()
        try:
            for number in range(600):
                cache.keep(key(number), b"%d" % number, NOW + 10_000 + number)
            await found(other, key(599), NOW)
            await other.forget(NOW + 10_500)
            kept = [number for number in range(600) if await other.find(key(number), NOW) is not None]
            assert kept == list(range(501, 600))
        finally:
            await other.close()

    play(place, story)


def test_the_oldest_make_room(place: Ground) -> None:
    """Of more than fits the newest are kept, in the order in which they came, and most of the size is used."""

    async def story(ground: Ground, _: Opened) -> None:
        cache, other = ground.open(16 * PIECE), ground.open(16 * PIECE)
        try:
            for number in range(40):
                cache.keep(key(number), os.urandom(PIECE), LATER)
            await found(other, key(39), NOW)
            kept = [number for number in range(40) if await other.find(key(number), NOW) is not None]
            assert kept == list(range(kept[0], 40))
            assert 10 < len(kept) <= 16
        finally:
            await cache.close()
            await other.close()

    play(place, story)


def test_many_are_kept_at_once(place: Ground) -> None:
    """Two hundred answers that come together are all found, by another process too."""

    async def story(ground: Ground, cache: Opened) -> None:
        other = ground.open()
        try:
            for number in range(200):
                cache.keep(key(number), b"%d" % number, LATER)
            for number in range(200):
                assert await found(other, key(number), NOW) == b"%d" % number
        finally:
            await other.close()

    play(place, story)


def test_it_survives_who_kept_it(place: Ground) -> None:
    """What was kept just before its keeper was closed is found by the next."""

    async def story(ground: Ground, _: Opened) -> None:
        first = ground.open()
        first.keep(key(1), b"answer", LATER)
        await first.close()
        second = ground.open()
        try:
            assert await found(second, key(1), NOW) == b"answer"
        finally:
            await second.close()

    play(place, story)


def test_a_cache_that_is_gone_is_in_nobodys_way(place: Ground) -> None:
    """Once it cannot be reached nothing is found and nothing is kept, and neither raises."""

    async def story(ground: Ground, _: Opened) -> None:
        cache = ground.open()
        cache.keep(key(1), b"answer", LATER)
        await cache.close()
        assert await cache.find(key(1), NOW) is None
        cache.keep(key(2), b"answer", LATER)

    play(place, story)
