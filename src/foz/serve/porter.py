"""
A port that is held for a process that opens its own socket; and who opens to its first callers, where it starts only
when it is called.

A port is held by a socket that is bound and not listened on, so that no connection waits there. Whoever listens shares
it (SO_REUSEPORT); nobody of another user can, and nobody at all who does not share.

Where there is a porch, the port is listened on here until somebody calls. Then the process is started; it listens on
the same port, and from when it serves nothing is taken here any more. Who had called here by then is led to it: their
bytes are passed, both ways and unread, over a socket of this machine that the process has for just these callers. It
asks them to come again (GOAWAY after a moment, which clients of HTTP/2 follow by themselves), and then they come to the
port: nobody is passed on for long.

Only for callers of this machine: the process takes whoever comes over that socket for one.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import suppress

from msgspec import Struct

from foz.serve.http.server import InUse

log = logging.getLogger("foz.porter")

MOST = 1000
"""Callers that wait or are passed on at a time; who comes beyond them is turned away."""
_PIECE = 64 * 1024
_REST = 0.5
"""Seconds without a look at the port, where no more sockets can be opened."""


def reserve(host: str, port: int) -> socket.socket:
    """The holder of a port, as long as it is open. Raises InUse."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:  # first a plain bind, which fails where somebody listens
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
        holder = socket.socket(family)
        try:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            holder.bind((host, port))
        except OSError:
            holder.close()
            raise
    except OSError as error:
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        why = (error.strerror or str(error)).lower()
        raise InUse(f"cannot listen for gRPC on {place}: {why}") from error
    return holder


def porch(host: str, port: int) -> socket.socket:
    """A listener at a port that is held: connections wait there for who takes them. Raises InUse."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise InUse(
            f"cannot listen for gRPC on port {port} of {host}: {(error.strerror or str(error)).lower()}"
        ) from error
    return listener


class Porch(Struct, frozen=True):
    """Where the first callers of a process wait, and where they are led."""

    listener: socket.socket
    inner: str
    """The name of an abstract socket of Unix."""
    say: Callable[[], None]
    """Says that callers may come."""


class Porter:
    """Made in the loop that takes the callers; listens from its making to `lead` or `close`."""

    def __init__(self, porch: Porch) -> None:
        self._loop = asyncio.get_running_loop()
        self._porch = porch
        self._called = asyncio.Event()
        self._served = asyncio.Event()
        self._callers: set[asyncio.Task[None]] = set()
        self._resting: asyncio.TimerHandle | None = None
        porch.listener.setblocking(False)
        self._look()
        porch.say()

    async def wait(self, stopping: asyncio.Event) -> bool:
        """Until somebody calls: True; or we are told to stop: False."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self._called, stopping)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for one in waits:
            one.cancel()
        await asyncio.wait(waits)
        return self._called.is_set() and not stopping.is_set()

    def lead(self) -> None:
        """The process serves: whoever came here is led to it, and nobody comes here any more. Idempotent."""
        if not self._served.is_set():
            self._served.set()
            self._take()
            self._shut()

    async def close(self) -> None:
        """Takes nobody, and leaves those that it has."""
        self._shut()
        for one in self._callers:
            one.cancel()
        if self._callers:
            await asyncio.wait(self._callers)

    def _look(self) -> None:
        self._resting = None
        self._loop.add_reader(self._porch.listener.fileno(), self._take)

    def _shut(self) -> None:
        listener = self._porch.listener
        if listener.fileno() >= 0:
            self._loop.remove_reader(listener.fileno())
            listener.close()
        if self._resting is not None:
            self._resting.cancel()

    def _take(self) -> None:
        while True:
            try:
                line, _ = self._porch.listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                log.warning("callers of gRPC wait: %s", error.strerror or error)
                self._loop.remove_reader(self._porch.listener.fileno())
                self._resting = self._loop.call_later(_REST, self._look)
                return
            if len(self._callers) >= MOST:
                line.close()
                continue
            line.setblocking(False)
            task = self._loop.create_task(self._lead(line), name="caller")
            self._callers.add(task)
            task.add_done_callback(self._callers.discard)
            self._called.set()

    async def _lead(self, line: socket.socket) -> None:
        loop = self._loop
        with (
            line,
            socket.socket(socket.AF_UNIX) as inner,
            suppress(OSError),
        ):  # one of the two is gone, and so the other
            inner.setblocking(False)
            await self._served.wait()
            await loop.sock_connect(inner, f"\0{self._porch.inner}")
            asking = loop.create_task(_pass(loop, line, inner))
            try:
                await _pass(loop, inner, line)
            finally:
                asking.cancel()
                await asyncio.wait((asking,))


async def _pass(loop: asyncio.AbstractEventLoop, source: socket.socket, sink: socket.socket) -> None:
    """All that comes, to its end."""
    with suppress(OSError):
        while piece := await loop.sock_recv(source, _PIECE):
            await loop.sock_sendall(sink, piece)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
