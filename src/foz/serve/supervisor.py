"""
N workers on one port, kept alive.

The supervisor owns one listening socket for each worker (the kernel deals connections out among them); a worker that
dies leaves its socket behind, and with it the connections that nobody had taken yet, to its successor.
A socket pair is each worker's lifeline: the worker leaves when it closes, so none outlives a killed supervisor.
"""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

from msgspec import Struct

log = logging.getLogger("foz.supervisor")

SHORT_LIFE = 5.0
LONGEST_PAUSE = 5.0


class Plan(Struct, frozen=True):
    """What to run: `command` is completed with a worker's number and file descriptors."""

    command: tuple[str, ...]
    sockets: tuple[tuple[socket.socket, ...], ...]
    """For each worker, the sockets that it serves."""
    drain: float
    buried: Callable[[int], None]
    """Told the process id of a worker that has died, before its successor starts."""


class Worker:
    """One place, held by one process after another."""

    def __init__(self, number: int, plan: Plan) -> None:
        self.number = number
        self._herald = number == 0
        self._plan = plan
        self._process: asyncio.subprocess.Process | None = None
        self._pause = 0.1

    async def keep(self, stopping: asyncio.Event) -> None:
        """Starts a process, and another whenever it dies, until told to stop."""
        loop = asyncio.get_running_loop()
        while not stopping.is_set():
            began = loop.time()
            ours, theirs = socket.socketpair()
            with ours:
                with theirs:
                    self._process = await self._start(theirs)
                code = await self._process.wait()
            self._plan.buried(self._process.pid)
            if stopping.is_set():
                return
            if loop.time() - began > SHORT_LIFE:
                self._pause = 0.1
            log.error("worker %d ended with code %s; starting another in %.1f s", self.number, code, self._pause)
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), self._pause)
            self._pause = min(self._pause * 2, LONGEST_PAUSE)

    async def _start(self, lifeline: socket.socket) -> asyncio.subprocess.Process:
        herald, self._herald = self._herald, False
        sockets = self._plan.sockets[self.number]
        numbers = [listener.fileno() for listener in sockets]
        return await asyncio.create_subprocess_exec(
            *self._plan.command,
            "--worker",
            f"{lifeline.fileno()}:{','.join(map(str, numbers))}:{'first' if herald else ''}",
            pass_fds=(*numbers, lifeline.fileno()),
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is ours to pass on
        )

    def reload(self) -> None:
        """Tells the process to read its settings anew."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGHUP)

    async def stop(self, seconds: float) -> None:
        """Asks the process to go, and makes it."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), seconds)
        except TimeoutError:
            log.exception("worker %d did not stop within %g seconds; killing it", self.number, seconds)
            with suppress(ProcessLookupError):
                process.kill()


async def supervise(plan: Plan) -> None:
    """Runs until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    workers = [Worker(number, plan) for number in range(len(plan.sockets))]
    loop.add_signal_handler(signal.SIGHUP, _pass_on, workers)
    async with asyncio.TaskGroup() as group:
        keepers = [group.create_task(worker.keep(stopping)) for worker in workers]
        await stopping.wait()
        await asyncio.gather(*(worker.stop(plan.drain + 5) for worker in workers))
        for keeper in keepers:
            keeper.cancel()


def _pass_on(workers: Sequence[Worker]) -> None:
    for worker in workers:
        worker.reload()


def this_program(arguments: Sequence[str]) -> tuple[str, ...]:
    """The command that runs Foz again in this interpreter."""
    return (sys.executable, "-m", "foz", *arguments)
