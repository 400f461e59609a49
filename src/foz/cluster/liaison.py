"""
The program that speaks with Ray, for a gateway: Ray's threads, its logs and its sudden ends stay in a process of their
own, which is started again where it ends.

The first line on standard input is the `Link`, each further one a message for the keeper of a node; each line on
standard output is an answer, or who is in the cluster. Keepers are named, detached actors: one for each gateway on each
node, where the gateway first speaks to it. It ends with whoever started it.
"""

import asyncio
import ctypes
import logging
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec
import ray
from msgspec import Raw
from ray.exceptions import RayError

from foz.cluster.keeper import Keeper, Make_
from foz.cluster.starting import LABEL
from foz.cluster.words import BEAT, END, WORK, Ask, Link, Member, Told, encode

LOOK_SECONDS = 0.5
AT_ONCE = 1_000
_PR_SET_PDEATHSIG = 1


class _Method(Protocol):
    def remote(self, said: bytes) -> Any: ...


def main(make: Make_) -> None:
    """Serves until standard input ends."""
    out = os.dup(1)
    os.dup2(2, 1)  # what Ray prints is no line of ours
    link = msgspec.json.decode(sys.stdin.buffer.readline(), type=Link)
    _die_with(link.parent)
    ray.init(
        address=link.address,
        namespace=f"foz-{link.space}",
        log_to_driver=False,
        configure_logging=False,
        logging_level=logging.ERROR,
    )
    asyncio.run(_Liaison(link, make, out).serve())
    os._exit(0)  # Ray's own end may wait for nodes that are gone


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the kernel was told
        sys.exit(1)


class _Liaison:
    def __init__(self, link: Link, make: Make_, out: int) -> None:
        self._link = link
        self._make = make
        self._out = out
        self._keepers: dict[str, Any] = {}
        self._asking: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        looking = asyncio.ensure_future(self._look())
        lines = asyncio.StreamReader(limit=1 << 24)
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin.buffer)
        while line := await lines.readline():
            task = asyncio.ensure_future(self._ask(msgspec.json.decode(line, type=Ask)))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
        looking.cancel()

    async def _look(self) -> None:
        """Tells who is there whenever that changes."""
        before: tuple[Member, ...] | None = None
        while True:
            rows: list[dict[str, Any]] = await asyncio.to_thread(ray.nodes)
            named = ((row["Labels"].get(LABEL), row) for row in rows if row["Alive"])
            there = tuple(sorted((Member(name, row["NodeManagerAddress"]) for name, row in named if name), key=_name))
            if there != before:
                before = there
                self._tell(Told(members=there))
            await asyncio.sleep(LOOK_SECONDS)

    async def _ask(self, ask: Ask) -> None:
        try:
            keeper = self._keepers.get(ask.node)
            if keeper is None:
                keeper = self._keepers[ask.node] = self._keeper(ask.node)
            said = await self._said(keeper, ask)
        except (RayError, ValueError, OSError) as error:
            if ask.method == BEAT:
                self._keepers.pop(ask.node, None)  # it may have died for good: then another is made
            self._tell(Told(ask.id, gone=_short(error)))
        else:
            self._tell(Told(ask.id, body=Raw(said)))

    async def _said(self, keeper: Any, ask: Ask) -> bytes:
        if ask.method == END:
            ray.kill(keeper)
            return b"null"
        method: _Method = {BEAT: keeper.beat, WORK: keeper.work}[ask.method]
        said: bytes = await method.remote(bytes(ask.body))
        return said

    def _keeper(self, node: str) -> Any:
        options: Mapping[str, Any] = {
            "name": node,
            "lifetime": "detached",
            "get_if_exists": True,
            "max_restarts": -1,
            "max_concurrency": AT_ONCE,
            "num_cpus": 0,
            "label_selector": {LABEL: node},
        }
        return ray.remote(Keeper).options(**options).remote(self._make)

    def _tell(self, told: Told) -> None:
        line = encode(told) + b"\n"
        while line:
            line = line[os.write(self._out, line) :]


def _name(member: Member) -> str:
    return member.name


def _short(error: BaseException) -> str:
    said = str(error).strip().splitlines()
    return f"{type(error).__name__}: {said[0] if said else ''}"[:500]
