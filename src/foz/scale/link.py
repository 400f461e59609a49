"""
A connection to the broker that is kept: made when it is first wanted, made anew with back-off when it is lost.

A connection is given up as a whole, at the first sign that it does not work: what is asked of it does not come within
the deadline, or one of its channels closes. It is not asked politely then, for who does not answer does not answer
that either. (The library's own robust connection restores channels and consumers one by one, and lets callers wait.)
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from ssl import SSLContext
from typing import Any

import aio_pika
import aiormq
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import CONNECTION_EXCEPTIONS
from typing_extensions import override
from yarl import URL

from foz.canon.fault import NoCapacity
from foz.scale.topology import OLDEST
from foz.scale.trouble import AGAIN, within

log = logging.getLogger("foz.scale")

HEARTBEAT = 10
"""Seconds; after three without a sign a connection is lost."""
CONNECT_WITHIN = 10.0
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0
BLOCKED_LOOK = 0.05
"""Seconds to wait for a broker that was blocked when it was last looked at."""
CLOSE_WITHIN = 2.0
WHO = "The job queue"

TROUBLES: tuple[type[Exception], ...] = (*CONNECTION_EXCEPTIONS, asyncio.InvalidStateError, TimeoutError)
_NO_CONNECTION: tuple[type[Exception], ...] = (*TROUBLES, NoCapacity)


def hush() -> None:
    """The libraries tell each loss several times, with tracebacks; it is told here."""
    for name in ("aiormq", "aio_pika"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


class _Transport(aiormq.TransportFactory):
    """Opens the socket as the library does, and can cut it."""

    def __init__(self, *, tls: bool) -> None:
        self._inner = aiormq.connection.TLSTransportFactory() if tls else aiormq.connection.TCPTransportFactory()
        self._writer: asyncio.StreamWriter | None = None
        self._given_up = False

    @override
    async def create(self, url: URL, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, self._writer = await self._inner.create(url, **kwargs)
        if self._given_up:  # the library shields this from who waits for it
            self._writer.transport.abort()
        return reader, self._writer

    def cut(self) -> None:
        """Nobody is told."""
        self._given_up = True
        if self._writer is not None:
            self._writer.transport.abort()


class _Connection(aio_pika.Connection):
    """A plain connection over a transport that can be cut."""

    def __init__(self, url: URL, context: SSLContext | None) -> None:
        super().__init__(url, ssl_context=context)
        self.line = _Transport(tls=url.scheme == "amqps")
        self.kwargs["transport_factory"] = self.line


class Wire:
    """One connection, from when it is ready until it is lost."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self._was_blocked = False
        self._watching: list[Callable[[], None]] = []
        self.lost = asyncio.Event()
        connection.close_callbacks.add(self._closed)

    def _closed(self, *_: object) -> None:
        self.drop()

    def drop(self) -> None:
        """It does not work."""
        self.lost.set()
        watching, self._watching = self._watching, []
        for watcher in watching:
            watcher()

    def watch(self, watcher: Callable[[], None]) -> None:
        """Is called when it is lost."""
        self._watching.append(watcher)

    @property
    def alive(self) -> bool:
        """As far as is known."""
        return not self.lost.is_set()

    async def channel(self, *, confirms: bool) -> AbstractChannel:
        """A channel; when it closes, all is lost."""
        channel = self._connection.channel(publisher_confirms=confirms, on_return_raises=confirms)
        await channel.initialize()
        channel.close_callbacks.add(self._closed)
        (await channel.get_underlay_channel()).on_consumer_cancel_callbacks.add(self._closed)
        return channel

    def check(self) -> None:
        """Raises NoCapacity where the broker is too old."""
        transport = self._connection.transport
        properties = {} if transport is None else transport.connection.server_properties or {}
        version = str(properties.get("version", ""))
        numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
        if numbers and numbers < OLDEST:
            oldest = ".".join(map(str, OLDEST))
            raise NoCapacity(f"RabbitMQ {version} is too old for jobs: {oldest} or newer is needed.")

    async def unblocked(self, deadline: float) -> None:
        """Waits while an alarm of the broker stands, which reads nothing from who publishes. Raises NoCapacity."""
        transport = self._connection.transport
        if transport is None:
            raise NoCapacity(f"{WHO} went away; ask again.")
        try:
            async with within(BLOCKED_LOOK if self._was_blocked else deadline, WHO):
                await transport.connection.ready()
        except NoCapacity as fault:
            self._was_blocked = True
            why = f"{WHO} takes nothing for now: the broker has raised an alarm. Ask again later."
            raise NoCapacity(why, retry_after=AGAIN) from fault
        self._was_blocked = False

    def doubt(self) -> None:
        """It did not answer: till it does nobody waits long for it."""
        self._was_blocked = True

    async def silent(self) -> None:
        """It did not answer: it is dropped, unless that is for an alarm, which passes."""
        try:
            await self.unblocked(BLOCKED_LOOK)
        except NoCapacity:
            return
        self.drop()

    async def end(self, *, politely: bool) -> None:
        """Closes it, whatever it takes."""
        try:
            async with asyncio.timeout(CLOSE_WITHIN):
                if not politely:
                    self._connection.line.cut()
                await self._connection.close()
        except TROUBLES as error:
            log.debug("a connection to the broker did not close: %r", error)
        finally:
            self._connection.line.cut()


class Link:
    """Keeps a wire. `prepare` makes of a new one what is needed of it."""

    def __init__(self, url: str, prepare: Callable[[Wire], Awaitable[None]], context: SSLContext | None = None) -> None:
        hush()
        self._url = URL(url)
        if "heartbeat" not in self._url.query:
            self._url = self._url.update_query(heartbeat=HEARTBEAT)
        self._prepare = prepare
        self._context = context
        self._wire: Wire | None = None
        self._up = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._closed = False

    async def wire(self) -> Wire:
        """The wire, as soon as there is one. Raises NoCapacity once it is closed."""
        if self._keeper is None and not self._closed:
            self._keeper = asyncio.ensure_future(self._keep())
        while self._wire is None or not self._wire.alive:
            if self._closed:
                raise NoCapacity(f"{WHO} is closed.")
            await self._up.wait()
            if self._wire is not None and not self._wire.alive:
                await asyncio.sleep(0)  # the keeper has not seen it yet
        return self._wire

    async def close(self) -> None:
        """Ends it, for good; what was not acknowledged goes back, and whoever waits for it hears so."""
        self._closed = True
        self._up.set()
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)

    async def _keep(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                wire = await self._connect()
            except _NO_CONNECTION as error:
                level = logging.WARNING if pause == FIRST_PAUSE else logging.DEBUG
                log.log(level, "no connection to the broker at %s: %s", self._where, str(error) or repr(error))
                await asyncio.sleep(pause * (0.5 + random.random()))
                pause = min(pause * 2, LONGEST_PAUSE)
                continue
            pause = FIRST_PAUSE
            self._wire = wire
            self._up.set()
            try:
                await wire.lost.wait()
            except asyncio.CancelledError:
                wire.drop()
                await wire.end(politely=True)
                raise
            self._up.clear()
            self._wire = None
            log.warning("the connection to the broker at %s is lost; it is made anew", self._where)
            await wire.end(politely=False)

    @property
    def _where(self) -> str:
        return f"{self._url.host}:{self._url.port or ''}{self._url.path}"

    async def _connect(self) -> Wire:
        connection = _Connection(self._url, self._context)
        try:
            async with asyncio.timeout(CONNECT_WITHIN):
                await connection.connect()
                wire = Wire(connection)
                wire.check()
                await self._prepare(wire)
        except BaseException:
            connection.line.cut()
            raise
        return wire
