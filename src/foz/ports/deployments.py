"""
Where deployments are kept: the desired state, which outlives us all, and what was last seen.

Exactly one process owns the loop; all others read, and write only what is wanted. All faults are the port's own:
NoCapacity (503) where the store cannot be written.
"""

from collections.abc import Sequence
from typing import Protocol

from foz.canon.deployment import Deployment, Level, Line, Seen, Wanted

MOST = 1_000
"""Deployments that are kept; of those that are gone the oldest go first."""
LINES = 500
"""Lines of each one's log that are kept."""


class Deployments(Protocol):
    """Keeps them. Each step is atomic, durable when awaited, and safe against all others of any process."""

    async def add(self, deployment: Deployment) -> Deployment:
        """
        It is wanted: it itself is given back. Where one of the same model id is wanted already, that one is, asked for
        once more, if it has the same wish; else Conflict (409) is raised, saying what differs.
        """
        ...

    async def find(self, id: str) -> Deployment | None:
        """As it stands."""
        ...

    async def current(self, model_id: str) -> Deployment | None:
        """The newest one of this model that is not gone."""
        ...

    async def listed(self) -> list[Deployment]:
        """All of them, newest first, also those that are gone."""
        ...

    async def want(self, id: str, wanted: Wanted) -> Deployment | None:
        """What is wanted of it now; as it stands then. None: nobody knows it."""
        ...

    async def see(self, id: str, seen: Seen) -> None:
        """What the owner of the loop has seen of it."""
        ...

    async def say(self, id: str, at: int, level: Level, message: str) -> None:
        """One more line of its log."""
        ...

    async def lines(self, id: str, after: int, most: int) -> Sequence[Line]:
        """Lines of its log after a number (0: from the first that is kept)."""
        ...

    async def version(self) -> int:
        """Another figure whenever anything was written, by whomever: for those who look again and again. Cheap."""
        ...
