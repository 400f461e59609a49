"""Deployments on several nodes: each placement goes its own way, and all of them are one deployment."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from foz.canon.deployment import (
    Deployment,
    DeploymentStatus,
    Replica,
    Report,
    Seen,
    Stage,
    StageState,
    Wanted,
    Wish,
)
from foz.canon.fault import NotFound
from foz.deploy import stages
from foz.deploy.controller import Controller, Policy, World
from foz.deploy.placing import together
from foz.ports.sites import Site
from foz.testing.clock import LoopClock
from foz.testing.deploying import FolderShelf, Imagined, KeptDeployments, NoDevices, SomeSites, WordEngine

QUICK = Policy(probe_every=0.02, published=0.01, withdrawn=0.01, drain=0.5, tick=0.005, write_every=0.005)
SERVES = Seen(status=DeploymentStatus.COMPLETED, replicas=(Replica("a", "http://a", "k", 1, 0),), served=True)
WISH = Wish("m", "m", "7b", nodes=("a", "b"))


class Town:
    """A controller and two nodes, `a` and `b`."""

    def __init__(self, folder: Path) -> None:
        self.store = KeptDeployments()
        self.sites = SomeSites()
        self.engines: dict[str, WordEngine] = {}
        self.shelves: dict[str, FolderShelf] = {}
        for node in ("a", "b"):
            (folder / node).mkdir()
            (folder / node / "m-7b.gguf").write_bytes(b"x" * 1000)
            self.engines[node], self.shelves[node] = WordEngine(), FolderShelf(folder / node)
            self.back(node)
        self.controller = Controller(World(self.store, self.sites, LoopClock()), QUICK)

    def back(self, node: str) -> None:
        self.sites.there[node] = Site(self.shelves[node], {"word": self.engines[node]}, Imagined(), NoDevices())

    async def until(self, is_so: Callable[[Seen], bool]) -> Seen:
        async with asyncio.timeout(5):
            while True:
                found = await self.store.find("deploy-1")
                assert found is not None
                if is_so(found.seen):
                    return found.seen
                await asyncio.sleep(0.001)

    async def lines(self) -> list[str]:
        return [line.message for line in await self.store.lines("deploy-1", 0, 1000)]


def _run(folder: Path, work: Callable[[Town], Awaitable[None]]) -> None:
    async def there() -> None:
        town = Town(folder)
        await town.store.add(Deployment("deploy-1", 0, WISH, "p"))
        loop = asyncio.ensure_future(town.controller.run())
        try:
            await work(town)
        finally:
            loop.cancel()
            await asyncio.wait((loop,))
            await town.controller.close(0.1)
        assert all(process.stopped for engine in town.engines.values() for process in engine.started)

    asyncio.run(there())


def _on(*nodes: str) -> Callable[[Seen], bool]:
    return lambda seen: tuple(replica.node for replica in seen.replicas) == nodes


def _both(seen: Seen) -> bool:
    return _on("a", "b")(seen) and seen.status is DeploymentStatus.COMPLETED


def test_one_engine_on_each_node(tmp_path: Path) -> None:
    """Two named nodes are two replicas of one deployment, each of its own node's engine and its own node's file."""

    async def work(town: Town) -> None:
        await town.until(_both)
        loads = {node: engine.started[0].load for node, engine in town.engines.items()}
        assert {node: Path(load.weights.path).parent.name for node, load in loads.items()} == {"a": "a", "b": "b"}
        assert any(line.startswith("b: 开始部署模型") for line in await town.lines())

    _run(tmp_path, work)


def test_node_dies_and_returns(tmp_path: Path) -> None:
    """What was on a node that is away is gone from the deployment at once, which serves on, and comes back with it."""

    async def work(town: Town) -> None:
        await town.until(_both)
        town.sites.there.pop("b")
        seen = await town.until(_on("a"))
        assert seen.status is DeploymentStatus.COMPLETED
        assert seen.trouble == "b: the node 'b' does not answer"
        assert seen.again is None
        town.back("b")
        await town.until(lambda seen: _both(seen) and seen.trouble is None)
        assert [len(engine.started) for engine in town.engines.values()] == [1, 2]

    _run(tmp_path, work)


def test_both_nodes_are_away(tmp_path: Path) -> None:
    """With no node left the deployment is failed and served once, which is shown as unhealthy; both come back."""

    async def work(town: Town) -> None:
        await town.until(_both)
        town.sites.there.clear()
        seen = await town.until(lambda seen: not seen.replicas)
        assert seen.served
        await town.until(lambda seen: seen.status is DeploymentStatus.FAILED)
        town.back("b")
        await town.until(_on("b"))
        town.back("a")
        await town.until(_both)

    _run(tmp_path, work)


def test_supervisor_began_anew(tmp_path: Path) -> None:
    """An engine that nobody can tell anything of any more is started again at once, not after a pause."""

    async def work(town: Town) -> None:
        await town.until(_both)
        town.engines["b"].started[0].lose()
        await town.until(lambda seen: _both(seen) and seen.replicas[1].pid == 1002)
        assert "b: its node answers again" in await town.lines()

    _run(tmp_path, work)


def test_one_of_two_fails(tmp_path: Path) -> None:
    """A deployment that one of its nodes cannot run serves from the other, and says what is wrong and where."""

    async def work(town: Town) -> None:
        town.shelves["b"].fault = NotFound("There is no such file.")
        seen = await town.until(lambda seen: seen.status is not DeploymentStatus.IN_PROGRESS)
        assert seen.status is DeploymentStatus.COMPLETED
        assert _on("a")(seen)
        assert seen.trouble == "b: preparation: There is no such file."

    _run(tmp_path, work)


def test_purged_everywhere(tmp_path: Path) -> None:
    """A purge ends the engines of all nodes and removes its file on each; one that is away holds up nothing."""

    async def work(town: Town) -> None:
        await town.until(_both)
        town.sites.there.pop("b")
        await town.store.want("deploy-1", Wanted.PURGED)
        await town.until(lambda seen: seen.gone)
        assert len(town.shelves["a"].removed) == 1
        assert not town.shelves["b"].removed
        assert any(line.startswith("b: its file could not be removed") for line in await town.lines())

    _run(tmp_path, work)


@given(
    st.lists(
        st.builds(
            Seen,
            status=st.sampled_from(DeploymentStatus),
            replicas=st.sampled_from([(), SERVES.replicas]),
            trouble=st.sampled_from([None, "it is so"]),
            failures=st.integers(0, 5),
            again=st.sampled_from([None, 1, 2]),
            asked=st.integers(0, 3),
            served=st.booleans(),
            gone=st.booleans(),
            stages=st.integers(0, 5).map(
                lambda done: tuple(
                    Report(stage, StageState.COMPLETED if at < done else StageState.PENDING)
                    for at, stage in enumerate(Stage)
                )
            ),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_together(each: list[Seen]) -> None:
    """What is shown of several placements loses no replica, is gone when all are, and is as far as the least."""
    seen = together({f"n{at}": one for at, one in enumerate(each)})
    assert len(seen.replicas) == sum(len(one.replicas) for one in each)
    assert seen.gone == all(one.gone for one in each)
    climbing = [one for one in each if one.status is DeploymentStatus.IN_PROGRESS and not one.served]
    assert not climbing or stages.progress(seen) == min(stages.progress(one) for one in climbing)
    assert not climbing or seen.status is DeploymentStatus.IN_PROGRESS
    if not climbing and any(one.status is DeploymentStatus.COMPLETED for one in each):
        assert seen.status is DeploymentStatus.COMPLETED


def test_alone_is_as_it_is() -> None:
    """On one node what is seen there is what is shown, its trouble without the node's name."""
    one = structs.replace(SERVES, trouble="so")
    assert together({"a": one}) is one
