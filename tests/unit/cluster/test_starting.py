"""How machines become nodes, and what is written down of them for others."""

import socket
import stat
from pathlib import Path

import pytest

from foz.assembly.nodes import advice, others
from foz.assembly.nodes_found import cluster
from foz.cluster import board, starting
from foz.cluster.board import Board
from foz.cluster.starting import HERE, ONLY_HERE, Joining, environment, head, is_loopback, make_token, member
from foz.config.load import load
from foz.config.refusal import ConfigError
from foz.ports.machine import Room
from foz.ports.sites import Node
from foz.runtime.ownership import Ownership

WELL = Node("a", Room(8 << 30, 4 << 30, 2, "A Processor"))


def test_a_token_is_made_once(tmp_path: Path) -> None:
    """The token has mode 0600 and 64 digits, another each time, and one that is there stays."""
    first, second = tmp_path / "one", tmp_path / "two"
    assert make_token(first)
    assert make_token(second)
    assert stat.S_IMODE(first.stat().st_mode) == 0o600
    assert len(first.read_text()) == 64
    assert first.read_text() != second.read_text()
    before = first.read_text()
    assert not make_token(first)
    assert first.read_text() == before


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "[::1]", "localhost", "127.8.9.1"])
def test_loopback(host: str) -> None:
    """What only this machine reaches is told to Ray, which else takes the machine's own address."""
    assert is_loopback(host)
    assert environment(Path("/t"), host)[ONLY_HERE] == "0"


@pytest.mark.parametrize("host", ["10.0.0.5", "example.com", "", "::2"])
def test_a_token_is_always_asked_for(host: str) -> None:
    """Whatever the address, every process of a cluster has the token's mode and its place, and no usage is told."""
    assert not is_loopback(host)
    told = environment(Path("/data/cluster.token"), host)
    assert (told["RAY_AUTH_MODE"], told["RAY_AUTH_TOKEN_PATH"]) == ("token", "/data/cluster.token")
    assert told["RAY_USAGE_STATS_ENABLED"] == "0"
    assert ONLY_HERE not in told


def test_commands() -> None:
    """The first node says its address and how soon a dead one is noticed, a further one its name."""
    first = head("10.0.0.5", 6399)
    assert {"--head", "--block", "--node-ip-address=10.0.0.5", "--port=6399", "--num-cpus=0"} <= set(first)
    assert any("health_check_period_ms" in word for word in first)
    joins = member(Joining("b", "10.0.0.5:6399"))
    assert {"--address=10.0.0.5:6399", "--labels=foz.node=b", "--block"} <= set(joins)
    assert HERE not in joins
    assert HERE in member(Joining("b", "127.0.0.1:6399"))
    assert "--node-ip-address=10.0.0.6" in member(Joining("b", "10.0.0.5:6399", "10.0.0.6"))


def test_ports_that_ray_keeps() -> None:
    """Ports of Ray's own programs are known, up to the last one of its workers', and ours is none of them."""
    asked = (starting.PORT, 8264, 8265, 8266, 10_000, 10_001, 18_799, 19_999, 20_000, 52_365)
    assert [port for port in asked if starting.is_rays(port)] == [8265, 10_001, 18_799, 19_999, 52_365]


def test_the_board(tmp_path: Path) -> None:
    """What is written is read by others, and what is no board is nothing."""
    assert board.read(tmp_path) is None
    told = Board((WELL, Node("b", None, trouble="it does not answer")), None)
    board.write(tmp_path, told)
    assert board.read(tmp_path) == told
    (tmp_path / board.NAME).write_bytes(b'{"nodes": 3}')
    assert board.read(tmp_path) is None
    board.wipe(tmp_path)
    board.wipe(tmp_path)
    assert board.read(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("address", ["10.0.0.5", "10.0.0.5:0", "10.0.0.5:70000", ":6399", "http://10.0.0.5:6399"])
def test_addresses_that_cannot_be(tmp_path: Path, address: str) -> None:
    """An address without a host or a port is refused when settings are read."""
    with pytest.raises(ConfigError, match="expected an address with a port"):
        load({"HOME": str(tmp_path), "FOZ_CLUSTER_ADDRESS": address}, tmp_path)


def test_doctor_without_a_cluster(tmp_path: Path) -> None:
    """Without a cluster the doctor says so, and how to begin one."""
    (found,) = cluster(load({"HOME": str(tmp_path)}, tmp_path))
    assert (found.level, found.todo) == ("note", "foz node start begins one")


def test_doctor_of_a_cluster_that_is_not_there(tmp_path: Path) -> None:
    """A token that is missing or open to others, and an address where nobody listens, are said with what to do."""
    settings = load({"HOME": str(tmp_path), "FOZ_DATA": str(tmp_path), "FOZ_CLUSTER_ADDRESS": "127.0.0.1:1"}, tmp_path)
    missing, nobody = cluster(settings)
    assert (missing.level, nobody.level) == ("problem", "problem")
    assert "cluster.token, cannot be read" in missing.what
    assert nobody.what.startswith("nobody answers at 127.0.0.1:1")
    make_token(tmp_path / "cluster.token")
    (tmp_path / "cluster.token").chmod(0o644)
    wide, _ = cluster(settings)
    assert (wide.level, wide.todo) == ("warning", f"chmod 600 {tmp_path / 'cluster.token'}")


def test_who_is_seen(tmp_path: Path) -> None:
    """What a gateway that is gone has written is not believed; what one that runs writes is, also its trouble."""
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"127.0.0.1:{listener.getsockname()[1]}"
    given = {"HOME": str(tmp_path), "FOZ_DATA": str(tmp_path), "FOZ_CLUSTER_ADDRESS": address}
    settings = load(given, tmp_path)
    make_token(tmp_path / "cluster.token")
    board.write(tmp_path, Board((WELL, Node("b", None, trouble="it does not answer"))))
    assert list(others(settings)()) == []
    assert [one.level for one in cluster(settings)] == ["ok"]
    owner = Ownership(tmp_path)
    assert owner.take()
    assert [one.name for one in others(settings)()] == ["a", "b"]
    assert [(one.topic, one.level) for one in cluster(settings)] == [("node a", "ok"), ("node b", "warning")]
    board.write(tmp_path, Board((), "nobody answers there"))
    (found,) = cluster(settings)
    assert (found.level, "nobody answers there" in found.what) == ("problem", True)
    assert "is not reached: nobody answers there" in advice(settings)()
    board.write(tmp_path, Board())
    assert [one.level for one in cluster(settings)] == ["note"]
    owner.close()
    listener.close()
