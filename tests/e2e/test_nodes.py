"""
Three nodes on one machine: the gateway's own and two of a cluster. Who runs what, who is asked, what is seen when one
of them is killed, and what comes back by itself.
"""

import sqlite3
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from foz.cluster import board
from foz.testing import safetensors, vllm
from foz.testing.process import Served, start_gateway, start_upstream, wait_until
from foz.testing.raw import RawConnection
from tests.e2e.clustered import Town, murder, none_left
from tests.e2e.deploying import call, chat, data, deployed, engines, unloaded
from tests.e2e.ground import children

TINY = {"model_type": "foz-tiny", "source": "foz:foz-tiny"}
EVERYWHERE = {**TINY, "model_id": "everywhere", "target_nodes": ["local", "a", "b"]}
ON_B = {**TINY, "model_id": "on-b", "target_nodes": ["b"]}
NOTICED = 5.0
"""Seconds within which the death of a node is to be seen."""
RETURNED = 30.0
MODELS = """
[[provider]]
name = "lab"
base_url = "{url}/v1"
auth = "none"

[[model]]
name = "both"
targets = ["local/on-b", "lab/simulated"]
"""


class House:
    """A gateway, and the cluster that it belongs to."""

    def __init__(self, gateway: Served, town: Town) -> None:
        self.gateway = gateway
        self.town = town

    def health(self, model: str) -> tuple[str, str, tuple[str, ...]]:
        """Of a model: its status, its deployment's health, and that of each node."""
        said = data(self.gateway, "GET", f"/models/local/{model}")
        each = said["deployment"].get("replicas", [])
        return said["status"], said["deployment"]["health"], tuple(one["health"] for one in each)

    def until(self, is_so: Callable[[], bool], what: str, within: float = RETURNED) -> float:
        """Seconds until it is so."""
        began = time.monotonic()
        self.gateway.wait_for(is_so, what, within)
        return time.monotonic() - began

    def well(self, *models: str) -> bool:
        """Whether all that these should have answers."""
        return all(self.health(model)[1] == "healthy" for model in models)

    def nodes(self) -> dict[str, dict[str, Any]]:
        """As they are listed."""
        return {one["node_id"]: one for one in data(self.gateway, "GET", "/models/local/nodes")["nodes"]}

    def replicas(self, model: str) -> dict[str, dict[str, Any]]:
        """As the store has them, with their keys."""
        query = "SELECT seen FROM deployments WHERE model = ? AND wanted = 'running'"
        with closing(sqlite3.connect(f"file:{self.gateway.folder / 'data' / 'foz.db'}?mode=ro", uri=True)) as store:
            found = msgspec.json.decode(store.execute(query, (model,)).fetchone()[0])["replicas"]
        return {one["node"]: one for one in found}

    def last_target(self, model: str) -> str:
        """Which target answered a chat, as the ledger has it."""
        assert chat(self.gateway, model, 2) > 0
        query = (
            "SELECT attempts.target FROM attempts JOIN entries ON entries.id = attempts.entry_id "
            "WHERE entries.model = ? AND attempts.state = 'complete' ORDER BY attempts.at DESC LIMIT 1"
        )
        with closing(sqlite3.connect(f"file:{self.gateway.folder / 'data' / 'foz.db'}?mode=ro", uri=True)) as store:
            return str(store.execute(query, (model,)).fetchone()[0])


@contextmanager
def callers(gateway: Served, model: str) -> Iterator[Counter[int]]:
    """Somebody who chats all the time; each status, and how often it was answered."""
    over = threading.Event()
    seen: Counter[int] = Counter()
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 8}

    def go_on() -> None:
        while not over.is_set():
            seen[call(gateway, "POST", "/v1/chat/completions", body)[0]] += 1
            over.wait(0.02)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _tell(what: str, seconds: float) -> None:
    sys.stdout.write(f"{what}: {seconds:.1f} s\n")


def _equip(node: Path) -> None:
    """A node with a model of safetensors, and vLLM's stand-in as its build for processors."""
    safetensors.write(node / "models" / "tensors")
    node.chmod(0o700)
    (node / "foz.toml").write_text(f'[local]\nvllm = "{vllm.install(node)}"\nvllm_on_cpu = true\n')


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("nodes")
    _equip(folder / "town" / "b")
    with Town(folder / "town", ("a", "b")) as town, start_upstream(folder / "lab") as lab:
        config = town.config + MODELS.format(url=lab.url)
        with start_gateway(folder / "gateway", config=config) as gateway:
            house = House(gateway, town)
            house.until(lambda: sum(one["status"] == "healthy" for one in house.nodes().values()) == 3, "three nodes")
            for body in (EVERYWHERE, ON_B):
                found, percents = deployed(gateway, body)
                assert (found["status"], percents[-1]) == ("completed", 100), found
            yield house


def test_a_node_has_engines_of_its_own(house: House) -> None:
    """Safetensors are run by the vLLM that one node has, by that node's own settings, and answer from there."""
    body = {"model_type": "tensors", "source": "tensors", "engine": "vllm", "target_nodes": ["b"]}
    found, _ = deployed(house.gateway, body)
    assert found["status"] == "completed", found
    assert chat(house.gateway, "tensors", 2) > 0
    shown = data(house.gateway, "GET", "/models/local/tensors")["deployment"]
    assert (shown["engine"], shown["node_id"]) == ("vllm", "b")
    unloaded(house.gateway, "tensors")


def test_nodes_are_listed_and_others_refused(house: House) -> None:
    """Each node is listed with its memory; a name that none has is refused at once, with those that there are."""
    nodes = house.nodes()
    assert set(nodes) == {"local", "a", "b"}
    assert all(one["memory_total"] and one["memory_free"] and one["cores"] for one in nodes.values())
    began = time.monotonic()
    wrong = {**TINY, "model_id": "m", "target_nodes": ["a", "worker-99"]}
    status, said = call(house.gateway, "POST", "/models/local/deploy", wrong)
    assert (status, time.monotonic() - began < 1) == (400, True)
    assert "There is no node 'worker-99'. Known nodes: a, b, local." in said["message"]


def test_one_engine_on_each_node(house: House) -> None:
    """Three names are three engines, each a child of its own node's keeper, with a key of its own; all are asked."""
    town = house.town
    replicas = house.replicas("everywhere")
    assert house.health("everywhere") == ("active", "healthy", ("healthy",) * 3)
    assert len({one["key"] for one in replicas.values()}) == 3
    for name in ("a", "b"):
        assert replicas[name]["pid"] in town.engines(name)
        assert _parent(replicas[name]["pid"]) in town.keepers(name)
    assert replicas["local"]["pid"] in engines(house.gateway)
    for _ in range(9):
        assert chat(house.gateway, "everywhere", 3) > 0
    for one in replicas.values():
        port = int(one["url"].rpartition(":")[2])
        with RawConnection(port) as stranger:
            assert stranger.call("POST", "/v1/chat/completions", b"{}").status == 401
        with RawConnection(port) as engine:
            said = engine.call("GET", "/metrics", b"", ((b"authorization", f"Bearer {one['key']}".encode()),))
        made = next(line for line in said.body.splitlines() if line.startswith(b"llamacpp:tokens_predicted_total "))
        assert float(made.split()[1]) >= 9, f"{one['node']} was not asked"


def test_the_same_again_is_the_same(house: House) -> None:
    """The same wish for the same nodes is the deployment that is there; for others it is refused."""
    first = data(house.gateway, "POST", "/models/local/deploy", ON_B)
    assert data(house.gateway, "POST", "/models/local/deploy", ON_B)["deployment_id"] == first["deployment_id"]
    assert call(house.gateway, "POST", "/models/local/deploy", {**ON_B, "target_nodes": ["a"]})[0] == 409


def test_a_killed_keeper(house: House) -> None:
    """Who kills a keeper ends its engines with it; callers are answered by the others, and all comes back by itself."""
    town, before = house.town, set(house.town.engines("b"))
    house.until(lambda: house.well("everywhere", "on-b"), "all to be well")
    with callers(house.gateway, "everywhere") as seen:
        murder(town.keepers("b"))
        _tell("a keeper was killed: its engines ended within", none_left(town, "b", within=2))
        noticed = house.until(lambda: not house.well("everywhere"), "the loss to be seen", NOTICED)
        _tell("a keeper was killed: seen after", noticed)
        back = house.until(lambda: house.well("everywhere", "on-b"), "all to be well again")
        _tell("a keeper was killed: served again after another", back)
    assert set(seen) == {200}, seen
    assert len(town.engines("b")) == 2
    assert not before & set(town.engines("b"))


def _liaison(gateway: Served) -> int:
    """The program that speaks with Ray for a gateway."""
    commands = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children(gateway.pid)}
    return next((pid for pid, command in commands.items() if b"foz.assembly.liaison" in command), 0)


def test_a_killed_liaison(house: House) -> None:
    """Where our own line to the cluster is cut nobody notices: engines stay, and others come once it is back."""
    gateway, town = house.gateway, house.town
    house.until(lambda: house.well("everywhere", "on-b"), "all to be well")
    before = town.engines("a", "b")
    with callers(gateway, "everywhere") as seen:
        first = _liaison(gateway)
        murder([first])
        data_folder = gateway.folder / "data"

        def is_back() -> bool:
            told = board.read(data_folder)
            return told is not None and told.trouble is None and _liaison(gateway) not in {0, first}

        house.until(lambda: (told := board.read(data_folder)) is not None and told.trouble is not None, "the cut")
        _tell("a liaison was killed: the cluster is reached again after", house.until(is_back, "the line to be back"))
        deployed(gateway, {**TINY, "model_id": "later", "target_nodes": ["a"]})
        assert house.well("everywhere", "on-b")
    assert set(seen) == {200}, seen
    assert set(before) <= set(town.engines("a", "b"))
    unloaded(gateway, "later")


def test_a_killed_node(house: House) -> None:
    """
    A node that dies is seen within 5 seconds; its models are unhealthy, callers are answered by other replicas, or by
    the next target where there is none; and when it is back so are they.
    """
    town = house.town
    house.until(lambda: house.well("everywhere", "on-b"), "all to be well")
    house.until(lambda: house.last_target("both") == "local/on-b", "our own engine to be asked")
    with callers(house.gateway, "everywhere") as first, callers(house.gateway, "both") as second:
        town.kill("b")
        noticed = house.until(lambda: house.health("on-b")[:2] == ("unhealthy", "unhealthy"), "its death", NOTICED)
        _tell("a node was killed: seen after", noticed)
        house.until(lambda: house.health("everywhere")[1] == "unhealthy", "the other model's loss", 1)
        assert house.health("everywhere") == ("active", "unhealthy", ("healthy", "healthy", "unhealthy"))
        assert house.nodes()["b"]["status"] == "unhealthy"
        assert house.last_target("both") == "lab/simulated"
        _tell("a node was killed: its engines ended within", none_left(town, "b"))
        town.add("b")
        back = house.until(lambda: house.well("everywhere", "on-b"), "all to be well again")
        _tell("a node was back: served again after", back)
    assert (set(first), set(second)) == ({200}, {200}), (first, second)
    house.until(lambda: house.last_target("both") == "local/on-b", "our own engine to be asked again")


def test_a_model_is_unloaded_everywhere(house: House) -> None:
    """Unloading ends the engine on each node and says on which; the others' stay."""
    town = house.town
    deployed(house.gateway, {**EVERYWHERE, "model_id": "brief"})
    assert len(town.engines("a")) == 2
    assert data(house.gateway, "DELETE", "/models/local/brief")["nodes"] == ["local", "a", "b"]
    unloaded(house.gateway, "brief")
    house.until(lambda: len(town.engines("a")) == 1, "its engine on a to be gone")


def test_a_killed_gateway(house: House) -> None:
    """A gateway that is killed finds its models again when it starts anew: one engine each, none left of before."""
    gateway, town = house.gateway, house.town
    house.until(lambda: house.well("everywhere", "on-b"), "all to be well")
    before = {*town.engines("a", "b")}
    gateway.kill()
    with start_gateway(gateway.folder, port=gateway.port) as again:
        house.gateway = again

        def anew() -> bool:
            there = town.engines("a"), town.engines("b")
            ours = [len(each) for each in there] == [1, 2] and not before & {*there[0], *there[1]}
            return ours and house.well("everywhere", "on-b")

        _tell("a gateway was killed: served again after its start", house.until(anew, "all to be well again"))
        assert again.stop() == 0
        assert not town.engines("a", "b")
        wait_until(lambda: not town.keepers("a", "b"), "the keepers to be gone")
