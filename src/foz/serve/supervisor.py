"""
N workers on one port, kept alive.

The supervisor owns one listening socket for each worker (the kernel deals connections out among them); a worker that
dies leaves its socket behind, and with it the connections that nobody had taken yet, to its successor.
A socket pair is each worker's lifeline: the worker leaves when it closes, so none outlives a killed supervisor.
Over it the worker says when it is ready. Until then it hears no signal but the end, and what it was to announce
is left to its successor.
"""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from msgspec import Struct

from foz.serve.porter import Porch, Porter

log = logging.getLogger("foz.supervisor")

SHORT_LIFE = 5.0
SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
UNUSABLE = 78
"""The exit status of a worker whose settings or data cannot be used (EX_CONFIG): another would fare no better."""
READY = b"!"
"""What a worker says over its lifeline when it serves."""
_AFTER_DRAIN = 5.0
_LAST_WORD = 1.0
"""Seconds in which a dead worker's last word is here."""


class Plan(Struct, frozen=True):
    """What to run: `command` is completed with a worker's number and file descriptors."""

    command: tuple[str, ...]
    sockets: tuple[tuple[socket.socket, ...], ...]
    """For each worker, the sockets that it serves."""
    drain: float
    buried: Callable[[int], None]
    """Told the process id of a worker that has died, before its successor starts."""
    name: str = ""
    """What its only worker is called, where that is not a number."""
    porch: Porch | None = None
    """Where its only worker is started by its first caller."""
    environment: Mapping[str, str] | None = None
    """Of the workers, where it is not ours."""


class Worker:
    """One place, held by one process after another."""

    def __init__(self, number: int, plan: Plan) -> None:
        self.number = number
        self.name = plan.name or f"worker {number}"
        self.was_ready = False
        """Whether any process of this place has served."""
        self.porch = plan.porch
        self.when_ready: Callable[[], None] | None = None
        """Told each time that a process serves."""
        self._plan = plan
        self._process: asyncio.subprocess.Process | None = None
        self._ready = False
        self._stale = False
        """The settings were to be read anew before the process could hear it."""
        self._pause = SHORTEST_PAUSE

    async def keep(self, stopping: asyncio.Event) -> int:
        """
        Starts a process, and another whenever it dies, until told to stop; none outlives this.
        UNUSABLE where the first one says that none can ever serve; else 0.
        """
        loop = asyncio.get_running_loop()
        while not stopping.is_set():
            began = loop.time()
            code = await self._run(stopping)
            if stopping.is_set():
                break
            if code == UNUSABLE and not self.was_ready:
                return UNUSABLE
            if loop.time() - began > SHORT_LIFE:
                self._pause = SHORTEST_PAUSE
            log.error("%s ended with code %s; starting another in %.1f s", self.name, code, self._pause)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause):
                    await stopping.wait()
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
        return 0

    def reload(self) -> None:
        """Has the process read its settings anew, as soon as it can."""
        if self._process is None or not self._ready:
            self._stale = True
        elif self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGHUP)

    async def _run(self, stopping: asyncio.Event) -> int | None:
        """One process from its start to its end: its exit status, None where it could not be started."""
        ours, theirs = socket.socketpair()
        with ours:
            ours.setblocking(False)
            with theirs:
                try:
                    process = self._process = await self._start(theirs)
                except OSError as error:
                    log.error("%s cannot be started: %s", self.name, error)  # noqa: TRY400 - it says all
                    return None
            hearing = asyncio.ensure_future(self._hear(ours))
            ending, asking = asyncio.ensure_future(process.wait()), asyncio.ensure_future(stopping.wait())
            await asyncio.wait((ending, asking), return_when=asyncio.FIRST_COMPLETED)
            if not ending.done():
                await self._stop(process)
            code = await ending
            await asyncio.wait((hearing,), timeout=_LAST_WORD)
            hearing.cancel()
            asking.cancel()
            await asyncio.wait((hearing, asking))
        self._ready = False
        try:
            self._plan.buried(process.pid)
        except OSError as error:
            log.warning("the figures of %s, which has died, are not kept: %s", self.name, error)
        return code

    async def _hear(self, lifeline: socket.socket) -> None:
        with suppress(OSError):  # reset: it died without a word
            if await asyncio.get_running_loop().sock_recv(lifeline, 1) == READY:
                self._ready = self.was_ready = True
                if self.when_ready is not None:
                    self.when_ready()
                if self._stale:
                    self._stale = False
                    self.reload()

    async def _start(self, lifeline: socket.socket) -> asyncio.subprocess.Process:
        herald = self.number == 0 and not self.was_ready
        sockets = self._plan.sockets[self.number]
        numbers = [listener.fileno() for listener in sockets]
        self._stale = False  # it reads them now
        return await asyncio.create_subprocess_exec(
            *self._plan.command,
            "--worker",
            f"{lifeline.fileno()}:{','.join(map(str, numbers))}:{'first' if herald else ''}",
            pass_fds=(*numbers, lifeline.fileno()),
            stdin=asyncio.subprocess.DEVNULL,
            env=self._plan.environment,
            start_new_session=True,  # Ctrl-C is ours to pass on
        )

    async def _stop(self, process: asyncio.subprocess.Process) -> None:
        """Asks the process to go, and makes it."""
        with suppress(ProcessLookupError):
            process.terminate()
        seconds = self._plan.drain + _AFTER_DRAIN
        try:
            async with asyncio.timeout(seconds):
                await process.wait()
        except TimeoutError:
            log.error("%s did not stop within %g seconds; killing it", self.name, seconds)  # noqa: TRY400 - it says all
            with suppress(ProcessLookupError):
                process.kill()


async def supervise(plan: Plan, *beside: Plan) -> int:
    """
    Runs until SIGTERM or SIGINT: 0; or until a worker has found that none can ever serve: UNUSABLE. The plans beside
    it are kept too; if one of theirs can never serve, the others go on.
    """
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    workers = [Worker(number, plan) for number in range(len(plan.sockets))]
    others = [Worker(0, other) for other in beside]
    loop.add_signal_handler(signal.SIGHUP, _pass_on, (*workers, *others))

    async def keep(worker: Worker) -> int:
        status = await worker.keep(stopping)
        stopping.set()
        return status

    aside = [asyncio.ensure_future(keep_aside(other, stopping)) for other in others]
    status = max(await asyncio.gather(*map(keep, workers)))
    await asyncio.gather(*aside)
    return status


async def keep_aside(worker: Worker, stopping: asyncio.Event) -> None:
    """Keeps one whose end is not the others', from when it is called where it has a porch."""
    porch = worker.porch
    status = await worker.keep(stopping) if porch is None else await _keep_called(worker, porch, stopping)
    if status == UNUSABLE:
        log.error("%s cannot serve, see above; the rest goes on without it", worker.name)


async def _keep_called(worker: Worker, porch: Porch, stopping: asyncio.Event) -> int:
    porter = Porter(porch)
    worker.when_ready = porter.lead
    try:
        return await worker.keep(stopping) if await porter.wait(stopping) else 0
    finally:
        await porter.close()


def _pass_on(workers: Sequence[Worker]) -> None:
    for worker in workers:
        worker.reload()


def this_program(arguments: Sequence[str]) -> tuple[str, ...]:
    """The command that runs Foz again in this interpreter."""
    return (sys.executable, "-m", "foz", *arguments)
