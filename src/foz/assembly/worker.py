"""
One process that serves: everything bound together, from the listening sockets to the last settled entry.

With one worker this is the whole gateway; with more, the supervisor runs several of it.
"""

import asyncio
import gc
import logging
import os
import random
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Protocol

from msgspec import Struct

import foz
from foz.assembly.books import Books
from foz.assembly.duty import every, tried
from foz.assembly.engines import gpus
from foz.assembly.faces import faces
from foz.assembly.genai import SettledNames
from foz.assembly.labour import Labour
from foz.assembly.local import LOOK_SECONDS, Local
from foz.assembly.outbound import Outbound
from foz.assembly.served import Providers
from foz.canon.identity import Identities
from foz.canon.model import Placement
from foz.canon.principal import Principal
from foz.config import changes, sections
from foz.config.directory import snapshot
from foz.config.refusal import ConfigError
from foz.config.settings import Settings
from foz.gateway.health import BreakerPolicy
from foz.gateway.pipeline import Gateway
from foz.gateway.resolve import Snapshot
from foz.gateway.retry import RetryPolicy
from foz.gateway.services import Policy, Services
from foz.net.clock import SystemClock
from foz.net.watch import TickingWatch
from foz.serve.http.control import Control, make_control
from foz.serve.http.desk import Desk
from foz.serve.http.guard import Guard, request_id
from foz.serve.http.house import House, Limits
from foz.serve.http.responding import Responding
from foz.serve.http.routes import Table
from foz.serve.http.server import HttpServer
from foz.serve.supervisor import Worker as Keeper
from foz.serve.supervisor import keep_aside
from foz.skins.openai import RESPONSES
from foz.store.reader import SqliteReports
from foz.telemetry.exposition import Exposition
from foz.telemetry.metrics import Counts
from foz.telemetry.siblings import SECONDS, Siblings
from foz.wire.http import Call

log = logging.getLogger("foz.worker")

RESERVED = ("/models/local",)
LOOK_AGAIN = 300.0
FIRST_LOOK = 0.3
"""How long to wait for the providers' lists before saying what there is."""
FIRST_DEPLOYED = 2.0
"""How long callers may wait for a first look at what is deployed: nobody is told that a model of ours is unknown."""
LINGER = 0.002
"""How long rows of the gRPC process wait for each other, in a hurry: its calls come to the loop one by one."""
FIRST_MODEL = 5.0
"""The same, for the model that comes with Foz, where it is to run. Callers are served meanwhile."""


class Place(Struct, frozen=True):
    """Where a worker stands: its sockets, whose run it is part of, and how it says that it is ready."""

    sockets: tuple[socket.socket, ...]
    run: str
    ready: Callable[[Snapshot], None]
    lifeline: socket.socket | None = None
    """Closes when the supervisor is gone."""
    lanes: Mapping[Placement, int] | None = None
    """How many jobs it works at at once, where that is not what the settings say."""
    grpc: str = ""
    """Where it serves gRPC, instead of HTTP and jobs."""
    inner: str = ""
    """Where the first callers for gRPC are led to it."""
    beside: Keeper | None = None
    """The process that serves gRPC, where this one keeps it."""


class Front(Protocol):
    """Where callers come in."""

    @property
    def connections(self) -> int:
        """How many there are."""
        ...

    async def listen(self, sockets: Sequence[socket.socket]) -> None:
        """Takes calls from now on."""
        ...

    async def drain(self, seconds: float) -> None:
        """Takes no more, lets what runs finish for so long, then stops it."""
        ...


class Worker:
    """The process's parts, made in the loop that they live in."""

    def __init__(self, settings: Settings, reread: Callable[[], Settings], place: Place) -> None:
        loop = asyncio.get_running_loop()
        self._settings = self._start = settings
        self._reread = reread
        self._place = place
        self._clock = SystemClock()
        self._watch = TickingWatch(loop)
        self._stopping = asyncio.Event()
        self._look_now = asyncio.Event()
        self._looked = asyncio.Event()
        self._discovered: dict[str, list[str]] = {}
        self._retired: list[Outbound] = []
        self._seen = changes.look(settings.watched)
        self._beside: asyncio.Future[None] | None = None
        self._identities = Identities(self._clock.now, os.urandom)
        self._books = Books(settings, self._clock, LINGER if place.grpc else 0.0)
        self._outbound = Outbound(settings, self._watch, self._clock, self._books.keeper)
        servers = Providers(lambda: self._settings, lambda: self._outbound.lines)
        self._local = Local(settings, self._books.deployments, self._watch, self._clock, self._redirect, servers)
        self._counts = Counts(
            run=place.run,
            pid=os.getpid(),
            clock=self._clock,
            known=lambda name: any(model.name == name for model in self._settings.model),
            gauges={
                "foz_ledger_waiting": lambda: float(self._books.waiting),
                "foz_tasks": lambda: float(len(asyncio.all_tasks(loop))),
                "foz_connections": lambda: float(self._server.connections),
            },
        )
        self._services = Services(
            directory=self._snapshot(),
            ledger=self._books.ledger,
            book=self._books.book,
            meters=self._counts,
            clock=self._clock,
            dice=random.random,
            policy=_policy(settings),
            content=self._books.content,
            files=self._books.files,
            cache=self._books.cache(settings),
        )
        self._siblings = Siblings(run_directory(settings), place.run, os.getpid())
        self._labour: Labour | None = None
        gateway = Gateway(self._services)
        self._server: Front = self._make_grpc(gateway) if place.grpc else self._make_server(gateway)

    def _snapshot(self) -> Snapshot:
        """The directory of the moment: the settings' models, and those that the providers said they have."""
        day = datetime.fromtimestamp(self._clock.now() / 1000, UTC).date().isoformat()
        lines = {**self._outbound.lines, **self._local.lines}
        directory = snapshot(self._settings, lines, day, self._local.models)
        for provider, names in self._discovered.items():
            if provider in self._outbound.lines:
                directory = directory.with_discovered(provider, names)
        return directory

    def _make_grpc(self, gateway: Gateway) -> Front:
        """The library for gRPC is loaded where it is spoken, nowhere else."""
        make: Callable[..., Front] = import_module("foz.assembly.grpc").grpc_server
        return make(
            self._settings,
            self._place.grpc,
            self._place.inner,
            gateway=gateway,
            books=self._books,
            clock=self._clock,
            watch=self._watch,
            identities=self._identities,
            deployments=self._local.intake(self._identities.new),
        )

    def _redirect(self, anew: Sequence[str]) -> None:
        """The models that we run are others now; the targets named have new engines, which nobody has known yet."""
        for name in anew:
            self._services.health.did_well(name)
        self._services.directory = self._snapshot()

    def _make_server(self, gateway: Gateway) -> HttpServer:
        settings = self._settings
        names = SettledNames(lambda: self._settings, lambda: self._services.directory)
        every_face = faces(settings, names)
        skins = [face.skin for face in every_face]
        by_name = {skin.name: skin for skin in skins}
        lanes = self._place.lanes or settings.lanes
        new_id = self._identities.new
        receives = self._place.lanes is None
        self._labour = Labour(
            settings, self._books, gateway, by_name, self._clock, new_id, numbers=lanes, receives=receives
        )
        responding = Responding(gateway, self._books.responses, self._labour.jobs, self._clock)
        table = Table(skins, RESERVED)
        origins = frozenset({"*"} if settings.test_mode else settings.cors.origins)
        guard = Guard(self._books.keys, frozenset(settings.auth.open_skins), origins)
        fallback = skins[0]
        house = House(
            gateway=gateway,
            router=table.router,
            skins=by_name,
            fallback=fallback,
            guard=guard,
            watch=self._watch,
            identities=self._identities,
            limits=_limits(settings.limits),
            jobs=self._labour.jobs,
            attendants={RESPONSES: responding},
        )
        control = Control(
            version=foz.__version__,
            table=table,
            ready=self._reasons,
            metrics=Exposition(self._counts.snapshot, self._siblings),
            admit=lambda call: _admit(house, call),
            encode_fault=lambda fault, named, path: house.whose(path.encode()).encode_fault(fault, named),
            request_id=lambda call: request_id(call) or self._identities.new().hex(),
            cors=guard.cors_headers,
            max_body=settings.limits.max_body,
            ollama_port=settings.server.ollama_port,
        )
        desk = Desk(
            gateway,
            SqliteReports(settings.data),
            self._books.content,
            self._clock,
            self._books.files,
            self._labour.jobs,
            self._local.intake(self._identities.new),
            gpus(),
            responding,
        )
        routers = [face.router(desk) for face in every_face if face.router is not None]
        return HttpServer(house, make_control(control, routers), _tls(settings.server))

    def _reasons(self) -> Sequence[str]:
        reasons = list(self._books.troubles())
        if self._services.draining:
            reasons.append("draining: this process is being stopped")
        return reasons

    async def run(self) -> None:
        """Serves until told to stop, drains, and closes the books."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        await self._see_deployed()
        await self._server.listen(self._place.sockets)
        gc.collect()
        gc.freeze()
        gc.collect()  # of nothing: the next full one does not wait for a quarter of what was frozen
        gc.set_threshold(10_000, 10, 10)  # cycles of calls that were hung up stay below some MB, at 0.1 % of the time
        duties = [asyncio.ensure_future(duty) for duty in self._duties()]
        until = 0.0
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(FIRST_LOOK):
                    await self._looked.wait()
            if self._labour is not None:
                self._labour.workers.start()
            if self._place.lanes is None:
                await self._see_first_model()
            self._place.ready(self._snapshot())
            if self._place.beside is not None:  # now that the core is free for it
                self._beside = asyncio.ensure_future(keep_aside(self._place.beside, self._stopping))
            await self._stopping.wait()
            drain = self._settings.limits.drain
            until = loop.time() + drain
            ending = [] if self._labour is None else [self._labour.stop(drain)]
            await asyncio.gather(self._server.drain(drain), *ending)
        finally:
            await self._close(duties, max(until - loop.time(), 0.0))

    async def _see_deployed(self) -> None:
        """What is deployed, before anybody asks for it. Where it cannot be read, callers are served all the same."""
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_DEPLOYED):
                await tried("the models that run here are not seen yet", self._local.look)

    async def _see_first_model(self) -> None:
        """Until the model that comes with Foz runs, or will not; or not so long, or we are told to stop."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self._local.settled, self._stopping)]
        await asyncio.wait(waits, timeout=FIRST_MODEL, return_when=asyncio.FIRST_COMPLETED)
        for one in waits:
            one.cancel()
        await asyncio.wait(waits)

    def _duties(self) -> list[Coroutine[None, None, None]]:
        """What runs beside the calls; none of it can end the process by failing."""
        sleep = self._clock.sleep
        duties = [
            every(SECONDS, self._write_figures, "the other workers do not see this one's figures", sleep),
            every(LOOK_AGAIN, self._look_around, "the models that providers have are not looked up", self._rest),
            every(changes.SECONDS, self._look_at_files, "changed files of models and credentials are not read", sleep),
            every(LOOK_SECONDS, self._local.look, "changes of the models that run here are not seen", sleep),
            self._books.keep(),
            *([] if self._labour is None else self._labour.duties()),
        ]
        if self._place.lanes is None and not self._place.grpc:
            duties.append(self._local.own(self._identities.new))
        if self._place.lifeline is not None:
            duties.append(self._hold_on(self._place.lifeline))
        return duties

    async def _close(self, duties: Sequence["asyncio.Future[None]"], left: float) -> None:
        """Ends what runs and lets go of everything: each step, whatever the one before came to."""
        async with AsyncExitStack() as last_first:
            last_first.push_async_callback(self._books.close)
            if self._labour is not None:
                last_first.push_async_callback(self._labour.close)
            last_first.push_async_callback(self._outbound.close)
            last_first.push_async_callback(self._local.close, left)
            last_first.push_async_callback(self._write_figures)
            if self._beside is not None:
                last_first.push_async_callback(asyncio.wait, (self._beside,))
            for duty in duties:
                duty.cancel()
            await asyncio.wait(duties)

    async def _write_figures(self) -> None:
        self._siblings.write(self._counts.snapshot())

    async def _look_around(self) -> None:
        """Asks the providers for their models: now, from time to time, and after a reload."""
        self._look_now.clear()
        while self._retired:
            await self._retired.pop().close()
        found = await self._outbound.look()
        self._discovered.update(found)
        self._services.directory = self._snapshot()
        self._looked.set()

    async def _rest(self, seconds: float) -> None:
        """Until the time has passed, or the settings were read anew."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._look_now.wait()

    async def _hold_on(self, lifeline: socket.socket) -> None:
        lifeline.setblocking(False)
        with suppress(OSError):  # reset: gone as well
            await asyncio.get_running_loop().sock_recv(lifeline, 1)
        log.error("the supervisor is gone; stopping")
        self._stopping.set()

    async def _look_at_files(self) -> None:
        """Reads everything anew where a file beside the settings has changed."""
        seen = changes.look(self._settings.watched)
        if seen != self._seen:
            self._seen = seen
            self._reload()

    def _reload(self) -> None:
        """Providers, models and prices anew, swapped whole; doors and callers' keys from settings need a restart."""
        if self._place.beside is not None:
            self._place.beside.reload()
        try:
            settings = self._reread()
            outbound = Outbound(settings, self._watch, self._clock, self._books.keeper)
            wrong = changes.worse(self._settings, settings)
        except (ConfigError, ValueError) as error:
            wrong = str(error)
        if wrong is not None:
            log.error("the settings were not read anew, the old ones stay: %s", wrong)
            return
        self._retired.append(self._outbound)
        if settings.watched != self._settings.watched:
            self._seen = changes.look(settings.watched)
        waiting = changes.waiting(self._start, settings)
        self._settings, self._outbound = settings, outbound
        self._local.adopt(settings)
        self._services.directory = self._snapshot()
        self._services.cache = self._books.cache(settings)
        self._look_now.set()
        log.info("the settings were read anew")
        if waiting:
            log.warning("these settings are others now and wait for a restart: %s", "; ".join(waiting))


def _admit(house: House, call: Call) -> Principal:
    """Who asks on the control plane: a skin's own paths as its callers, all else with a key."""
    path = call.path.encode()
    name = house.router.whose(path)
    return house.guard.admit(house.whose(path).key(call), call, name)


def run_directory(settings: Settings) -> Path:
    """Where the workers of one run leave their figures for each other."""
    directory = settings.data / "run"
    directory.mkdir(mode=0o700, exist_ok=True)
    return directory


def _tls(server: sections.Server) -> tuple[str, str] | None:
    """The files of the certificate and its key, where callers come over TLS."""
    return (str(server.tls_cert), str(server.tls_key)) if server.tls_cert and server.tls_key else None


def _policy(settings: Settings) -> Policy:
    retries, breaker, limits = settings.retries, settings.breaker, settings.limits
    return Policy(
        retries=RetryPolicy(
            again=retries.attempts - 1,
            budget=retries.budget,
            pause=retries.backoff,
            longest_pause=retries.backoff_cap,
            retry_after_cap=retries.retry_after_cap,
        ),
        breaker=BreakerPolicy(
            failures=sys.maxsize if settings.test_mode else breaker.failures,  # its failures were asked for
            window=breaker.window,
            cool_down=breaker.cool_down,
        ),
        relay=settings.gateway.relay,
        captured=frozenset(settings.ledger.capture),
        max_answer=limits.max_answer,
        max_in_flight=limits.max_in_flight,
    )


def _limits(limits: sections.Limits) -> Limits:
    """What one connection may take up."""
    return Limits(
        max_body=limits.max_body,
        max_header=limits.max_header,
        max_connections=limits.max_connections,
        header_timeout=limits.header_timeout,
        body_timeout=limits.body_timeout,
        idle_timeout=limits.idle_timeout,
        write_timeout=limits.write_timeout,
        keep_alive=limits.keep_alive,
    )
