"""
What runs on a node: the keeper of its engines. It is an actor of Ray's, and of Ray it knows nothing: Ray starts it,
starts it again where it ended, and brings it the gateway's messages.

It does what it is asked with what the node itself has: its shelf of files, its engines, its memory. It keeps nothing: a
keeper that was killed begins with no engine (the kernel ended them with it), and the gateway, which knows what is
wanted, asks again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from msgspec import Raw, Struct

import foz
from foz.canon.fault import Bug, Down, Fault
from foz.cluster.words import (
    LEASE,
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
    Trouble,
    What,
    Work,
    encode,
    trouble_of,
)
from foz.ports.devices import Device
from foz.ports.engine import Engine, Process
from foz.ports.machine import Room
from foz.ports.sites import Site

log = logging.getLogger("foz.keeper")

GRACE = 5.0
LOOK_EVERY = 2.0


class Made(Struct, frozen=True):
    """What a node has, in the running loop."""

    site: Site
    close: Callable[[], Awaitable[None]]


Make_ = Callable[[str], Made]
"""Makes it, for engines that listen at this address."""


class Keeper:
    """The actor. All of it runs in one loop, on one thread. `lease` is in seconds."""

    def __init__(self, make: Make_, lease: float = LEASE) -> None:
        self._make = make
        self._lease = lease
        self._host: str | None = None
        self._made: Made | None = None
        self._works: dict[str, asyncio.Task[bytes]] = {}
        self._moved: dict[str, tuple[int, int | None]] = {}
        self._processes: dict[str, Process] = {}
        self._ends: dict[str, asyncio.Task[int]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._heard = 0.0
        self._watching: asyncio.Task[None] | None = None
        self._seen: Seen | None = None
        self._seen_at = 0.0
        self._looking: asyncio.Task[Seen] | None = None
        self._cards: tuple[Card, ...] = ()

    # -- beats -------------------------------------------------------------

    async def beat(self, said: bytes) -> bytes:
        """Ends what the gateway does not know, and tells how all is."""
        loop = asyncio.get_running_loop()
        self._heard = loop.time()
        beat = msgspec.json.decode(said, type=Beat)
        if self._watching is None:
            self._watching = loop.create_task(self._watch())
        if beat.host != self._host:
            await self._begin(beat.host)
        self._forget(frozenset(beat.works), frozenset(beat.processes))
        seen = await self._look(LOOK_EVERY)
        return encode(
            Pulse(
                version=foz.__version__,
                room=seen.room,
                devices=seen.devices,
                engines=self._cards,
                processes={id: self._state(id, process) for id, process in self._processes.items()},
                moved={id: moved for id, moved in self._moved.items() if id in self._works},
            )
        )

    async def _begin(self, host: str) -> None:
        """For the first time, or at another address."""
        self._forget(frozenset(), frozenset())
        before, self._made = self._made, self._make(host)
        self._host = host
        if before is not None:
            await before.close()

    async def _watch(self) -> None:
        """Ends everything where nobody beats."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._lease / 4)
            if loop.time() - self._heard > self._lease:
                self._forget(frozenset(), frozenset())

    def _forget(self, works: frozenset[str], processes: frozenset[str]) -> None:
        """All but these."""
        for id, task in self._works.items():
            if id not in works:
                task.cancel()
        for id in [id for id in self._processes if id not in processes]:
            ending = asyncio.get_running_loop().create_task(self._end(id, GRACE))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

    async def _look(self, not_older: float) -> Seen:
        """What was seen so lately; else a new look, for which only those wait who saw nothing yet, or must see now."""
        seen, now = self._seen, asyncio.get_running_loop().time()
        if seen is not None and now - self._seen_at <= not_older:
            return seen
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self._look_now(self._site()))
            self._looking.add_done_callback(_look_at)
        return await asyncio.shield(self._looking) if seen is None or not not_older else seen

    async def _look_now(self, site: Site) -> Seen:
        """May take some time, where programs are asked what they can use."""
        room, devices, cards = await asyncio.to_thread(_survey, site)
        self._seen, self._cards = Seen(room, devices), cards
        self._seen_at = asyncio.get_running_loop().time()
        return self._seen

    def _state(self, id: str, process: Process) -> State:
        end = self._ends[id]
        if not end.done():
            return State(memory=process.memory())
        return State(code=end.result(), tail=tuple(process.tail()[-3:]))

    def _site(self) -> Site:
        if self._made is None:
            raise Down("the node has just begun: ask again")
        return self._made.site

    # -- work --------------------------------------------------------------

    async def work(self, said: bytes) -> bytes:
        """Does something; the gateway may forget about it, then it is ended."""
        work = msgspec.json.decode(said, type=Work)
        task = self._works[work.id] = asyncio.get_running_loop().create_task(self._answer(work))
        try:
            await asyncio.wait((task,))
        finally:
            task.cancel()
            del self._works[work.id]
            self._moved.pop(work.id, None)
        if task.cancelled():
            return encode(Answer(trouble=trouble_of(Down("it was given up"))))
        error = task.exception()
        return encode(Answer(Raw(task.result())) if error is None else Answer(trouble=_trouble(error)))

    async def _answer(self, work: Work) -> bytes:
        return encode(await self._do(work.id, work.what))

    async def _do(self, id: str, what: What) -> object:
        shelf = self._site().shelf

        def told(done: int, total: int | None) -> None:
            self._moved[id] = (done, total)

        match what:
            case Find():
                return await shelf.find(shelf.check(what.wish))
            case Fetch():
                await shelf.fetch(what.found, told)
                return None
            case Make():
                return await shelf.make(what.found, told)
            case Remove():
                return await shelf.remove(what.files, frozenset(what.kept))
            case Look():
                return await self._look(0.0)
            case Start():
                return await self._start(what)
            case _:
                return await self._of_process(what, told)

    async def _of_process(self, what: Ready | Probe | Busy | Stop, told: Callable[[int, int | None], None]) -> object:
        process = self._processes.get(what.process)
        if isinstance(what, Stop):
            await self._end(what.process, what.grace)
            return None
        if process is None:
            raise Down("the engine is not there any more")
        match what:
            case Ready():
                await process.ready(told, what.patience)
                return Running(process.url, process.key, process.pid, process.memory())
            case Probe():
                await process.probe(what.patience)
                return None
            case Busy():
                return await process.busy()

    async def _start(self, what: Start) -> Running:
        engine = self._site().engines.get(what.engine)
        if engine is None:
            raise Down(f"the node has no engine {what.engine}")
        process = await engine.start(what.load)
        self._processes[what.process] = process
        self._ends[what.process] = asyncio.get_running_loop().create_task(process.wait())
        return Running(process.url, process.key, process.pid)

    async def _end(self, id: str, grace: float) -> None:
        process = self._processes.pop(id, None)
        if process is None:
            return
        end = self._ends.pop(id)
        await process.stop(grace)
        await asyncio.wait((end,))


def _trouble(error: BaseException) -> Trouble:
    if isinstance(error, Fault):
        return trouble_of(error)
    log.error("a work on this node failed of a defect", exc_info=error)
    return trouble_of(Bug(f"a defect of Foz on the node: {type(error).__name__}: {error}"))


def _survey(site: Site) -> tuple[Room, tuple[Device, ...], tuple[Card, ...]]:
    """All that a node tells of itself."""
    devices = tuple(site.devices.look())
    cards = tuple(_card(one, devices) for one in site.engines.values())
    return site.machine.look(), devices, cards


def _card(one: Engine, devices: Sequence[Device]) -> Card:
    usable = tuple(each.index for each in one.usable(devices))
    return Card(one.name, tuple(sorted(one.reads)), one.on_gpus_only, one.missing(), usable)


def _look_at(looked: "asyncio.Task[Seen]") -> None:
    """Nobody may be waiting for it."""
    error = None if looked.cancelled() else looked.exception()
    if error is not None:
        log.warning("this node cannot be looked at: %s", error)
