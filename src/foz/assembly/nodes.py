"""
The cluster of these settings, for a process that owns engines: its nodes beside this machine; and for all others what
the owner says of them.

Nothing here needs Ray: the program that speaks with it is another one (`liaison.py`), and it is only started where
`[cluster] address` is set.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from socket import gethostname

from foz.assembly.duty import tried
from foz.cluster import board, starting
from foz.cluster.board import Board
from foz.cluster.cluster import Cluster
from foz.cluster.line import Line
from foz.cluster.words import Link, Member
from foz.config.engines import environment
from foz.config.load import process_environment
from foz.config.refusal import ConfigError
from foz.config.settings import Settings
from foz.ports.clock import Clock
from foz.ports.sites import Node, Site, Sites
from foz.runtime.ownership import Ownership

TELL_SECONDS = 2.0
"""How often the memory of nodes is told anew."""
_PROGRAM = (sys.executable, "-m", "foz.assembly.liaison")


def check_cluster(settings: Settings) -> None:
    """Refuses a cluster where the program that it needs is not installed."""
    why = starting.missing() if settings.cluster.address else None
    if why is not None:
        where = settings.sources.get("cluster.address", "settings")
        raise ConfigError(f"{where}: cluster.address: {why}")


def token(settings: Settings) -> Path:
    """Where the token of the cluster lies."""
    return settings.cluster.token or settings.data / starting.TOKEN


def seen(settings: Settings) -> Board | None:
    """What the gateway that owns the engines sees of the cluster; None where none does."""
    known = settings.cluster.address is not None and Ownership(settings.data).taken()
    return board.read(settings.data) if known else None


def others(settings: Settings) -> Callable[[], Sequence[Node]]:
    """The nodes of the cluster, as its owner told them last."""

    def read() -> Sequence[Node]:
        found = seen(settings)
        return () if found is None else found.nodes

    return read


def advice(settings: Settings) -> Callable[[], str]:
    """What to do where a node is not known."""

    def say() -> str:
        address = settings.cluster.address
        if address is None:
            why = starting.missing()
            install = "" if why is None else f" {why}."
            return f" Other machines are nodes of a cluster, which [cluster] address names.{install}"
        found = seen(settings)
        if found is None:
            return f" No gateway that runs now has looked for others at {address}."
        if found.trouble is not None:
            return f" The cluster at {address} is not reached: {found.trouble}"
        return " `foz node join` adds one."

    return say


class Nodes:
    """Implements `ports.sites.Sites`: this machine by its name, and the nodes of the cluster while it is ours."""

    def __init__(self, settings: Settings, here: Sites, clock: Clock) -> None:
        self._data = settings.data
        self._here = here
        self._clock = clock
        self._cluster: Cluster | None = None
        self._tasks: list[asyncio.Future[None]] = []
        address = settings.cluster.address
        if address is not None and not settings.test_mode:
            self._cluster = Cluster(lambda told: _line(settings, address, clock, told), clock, self._tell)
            self._tasks = [asyncio.ensure_future(work) for work in (self._cluster.run(), self._tell_again())]

    def site(self, node: str) -> Site | None:
        """As it can be asked now."""
        found = self._here.site(node)
        return found or (None if self._cluster is None else self._cluster.site(node))

    async def close(self) -> None:
        """Lets go of the cluster."""
        if self._cluster is not None:
            await tried("keepers may not have been told to end", self._cluster.close)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
            board.wipe(self._data)

    def _tell(self) -> None:
        cluster = self._cluster
        if cluster is not None:
            with suppress(OSError):  # a full disk: who asks hears of older times
                board.write(self._data, Board(cluster.nodes(), cluster.trouble))

    async def _tell_again(self) -> None:
        async def again() -> None:
            self._tell()

        while True:
            await tried("the nodes are not told to others", again)
            await self._clock.sleep(TELL_SECONDS)


def _line(settings: Settings, address: str, clock: Clock, told: Callable[[Sequence[Member] | None], None]) -> Line:
    space = sha256(f"{gethostname()} {settings.data.absolute()}".encode()).hexdigest()[:16]
    host = address.rpartition(":")[0]
    whole = starting.seen_by(_seen(process_environment()), token(settings), host)
    return Line(_PROGRAM, whole, Link(address, space, os.getpid()), clock, told)


def _seen(ours: Mapping[str, str]) -> dict[str, str]:
    """What an engine sees, and what was said to Ray."""
    return {**environment(), **{name: value for name, value in ours.items() if name.startswith("RAY_")}}
