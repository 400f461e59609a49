"""
Listening, serving until told to stop, and draining: what `serve/http/server.py` is to HTTP.

gRPC opens its own socket: whoever starts this process holds the port for it (`serve/porter.py`).

A server of `grpc.aio` asks for one call at a time: until the loop has heard of it and has asked for the next one, the
others wait, and for each the loop goes to sleep and is woken. So several stand side by side on the port, and the kernel
deals connections out among them: measured with eight connections, 0.3 wakes a call instead of 1, and a sixth more calls
for each processor second. They take no memory to speak of.
"""

import asyncio
import logging
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import grpc
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from msgspec import Struct

from foz.serve.grpc.calls import Calls, House
from foz.skins.model_grpc.skin import SERVICE

log = logging.getLogger("foz.grpc")

_UP, _DOWN = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
_SERVICES = ("", SERVICE)
DOORS = 4 if sys.platform == "linux" else 1
"""Servers on the port: elsewhere the kernel does not deal connections out."""
_BREATH = 1.0
_BRIEFLY = (("grpc.max_connection_age_ms", 1000),)
"""Calls that run are served to their end; for the next one a connection to the port itself is made."""


def _is_no_leaving(record: logging.LogRecord) -> bool:
    """What gRPC's library complains of, but for callers who leave while the end of their answer is sent."""
    error = record.exc_info[1] if record.exc_info else None
    if not isinstance(error, aio.InternalError):
        return True
    log.debug("a caller left while an answer was sent: %s", error)
    return False


def hush() -> None:
    """That a caller leaves is no error."""
    logging.getLogger("grpc._cython.cygrpc").addFilter(_is_no_leaving)


class Manner(Struct, frozen=True):
    """How it listens; sizes in bytes, times in seconds."""

    place: str
    inner: str
    """The abstract socket of Unix to which first callers are led (`serve/porter.py`); empty where there are none."""
    max_message: int
    max_metadata: int
    max_streams: int
    """Of one connection."""
    max_connections: int
    header_timeout: float
    idle: float
    keepalive: float
    cert: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None
    """Whoever signed clients' certificates; then each must show one."""

    @property
    def options(self) -> list[tuple[str, int]]:
        """Arguments of gRPC's channels."""
        wait = round(self.keepalive * 1000)
        return [
            ("grpc.so_reuseport", 1),
            ("grpc.max_receive_message_length", self.max_message),
            ("grpc.max_send_message_length", -1),
            ("grpc.max_metadata_size", self.max_metadata),
            ("grpc.absolute_max_metadata_size", self.max_metadata),
            ("grpc.max_concurrent_streams", self.max_streams),
            ("grpc.max_allowed_incoming_connections", -(-self.max_connections // DOORS)),
            ("grpc.server_handshake_timeout_ms", round(self.header_timeout * 1000)),
            ("grpc.max_connection_idle_ms", round(self.idle * 1000)),
            ("grpc.keepalive_time_ms", wait),
            ("grpc.keepalive_timeout_ms", wait // 3),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_ping_interval_without_data_ms", 5000),
        ]


class CannotListen(OSError):
    """The address is taken, or not this machine's."""


class GrpcServer:
    """All calls of one process. Make it in the loop that serves."""

    def __init__(self, house: House, manner: Manner) -> None:
        hush()
        self._manner = manner
        self._services = house.desk.gateway.services
        self.calls = Calls(house, asyncio.get_running_loop())
        self._health = health.aio.HealthServicer()
        self._doors = [(manner.place, self._door(manner.options)) for _ in range(DOORS)]
        if manner.inner:
            self._doors.append((f"unix-abstract:{manner.inner}", self._door([*manner.options, *_BRIEFLY])))

    def _door(self, options: "Sequence[tuple[str, int]]") -> aio.Server:
        door = aio.server(handlers=(self.calls,), options=options)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, door)
        reflection.enable_server_reflection((SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), door)
        return door

    async def listen(self, sockets: Sequence[socket.socket]) -> None:
        """Takes calls from now on. `sockets` are none: gRPC opens its own. Raises CannotListen."""
        del sockets
        credentials = self._credentials()
        for place, door in self._doors:
            try:
                if credentials is None:
                    door.add_insecure_port(place)
                else:
                    door.add_secure_port(place, credentials)
            except RuntimeError as error:
                raise CannotListen(f"cannot listen for gRPC on {place}: {error}") from error
            await door.start()
        for name in _SERVICES:
            await self._health.set(name, _UP)

    def _credentials(self) -> grpc.ServerCredentials | None:
        manner = self._manner
        if manner.cert is None or manner.key is None:
            return None
        authority = None if manner.client_ca is None else manner.client_ca.read_bytes()
        return grpc.ssl_server_credentials(
            [(manner.key.read_bytes(), manner.cert.read_bytes())],
            root_certificates=authority,
            require_client_auth=authority is not None,
        )

    @property
    def connections(self) -> int:
        """Calls that are being served: gRPC does not tell its connections."""
        return len(self.calls.tasks)

    async def drain(self, seconds: float) -> None:
        """Takes no more, lets what runs finish for so long, then stops it."""
        self._services.draining = True
        for name in _SERVICES:
            await self._health.set(name, _DOWN)
        ending = asyncio.gather(*(door.stop(seconds + _BREATH) for _, door in self._doors))
        if self.calls.tasks:
            await asyncio.wait(list(self.calls.tasks), timeout=seconds)
        left = list(self.calls.tasks)
        if left:
            self._services.stopping = True
            log.warning("stopping %d answers that did not finish within %g seconds", len(left), seconds)
            for task in left:
                task.cancel()
        await ending
