"""`foz serve`: one process, or a supervisor and its workers; and what is said when they are ready."""

import logging
import os
import socket
import sys
from collections.abc import Callable, Sequence
from uuid import uuid4

import uvloop
from msgspec import Struct

import foz
from foz.assembly.books import has_keys
from foz.assembly.worker import Place, Worker, run_directory
from foz.config.exposure import check_exposure, make_data
from foz.config.settings import Settings
from foz.gateway.resolve import Snapshot
from foz.net.clock import SystemClock
from foz.serve.http.server import bind, bind_shared
from foz.serve.supervisor import Plan, supervise, this_program
from foz.telemetry.siblings import Siblings

log = logging.getLogger("foz.launch")

SHOWN_MODELS = 12
Reread = Callable[[], Settings]


class Assignment(Struct, frozen=True):
    """What the supervisor told this worker."""

    lifeline: int
    sockets: tuple[int, ...]
    herald: bool
    """Whether this is the one that says where we listen."""
    run: str


def serve(settings: Settings, reread: Reread, arguments: Sequence[str]) -> None:
    """Runs the gateway until it is told to stop. `arguments` start it again in a worker."""
    make_data(settings.data)
    check_exposure(settings, has_keys=has_keys(settings, SystemClock()))
    run = uuid4().hex
    Siblings(run_directory(settings), run, os.getpid()).clear()
    if settings.server.workers == 1:
        sockets = tuple(bind(address.host, address.port) for address in settings.server.addresses)
        place = Place(sockets, run, lambda directory: say(settings, sockets, directory))
        uvloop.run(_work(settings, reread, place))
    else:
        _supervise(settings, run, arguments)


def work(settings: Settings, reread: Reread, assignment: Assignment) -> None:
    """One worker of several."""
    lifeline = socket.socket(fileno=assignment.lifeline)
    sockets = tuple(socket.socket(fileno=number) for number in assignment.sockets)

    def ready(directory: Snapshot) -> None:
        if assignment.herald:
            say(settings, sockets, directory)

    uvloop.run(_work(settings, reread, Place(sockets, assignment.run, ready, lifeline)))


async def _work(settings: Settings, reread: Reread, place: Place) -> None:
    await Worker(settings, reread, place).run()


def _supervise(settings: Settings, run: str, arguments: Sequence[str]) -> None:
    count = settings.server.workers
    each = [bind_shared(address.host, address.port, count) for address in settings.server.addresses]
    siblings = Siblings(run_directory(settings), run, os.getpid())
    plan = Plan(
        command=(*this_program(arguments), "--run", run),
        sockets=tuple(zip(*each, strict=True)),
        drain=settings.limits.drain,
        buried=siblings.bury,
    )
    uvloop.run(supervise(plan))


def say(settings: Settings, sockets: Sequence[socket.socket], directory: Snapshot) -> None:
    """Where it listens, which models it has, and a line to try."""
    scheme = "https" if settings.server.tls else "http"
    places = [_place(scheme, listener) for listener in sockets]
    names = [model.name for model in directory.models()]
    shown = ", ".join(names[:SHOWN_MODELS]) + (
        f" and {len(names) - SHOWN_MODELS} more" if len(names) > SHOWN_MODELS else ""
    )
    passing = [one.name for one in settings.providers if one.state == "ready" and one.name != "simulated"]
    lines = [f"Foz {foz.__version__} listens on {' and '.join(places)} (reference: {places[0]}/docs)"]
    lines.append(f"Models: {shown or 'none are named in foz.toml'}")
    if passing:
        lines.append(f"And every model of {', '.join(passing)}, as 'provider/model'.")
    keyed = settings.auth.api_key is not None or settings.auth.admin_key is not None
    lines += ["Try:", _curl(places[0], names[0] if names else "provider/model", keyed=keyed)]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _place(scheme: str, listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _curl(place: str, model: str, *, keyed: bool) -> str:
    key = "-H 'Authorization: Bearer YOUR-KEY' " if keyed else ""
    body = f'{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello!"}}]}}'
    return f"  curl {place}/v1/chat/completions -H 'Content-Type: application/json' {key}-d '{body}'"
