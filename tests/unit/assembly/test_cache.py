"""Where a gateway's answers are kept, by its settings."""

import asyncio
import secrets
import time
from pathlib import Path

import pytest
from pydantic import SecretStr

from foz.assembly.books import Books
from foz.assembly.cache import opened
from foz.config.rows import ModelRow, TargetFields
from foz.config.sections import Cache, Scale
from foz.config.settings import Settings
from foz.net.clock import SystemClock
from foz.scale.cache import RedisCache
from foz.store.cache import NAME
from foz.testing.servers import shared_redis
from tests.caches import found

NOW = time.time_ns() // 1_000_000
ROW = ModelRow(name="m", targets=(TargetFields(provider="p", model="m"),))
LASTING = ModelRow(name="m", cache_ttl=60, targets=(TargetFields(provider="p", model="m"),))


def test_with_redis_all_gateways_share() -> None:
    """Where the settings name a Redis, what one process keeps another finds, whatever their data directories are."""
    scale = Scale(rabbitmq_url=SecretStr("amqp://127.0.0.1:1/"), redis_url=SecretStr(shared_redis()))
    key = secrets.token_bytes(32)

    async def main() -> bytes:
        one, other = (opened(Settings(data=Path(name), scale=scale)) for name in ("one", "other"))
        try:
            one.keep(key, b"answer", NOW + 60_000)
            return await found(other, key, NOW)
        finally:
            await one.forget(NOW + 60_000)
            await one.close()
            await other.close()

    assert isinstance(asyncio.run(main()), bytes)
    assert not Path("one").exists()


def test_a_cache_is_opened_when_a_model_wants_it(tmp_path: Path) -> None:
    """Without a `cache_ttl` there is no cache and no file; with one there is, and its size follows the settings."""

    async def main() -> None:
        plain = Settings(data=tmp_path, model=(ROW,))
        books = Books(plain, SystemClock())
        try:
            assert books.cache(plain) is None
            assert not (tmp_path / NAME).exists()
            cache = books.cache(Settings(data=tmp_path, model=(ROW, LASTING)))
            assert cache is not None
            assert books.cache(Settings(data=tmp_path, model=(ROW,), cache=Cache(max_size=4096))) is cache
            assert getattr(cache, "size", None) == 4096
        finally:
            await books.close()

    asyncio.run(main())
    assert (tmp_path / NAME).exists()


def test_a_cache_that_cannot_be_used_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where its file cannot be opened there is no cache, and the log says why."""

    async def main() -> None:
        settings = Settings(data=tmp_path, model=(LASTING,))
        books = Books(settings, SystemClock())
        try:
            (tmp_path / NAME).mkdir()
            assert books.cache(settings) is None
        finally:
            await books.close()

    asyncio.run(main())
    assert "answers are not kept" in caplog.text
    assert NAME in caplog.text


def test_redis_is_kept_to_its_size() -> None:
    """The size of the settings is what Redis is told."""
    scale = Scale(rabbitmq_url=SecretStr("amqp://127.0.0.1:1/"), redis_url=SecretStr(shared_redis()))

    async def main() -> int:
        cache = opened(Settings(scale=scale, cache=Cache(max_size=12_345)))
        await cache.close()
        assert isinstance(cache, RedisCache)
        return cache.size

    assert asyncio.run(main()) == 12_345
