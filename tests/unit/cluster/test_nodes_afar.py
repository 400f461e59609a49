"""A node from afar: the keeper and the gateway's half, word for word, without the Ray between them."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from typing_extensions import override

from foz.canon.deployment import Weights, Wish
from foz.canon.fault import LEAVES, Down, Fault, NotFound, Timeout
from foz.cluster.far import FarNode
from foz.cluster.keeper import Keeper, Made
from foz.cluster.words import BEAT, Pulse, fault_of, trouble_of
from foz.ports.engine import Load
from foz.ports.machine import Room
from foz.ports.sites import Site
from foz.testing.deploying import FolderShelf, Imagined, NoDevices, WordEngine

WISH = Wish("m", "m", "7b", source="m-7b.gguf")
WEIGHTS = Weights("/models/m.gguf", 1000, "llama", "Q8_0")
LOAD = Load("m", WEIGHTS, slots=2, context=512, threads=1)


class Town:
    """A keeper with a folder, an engine that is a word, and a gateway's half that speaks with it."""

    def __init__(self, folder: Path, lease: float = 60.0) -> None:
        (folder / "m-7b.gguf").write_bytes(b"x" * 1000)
        self.shelf = FolderShelf(folder)
        self.engine = WordEngine()
        self.machine = Imagined()
        self.closed = 0
        self.hosts: list[str] = []
        self.keeper = Keeper(self._made, lease)
        self.node = FarNode("b", self._post)
        self.node.address = "10.0.0.2"

    def _made(self, host: str) -> Made:
        self.hosts.append(host)

        async def close() -> None:
            self.closed += 1

        return Made(Site(self.shelf, {"word": self.engine}, self.machine, NoDevices()), close)

    async def _post(self, node: str, method: str, body: bytes) -> Raw:
        assert node == "b"
        return Raw(await (self.keeper.beat(body) if method == BEAT else self.keeper.work(body)))

    async def beat(self) -> None:
        """Once."""
        told, expected = self.node.beat()
        self.node.hear(msgspec.json.decode(await self.keeper.beat(told), type=Pulse), expected)

    @property
    def site(self) -> Site:
        found = self.node.site()
        assert found is not None
        return found


def _run(folder: Path, work: Callable[[Town], Awaitable[None]], lease: float = 60.0) -> None:
    async def there() -> None:
        town = Town(folder, lease)
        async with asyncio.timeout(10):
            await town.beat()
            await work(town)

    asyncio.run(there())


async def _until(is_so: Callable[[], bool]) -> None:
    while not is_so():  # noqa: ASYNC110 - nobody tells it
        await asyncio.sleep(0.001)


def test_files_are_the_nodes_own(tmp_path: Path) -> None:
    """What is found, fetched, made and removed is the node's, and what was moved is told with the beats on the way."""

    async def work(town: Town) -> None:
        shelf, told = town.site.shelf, list[tuple[int, int | None]]()
        found = await shelf.find(shelf.check(WISH))
        assert found == await town.shelf.find(WISH)
        town.shelf.hold.clear()
        fetching = asyncio.ensure_future(shelf.fetch(found, lambda done, total: told.append((done, total))))
        while (500, 1000) not in told:
            await town.beat()
            await asyncio.sleep(0.001)
        town.shelf.hold.set()
        await fetching
        assert told[-1] == (1000, 1000)
        weights = await shelf.make(found, lambda *_: None)
        assert weights.path == str(tmp_path / "m-7b.gguf")
        assert await shelf.remove((weights.path,), {"other"}) == 1000
        assert not (tmp_path / "m-7b.gguf").exists()

    _run(tmp_path, work)


def test_a_process_there_is_as_one_here(tmp_path: Path) -> None:
    """A process is started, gets ready, is probed, asked and ended there; what it ends with is heard here."""

    async def work(town: Town) -> None:
        engine = town.site.engines["word"]
        process = await engine.start(LOAD)
        (there,) = town.engine.started
        await process.ready(lambda *_: None, 10)
        assert (process.url, process.key, process.pid) == (there.url, there.key, there.pid)
        assert there.load == LOAD
        there.running = 3
        assert await process.busy() == 3
        there.deaf = True
        with pytest.raises(Timeout, match="does not answer"):
            await process.probe(1)
        await town.beat()
        assert process.memory() == 1000
        there.end(-9)
        waiting = asyncio.ensure_future(process.wait())
        while not waiting.done():
            await town.beat()
            await asyncio.sleep(0)
        assert waiting.result() == -9
        assert process.tail() == ("a last word",)
        await process.stop(1)
        assert there.stopped

    _run(tmp_path, work)


def test_its_room_is_asked_anew(tmp_path: Path) -> None:
    """The room of a node is as it is when it is looked at, not as it was with the last beat."""

    async def work(town: Town) -> None:
        room = await asyncio.to_thread(town.site.machine.look)
        assert room == Imagined().room
        assert await asyncio.to_thread(town.site.devices.look) == ()

    _run(tmp_path, work)


def test_a_beat_does_not_wait_for_a_look(tmp_path: Path) -> None:
    """Where a node takes its time to look at itself, beats tell what was seen before; who must see now waits."""

    async def work(town: Town) -> None:
        slow = threading.Event()

        class Slow(Imagined):
            @override
            def look(self) -> Room:
                slow.wait(5)
                return Room(9, 9, 9)

        before = town.node.pulse
        town.machine = Slow()
        town.node.address = "10.0.0.3"  # it begins anew, with another machine
        for _ in range(3):
            town.keeper._seen_at = -1e9
            await town.beat()
            assert town.node.pulse is not None
            assert before is not None
            assert town.node.pulse.room == before.room
        looking = asyncio.ensure_future(asyncio.to_thread(town.site.machine.look))
        await asyncio.sleep(0.02)
        assert not looking.done()
        slow.set()
        assert (await looking).total == 9
        await town.beat()
        after = town.node.pulse
        assert after is not None
        assert after.room == Room(9, 9, 9)

    _run(tmp_path, work)


def test_what_is_not_named_ends(tmp_path: Path) -> None:
    """A gateway that knows nothing of what runs there has it ended: processes, and what is being fetched."""

    async def work(town: Town) -> None:
        await town.site.engines["word"].start(LOAD)
        town.shelf.hold.clear()
        found = await town.shelf.find(WISH)
        fetching = asyncio.ensure_future(town.site.shelf.fetch(found, lambda *_: None))
        await asyncio.sleep(0.01)
        town.node = FarNode("b", town._post)
        town.node.address = "10.0.0.2"
        await town.beat()
        with pytest.raises(Down, match="given up"):
            await fetching
        await _until(lambda: town.engine.started[0].stopped)

    _run(tmp_path, work)


def test_what_still_ends_is_not_taken_for_another(tmp_path: Path) -> None:
    """While an engine of the gateway that ran before is long in ending, one of the next gateway runs undisturbed."""

    async def work(town: Town) -> None:
        await town.site.engines["word"].start(LOAD)
        (before,) = town.engine.started
        before.lets_go.clear()
        town.node = FarNode("b", town._post)
        town.node.address = "10.0.0.2"
        await town.beat()
        await _until(lambda: before.stopped)
        process = await town.site.engines["word"].start(LOAD)
        before.lets_go.set()
        await town.beat()
        await town.beat()
        ending = asyncio.ensure_future(process.wait())
        await asyncio.sleep(0)
        assert not ending.done()
        town.engine.started[1].end(3)
        while not ending.done():
            await town.beat()
            await asyncio.sleep(0)
        assert ending.result() == 3

    _run(tmp_path, work)


def test_nobody_beats(tmp_path: Path) -> None:
    """Where no gateway beats for the length of a lease all that runs there is ended."""

    async def work(town: Town) -> None:
        await town.site.engines["word"].start(LOAD)
        await _until(lambda: town.engine.started[0].stopped)

    _run(tmp_path, work, lease=0.05)


def test_a_node_goes_away(tmp_path: Path) -> None:
    """Who waits for a node that goes away hears it at once, and so does whoever asks it later."""

    async def work(town: Town) -> None:
        process = await town.site.engines["word"].start(LOAD)
        site = town.site
        town.shelf.hold.clear()
        fetching = asyncio.ensure_future(site.shelf.fetch(await town.shelf.find(WISH), lambda *_: None))
        waiting = asyncio.ensure_future(process.wait())
        await asyncio.sleep(0.01)
        town.node.go()
        for one in (fetching, waiting):
            with pytest.raises(Down):
                await one
        assert town.node.site() is None
        with pytest.raises(Down, match="the node 'b' does not answer"):
            await site.shelf.find(WISH)
        await process.stop(1)  # of what is away nothing is waited for
        await town.beat()
        await _until(lambda: town.engine.started[0].stopped)

    _run(tmp_path, work)


def test_a_keeper_that_began_anew(tmp_path: Path) -> None:
    """A process that the keeper knows nothing of is lost, which is no exit status; one that just starts is not."""

    async def work(town: Town) -> None:
        process = await town.site.engines["word"].start(LOAD)
        told, expected = town.node.beat()
        town.keeper = Keeper(town._made)
        town.node.hear(msgspec.json.decode(await town.keeper.beat(told), type=Pulse), expected)
        with pytest.raises(Down, match="knows of no such engine"):
            await process.wait()

    _run(tmp_path, work)


def test_who_gives_up_is_given_up(tmp_path: Path) -> None:
    """A work whose waiting task is cancelled here is cancelled there with the next beat, and is no failure here."""

    async def work(town: Town) -> None:
        town.shelf.hold.clear()
        fetching = asyncio.ensure_future(town.site.shelf.fetch(await town.shelf.find(WISH), lambda *_: None))
        await asyncio.sleep(0.01)
        fetching.cancel()
        await asyncio.wait((fetching,))
        assert fetching.cancelled()
        assert len(town.keeper._works) <= 1
        await town.beat()
        await _until(lambda: not town.keeper._works)

    _run(tmp_path, work)


def test_another_address(tmp_path: Path) -> None:
    """A node that is reached by another address than before begins anew, with nothing left of before."""

    async def work(town: Town) -> None:
        await town.site.engines["word"].start(LOAD)
        town.node.address = "10.0.0.3"
        await town.beat()
        assert (town.hosts, town.closed) == (["10.0.0.2", "10.0.0.3"], 1)
        await _until(lambda: town.engine.started[0].stopped)

    _run(tmp_path, work)


def test_defects_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What is raised there and is no fault comes as a defect, by its name, and with its traceback in the node's log."""

    async def work(town: Town) -> None:
        found = await town.shelf.find(WISH)
        (tmp_path / "m-7b.gguf").unlink()
        with pytest.raises(Fault, match="a defect of Foz on the node: FileNotFoundError") as told:
            await town.site.shelf.make(found, lambda *_: None)
        assert told.value.code == "bug"
        town.shelf.fault = NotFound("no such file", field="source")
        with pytest.raises(NotFound, match="no such file") as missing:
            await town.site.shelf.find(WISH)
        assert missing.value.field == "source"

    _run(tmp_path, work)
    assert "Traceback" in caplog.text


@given(st.sampled_from(LEAVES), st.text(max_size=50), st.none() | st.text(max_size=10))
def test_faults_cross_as_themselves(kind: type[Fault], message: str, field: str | None) -> None:
    """Each fault is of the same kind on the other side, with its message and its field."""
    crossed = fault_of(trouble_of(kind(message, field=field)))
    assert (type(crossed), crossed.message, crossed.field) == (kind, message, field)


def test_words_of_processes(tmp_path: Path) -> None:
    """The engines of a node are told with what they read, and why they cannot be used."""

    async def work(town: Town) -> None:
        engine = town.site.engines["word"]
        assert (engine.reads, engine.missing()) == (town.engine.reads, None)
        assert engine.usable(()) == []
        with pytest.raises(Down, match="no engine other"):
            await town.node.start("other", LOAD)
        assert not town.engine.started

    _run(tmp_path, work)
