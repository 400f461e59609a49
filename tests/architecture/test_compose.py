"""compose.yaml starts the whole topology, and nothing in it loses jobs."""

from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner

from foz.cli.main import main
from foz.config.sections import Scale

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if "image" not in service]


def test_the_whole_topology_is_there() -> None:
    """A gateway, a worker of each lane, RabbitMQ and Redis; each of ours waits for both servers and knows them."""
    assert set(SERVICES) == {"gateway", "worker-gpu", "worker-api", "rabbitmq", "redis"}
    for name in OURS:
        settings = SERVICES[name]["environment"]
        assert set(SERVICES[name]["depends_on"]) == {"rabbitmq", "redis"}
        url = settings["RABBITMQ_URL"].replace("${RABBITMQ_PASSWORD:-foz}", "foz")
        assert Scale(rabbitmq_url=url, redis_url=settings["REDIS_URL"]).on


def test_its_commands_are_known() -> None:
    """Each command of ours is one that `foz` has, with options that it knows."""
    for name in OURS:
        command, *options = SERVICES[name]["command"]
        helped = CliRunner().invoke(main, [command, "--help"])
        assert helped.exit_code == 0
        assert all(option in helped.output for option in options if option.startswith("--"))


def test_what_is_accepted_is_kept() -> None:
    """Redis appends at each step and evicts nothing; both servers keep their data in volumes."""
    command = " ".join(SERVICES["redis"]["command"])

    assert "--appendonly yes" in command
    assert "--appendfsync always" in command
    assert "--maxmemory-policy noeviction" in command
    for name, path in (("redis", "/data"), ("rabbitmq", "/var/lib/rabbitmq")):
        assert f"{name}:{path}" in SERVICES[name]["volumes"]
        assert name in COMPOSE["volumes"]


def test_nothing_is_open_to_other_machines() -> None:
    """Only the gateway has a port outside, on loopback, and it asks for a key."""
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}

    assert ports == {"gateway": ["127.0.0.1:8000:8000"]}
    assert SERVICES["gateway"]["environment"]["API_KEY"].startswith("${API_KEY:?")
