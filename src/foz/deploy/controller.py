"""
The loop that owns all deployments, on each of their nodes: it compares what is wanted with what is so, and does the
next step.

One process runs it. It alone starts engines and ends them, and it alone writes what is seen; what it decides is in
`decide.py`, `stages.py` and `fit.py`, what it does goes through ports. It looks again when something was written, when
a task or an engine has ended, and a few times a second. What a task came to is looked at in the loop: no failure of one
deployment, foreseen or not, touches another, and none ends the loop.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager

from msgspec import Struct, structs

from foz.canon.amount import size
from foz.canon.deployment import HERE, Deployment, Level, Seen, Stage, Wanted, Weights
from foz.canon.fault import CallerFault, Down, Fault, Garbled, Refused
from foz.deploy import engines, stages
from foz.deploy.decide import Doing, Step, decide
from foz.deploy.fit import Manner, refuse
from foz.deploy.fit import told as told_sum
from foz.deploy.hand import Hand, Held
from foz.deploy.plan import SERVED, needs, plan
from foz.deploy.replicas import differs, ended, free, hardware, replica_of
from foz.ports.clock import Clock
from foz.ports.deployments import Deployments
from foz.ports.engine import Engine, Process
from foz.ports.sites import Site, Sites
from foz.ports.weights import Told

log = logging.getLogger("foz.deploy")

_LASTING = (CallerFault, Refused, Garbled)
"""What another try of the same would come to as well."""
_SECOND = 1_000
_NEVER = 1 << 62
_BEGINS = {
    Stage.PREPARATION: "开始部署模型 (the deployment begins)",
    Stage.DOWNLOADING: "开始下载模型权重 (fetching the weights)",
    Stage.INITIALIZATION: "开始初始化模型 (looking at the file)",
    Stage.LOADING: "开始加载模型 (loading the model)",
    Stage.REGISTRATION: "开始注册服务 (asking it for a first token)",
}
_ENDS = {
    Stage.PREPARATION: "准备工作完成 (preparation is done)",
    Stage.DOWNLOADING: "模型权重下载完成 (the weights are here)",
    Stage.INITIALIZATION: "模型初始化完成 (the file is sound)",
    Stage.LOADING: "模型加载完成 (the model is loaded)",
    Stage.REGISTRATION: "服务注册完成 (callers can name it)",
}


class Policy(Struct, frozen=True):
    """How the loop behaves. Seconds."""

    manner: Manner = Manner()
    node: str = HERE
    """The name of this machine."""
    stall: float = 300.0
    """Without any progress of a load."""
    probe_every: float = 15.0
    probe_patience: float = 20.0
    misses: int = 2
    """Probes in a row that an engine may fail before it is ended."""
    published: float = 0.5
    """After which every process of the gateway has heard that a model is there."""
    withdrawn: float = 1.0
    """After which every process of the gateway has heard that a model is leaving."""
    drain: float = 300.0
    """For what still runs on a model that is unloaded."""
    grace: float = 5.0
    """Between asking an engine to end and making it."""
    tick: float = 0.2
    write_every: float = 0.25


class World(Struct, frozen=True):
    """All that the loop acts through."""

    store: Deployments
    sites: Sites
    clock: Clock


class Controller:
    """The loop. `run` it in the process that owns the deployments, `close` it there."""

    def __init__(self, world: World, policy: Policy) -> None:
        self._world = world
        self._policy = policy
        self._held: dict[str, Held] = {}
        self._known: dict[str, Deployment] = {}
        self._version = -1
        self._woken = asyncio.Event()
        self._loading: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """One loads at a time on each node: what is free is judged, then taken."""
        self._last = ""

    async def run(self) -> None:
        """Until cancelled; then `close` must be called."""
        while True:
            self._woken.clear()
            try:
                await self._round()
                self._last = ""
            except Exception as error:
                foreseen = isinstance(error, Fault)  # the database cannot be written just now
                if str(error) != self._last:
                    log.warning(
                        "deployments are not looked after for now: %s", error, exc_info=None if foreseen else error
                    )
                self._last = str(error)
            try:
                async with asyncio.timeout(self._policy.tick):
                    await self._woken.wait()
            except TimeoutError:
                continue

    def adopt(self, policy: Policy) -> None:
        """Goes by this from now on; what runs goes on as it was loaded, and the name of this machine stays."""
        self._policy = structs.replace(policy, node=self._policy.node)

    async def close(self, drain: float) -> None:
        """Ends all engines, each when what runs on it has ended, or after so many seconds. They stay wanted."""
        hands = [hand for held in self._held.values() for hand in held.hands]
        for task in [task for hand in hands for task in hand.tasks()]:
            task.cancel()
        await asyncio.gather(*(self._shut(hand, drain) for hand in hands), return_exceptions=True)

    async def _shut(self, hand: Hand, drain: float) -> None:
        tasks = [task for task in (hand.task, hand.looking) if task is not None]
        if tasks:
            await asyncio.wait(tasks)
        if hand.process is not None:
            await self._idle(hand.process, drain)
            await self._end_process(hand)
        if hand.seen.replicas:
            hand.see(structs.replace(hand.seen, replicas=()))
        await self._write(hand.held)

    # -- the loop ----------------------------------------------------------

    async def _round(self) -> None:
        store = self._world.store
        version = await store.version()
        if version != self._version:
            found = await store.listed()
            self._known = {one.id: one for one in found if not stages.ended(one) or one.id in self._held}
            self._version = version
        for id in [id for id in self._held if id not in self._known]:
            del self._held[id]
        for deployment in self._known.values():  # all of them, before anything of one is taken away
            if deployment.id not in self._held:
                self._held[deployment.id] = Held(deployment, self._policy.node)
        for deployment in reversed(tuple(self._known.values())):
            held = self._held[deployment.id]
            for hand in held.hands:
                await self._collect(hand)
                facts = hand.facts(away=self._world.sites.site(hand.node) is None)
                so = structs.replace(deployment, seen=hand.seen)
                await self._do(decide(so, facts, self._world.clock.now()), hand, so)
            await self._write(held, now_and_then=True)
            if held.gone:
                del self._held[deployment.id]
                self._version = -1

    async def _do(self, step: Step, hand: Hand, deployment: Deployment) -> None:
        match step:
            case Step.WAIT:
                return
            case Step.CLIMB:
                self._climb(hand, deployment)
            case Step.STOP_CLIMBING:
                await self._stop_climbing(hand)
            case Step.PROBE:
                hand.probe_at = _NEVER
                hand.looking = self._start(self._probe(hand))
            case Step.BURY:
                await self._bury(hand)
            case Step.LOSE:
                await self._lose(hand)
            case Step.RETURN:
                await self._return(hand)
            case Step.LEAVE:
                hand.doing = Doing.LEAVING
                hand.task = self._start(self._leave(hand))
            case Step.FINISH:
                await self._finish(hand, deployment)

    def _start(self, work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        task = asyncio.ensure_future(work)
        task.add_done_callback(lambda _: self._woken.set())
        return task

    async def _collect(self, hand: Hand) -> None:
        """What the tasks that have ended came to."""
        if hand.looking is not None and hand.looking.done():
            looked, hand.looking = hand.looking, None
            hand.probe_at = self._world.clock.now() + round(self._policy.probe_every * _SECOND)
            await self._looked(hand, None if looked.cancelled() else looked.exception())
        if hand.task is None or not hand.task.done():
            return
        task, hand.task = hand.task, None
        error = None if task.cancelled() else task.exception()
        if hand.doing is Doing.LEAVING or task.cancelled():
            hand.doing = Doing.NOTHING
        elif error is None:
            hand.doing = Doing.SERVING
        if error is not None:
            await self._fail(hand, error)

    # -- up ----------------------------------------------------------------

    def _climb(self, hand: Hand, deployment: Deployment) -> None:
        hand.see(stages.anew(hand.seen, deployment.asked))
        hand.doing = Doing.CLIMBING
        hand.task = self._start(self._way(hand, deployment))

    async def _way(self, hand: Hand, deployment: Deployment) -> None:
        """All five stages."""
        site = self._site(hand)
        shelf, wish = site.shelf, deployment.wish
        async with self._stage(hand, Stage.PREPARATION):
            gpus = len(await asyncio.to_thread(site.devices.look))
            among = engines.candidates(site.engines.values())
            refuse(wish.options, gpus)
            engines.check(wish.engine, engines.form_of(wish.source), among, gpus)
            found = await shelf.find(shelf.check(wish))
            await self._keeps(hand, [file.name for file in found.files if file.url])
            form = engines.form_in(found)
            if form is not None:  # before anything is fetched that nobody can run
                engines.choose(wish.engine, form, among, gpus)
        async with self._stage(hand, Stage.DOWNLOADING) as told:
            await shelf.fetch(found, told)
        async with self._stage(hand, Stage.INITIALIZATION) as told:
            weights = await shelf.make(found, told)
            await self._keeps(hand, [weights.path])
            engine = engines.choose(wish.engine, weights.form, among, gpus)
        async with self._loading[hand.node]:
            await self._load(hand, site, deployment, weights, site.engines[engine])

    async def _keeps(self, hand: Hand, files: Sequence[str]) -> None:
        """Written down before they come: whatever happens then, a purge knows them."""
        hand.see(structs.replace(hand.seen, files=tuple(dict.fromkeys((*hand.seen.files, *files)))))
        await self._write(hand.held)

    def _site(self, hand: Hand) -> Site:
        site = self._world.sites.site(hand.node)
        if site is None:
            raise Down(_silent(hand.node))
        return site

    async def _stop_climbing(self, hand: Hand) -> None:
        if hand.task is not None and not hand.task.cancelling():
            await self._say(hand, Level.INFO, "部署已取消 (cancelled)")
            hand.task.cancel()

    async def _load(self, hand: Hand, site: Site, deployment: Deployment, weights: Weights, engine: Engine) -> None:
        """The last two stages. Whatever comes in between, no process stays that nobody knows."""
        world = self._world
        process: Process | None = None
        try:
            async with self._stage(hand, Stage.LOADING) as told:
                devices = await asyncio.to_thread(site.devices.look)
                room = await asyncio.to_thread(site.machine.look)
                usable = await asyncio.to_thread(engine.usable, devices)
                refuse(deployment.wish.options, len(usable))
                load = plan(engine.name, deployment.wish, weights, room, usable, self._policy.manner)
                if weights.form not in SERVED:
                    wants = told_sum(needs(engine.name, load))
                    await self._say(hand, Level.INFO, f"{engine.name} needs {wants}; {free(load, room, usable)}")
                process = await engine.start(load)
                await process.ready(told, self._policy.stall)
            async with self._stage(hand, Stage.REGISTRATION):
                await process.probe(self._policy.stall)
                now = world.clock.now()
                name = hardware(load, room, usable) if weights.form not in SERVED else None
                replica = replica_of(process, load, now, hand.node, name, engine.name)
                hand.see(structs.replace(hand.seen, replicas=(replica,), weights=weights))
                await self._write(hand.held)
                await world.clock.sleep(self._policy.published)
        except BaseException:
            if process is not None:
                hand.see(structs.replace(hand.seen, replicas=()))
                await asyncio.shield(process.stop(self._policy.grace))
            raise
        hand.process, hand.misses = process, 0
        hand.ending = asyncio.ensure_future(process.wait())
        hand.ending.add_done_callback(lambda _: self._woken.set())
        hand.served_from, hand.probe_at = now, now + round(self._policy.probe_every * _SECOND)
        hand.see(stages.serves(hand.seen))

    @asynccontextmanager
    async def _stage(self, hand: Hand, stage: Stage) -> AsyncIterator[Told]:
        """Begun, told of, and over unless it raises."""
        now = self._world.clock.now
        hand.see(stages.begun(hand.seen, stage, now()))
        await self._say(hand, Level.INFO, _BEGINS[stage])
        yield lambda done, total: hand.see(stages.moved(hand.seen, stage, done, total))
        hand.see(stages.over(hand.seen, stage, now()))
        await self._say(hand, Level.INFO, _ENDS[stage])

    async def _fail(self, hand: Hand, error: BaseException) -> None:
        if hand.doing is Doing.CLIMBING:
            hand.doing = Doing.NOTHING
        if not isinstance(error, Fault):
            log.error("a deployment of %s failed of a defect", hand.model_id, exc_info=error)
        stage = stages.current(hand.seen)
        if self._world.sites.site(hand.node) is None:
            await self._lose(hand)
            return
        why = error.message if isinstance(error, Fault) else f"a defect of Foz: {type(error).__name__}: {error}"
        lasting = isinstance(error, _LASTING)
        hand.see(stages.failed(hand.seen, f"{stage}: {why}", self._world.clock.now(), lasting=lasting))
        await self._say(hand, Level.ERROR, f"{stage} 失败 (failed): {why}")
        await self._say_again(hand)

    async def _say_again(self, hand: Hand) -> None:
        if hand.seen.again is None:
            await self._say(hand, Level.INFO, "not tried again until it is deployed again")
        else:
            seconds = stages.pause(hand.seen.failures) // _SECOND
            await self._say(hand, Level.INFO, f"tried again in {seconds} s")

    # -- there -------------------------------------------------------------

    async def _probe(self, hand: Hand) -> None:
        if hand.process is not None:
            await hand.process.probe(self._policy.probe_patience)

    async def _looked(self, hand: Hand, error: BaseException | None) -> None:
        """What a probe came to."""
        process = hand.process
        if process is None or not hand.seen.replicas:
            return
        hand.misses = 0 if error is None else hand.misses + 1
        replica = structs.replace(hand.seen.replicas[0], healthy=error is None, memory=process.memory())
        if error is not None:
            await self._say(hand, Level.WARNING, f"does not answer its probe: {error}")
            if hand.misses >= self._policy.misses:
                await process.stop(self._policy.grace)
        elif hand.seen.failures and self._world.clock.now() - hand.served_from > stages.SETTLED:
            hand.see(structs.replace(hand.seen, failures=0))
        if differs(replica, hand.seen.replicas[0]):
            hand.see(structs.replace(hand.seen, replicas=(replica,)))

    async def _bury(self, hand: Hand) -> None:
        """Its engine is gone: it is started again, later and later."""
        process, ending = hand.process, hand.ending
        if process is None or ending is None:
            return
        if ending.exception() is not None:
            await self._lose(hand)
            return
        why = ended(process, ending.result())
        await self._end_process(hand)
        hand.doing = Doing.NOTHING
        log.error("%s: %s", hand.model_id, why)
        hand.see(stages.failed(hand.seen, why, self._world.clock.now(), lasting=False))
        await self._say(hand, Level.ERROR, why)
        await self._say_again(hand)

    async def _lose(self, hand: Hand) -> None:
        """Its node does not answer, or began anew: what was there is gone, or will be before it is used again."""
        why = _silent(hand.node)
        level = logging.INFO if hand.process is None else logging.ERROR  # else nothing was there to be lost
        await self._end_process(hand)
        hand.doing, hand.lost = Doing.NOTHING, True
        log.log(level, "%s: %s", hand.model_id, why)
        hand.see(stages.lost(hand.seen, why, self._world.clock.now()))
        await self._say(hand, Level.ERROR, f"{why}; it is tried again as soon as the node is back")

    async def _return(self, hand: Hand) -> None:
        hand.lost = False
        hand.see(structs.replace(hand.seen, again=self._world.clock.now()))
        await self._say(hand, Level.INFO, "its node answers again")

    async def _end_process(self, hand: Hand) -> None:
        process, hand.process, ending, hand.ending = hand.process, None, hand.ending, None
        if process is not None:
            await process.stop(self._policy.grace)
        if ending is not None:
            await asyncio.wait((ending,))
            if not ending.cancelled():
                ending.exception()  # looked at: of what is away nobody knows how it ended

    # -- down --------------------------------------------------------------

    async def _leave(self, hand: Hand) -> None:
        """Nobody asks it any more, what runs ends, then it does."""
        await self._say(hand, Level.INFO, "开始卸载模型 (unloading)")
        hand.see(structs.replace(hand.seen, replicas=()))
        await self._write(hand.held)
        await self._world.clock.sleep(self._policy.withdrawn)
        if hand.process is not None and not await self._idle(hand.process, self._policy.drain):
            await self._say(hand, Level.WARNING, f"what ran after {self._policy.drain:g} s was cut")
        await self._end_process(hand)

    async def _idle(self, process: Process, seconds: float) -> bool:
        """Whether nothing runs on it any more, within so many seconds."""
        clock = self._world.clock
        end = clock.monotonic() + seconds
        while clock.monotonic() < end:
            try:
                if await process.busy() == 0:
                    return True
            except Fault:
                return True  # it is gone, and what ran with it
            await clock.sleep(self._policy.tick)
        return False

    async def _finish(self, hand: Hand, deployment: Deployment) -> None:
        if deployment.wanted is Wanted.PURGED:
            await self._purge(hand)
        if not hand.seen.gone:
            await self._say(hand, Level.INFO, "模型已卸载 (unloaded)")
        hand.see(stages.gone(hand.seen, deployment.asked))

    async def _purge(self, hand: Hand) -> None:
        """Its files go, but for those that other deployments of that node use."""
        others = [other for held in self._held.values() for other in held.hands if other.node == hand.node]
        kept = {file for other in others if other is not hand and not other.seen.gone for file in other.seen.files}
        try:
            freed = await self._site(hand).shelf.remove(hand.seen.files, kept)
        except (Fault, OSError) as error:
            await self._say(hand, Level.ERROR, f"its file could not be removed: {error}; ask for it again")
            return
        told = f"its file is removed: {size(freed)} are free again" if freed else "nothing was fetched or made for it"
        if not freed and kept.intersection(hand.seen.files):
            told = "its file stays: another deployment uses it"
        await self._say(hand, Level.INFO, told)
        hand.see(structs.replace(hand.seen, files=()))

    # -- what is kept ------------------------------------------------------

    async def _say(self, hand: Hand, level: Level, message: str) -> None:
        told = message if len(hand.held.hands) == 1 else f"{hand.node}: {message}"
        await self._world.store.say(hand.id, self._world.clock.now(), level, told)

    async def _write(self, held: Held, *, now_and_then: bool = False) -> None:
        """What is seen, where it has changed; progress alone not more than some times a second."""
        if not held.changed:
            return
        moment = self._world.clock.monotonic()
        seen = held.seen
        if now_and_then and _steady(seen, held.written) and moment - held.written_at < self._policy.write_every:
            return
        held.changed = False
        try:
            await self._world.store.see(held.id, seen)
        except BaseException:
            held.changed = True
            raise
        held.written, held.written_at = seen, moment


def _silent(node: str) -> str:
    return f"the node '{node}' does not answer"


def _steady(one: Seen, other: Seen) -> bool:
    """Whether only bytes have moved since it was last written."""
    same = _key(one) == _key(other)
    return same and all(a.state is b.state for a, b in zip(one.stages, other.stages, strict=True))


def _key(seen: Seen) -> tuple[object, ...]:
    return seen.status, seen.replicas, seen.gone, seen.asked, seen.files
