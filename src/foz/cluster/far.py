"""
A node, from afar: its shelf, its engines, its processes and its room, as the ports know them. What is asked of a node
that is away raises Down at once; what was asked when it went away raises Down then.
"""

import asyncio
import secrets
import signal
from collections.abc import Callable, Collection, Sequence
from itertools import count
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import Raw

from foz.canon.deployment import Form, Weights, Wish
from foz.canon.fault import Down
from foz.cluster.words import (
    WORK,
    Answer,
    Beat,
    Busy,
    Card,
    Fetch,
    Find,
    Look,
    Make,
    Probe,
    Pulse,
    Ready,
    Remove,
    Running,
    Seen,
    Start,
    State,
    Stop,
    What,
    Work,
    encode,
    fault_of,
)
from foz.ports.devices import Device
from foz.ports.engine import Load
from foz.ports.machine import Room
from foz.ports.sites import Site
from foz.ports.weights import Found, Told

T = TypeVar("T")
LOOK_PATIENCE = 10.0


class Post(Protocol):
    """Brings a message to the keeper of a node."""

    async def __call__(self, node: str, method: str, body: bytes) -> Raw:
        """What it answers. Raises Down."""
        ...


class FarNode:
    """What a gateway has of one node."""

    def __init__(self, name: str, post: Post) -> None:
        self.name = name
        self.address = ""
        self.pulse: Pulse | None = None
        """What it told last."""
        self.away = True
        self.wrong: str | None = None
        """Why it cannot be used though it may answer."""
        self._post = post
        self._run = secrets.token_hex(6)
        """What a keeper still ends for the gateway that ran before is called otherwise."""
        self._ids = (f"{self._run}-{number}" for number in count(1))
        self._works: dict[str, Told | None] = {}
        self._asking: set[asyncio.Future[Raw]] = set()
        self._processes: dict[str, FarProcess] = {}
        self._loop = asyncio.get_running_loop()

    # -- how it is ---------------------------------------------------------

    def beat(self) -> tuple[bytes, frozenset[str]]:
        """What to tell it, and the processes that it must know."""
        told = encode(Beat(self.address, tuple(self._works), tuple(self._processes)))
        return told, frozenset(id for id, one in self._processes.items() if one.pid)

    def hear(self, pulse: Pulse, expected: frozenset[str]) -> None:
        """It is there."""
        self.pulse, self.away = pulse, False
        for id, moved in pulse.moved.items():
            told = self._works.get(id)
            if told is not None:
                told(*moved)
        for id in expected:
            process = self._processes.get(id)
            if process is not None:
                process.hear(pulse.processes.get(id))

    def go(self) -> None:
        """It is not there: nobody waits for it, and what ran there is given up."""
        self.away = True
        for future in self._asking:
            future.cancel()
        processes, self._processes = self._processes, {}
        for process in processes.values():
            process.hear(None)

    def doors(self) -> list[tuple[str, int]]:
        """Where its engines listen."""
        urls = [urlsplit(one.url) for one in self._processes.values() if one.url]
        return [(url.hostname, url.port) for url in urls if url.hostname and url.port]

    def site(self) -> Site | None:
        """What it has, as it can be asked now."""
        if self.away or self.pulse is None:
            return None
        engines = {card.name: FarEngine(self, card) for card in self.pulse.engines}
        return Site(FarShelf(self), engines, FarMachine(self), FarDevices(self))

    # -- what is asked of it -----------------------------------------------

    async def ask(self, what: What, kind: type[T], told: Told | None = None) -> T:
        """What a work there comes to. Raises what was raised there, or Down."""
        if self.away:
            raise Down(f"the node '{self.name}' does not answer")
        id = next(self._ids)
        self._works[id] = told
        future = asyncio.ensure_future(self._post(self.name, WORK, encode(Work(id, what))))
        self._asking.add(future)
        try:
            said = await future
        except asyncio.CancelledError:
            if future.cancelled() and not _is_cancelled():
                raise Down(f"the node '{self.name}' does not answer any more") from None
            raise
        finally:
            future.cancel()
            self._asking.discard(future)
            del self._works[id]
        answer = msgspec.json.decode(said, type=Answer)
        if answer.trouble is not None:
            raise fault_of(answer.trouble)
        return msgspec.json.decode(answer.value, type=kind)

    async def start(self, engine: str, load: Load) -> "FarProcess":
        """A process there."""
        id = next(self._ids)
        process = self._processes[id] = FarProcess(self, id)
        try:
            running = await self.ask(Start(id, engine, load), Running)
        except BaseException:
            self._processes.pop(id, None)  # with the next beat it is ended, wherever it was
            raise
        process.is_started(running)
        return process

    def forget(self, id: str) -> None:
        """It is not ours any more."""
        self._processes.pop(id, None)

    def look(self) -> Seen:
        """Its room and devices now; from a thread of its own."""
        asking = asyncio.run_coroutine_threadsafe(self.ask(Look(), Seen), self._loop)
        try:
            return asking.result(LOOK_PATIENCE)
        except TimeoutError:
            asking.cancel()
            raise Down(f"the node '{self.name}' does not say how much room it has") from None


def _is_cancelled() -> bool:
    """Whether it is we who are cancelled, not what we wait for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class FarShelf:
    """Implements `ports.weights.Shelf`."""

    def __init__(self, node: FarNode) -> None:
        self._node = node

    def check(self, wish: Wish) -> Wish:
        """The node itself does, when it looks for it."""
        return wish

    async def find(self, wish: Wish) -> Found:
        """There."""
        return await self._node.ask(Find(wish), Found)

    async def fetch(self, found: Found, told: Told) -> None:
        """There."""
        await self._node.ask(Fetch(found), type(None), told)
        if found.size is not None:
            told(found.size, found.size)

    async def make(self, found: Found, told: Told) -> Weights:
        """There."""
        return await self._node.ask(Make(found), Weights, told)

    async def remove(self, files: Sequence[str], kept: Collection[str] = ()) -> int:
        """There."""
        return await self._node.ask(Remove(tuple(files), tuple(kept)), int)


class FarEngine:
    """Implements `ports.engine.Engine`."""

    def __init__(self, node: FarNode, card: Card) -> None:
        self.name = card.name
        self.reads: frozenset[Form] = frozenset(card.reads)
        self.on_gpus_only = card.on_gpus_only
        self._node = node
        self._card = card

    def missing(self) -> str | None:
        """There."""
        return self._card.missing

    def usable(self, devices: Sequence[Device]) -> Sequence[Device]:
        """As the node told."""
        return [device for device in devices if device.index in self._card.usable]

    async def start(self, load: Load) -> "FarProcess":
        """There."""
        return await self._node.start(self.name, load)


class FarProcess:
    """Implements `ports.engine.Process`."""

    def __init__(self, node: FarNode, id: str) -> None:
        self.url = ""
        self.key = ""
        self.pid = 0
        self.provider = self.model = ""
        self._node = node
        self._id = id
        self._memory: int | None = None
        self._tail: tuple[str, ...] = ()
        self._end: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._end.add_done_callback(_look_at)

    def is_started(self, running: Running) -> None:
        """From now on it is to be there."""
        self.url, self.key, self.pid, self._memory = running.url, running.key, running.pid, running.memory

    def hear(self, state: State | None) -> None:
        """How it is; None: nobody there knows it."""
        if self._end.done():
            return
        if state is None:
            self._end.set_exception(Down(f"the node '{self._node.name}' knows of no such engine any more"))
        elif state.code is not None:
            self._tail = state.tail
            self._end.set_result(state.code)
        else:
            self._memory = state.memory

    async def ready(self, told: Callable[[int, int | None], None], patience: float) -> None:
        """There."""
        self.is_started(await self._node.ask(Ready(self._id, patience), Running, told))

    async def probe(self, patience: float) -> None:
        """There."""
        await self._node.ask(Probe(self._id, patience), type(None))

    async def busy(self) -> int:
        """There."""
        return await self._node.ask(Busy(self._id), int)

    async def wait(self) -> int:
        """As the beats tell. Raises Down where nobody can tell it any more."""
        return await asyncio.shield(self._end)

    def tail(self) -> Sequence[str]:
        """What it said last."""
        return self._tail

    def memory(self) -> int | None:
        """As the last beat told."""
        return self._memory

    async def stop(self, grace: float) -> None:
        """There; where the node is away it is ended when it is back, or with it."""
        self._node.forget(self._id)
        try:
            await self._node.ask(Stop(self._id, grace), type(None))
        except Down:
            self.hear(None)
        else:
            self.hear(State(code=-signal.SIGTERM))


def _look_at(end: "asyncio.Future[int]") -> None:
    """Nobody may be waiting for it."""
    if not end.cancelled():
        end.exception()


class FarMachine:
    """Implements `ports.machine.Machine`."""

    def __init__(self, node: FarNode) -> None:
        self._node = node

    def look(self) -> Room:
        """Now."""
        return self._node.look().room


class FarDevices:
    """Implements `ports.devices.Devices`."""

    def __init__(self, node: FarNode) -> None:
        self._node = node

    def look(self) -> Sequence[Device]:
        """Now."""
        return self._node.look().devices
