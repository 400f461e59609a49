"""
What a deployment needs, without its weight: a shelf that is a folder, an engine that is a word, memory in the mind.

`FolderShelf` takes a path in its folder as the source and believes whatever is in the file. `WordEngine` starts
processes that answer nobody; a test ends them, makes them deaf, or keeps them from getting ready.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from itertools import count
from pathlib import Path

from msgspec import structs

from foz.canon.deployment import Deployment, Form, Level, Line, Seen, Wanted, Weights, Wish
from foz.canon.fault import BadRequest, Conflict, Down, Fault, NotFound, Timeout
from foz.ports.devices import Device
from foz.ports.engine import Load
from foz.ports.machine import Room
from foz.ports.sites import Site
from foz.ports.weights import File, Found, Told


class FolderShelf:
    """Implements `ports.weights.Shelf`. `hold` keeps `fetch` from ending; `fault` is what `find` raises."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.hold = asyncio.Event()
        self.hold.set()
        self.fault: Fault | None = None
        self.removed: list[str] = []

    def check(self, wish: Wish) -> Wish:
        """With a source."""
        source = wish.source or f"{wish.model_type}-{wish.model_size}.gguf"
        if "/" in source:
            raise BadRequest(f"'{source}' is no file of the folder of models.", field="source")
        return structs.replace(wish, source=source)

    async def find(self, wish: Wish) -> Found:
        """The file of that name."""
        if self.fault is not None:
            raise self.fault
        path = self._folder / wish.source
        if not path.exists():
            raise NotFound(f"There is no file {wish.source} in the folder of models.")
        return Found(wish.source, (File(wish.source, path.stat().st_size, url=wish.source),), title=path.stem)

    async def fetch(self, found: Found, told: Told) -> None:
        """It is here; half of it is told before `hold` is looked at."""
        size = found.size or 0
        told(size // 2, size)
        await self.hold.wait()
        told(size, size)

    async def make(self, found: Found, told: Told) -> Weights:
        """As it is."""
        path = self._folder / found.source
        told(path.stat().st_size, path.stat().st_size)
        return Weights(str(path), path.stat().st_size, "llama", "Q8_0", context=2048, title=found.title)

    async def remove(self, files: Sequence[str], kept: Collection[str] = ()) -> int:
        """Gone."""
        if self.fault is not None:
            raise self.fault
        freed = 0
        for path in {self._folder / file for file in files} - {self._folder / file for file in kept}:
            self.removed.append(str(path))
            freed += path.stat().st_size
            path.unlink()
        return freed


class WordProcess:
    """Implements `ports.engine.Process`."""

    def __init__(self, load: Load, pid: int, ready: asyncio.Event) -> None:
        self.load = load
        self.pid = pid
        self.url = f"http://127.0.0.1:{pid}"
        self.key = f"key-{pid}"
        self.provider = self.model = ""
        self.deaf = False
        self.running = 0
        self.stopped = False
        self.lets_go = asyncio.Event()
        """Cleared by a test, it is long in ending."""
        self.lets_go.set()
        self._ready = ready
        self._end: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def ready(self, told: Callable[[int, int | None], None], patience: float) -> None:  # noqa: ARG002 - the port's
        """When the test lets it."""
        told(1, self.load.weights.size)
        waiting = asyncio.ensure_future(self._ready.wait())
        await asyncio.wait((waiting, self._end), return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self._end.done():
            raise Down("it ended while it loaded")
        told(self.load.weights.size, self.load.weights.size)

    async def probe(self, patience: float) -> None:  # noqa: ARG002 - the port's
        """Unless it is deaf."""
        if self.deaf:
            raise Timeout("it does not answer")

    async def busy(self) -> int:
        """As many as the test says."""
        return self.running

    async def wait(self) -> int:
        """Until its end."""
        return await asyncio.shield(self._end)

    def tail(self) -> Sequence[str]:
        """One line."""
        return ("a last word",)

    def memory(self) -> int | None:
        """Its weights."""
        return self.load.weights.size

    async def stop(self, grace: float) -> None:  # noqa: ARG002 - the port's
        """At once, unless it is long in ending."""
        self.stopped = True
        await self.lets_go.wait()
        self.end(-15)

    def end(self, code: int) -> None:
        """It ends."""
        if not self._end.done():
            self._end.set_result(code)

    def lose(self) -> None:
        """Nobody knows any more how it is."""
        if not self._end.done():
            self._end.set_exception(Down("its node began anew"))


class WordEngine:
    """Implements `ports.engine.Engine`."""

    name = "word"
    reads = frozenset(Form)
    on_gpus_only = False

    def __init__(self) -> None:
        self.started: list[WordProcess] = []
        self.ready = asyncio.Event()
        self.ready.set()
        self._pids = count(1001)

    def missing(self) -> str | None:
        """It is there."""
        return None

    def usable(self, devices: Sequence[Device]) -> Sequence[Device]:
        """All."""
        return devices

    async def start(self, load: Load) -> WordProcess:
        """Another one."""
        process = WordProcess(load, next(self._pids), self.ready)
        self.started.append(process)
        return process


class Imagined:
    """Implements `ports.machine.Machine`."""

    def __init__(self, room: Room = Room(8 << 30, 4 << 30, 4, "A Processor")) -> None:  # noqa: B008 - frozen
        self.room = room

    def look(self) -> Room:
        """The memory."""
        return self.room


class NoDevices:
    """Implements `ports.devices.Devices`."""

    def look(self) -> Sequence[Device]:
        """None."""
        return ()


class KeptDeployments:
    """Implements `ports.deployments.Deployments` in memory."""

    def __init__(self) -> None:
        self._kept: dict[str, Deployment] = {}
        self._lines: dict[str, list[Line]] = {}
        self._version = 0
        self.looks = 0
        """How often anybody has looked whether something was written."""

    async def add(self, deployment: Deployment) -> Deployment:
        """Wanted from now on, or the one that is."""
        self._version += 1
        for one in self._kept.values():
            if one.wish.model_id == deployment.wish.model_id and one.wanted is Wanted.RUNNING:
                if one.wish != deployment.wish:
                    raise Conflict(f"'{one.wish.model_id}' is deployed already.")
                self._kept[one.id] = structs.replace(one, asked=one.asked + 1)
                return self._kept[one.id]
        self._kept[deployment.id] = deployment
        return deployment

    async def find(self, id: str) -> Deployment | None:
        """As it stands."""
        return self._kept.get(id)

    async def current(self, model_id: str) -> Deployment | None:
        """The newest that is not gone."""
        return next((one for one in await self.listed() if one.wish.model_id == model_id and not one.seen.gone), None)

    async def listed(self) -> list[Deployment]:
        """Newest first."""
        return sorted(self._kept.values(), key=lambda one: (one.at, one.id), reverse=True)

    async def want(self, id: str, wanted: Wanted) -> Deployment | None:
        """From now on."""
        self._version += 1
        if id in self._kept:
            one = self._kept[id]
            self._kept[id] = structs.replace(one, wanted=wanted, asked=one.asked + 1)
        return self._kept.get(id)

    async def see(self, id: str, seen: Seen) -> None:
        """From now on."""
        self._version += 1
        self._kept[id] = structs.replace(self._kept[id], seen=seen)

    async def say(self, id: str, at: int, level: Level, message: str) -> None:
        """One more line."""
        self._version += 1
        lines = self._lines.setdefault(id, [])
        lines.append(Line(len(lines) + 1, at, level, message))

    async def lines(self, id: str, after: int, most: int) -> Sequence[Line]:
        """After a number."""
        return [line for line in self._lines.get(id, []) if line.number > after][:most]

    async def version(self) -> int:
        """How often anything was written."""
        self.looks += 1
        return self._version


class AnyShelf:
    """Implements `ports.weights.Shelf`: whatever is asked for is there. What test mode deploys."""

    def check(self, wish: Wish) -> Wish:
        """As it is."""
        return wish

    async def find(self, wish: Wish) -> Found:
        """One file."""
        return Found(wish.model_id, (File(wish.model_id, 1),), title=wish.model_id)

    async def fetch(self, found: Found, told: Told) -> None:
        """It is here."""
        told(found.size or 0, found.size)

    async def make(self, found: Found, told: Told) -> Weights:
        """As it is."""
        told(1, 1)
        return Weights(found.source, 1, "simulated", "Q8_0", title=found.title)

    async def remove(self, files: Sequence[str], kept: Collection[str] = ()) -> int:
        """There was nothing."""
        return len({*files} - {*kept})


class SomeSites:
    """Implements `ports.sites.Sites`: those that a test has put there, until it takes them away."""

    def __init__(self) -> None:
        self.there: dict[str, Site] = {}

    def site(self, node: str) -> Site | None:
        """If it is there."""
        return self.there.get(node)
