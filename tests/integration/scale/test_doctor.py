"""`foz doctor` where jobs are on RabbitMQ and Redis."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

from foz.testing.process import clean_environment, free_port
from foz.testing.servers import RedisServer, shared_rabbit, shared_redis


def findings(folder: Path, redis: str, rabbit: str) -> dict[str, dict[str, Any]]:
    """What it finds of both, by topic."""
    environment = clean_environment({"HOME": str(folder), "REDIS_URL": redis, "RABBITMQ_URL": rabbit})
    command = [sys.executable, "-m", "foz", "doctor", "--json"]
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False, timeout=60)
    found = msgspec.json.decode(ran.stdout)
    return {one["topic"]: one for one in found if one["topic"] in {"redis", "rabbitmq"}}


def test_a_redis_that_keeps_nothing_is_warned_of(tmp_path: Path) -> None:
    """A Redis without an append-only file is a warning that says what to do; a RabbitMQ that answers is well."""
    with RedisServer(tmp_path / "redis", fsync=None) as redis:
        found = findings(tmp_path, redis.url, shared_rabbit())
    assert found["redis"]["level"] == "warning"
    assert "appendonly yes" in found["redis"]["todo"]
    assert found["rabbitmq"]["level"] == "ok"


def test_servers_that_are_not_there_are_problems(tmp_path: Path) -> None:
    """Where nobody listens both are problems that say where and why, and nothing of their passwords is shown."""
    redis, rabbit = f"redis://:secret-1@127.0.0.1:{free_port()}/0", f"amqp://foz:secret-2@127.0.0.1:{free_port()}/"
    found = findings(tmp_path, redis, rabbit)
    assert {topic: one["level"] for topic, one in found.items()} == {"redis": "problem", "rabbitmq": "problem"}
    assert all("Connect call failed ('127.0.0.1', " in one["what"] for one in found.values())
    assert "secret" not in str(found)


def test_a_wrong_password_is_told_as_such(tmp_path: Path) -> None:
    """A server that does not let us in is not taken for one that is away."""
    redis = shared_redis().replace("redis://", "redis://somebody:secret-1@")
    found = findings(tmp_path, redis, shared_rabbit().replace("guest:guest", "guest:secret-2"))
    assert "password" in found["redis"]["what"]
    assert "ACCESS_REFUSED" in found["rabbitmq"]["what"]
    assert "secret" not in str(found)
