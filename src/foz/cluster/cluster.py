"""
The nodes of a cluster: who is there, and how each one is, heard by beats.

A node that Ray has given up is away at once. One that does not answer is away after two beats that failed, or after
some seconds of silence, whichever is first; where it is our own line that is cut nothing is concluded for a while: the
nodes may be well, and go on for some time without us, as long as their engines can be connected to.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
from msgspec import Raw, Struct

import foz
from foz.canon.fault import Down
from foz.cluster.far import FarNode
from foz.cluster.words import BEAT, END, LEASE, Member, Pulse
from foz.ports.clock import Clock
from foz.ports.sites import Node, Site

log = logging.getLogger("foz.cluster")

LAST_SECONDS = 3.0
TWICE = "several machines are called so: give each a name of its own"
CONNECT_SECONDS = 1.0


class Manners(Struct, frozen=True):
    """Seconds, but for `misses`."""

    beat: float = 0.5
    silence: float = 4.0
    """Without an answer, after which a node is taken for dead."""
    misses: int = 2
    """Beats in a row that may not fail."""
    patience: float = LEASE * 0.6
    """Where it is our own line that is cut."""


class Way(Protocol):
    """The line to the liaison (`line.py`)."""

    up: bool

    @property
    def trouble(self) -> str:
        """Why it is not up, for people."""
        ...

    async def run(self) -> None:
        """Until cancelled."""
        ...

    async def ask(self, node: str, method: str, body: bytes) -> Raw:
        """What a node's keeper answers. Raises Down."""
        ...


class Cluster:
    """Implements `ports.sites.Sites`. `changed` is called when the nodes are others or stand otherwise."""

    def __init__(
        self,
        line: Callable[[Callable[[Sequence[Member] | None], None]], Way],
        clock: Clock,
        changed: Callable[[], None],
        manners: Manners = Manners(),  # noqa: B008 - frozen
    ) -> None:
        self._manners = manners
        self._line = line(self._told)
        self._clock = clock
        self._changed = changed
        self._nodes: dict[str, FarNode] = {}
        self._beating: dict[str, asyncio.Task[None]] = {}
        self.trouble: str | None = "it was not reached yet"
        """Why nobody knows who is in the cluster."""

    async def run(self) -> None:
        """Until cancelled."""
        try:
            await self._line.run()
        finally:
            for task in self._beating.values():
                task.cancel()

    async def close(self) -> None:
        """The keepers are not needed any more; those that do not hear it end their engines by themselves."""
        for task in self._beating.values():
            task.cancel()
        there = [name for name, far in self._nodes.items() if not far.away]
        ends = [asyncio.ensure_future(self._post(name, END, b"null")) for name in there]
        if ends:
            _, late = await asyncio.wait(ends, timeout=LAST_SECONDS)
            for end in late:
                end.cancel()
            await asyncio.gather(*ends, return_exceptions=True)

    def site(self, node: str) -> Site | None:
        """As it can be asked now."""
        far = self._nodes.get(node)
        return None if far is None else far.site()

    def nodes(self) -> tuple[Node, ...]:
        """All that were ever seen."""
        return tuple(_node(far) for _, far in sorted(self._nodes.items()))

    # -- who is there ------------------------------------------------------

    def _told(self, members: Sequence[Member] | None) -> None:
        if members is None:
            self.trouble = self._line.trouble
            self._changed()
            return
        self.trouble = None
        called = Counter(member.name for member in members)
        there = {member.name: member for member in members if called[member.name] == 1}
        for name in called:
            self._nodes.setdefault(name, FarNode(name, self._post))
        for name, far in self._nodes.items():
            far.wrong = TWICE if called[name] > 1 else None
            if name not in there:
                self._goes(far, far.wrong or "Ray has given it up")
                task = self._beating.pop(name, None)
                if task is not None:
                    task.cancel()
        for name, member in there.items():
            far = self._nodes[name]
            far.address = member.address
            if name not in self._beating:
                self._beating[name] = asyncio.ensure_future(self._beat(far))
        self._changed()

    async def _post(self, node: str, method: str, body: bytes) -> Raw:
        return await self._line.ask(node, method, body)

    # -- how it is ---------------------------------------------------------

    async def _beat(self, far: FarNode) -> None:
        manners = self._manners
        misses = 0
        heard = self._clock.monotonic()
        while True:
            told, expected = far.beat()
            try:
                async with asyncio.timeout(manners.silence):
                    said = await self._post(far.name, BEAT, told)
            except (Down, TimeoutError) as error:
                if self._line.up:
                    misses += manners.misses if isinstance(error, TimeoutError) else 1
                elif not await _listens(far.doors()):
                    misses = manners.misses
                if misses >= manners.misses or self._clock.monotonic() - heard > manners.patience:
                    self._goes(far, str(error) or f"it was silent for {manners.silence:g} seconds")
            else:
                misses, heard = 0, self._clock.monotonic()
                self._hear(far, said, expected)
            await self._clock.sleep(manners.beat)

    def _hear(self, far: FarNode, said: Raw, expected: frozenset[str]) -> None:
        try:
            pulse = msgspec.json.decode(said, type=Pulse)
        except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
            self._goes(far, f"what it says cannot be read: {wrong}; is it of another version of Foz?")
        else:
            self._heard(far, pulse, expected)

    def _heard(self, far: FarNode, pulse: Pulse, expected: frozenset[str]) -> None:
        if pulse.version != foz.__version__:
            self._goes(far, f"it runs Foz {pulse.version}, and this is {foz.__version__}")
            far.pulse = pulse
            return
        came = far.away
        far.hear(pulse, expected)
        if came:
            log.info("the node '%s' answers", far.name)
            self._changed()

    def _goes(self, far: FarNode, why: str) -> None:
        if far.away:
            return
        log.warning("the node '%s' does not answer: %s", far.name, why)
        far.go()
        self._changed()


async def _listens(doors: Sequence[tuple[str, int]]) -> bool:
    """Whether somebody is there, at each of them."""
    for host, port in doors:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, writer = await asyncio.open_connection(host, port)
        except OSError:  # a timeout is one
            return False
        writer.close()
    return True


def _node(far: FarNode) -> Node:
    pulse = far.pulse
    trouble = far.wrong or ("it does not answer" if far.away else None)
    if pulse is None:
        return Node(far.name, None, trouble=trouble or "it has not answered yet")
    if pulse.version != foz.__version__:
        trouble = f"it runs Foz {pulse.version}, and this is {foz.__version__}: install the same on both"
    return Node(far.name, pulse.room, pulse.devices, trouble)
