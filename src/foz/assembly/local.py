"""
Models that we run: in every process the way to their engines, in one process the loop that owns them.

Exactly one process of a data directory runs engines: the one that holds its lock. All others (further workers, `foz
worker`) find in the store where the engines are, a few times a second, and reach them over loopback. Where the owner
dies its engines die with it; the next one to take the lock starts them again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence

from msgspec import Struct

from foz.assembly.duty import tried
from foz.assembly.engines import engines, gpus, way_to
from foz.assembly.nodes import Nodes, advice, others
from foz.assembly.served import Providers
from foz.assembly.shelf import built_in, outside, shelf, sweep
from foz.canon.deployment import HERE, TINY, Replica, Wish
from foz.canon.model import Model, Patience
from foz.canon.principal import LOCAL_ADMIN
from foz.canon.request import Operation
from foz.config.deployed import asked, deployed, settled
from foz.config.directory import alone
from foz.config.settings import Settings
from foz.deploy.controller import Controller, Policy, World
from foz.deploy.fit import Manner
from foz.deploy.intake import Intake, Known
from foz.deploy.source import BUILT_IN
from foz.dialects.openai.speech import speech
from foz.net.distant import Distant
from foz.net.fleet import Fleet, Way
from foz.net.kept import Meant
from foz.net.origin import Origin
from foz.ports.clock import Clock
from foz.ports.codec import Speech
from foz.ports.deployments import Deployments
from foz.ports.devices import Devices
from foz.ports.engine import Engine
from foz.ports.line import Line
from foz.ports.machine import Machine
from foz.ports.sites import OneSite, Site, Sites
from foz.ports.upstream import Upstream
from foz.ports.watch import Watch
from foz.ports.weights import Shelf
from foz.runtime.llamacpp.engine import missing
from foz.runtime.llamacpp.orders import embedding_reply
from foz.runtime.machine import ThisMachine
from foz.runtime.ownership import Ownership
from foz.runtime.served.shelf import Shelves
from foz.testing.deploying import AnyShelf

log = logging.getLogger("foz.local")

LOOK_SECONDS = 0.2
TAKE_SECONDS = 0.5
_API = "/v1"
Spot = tuple[str, str]
"""Where a replica is reached, and its key: another start of it is another spot."""


class Means(Struct, frozen=True):
    """What deployments are judged and made with on this machine."""

    shelf: Shelf
    machine: Machine
    devices: Devices
    engines: Mapping[str, Engine]
    close: Callable[[], Awaitable[None]]


def means(settings: Settings, watch: Watch, clock: Clock, servers: Providers) -> Means:
    """Of these settings, in the running loop."""
    reach = outside(settings, watch)
    made: Shelf = AnyShelf()
    if not settings.test_mode:
        made = Shelves(shelf(settings, reach, clock), servers, servers.manners(), settings.local.sources)
    there = {one.name: one for one in engines(settings, way_to(watch), clock, servers)}
    return Means(made, ThisMachine(), gpus(), there, reach.close)


def intake(settings: Settings, store: Deployments, clock: Clock, new: Callable[[], bytes], with_: Means) -> Intake:
    """What people may ask of deployments, through whichever door."""
    known = Known(
        with_.devices,
        with_.machine,
        with_.engines,
        settings.local.node,
        any_node=settings.test_mode,
        others=others(settings),
        advice=advice(settings),
    )
    return Intake(store, with_.shelf, clock, new, known)


class Local:
    """
    What one process has of the models that are run here. `changed` is called when there are others, with the names of
    the targets that have another engine than before: what the one before did is not theirs.
    """

    def __init__(
        self,
        settings: Settings,
        store: Deployments,
        watch: Watch,
        clock: Clock,
        changed: Callable[[Sequence[str]], None],
        servers: Providers,
    ) -> None:
        self._settings = settings
        self._store = store
        self._watch = watch
        self._clock = clock
        self._changed = changed
        self._speech: Mapping[Operation, Speech] = speech()
        self._began = clock.now()
        self._version = -1
        self._ways: dict[Spot, Way] = {}
        self._asked: dict[str, frozenset[Spot]] = {}
        self._upstreams: dict[str, Upstream] = {}
        self._ownership = Ownership(settings.data)
        self._controller: Controller | None = None
        self._means = means(settings, watch, clock, servers)
        self._nodes: Nodes | None = None
        self.models: Sequence[Model] = ()
        self.settled = asyncio.Event()
        """Set once what comes with Foz runs, or will not: whoever tells what there is may wait for it a while."""
        if not self._greets():
            self.settled.set()

    @property
    def lines(self) -> Mapping[str, Line]:
        """How the replicas are reached, by the name of their target."""
        return {name: Line(upstream, self._speech) for name, upstream in self._upstreams.items()}

    def intake(self, new: Callable[[], bytes]) -> Intake:
        """What callers may ask of them."""
        return intake(self._settings, self._store, self._clock, new, self._means)

    async def look(self) -> None:
        """Whether anything has changed, and what."""
        version = await self._store.version()
        if version == self._version:
            return
        found = await self._store.listed()
        self._version = version
        tiny = [one for one in found if one.wish.model_id == TINY]
        if tiny and settled(tiny, self._began, self._clock.now()):
            self.settled.set()
        models = deployed(found, self._patience())
        before = self._asked
        now = {} if self._settings.test_mode else asked(found)
        spots = {name: frozenset(_spot(replica) for replica in replicas) for name, replicas in now.items()}
        if spots == before and models == self.models:
            return
        embed = {model.name for model in models if Operation.EMBED in model.targets[0].profile.operations}
        gone = self._lead(now, {f"{HERE}/{name}" for name in embed})
        self._asked, self.models = spots, models
        self._changed([name for name, there in spots.items() if there - before.get(name, frozenset())])
        await asyncio.gather(*(way.upstream.close() for way in gone))

    def _lead(self, now: Mapping[str, Sequence[Replica]], embed: Container[str]) -> list[Way]:
        """Each target to its replicas, those that make vectors among them; the ways that lead nowhere any more."""
        ways = {
            _spot(replica): self._ways.get(_spot(replica)) or Way(self._origin(replica))
            for replicas in now.values()
            for replica in replicas
        }
        gone = [way for spot, way in self._ways.items() if spot not in ways]
        self._ways = ways
        led = {name: self._upstream([ways[_spot(one)] for one in them]) for name, them in now.items()}
        self._upstreams = {name: Meant(one, embedding_reply) if name in embed else one for name, one in led.items()}
        return gone

    def _upstream(self, ways: Sequence[Way]) -> Upstream:
        return ways[0].upstream if len(ways) == 1 else Fleet(ways, self._clock.monotonic)

    def _patience(self) -> Patience:
        given = self._settings.timeouts
        return Patience(given.connect, given.first_byte, given.idle, given.total)

    def _origin(self, replica: Replica) -> Origin:
        kind = Origin if replica.node == self._settings.local.node else Distant
        return way_to(self._watch, kind)(replica.url + _API, replica.key)

    async def own(self, new: Callable[[], bytes]) -> None:
        """Runs the engines, from when the lock is ours; until cancelled."""
        while not await asyncio.to_thread(self._ownership.take):
            await self._clock.sleep(TAKE_SECONDS)
        await sweep(self._means.shelf)
        await tried(f"{TINY} is not run", lambda: self._begin(new))
        self._nodes = Nodes(self._settings, self._here(), self._clock)
        self._controller = Controller(World(self._store, self._nodes, self._clock), self._policy())
        await self._controller.run()

    async def _begin(self, new: Callable[[], bytes]) -> None:
        """What comes with Foz is wanted from the first start on, once: who unloads it has unloaded it."""
        if self._greets() and not any(one.wish.model_id == TINY for one in await self._store.listed()):
            await self.intake(new).deploy(LOCAL_ADMIN, Wish(TINY, TINY, source=BUILT_IN + TINY))

    def _greets(self) -> bool:
        """Whether what comes with Foz is to run."""
        settings = self._settings
        wanted = settings.local.tiny and not settings.test_mode and alone(settings) and TINY in built_in()
        return wanted and missing() is None

    def _here(self) -> Sites:
        means = self._means
        here = Site(means.shelf, means.engines, means.machine, means.devices)
        return OneSite(self._settings.local.node, here, any_node=self._settings.test_mode)

    def adopt(self, settings: Settings) -> None:
        """The settings were read anew: timeouts hold at once, threads, context and drain for what comes next."""
        kept = self._settings
        given = settings.local
        changed = {"threads": given.threads, "context": given.context, "drain": given.drain}
        local = kept.local.model_copy(update=changed)
        self._settings = kept.model_copy(update={"timeouts": settings.timeouts, "local": local})
        if self._controller is not None:
            self._controller.adopt(self._policy())
        self._version = -1

    def _policy(self) -> Policy:
        given = self._settings.local
        return Policy(manner=Manner(given.threads, given.context), node=given.node, drain=given.drain)

    async def close(self, drain: float) -> None:
        """Ends what is ours, when what runs on it has ended or after so many seconds. `own` was cancelled before."""
        if self._controller is not None:
            controller, self._controller = self._controller, None
            await tried("engines may not have been told to stop", lambda: controller.close(drain))
        if self._nodes is not None:
            await self._nodes.close()
        self._ownership.close()
        await asyncio.gather(self._means.close(), *(way.upstream.close() for way in self._ways.values()))


def _spot(replica: Replica) -> Spot:
    return replica.url, replica.key
