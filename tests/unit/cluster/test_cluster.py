"""Who is taken for dead, when, and what is told of it; with a line that a test holds in its hand."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import pytest
from msgspec import Raw, structs

import foz
from foz.canon.deployment import Weights
from foz.canon.fault import Down
from foz.cluster.cluster import Cluster, Manners
from foz.cluster.words import END, WORK, Answer, Card, Member, Pulse, Running, State
from foz.ports.engine import Load
from foz.ports.machine import Room
from foz.testing.clock import LoopClock

QUICK = Manners(beat=0.002, silence=0.1, misses=2, patience=0.2)
LOAD = Load("m", Weights("/m.gguf", 1, "llama", "Q8_0"), slots=1, context=1, threads=1)
PULSE = Pulse(foz.__version__, Room(8, 4, 2), engines=(Card("word", ()),))


class Held:
    """A line: `pulse` is what each keeper answers, `failing` whose beats fail, `silent` who says nothing."""

    def __init__(self, told: Callable[[Sequence[Member] | None], None]) -> None:
        self.told = told
        self.up = True
        self.trouble = "it is broken"
        self.pulse = PULSE
        self.said: bytes | None = None
        """What each answers instead."""
        self.failing: dict[str, int] = {}
        """How many more beats fail, by node."""
        self.silent: set[str] = set()
        self.running = Running("http://127.0.0.1:1", "key", 77)
        """What is started is this."""
        self.beats = 0
        self.ended: list[str] = []

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def ask(self, node: str, method: str, body: bytes) -> Raw:
        if method == END:
            self.ended.append(node)
            return Raw(b"null")
        if method == WORK:
            return Raw(msgspec.json.encode(Answer(Raw(msgspec.json.encode(self.running)))))
        self.beats += 1
        if node in self.silent:
            await asyncio.Event().wait()
        if not self.up:
            raise Down("the line is cut")
        if self.failing.get(node, 0):
            self.failing[node] -= 1
            raise Down("it is not reached")
        return Raw(self.said or msgspec.json.encode(self.pulse))


class Town:
    def __init__(self, manners: Manners) -> None:
        self.changes = 0
        self.cluster = Cluster(self._made, LoopClock(), self._change, manners)

    def _made(self, told: Callable[[Sequence[Member] | None], None]) -> Held:
        self.line = Held(told)
        return self.line

    def _change(self) -> None:
        self.changes += 1

    def there(self) -> list[str]:
        return [node.name for node in self.cluster.nodes() if node.trouble is None]

    async def until(self, *names: str) -> None:
        while self.there() != list(names):  # noqa: ASYNC110 - nobody tells it
            await asyncio.sleep(0.001)

    async def beats(self, number: int) -> None:
        end = self.line.beats + number
        while self.line.beats < end:  # noqa: ASYNC110 - nobody tells it
            await asyncio.sleep(0.001)


def _run(work: Callable[[Town], Awaitable[None]], manners: Manners = QUICK) -> None:
    async def there() -> None:
        town = Town(manners)
        running = asyncio.ensure_future(town.cluster.run())
        try:
            async with asyncio.timeout(10):
                town.line.told((Member("a", "10.0.0.1"), Member("b", "10.0.0.2")))
                await town.until("a", "b")
                await work(town)
        finally:
            running.cancel()
            await asyncio.wait((running,))

    asyncio.run(there())


def test_who_is_given_up_is_away_at_once() -> None:
    """A node that the cluster has no more is away before any beat is missed, and there again with its next answer."""

    async def work(town: Town) -> None:
        before = town.changes
        town.line.told((Member("a", "10.0.0.1"),))
        assert town.there() == ["a"]
        assert town.cluster.site("b") is None
        assert [node.trouble for node in town.cluster.nodes()] == [None, "it does not answer"]
        assert town.changes > before
        town.line.told((Member("a", "10.0.0.1"), Member("b", "10.0.0.9")))
        await town.until("a", "b")
        assert town.cluster.site("b") is not None

    _run(work)


def test_two_machines_of_one_name() -> None:
    """A name that two machines have is nobody's, which is said; when one of them is gone it is the other's."""

    async def work(town: Town) -> None:
        town.line.told((Member("a", "10.0.0.1"), Member("b", "10.0.0.2"), Member("b", "10.0.0.3")))
        assert town.there() == ["a"]
        assert town.cluster.site("b") is None
        assert town.cluster.nodes()[1].trouble == "several machines are called so: give each a name of its own"
        town.line.told((Member("a", "10.0.0.1"), Member("b", "10.0.0.3")))
        await town.until("a", "b")

    _run(work)


def test_one_missed_beat_is_nothing() -> None:
    """One beat that fails has no consequence, two in a row have, and the first that does not has none any more."""

    async def work(town: Town) -> None:
        town.line.failing["b"] = 1
        await town.beats(8)
        assert town.there() == ["a", "b"]
        town.line.failing["b"] = 1_000_000
        await town.until("a")
        town.line.failing["b"] = 0
        await town.until("a", "b")

    _run(work)


def test_silence() -> None:
    """A node that says nothing at all is away once the time for it is over; others are not waited for."""

    async def work(town: Town) -> None:
        loop = asyncio.get_running_loop()
        town.line.silent.add("b")
        began = loop.time()
        await town.until("a")
        assert loop.time() - began >= QUICK.silence * 0.9

    _run(work)


def test_a_line_that_is_cut() -> None:
    """Where it is our own line that is cut all nodes stay for a while, and are away after it."""

    async def work(town: Town) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await town.beats(8)  # each is heard after that, however slow this machine is
        town.line.up = False
        town.line.told(None)
        assert town.cluster.trouble == "it is broken"
        await town.beats(10)
        assert loop.time() - began > QUICK.patience or town.there() == ["a", "b"]
        await town.until()
        assert loop.time() - began >= QUICK.patience
        town.line.up = True
        await town.until("a", "b")

    _run(work)


def test_a_line_that_is_cut_and_an_engine_that_is_gone() -> None:
    """While our own line is cut a node stays as long as its engines can be connected to, and no longer."""

    async def work(town: Town) -> None:
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        town.line.running = Running(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", "key", 77)
        town.line.pulse = structs.replace(PULSE, processes={"1": State()})
        site = town.cluster.site("b")
        assert site is not None
        process = await site.engines["word"].start(LOAD)
        town.line.up = False
        await town.beats(10)
        assert town.there() == ["a", "b"]
        server.close()
        await town.until("a")
        with pytest.raises(Down, match="knows of no such engine"):
            await process.wait()

    _run(work, structs.replace(QUICK, patience=60.0))


def test_another_version() -> None:
    """A node with another Foz is not used, and it is said which one it has."""

    async def work(town: Town) -> None:
        town.line.pulse = structs.replace(PULSE, version="0.0.1")
        await town.until()
        troubles = {node.trouble for node in town.cluster.nodes()}
        assert troubles == {f"it runs Foz 0.0.1, and this is {foz.__version__}: install the same on both"}
        assert town.cluster.site("a") is None

    _run(work)


def test_words_of_another_version() -> None:
    """A node whose answer cannot be read is not used; when it can, it is there again."""

    async def work(town: Town) -> None:
        town.line.said = b'{"version":7}'
        await town.until()
        town.line.said = None
        await town.until("a", "b")

    _run(work)


@pytest.mark.parametrize("silent", [True, False])
def test_keepers_are_told_to_end(silent: bool) -> None:
    """When a gateway ends it tells every keeper that answers, and none that does not."""

    async def work(town: Town) -> None:
        if silent:
            town.line.silent.add("b")
            await town.until("a")
        await town.cluster.close()
        assert town.line.ended == (["a"] if silent else ["a", "b"])

    _run(work)
