"""Listening, serving until told to stop, and draining: what uvicorn's own server does, for our door."""

import asyncio
import errno
import logging
import socket
from collections.abc import Sequence

from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.server import ServerState

from foz.serve.http.door import Door
from foz.serve.http.house import House

log = logging.getLogger("foz.server")

BACKLOG = 2048
_BREATH = 0.02


_TODO = {
    errno.EADDRINUSE: "; choose another with --port",
    errno.EACCES: "; choose a port of 1024 or more with --port",
    errno.EADDRNOTAVAIL: "; choose an address of this machine with --host",
}


class InUse(OSError):
    """We cannot listen there, mostly because somebody does already."""


def bind(host: str, port: int, *, shared: bool = False, taken: str = "") -> socket.socket:
    """
    A bound, listening socket. `shared` lets several sockets of this process tree listen on one port,
    the kernel dealing connections out; first a plain bind shows that nobody else is there.
    `taken` says what to do where somebody else is.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # else asyncio leaves Nagle on
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        why = (error.strerror or str(error)).lower()
        todo = f"; {taken}" if taken and error.errno == errno.EADDRINUSE else _TODO.get(error.errno or 0, "")
        raise InUse(f"cannot listen on {place}: {why}{todo}") from error
    listener.setblocking(False)
    return listener


def bind_shared(host: str, port: int, count: int, *, taken: str = "") -> list[socket.socket]:
    """`count` sockets on one port, one for each worker."""
    probe = bind(host, port, taken=taken)
    port = probe.getsockname()[1]
    probe.close()
    return [bind(host, port, shared=True) for _ in range(count)]


class HttpServer:
    """All connections of one process."""

    def __init__(self, house: House, app: ASGIApp, ssl_files: tuple[str, str] | None = None) -> None:
        self._house = house
        self._config = Config(
            app,
            loop="none",
            http=Door,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=int(house.limits.idle_timeout),
            ssl_certfile=ssl_files[0] if ssl_files else None,
            ssl_keyfile=ssl_files[1] if ssl_files else None,
        )
        self._config.load()
        self._state = ServerState()
        self._servers: list[asyncio.Server] = []

    async def listen(self, sockets: Sequence[socket.socket]) -> None:
        """Takes connections from now on."""
        loop = asyncio.get_running_loop()
        tls = self._config.ssl
        patience = self._house.limits.header_timeout if tls is not None else None
        for listener in sockets:
            server = await loop.create_server(
                lambda: Door(self._config, self._state, self._house, loop),
                sock=listener,
                ssl=tls,
                backlog=BACKLOG,
                ssl_handshake_timeout=patience,
                ssl_shutdown_timeout=patience,
            )
            self._servers.append(server)

    @property
    def busy(self) -> int:
        """Tasks that serve somebody."""
        return len(self._state.tasks)

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._state.connections)

    async def drain(self, seconds: float) -> None:
        """Takes no more, lets what runs finish for so long, then stops it."""
        self._house.gateway.services.draining = True
        for server in self._servers:
            server.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        if self._state.tasks:
            await asyncio.wait(list(self._state.tasks), timeout=seconds)
        left = list(self._state.tasks)
        if left:
            self._house.gateway.services.stopping = True
            log.warning("stopping %d answers that did not finish within %g seconds", len(left), seconds)
            for task in left:
                task.cancel()
            await asyncio.wait(left, timeout=seconds or 1)
        for connection in list(self._state.connections):
            if connection.transport is not None:
                connection.transport.close()
        await asyncio.sleep(_BREATH)  # for what was written to leave
