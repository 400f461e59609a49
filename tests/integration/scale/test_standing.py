"""What a check-up learns of real servers."""

import asyncio
from pathlib import Path

import pytest

from foz.canon.fault import NoCapacity
from foz.config.checkup import jobs
from foz.scale.standing import broker, keeping
from foz.testing.servers import RedisServer, shared_rabbit


def _levels(url: str) -> list[str]:
    found = asyncio.run(keeping(url))
    findings = jobs.redis(version=found.version, appends=found.appends, fsync=found.fsync, eviction=found.eviction)
    return [finding.level for finding in findings]


def test_a_redis_that_keeps_all_is_well(tmp_path: Path) -> None:
    """With an append-only file that is synced at each step and without eviction there is nothing to warn of."""
    with RedisServer(tmp_path) as server:
        assert _levels(server.url) == ["ok"]


def test_a_redis_that_loses_jobs_is_warned_of(tmp_path: Path) -> None:
    """No append-only file and an eviction policy are a warning each; a sync each second is one."""
    with RedisServer(tmp_path / "none", fsync=None, options=("--maxmemory-policy", "allkeys-lru")) as server:
        assert _levels(server.url) == ["warning", "warning"]
    with RedisServer(tmp_path / "second", fsync="everysec") as server:
        assert _levels(server.url) == ["warning"]


def test_who_is_away_is_told_within_the_deadline() -> None:
    """Where nothing listens both questions come to NoCapacity."""
    with pytest.raises(NoCapacity):
        asyncio.run(keeping("redis://127.0.0.1:1/0", 0.5))
    with pytest.raises(NoCapacity):
        asyncio.run(broker("amqp://guest:guest@127.0.0.1:1/", 0.5))


def test_a_broker_says_its_version() -> None:
    """A RabbitMQ that answers gives its version."""
    assert asyncio.run(broker(shared_rabbit())).split(".")[0].isdigit()
