"""`foz serve`: one process, or a supervisor and its workers; and what is said when they are ready."""

import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from uuid import uuid4

import uvloop
from msgspec import Struct

import foz
from foz.assembly.books import has_keys
from foz.assembly.nodes import check_cluster
from foz.assembly.worker import Place, Worker, run_directory
from foz.canon.model import Placement
from foz.config.address import Address
from foz.config.exposure import check_exposure, check_tls, grpc_place, make_data
from foz.config.greeting import greeting
from foz.config.load import process_environment
from foz.config.settings import Settings
from foz.gateway.resolve import Snapshot
from foz.net.clock import SystemClock
from foz.serve.http.server import InUse, bind, bind_shared
from foz.serve.porter import Porch, porch, reserve
from foz.serve.supervisor import READY, Plan, supervise, this_program
from foz.serve.supervisor import Worker as Keeper
from foz.telemetry.siblings import Siblings

log = logging.getLogger("foz.launch")

Reread = Callable[[], Settings]
_GRPC = {"GRPC_EXPERIMENTS": "-event_engine_listener"}
"""
The poller reads the sockets itself: gRPC's newer listeners hand what came from thread to thread before it gets there,
which takes a tenth of an echo's time. A gRPC that does not know the word any more ignores it.
"""


class Assignment(Struct, frozen=True):
    """What the supervisor told this worker."""

    lifeline: int
    sockets: tuple[int, ...]
    herald: bool
    """Whether this is the one that says where we listen."""
    run: str
    grpc: str = ""
    """Where it listens for gRPC, instead of the sockets."""
    inner: str = ""
    """Where its first callers are led to it."""


def serve(settings: Settings, reread: Reread, arguments: Sequence[str]) -> None:
    """Runs the gateway until it is told to stop. `arguments` start it again in a worker."""
    _be_deaf()
    make_data(settings.data)
    check_exposure(settings, has_keys=has_keys(settings, SystemClock()))
    check_tls(settings)
    check_cluster(settings)
    for warning in settings.warnings:
        log.warning("%s", warning)
    run = uuid4().hex
    Siblings(run_directory(settings), run, os.getpid()).clear()
    if settings.server.workers == 1:
        sockets = tuple(
            bind(address.host, address.port, taken=_taken(settings, address)) for address in settings.server.addresses
        )
        with _held(settings) as held:
            beside = _beside(settings, held, run, arguments)
            place = Place(sockets, run, lambda directory: say(settings, sockets, directory), beside=beside)
            uvloop.run(_work(settings, reread, place))
    else:
        _supervise(settings, run, arguments)


def work(settings: Settings, reread: Reread, assignment: Assignment) -> None:
    """One worker of several."""
    _be_deaf()
    check_tls(settings)
    if assignment.grpc:
        _be_patient()
    lifeline = socket.socket(fileno=assignment.lifeline)
    sockets = tuple(socket.socket(fileno=number) for number in assignment.sockets)

    def ready(directory: Snapshot) -> None:
        if assignment.herald and not assignment.grpc:
            say(settings, sockets, directory)
        elif assignment.herald and not assignment.inner:
            _say_grpc(settings, assignment.grpc)
        with suppress(OSError):  # the supervisor is gone: the lifeline tells it later
            lifeline.send(READY)

    place = Place(sockets, assignment.run, ready, lifeline, grpc=assignment.grpc, inner=assignment.inner)
    uvloop.run(_work(settings, reread, place))


def labour(settings: Settings, reread: Reread, lanes: Mapping[Placement, int]) -> None:
    """Works at jobs until told to stop, and listens nowhere."""
    _be_deaf()
    make_data(settings.data)
    for warning in settings.warnings:
        log.warning("%s", warning)

    def ready(_: Snapshot) -> None:
        told = " and ".join(f"{count} {lane.value} jobs" for lane, count in lanes.items())
        sys.stdout.write(f"foz {foz.__version__} works at {told} at once\n")
        sys.stdout.flush()

    uvloop.run(_work(settings, reread, Place((), uuid4().hex, ready, lanes=lanes)))


def _be_deaf() -> None:
    """Settings are being read just now: to be told to do so anew must not end the process (see signal(7))."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _be_patient() -> None:
    """
    Threads of this process, gRPC's among them, do not interrupt each other: who wakes up waits until the other rests.
    gRPC's poller wakes for each of a call's events and hands it to the loop; on one core it would stop the loop each
    time. Measured: of a stream's messages a quarter more for each processor second, of whole calls a tenth.
    """
    if sys.platform == "linux":
        with suppress(OSError):  # not allowed to: then it costs more
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


async def _work(settings: Settings, reread: Reread, place: Place) -> None:
    await Worker(settings, reread, place).run()


def _taken(settings: Settings, address: Address) -> str:
    """What to do where somebody else listens at an address; nothing where the usual words will do."""
    server = settings.server
    if not server.ollama_port or address != Address(server.host, server.ollama_port):
        return ""
    return "stop the Ollama server that has it, or leave out [server] ollama_port (FOZ_OLLAMA_PORT)"


def _supervise(settings: Settings, run: str, arguments: Sequence[str]) -> None:
    count = settings.server.workers
    server = settings.server
    each = [bind_shared(at.host, at.port, count, taken=_taken(settings, at)) for at in server.addresses]
    siblings = Siblings(run_directory(settings), run, os.getpid())
    plan = Plan(
        command=(*this_program(arguments), "--run", run),
        sockets=tuple(zip(*each, strict=True)),
        drain=settings.limits.drain,
        buried=siblings.bury,
    )
    with _held(settings) as held:
        beside = _plan_of_grpc(settings, held, run, arguments)
        status = uvloop.run(supervise(plan) if beside is None else supervise(plan, beside))
    if status:
        sys.exit(status)


@contextmanager
def _held(settings: Settings) -> Iterator[Address | None]:
    """Where gRPC listens, the port held for it; None where it does not. Raises InUse where that was asked for."""
    place = grpc_place(settings)
    if place is None:
        yield None
        return
    try:
        holder = reserve(place.host, place.port)
    except InUse as error:
        if "grpc.port" in settings.sources:
            raise
        log.warning("%s; gRPC is off, HTTP goes on ([grpc] port chooses another, 0 is off)", error)
        yield None
        return
    with holder:
        yield place


def _beside(settings: Settings, held: Address | None, run: str, arguments: Sequence[str]) -> Keeper | None:
    plan = _plan_of_grpc(settings, held, run, arguments)
    return None if plan is None else Keeper(0, plan)


def _plan_of_grpc(settings: Settings, held: Address | None, run: str, arguments: Sequence[str]) -> Plan | None:
    if held is None:
        return None
    found = _porch(settings, held, run)
    inner = () if found is None else ("--inner", found.inner)
    return Plan(
        command=(*this_program(arguments), "--run", run, "--grpc", str(held), *inner),
        sockets=((),),
        drain=settings.limits.drain,
        buried=Siblings(run_directory(settings), run, os.getpid()).bury,
        name="the gRPC process",
        porch=found,
        environment={**_GRPC, **process_environment()},
    )


def _porch(settings: Settings, held: Address, run: str) -> Porch | None:
    """
    The process starts with the first call where only this machine can call: the library takes 80 MB, and most who
    start Foz never ask for it. Where others call too it starts at once: whoever has opened it means it.
    """
    if sys.platform != "linux" or not held.loopback:
        return None
    return Porch(porch(held.host, held.port), f"foz-grpc-{run}", lambda: _say_grpc(settings, str(held)))


def _say_grpc(settings: Settings, place: str) -> None:
    sys.stdout.write(f"gRPC: {place}{'' if settings.server.tls else ', without TLS'}\n")
    sys.stdout.flush()


def say(settings: Settings, sockets: Sequence[socket.socket], directory: Snapshot) -> None:
    """Where it listens, which models it has, and a line to try."""
    scheme = "https" if settings.server.tls else "http"
    places = [_place(scheme, listener) for listener in sockets]
    keyed = has_keys(settings, SystemClock())
    sys.stdout.write(greeting(settings, directory, places, foz.__version__, keyed=keyed))
    sys.stdout.flush()


def _place(scheme: str, listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
