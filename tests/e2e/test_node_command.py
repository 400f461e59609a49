"""`foz node`: two commands make a cluster of two machines, and what they say where something is missing."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import grpc
import msgspec
import pytest

from foz.testing.process import Child, Served, clean_environment, free_port, start_gateway, wait_until
from tests.e2e.deploying import chat, data, deployed, serves

WITHIN = 40.0
LISTENS = "0A"
NODES = "/ray.rpc.NodeInfoGcsService/GetAllNodeInfo"
RAY = (b"/raylet/raylet", b"/gcs/gcs_server", b"ray::")


def _environment(folder: Path) -> dict[str, str]:
    return {"FOZ_DATA": str(folder / "data"), "HOME": str(folder)}


def _foz(folder: Path, *arguments: str, code: str = "") -> "subprocess.CompletedProcess[str]":
    """A command, to its end; `code` runs before it, in its process."""
    folder.mkdir(parents=True, exist_ok=True)
    command = (sys.executable, "-c", f"{code}\nfrom foz.__main__ import main\nmain()", *arguments)
    environment = clean_environment(_environment(folder))
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)


def _start(folder: Path, *arguments: str) -> Child:
    return Child((sys.executable, "-m", "foz", "node", *arguments), folder, _environment(folder))


def _rays(folder: Path) -> dict[int, bytes]:
    """Ray's processes that were started for a folder, by their ids."""
    found = {}
    for one in Path("/proc").glob("[0-9]*"):
        try:
            command, seen = (one / "cmdline").read_bytes(), (one / "environ").read_bytes()
        except OSError:
            continue
        if f"HOME={folder}\0".encode() in seen and any(word in command for word in RAY):
            found[int(one.name)] = command
    return found


def _listening(pids: set[int]) -> list[IPv4Address | IPv6Address]:
    """The addresses that these processes listen on, as the kernel has them."""
    held = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            try:
                held.add(str(link.readlink()))
            except FileNotFoundError:
                continue
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for row in Path(table).read_text().splitlines()[1:]:
            _, local, _, state, *rest = row.split()
            if state == LISTENS and f"socket:[{rest[5]}]" in held:
                words = bytes.fromhex(local.partition(":")[0])
                found.append(ip_address(b"".join(words[at : at + 4][::-1] for at in range(0, len(words), 4))))
    return found


class House:
    """A head, a gateway beside it, and a node that has joined."""

    def __init__(self, folder: Path, address: str, gateway: Served, node: Child) -> None:
        self.folder = folder
        self.address = address
        self.gateway = gateway
        self.node = node

    def is_there(self) -> bool:
        """Whether the node answers."""
        nodes = data(self.gateway, "GET", "/models/local/nodes")["nodes"]
        return any((one["node_id"], one["status"]) == ("worker-01", "healthy") for one in nodes)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("nodes")
    here, there = folder / "here", folder / "there"
    address = f"127.0.0.1:{free_port()}"
    with _start(here, "start", "--port", address.rpartition(":")[2]) as head:
        head.wait_for(lambda: "A cluster begins here" in head.stdout, "its token to be made")
        copy = folder / "copy-of-the-token"
        copy.write_bytes((here / "data" / "cluster.token").read_bytes())
        copy.chmod(0o600)
        config = f'[cluster]\naddress = "{address}"\n'
        with (
            _start(there, "join", address, "--name", "worker-01", "--token", str(copy)) as node,
            start_gateway(here, config=config) as gateway,
        ):
            house = House(folder, address, gateway, node)
            node.wait_for(house.is_there, "the node to answer", WITHIN)
            yield house
            node.stop()
            wait_until(lambda: not _rays(there), "Ray to be gone from the node")
    wait_until(lambda: not _rays(here), "Ray to be gone from here")


def test_the_token_is_ours_alone(house: House) -> None:
    """The token is long, readable by its owner only, in no command line of Ray's, and its place is told."""
    path = house.gateway.folder / "data" / "cluster.token"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    secret = path.read_bytes()
    assert len(secret) >= 32
    commands = _rays(house.gateway.folder).values()
    assert commands
    assert not any(secret in command for command in commands)
    said = (house.gateway.folder / "stdout.txt").read_text()
    assert str(path) in said
    assert f"foz node join {house.address} --name worker-01" in said


def test_a_node_runs_models(house: House) -> None:
    """What joined by one line runs a model, listed and looked after as any other; doctor says what the cluster is."""
    body = {"model_type": "foz-tiny", "source": "foz:foz-tiny", "model_id": "t", "target_nodes": ["worker-01"]}
    stands, _ = deployed(house.gateway, body)
    assert stands["status"] == "completed", stands
    assert chat(house.gateway, "t", 3) > 0
    listed = _foz(house.gateway.folder, "node", "list", "--json")
    nodes = {one["name"]: one for one in msgspec.json.decode(listed.stdout)}
    assert set(nodes) == {"local", "worker-01"}
    assert nodes["worker-01"]["well"]
    assert nodes["worker-01"]["memory_total"] > 0
    told = _foz(house.gateway.folder, "doctor", "--offline", "--json")
    found = [one for one in msgspec.json.decode(told.stdout) if one["topic"] == "node worker-01"]
    assert [one["level"] for one in found] == ["ok"], told.stdout


def test_strangers_are_refused(house: House) -> None:
    """Ray's head answers nobody who has another token or none, and who has the cluster's."""
    secret = (house.gateway.folder / "data" / "cluster.token").read_text()

    def asked(*headers: tuple[str, str]) -> grpc.StatusCode:
        with grpc.insecure_channel(house.address) as channel:
            call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(NODES)
            _, how = call.with_call(b"", timeout=10, metadata=headers)
            code: grpc.StatusCode = how.code()
            return code

    for headers in ((), (("authorization", "Bearer " + "0" * 64),)):
        with pytest.raises(grpc.RpcError) as refused:
            asked(*headers)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert asked(("authorization", f"Bearer {secret}")) is grpc.StatusCode.OK


def test_a_node_that_was_lost_joins_again(house: House) -> None:
    """Where Ray is killed on a node, the command that keeps it joins again, and its model answers by itself."""
    rays = _rays(house.folder / "there")
    raylet = next(pid for pid, command in rays.items() if b"/raylet/raylet" in command)
    os.kill(raylet, signal.SIGKILL)
    house.gateway.wait_for(lambda: not house.is_there(), "its loss to be seen", 5)
    house.gateway.wait_for(house.is_there, "the node to answer again", WITHIN)
    house.gateway.wait_for(lambda: serves(house.gateway, "t"), "its model to answer", WITHIN)
    assert "it is tried again" in house.node.stderr


def test_only_this_machine_is_listened_to(house: House) -> None:
    """A cluster that was begun without an address listens on 127.0.0.1 alone, with all of its processes."""
    pids = {*_rays(house.gateway.folder), *_rays(house.folder / "there")}
    places = _listening(pids)
    assert len(places) > 5
    assert {str(getattr(place, "ipv4_mapped", None) or place) for place in places} == {"127.0.0.1"}


def test_a_node_command_that_is_killed(house: House) -> None:
    """Who kills the command leaves nothing of Ray behind, and no engine."""
    house.node.kill()
    wait_until(lambda: not _rays(house.folder / "there"), "Ray to be gone from the node")
    house.gateway.wait_for(lambda: not house.is_there(), "its loss to be seen", 5)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("start", "--port", "18799"), "18799 is one of those that Ray keeps for itself"),
        (("join", "10.0.0.5"), "expected a host and a port"),
        (("join", "10.0.0.5:6399", "--name", "a b"), "expected letters, digits"),
        (("join", "10.0.0.5:6399", "--name", "a"), "There is no token at"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    """A word that cannot be, or a token that is missing, ends the command before Ray is started."""
    ran = _foz(tmp_path, "node", *arguments)
    assert ran.returncode != 0
    assert said in ran.stderr


@pytest.mark.parametrize("arguments", [("node", "start"), ("serve",)])
def test_without_ray(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Without Ray a cluster is refused with how to install it: by the command, and by a gateway that is to use one."""
    (tmp_path / "foz.toml").write_text('[cluster]\naddress = "127.0.0.1:6399"\n')
    ran = _foz(tmp_path, *arguments, code="import sys\nsys.modules['ray'] = None")
    assert ran.returncode == 1
    assert "Ray is not installed: pip install 'foz[cluster]'" in ran.stderr


def test_a_node_that_nobody_knows_without_ray(tmp_path: Path) -> None:
    """Where there is no cluster and no Ray a deployment on another machine is refused with how to install it."""
    wish = ("deploy", "foz-tiny", "--source", "foz:foz-tiny", "--node", "worker-01")
    ran = _foz(tmp_path, *wish, code="import sys\nsys.modules['ray'] = None")
    assert ran.returncode == 1
    assert "There is no node 'worker-01'. Known nodes: local." in ran.stderr
    assert "[cluster] address names. Ray is not installed: pip install 'foz[cluster]'." in ran.stderr
