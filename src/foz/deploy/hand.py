"""
What the loop has in hand for one deployment: for each of its nodes the tasks and the process that nobody else knows,
and what was seen there; and of all of them together what is kept.
"""

import asyncio

from msgspec import structs

from foz.canon.deployment import Deployment, Seen
from foz.deploy.decide import Doing, Facts
from foz.deploy.placing import nodes_of, together
from foz.ports.engine import Process


class Hand:
    """One deployment's placement on one node."""

    def __init__(self, held: "Held", node: str, deployment: Deployment) -> None:
        self.held = held
        self.id = deployment.id
        self.model_id = deployment.wish.model_id
        self.node = node
        self.seen = structs.replace(deployment.seen, replicas=())  # those of a process that is no more
        self.doing = Doing.NOTHING
        self.task: asyncio.Task[None] | None = None
        """It climbs, or it leaves."""
        self.looking: asyncio.Task[None] | None = None
        """A probe."""
        self.ending: asyncio.Task[int] | None = None
        """Done when the process has ended."""
        self.process: Process | None = None
        self.probe_at = 0
        self.misses = 0
        """Probes in a row that failed."""
        self.served_from = 0
        self.lost = False
        """Its node did not answer, and nothing was tried there since."""

    def facts(self, *, away: bool) -> Facts:
        """For `decide`."""
        ended = self.ending is not None and self.ending.done()
        return Facts(self.doing, ended=ended, probe_at=self.probe_at, away=away, lost=self.lost)

    def see(self, seen: Seen) -> None:
        """From now on."""
        self.seen = seen
        self.held.changed = True

    def tasks(self) -> "list[asyncio.Task[None]]":
        """Those that run."""
        return [task for task in (self.task, self.looking) if task is not None and not task.done()]


class Held:
    """One deployment's, on all its nodes."""

    def __init__(self, deployment: Deployment, here: str) -> None:
        self.id = deployment.id
        self.hands = [Hand(self, node, deployment) for node in nodes_of(deployment, here)]
        self.changed = bool(deployment.seen.replicas)
        self.written = deployment.seen
        """What is kept already."""
        self.written_at = 0.0

    @property
    def seen(self) -> Seen:
        """Of all its nodes."""
        return together({hand.node: hand.seen for hand in self.hands})

    @property
    def gone(self) -> bool:
        """Whether nothing of it runs any more, anywhere."""
        return all(hand.seen.gone for hand in self.hands)
