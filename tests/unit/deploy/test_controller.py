"""The loop, with an engine that is a word and time that moves when it is told."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from msgspec import structs

from foz.canon.deployment import Deployment, DeploymentStatus, Quantization, Seen, Stage, Wanted, Wish
from foz.canon.fault import Conflict, Down, Fault
from foz.deploy import stages
from foz.deploy.controller import Controller, Policy, World
from foz.deploy.fit import Manner
from foz.ports.machine import Room
from foz.ports.sites import OneSite, Site
from foz.testing.clock import LoopClock
from foz.testing.deploying import FolderShelf, Imagined, KeptDeployments, NoDevices, WordEngine

QUICK = Policy(probe_every=0.02, published=0.01, withdrawn=0.01, drain=0.5, tick=0.005, write_every=0.005)


class House:
    """A controller and all around it."""

    def __init__(self, folder: Path, policy: Policy = QUICK) -> None:
        (folder / "m-7b.gguf").write_bytes(b"x" * 1000)
        self.store = KeptDeployments()
        self.shelf = FolderShelf(folder)
        self.engine = WordEngine()
        self.machine = Imagined()
        self.clock = LoopClock()
        self.site = Site(self.shelf, {self.engine.name: self.engine}, self.machine, NoDevices())
        world = World(self.store, OneSite(policy.node, self.site), self.clock)
        self.controller = Controller(world, policy)

    async def deploy(self, id: str = "deploy-1", wish: Wish = Wish("m", "m", "7b")) -> Deployment:  # noqa: B008 - frozen
        return await self.store.add(Deployment(id, self.clock.now(), wish, "p"))

    async def seen(self, id: str = "deploy-1") -> Seen:
        found = await self.store.find(id)
        assert found is not None
        return found.seen

    async def until(self, is_so: Callable[[Seen], bool], id: str = "deploy-1") -> Seen:
        async with asyncio.timeout(5):
            while not is_so(seen := await self.seen(id)):
                await self.turns(1)
        return seen

    async def turns(self, number: int) -> None:
        """Until the loop has looked so often again."""
        end = self.store.looks + number
        while self.store.looks < end:  # noqa: ASYNC110 - the loop tells nobody
            await asyncio.sleep(0.001)


def _run(folder: Path, work: Callable[[House], Awaitable[None]], policy: Policy = QUICK) -> None:
    async def there() -> None:
        house = House(folder, policy)
        loop = asyncio.ensure_future(house.controller.run())
        try:
            await work(house)
        finally:
            loop.cancel()
            await asyncio.wait((loop,))
            await house.controller.close(0.1)
        assert all(process.stopped for process in house.engine.started)

    asyncio.run(there())


def _serves(seen: Seen) -> bool:
    return bool(seen.replicas) and seen.status is DeploymentStatus.COMPLETED


def test_a_wish_becomes_a_replica(tmp_path: Path) -> None:
    """A deployment goes through the five stages in order, is told so line by line, and ends with one replica."""

    async def work(house: House) -> None:
        await house.deploy()
        seen = await house.until(_serves)
        assert seen.status is DeploymentStatus.COMPLETED
        assert [report.stage for report in seen.stages] == list(Stage)
        assert stages.progress(seen) == 100
        assert seen.replicas[0].memory == 1000
        said = [line.message for line in await house.store.lines("deploy-1", 0, 100)]
        assert [one.split(" ")[0] for one in said] == [
            "开始部署模型",
            "准备工作完成",
            "开始下载模型权重",
            "模型权重下载完成",
            "开始初始化模型",
            "模型初始化完成",
            "开始加载模型",
            "word",
            "模型加载完成",
            "开始注册服务",
            "服务注册完成",
        ]

    _run(tmp_path, work)


def test_what_is_adopted_holds_for_the_next_load(tmp_path: Path) -> None:
    """Another context and other threads are those of the next load; what runs stays as it was loaded."""

    async def work(house: House) -> None:
        await house.deploy()
        await house.until(_serves)
        first = house.engine.started[0].load
        house.controller.adopt(structs.replace(QUICK, manner=Manner(threads=7, context=256)))
        await house.deploy("deploy-2", Wish("other", "m", "7b"))
        await house.until(_serves, "deploy-2")
        assert [one.load.context for one in house.engine.started] == [first.context, 256]
        assert [one.load.threads for one in house.engine.started] == [first.threads, 7]

    _run(tmp_path, work)


def test_the_same_wish_twice_is_one_deployment(tmp_path: Path) -> None:
    """The same wish gives the same id and one engine; another under its name is a conflict."""

    async def work(house: House) -> None:
        first = await house.deploy()
        await house.until(_serves)
        again = await house.deploy("deploy-2")
        assert again.id == first.id
        with pytest.raises(Conflict):
            await house.deploy("deploy-3", Wish("m", "m", "7b", Quantization.INT8))
        await house.turns(10)
        assert len(house.engine.started) == 1

    _run(tmp_path, work)


def test_an_engine_that_ends_is_started_again_later(tmp_path: Path) -> None:
    """An engine that ends takes its replica with it at once, says how, and is due again ten seconds later."""

    async def work(house: House) -> None:
        await house.deploy()
        await house.until(_serves)
        house.engine.started[0].end(-9)
        seen = await house.until(lambda seen: not seen.replicas)
        assert seen.status is DeploymentStatus.FAILED
        assert seen.served
        assert seen.trouble == "its engine ended by signal 9; it said last: a last word"
        assert seen.again is not None
        assert 9_000 < seen.again - house.clock.now() <= 10_000
        await house.deploy("deploy-2")  # asked for again: at once
        await house.until(_serves)
        assert len(house.engine.started) == 2

    _run(tmp_path, work)


def test_a_deaf_engine_is_ended(tmp_path: Path) -> None:
    """An engine that fails one probe is unhealthy, and ended after the second."""

    async def work(house: House) -> None:
        await house.deploy()
        await house.until(_serves)
        house.engine.started[0].deaf = True
        await house.until(lambda seen: bool(seen.replicas) and not seen.replicas[0].healthy)
        await house.until(lambda seen: not seen.replicas)
        assert house.engine.started[0].stopped

    _run(tmp_path, work)


def test_unloading_waits_for_what_runs(tmp_path: Path) -> None:
    """A model that is unloaded is withdrawn at once, and its engine ends only when nothing runs on it."""

    async def work(house: House) -> None:
        await house.deploy()
        await house.until(_serves)
        process = house.engine.started[0]
        process.running = 1
        await house.store.want("deploy-1", Wanted.UNLOADED)
        await house.until(lambda seen: not seen.replicas)
        await house.turns(10)
        stopped = [process.stopped]
        process.running = 0
        seen = await house.until(lambda seen: seen.gone)
        assert seen.status is DeploymentStatus.COMPLETED
        assert [*stopped, process.stopped] == [False, True]
        assert (tmp_path / "m-7b.gguf").exists()

    _run(tmp_path, work)


def test_what_runs_too_long_is_cut(tmp_path: Path) -> None:
    """A request that outlasts the drain does not keep its model."""

    async def work(house: House) -> None:
        await house.deploy()
        await house.until(_serves)
        house.engine.started[0].running = 1
        await house.store.want("deploy-1", Wanted.UNLOADED)
        await house.until(lambda seen: seen.gone)
        assert house.engine.started[0].stopped

    _run(tmp_path, work)


def test_purging_removes_the_file_unless_another_uses_it(tmp_path: Path) -> None:
    """A purge removes a file only with the last deployment that uses it."""

    async def work(house: House) -> None:
        await house.deploy()
        await house.deploy("deploy-2", Wish("other", "m", "7b"))
        await house.until(_serves)
        await house.until(_serves, "deploy-2")
        await house.store.want("deploy-1", Wanted.PURGED)
        await house.until(lambda seen: seen.gone)
        assert house.shelf.removed == []
        await house.store.want("deploy-2", Wanted.PURGED)
        await house.until(lambda seen: seen.gone, "deploy-2")
        assert not (tmp_path / "m-7b.gguf").exists()

    _run(tmp_path, work)


@pytest.mark.parametrize("where", [Stage.DOWNLOADING, Stage.LOADING])
def test_purging_what_never_served_removes_it_unless_another_wants_it(tmp_path: Path, where: Stage) -> None:
    """What came for a deployment that is cancelled at any stage goes with the last one that has the same file."""

    async def work(house: House) -> None:
        (house.shelf.hold if where is Stage.DOWNLOADING else house.engine.ready).clear()
        for id, name in (("deploy-1", "m"), ("deploy-2", "other")):
            await house.deploy(id, Wish(name, "m", "7b"))
            await house.until(lambda seen: bool(seen.files), id)
        await house.until(lambda seen: stages.current(seen) is where)
        for id, there in (("deploy-1", True), ("deploy-2", False)):
            await house.store.want(id, Wanted.PURGED)
            seen = await house.until(lambda seen: seen.gone, id)
            assert (seen.files, (tmp_path / "m-7b.gguf").exists()) == ((), there)

    _run(tmp_path, work)


def test_what_was_kept_is_purged_later(tmp_path: Path) -> None:
    """A file that an unloading has kept goes when that is asked for later; where it fails, when asked again."""

    async def work(house: House) -> None:
        await house.deploy()
        await house.until(_serves)
        await house.store.want("deploy-1", Wanted.UNLOADED)
        await house.until(lambda seen: seen.gone)
        for fault, files in ((Down("the disk is away"), True), (None, False)):
            house.shelf.fault = fault
            await house.store.want("deploy-1", Wanted.PURGED)
            await house.turns(10)
            seen = await house.seen()
            assert (bool(seen.files), (tmp_path / "m-7b.gguf").exists()) == (files, files)
        said = [line.message for line in await house.store.lines("deploy-1", 0, 100)]
        assert len([line for line in said if line.startswith("its file could not be removed: the disk is away")]) == 1
        assert said[-1] == "its file is removed: 1000B are free again"

    _run(tmp_path, work)


@pytest.mark.parametrize("where", [Stage.DOWNLOADING, Stage.LOADING])
def test_unloading_while_it_is_deployed_cancels(tmp_path: Path, where: Stage) -> None:
    """A deployment that is unloaded on its way is cancelled at that stage, and leaves no engine."""

    async def work(house: House) -> None:
        held = house.shelf.hold if where is Stage.DOWNLOADING else house.engine.ready
        held.clear()
        await house.deploy()
        await house.until(lambda seen: stages.current(seen) is where)
        await house.store.want("deploy-1", Wanted.UNLOADED)
        seen = await house.until(lambda seen: seen.gone)
        assert seen.status is DeploymentStatus.CANCELLED
        assert all(process.stopped for process in house.engine.started)

    _run(tmp_path, work)


@pytest.mark.parametrize(
    ("fault", "again"), [(Down("the source is down"), True), (Fault("a defect"), True), (Conflict("never so"), False)]
)
def test_what_cannot_be_otherwise_is_not_tried_again(tmp_path: Path, fault: Fault, again: bool) -> None:
    """A failure says its stage and why; only one that another try may avoid is due again."""

    async def work(house: House) -> None:
        house.shelf.fault = fault
        await house.deploy()
        seen = await house.until(lambda seen: seen.status is DeploymentStatus.FAILED)
        assert seen.trouble == f"preparation: {fault.message}"
        assert (seen.again is not None) == again

    _run(tmp_path, work)


def test_what_does_not_fit_is_refused_with_the_sum(tmp_path: Path) -> None:
    """A model that does not fit into memory is not started, and the sum is told."""

    async def work(house: House) -> None:
        house.machine.room = Room(1 << 30, 50 << 20, 4)
        await house.deploy()
        seen = await house.until(lambda seen: seen.status is DeploymentStatus.FAILED)
        assert seen.trouble is not None
        assert seen.trouble.startswith("model_loading: The model does not fit into memory: ")
        assert "= 64MB" in seen.trouble
        assert house.engine.started == []

    _run(tmp_path, work)


def test_another_owner_brings_deployments_back(tmp_path: Path) -> None:
    """A controller that finds deployments of one that is no more forgets their engines and starts new ones."""

    async def work(house: House) -> None:
        await house.deploy()
        seen = await house.until(_serves)
        await house.store.see("deploy-1", structs.replace(seen, replicas=seen.replicas))
        world = World(house.store, OneSite(QUICK.node, house.site), house.clock)
        second = Controller(world, QUICK)
        loop = asyncio.ensure_future(second.run())
        await house.until(lambda seen: bool(seen.replicas) and seen.replicas[0].pid == 1002)
        loop.cancel()
        await asyncio.wait((loop,))
        await second.close(0.1)

    _run(tmp_path, work)


@pytest.mark.parametrize("turns", range(4))
def test_told_to_stop_while_it_is_woken_it_stops(tmp_path: Path, turns: int) -> None:
    """A loop that is cancelled in whichever turn of its waking ends, and is not woken instead."""

    async def work() -> None:
        house = House(tmp_path, structs.replace(QUICK, tick=60.0))
        loop = asyncio.ensure_future(house.controller.run())
        async with asyncio.timeout(5):
            while house.store.looks < 1:  # noqa: ASYNC110 - the loop tells nobody
                await asyncio.sleep(0)
        for _ in range(10):
            await asyncio.sleep(0)
        house.controller._woken.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        loop.cancel()
        done, _ = await asyncio.wait((loop,), timeout=2)
        loop.cancel()
        assert done

    asyncio.run(work())
