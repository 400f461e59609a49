"""What the loop has in hand for one deployment: the tasks and the process that nobody else knows, and what was seen."""

import asyncio

from foz.canon.deployment import Deployment, Seen
from foz.deploy.decide import Doing, Facts
from foz.ports.engine import Process


class Hand:
    """One deployment's."""

    def __init__(self, deployment: Deployment) -> None:
        self.id = deployment.id
        self.model_id = deployment.wish.model_id
        self.seen = deployment.seen
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
        self.written = deployment.seen
        """What of `seen` is kept already."""
        self.written_at = 0.0

    @property
    def facts(self) -> Facts:
        """For `decide`."""
        ended = self.ending is not None and self.ending.done()
        return Facts(self.doing, ended=ended, probe_at=self.probe_at)

    def see(self, seen: Seen) -> None:
        """From now on."""
        self.seen = seen

    def tasks(self) -> "list[asyncio.Task[None]]":
        """Those that run."""
        return [task for task in (self.task, self.looking) if task is not None and not task.done()]
