"""The way by which workers elsewhere tell a gateway's ledger what their jobs took."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

Keep = Callable[[Sequence[bytes]], Awaitable[None]]
"""Takes records; they are durable when it returns. The same record may come twice."""


class Post(Protocol):
    """At least once, to one of those who receive."""

    async def send(self, records: Sequence[bytes]) -> None:
        """Durable on its way when it returns. Raises NoCapacity."""
        ...

    async def receive(self, keep: Keep) -> int:
        """Hands over what has come, some of it; forgets it once it is kept. How many records. Raises NoCapacity."""
        ...

    async def close(self) -> None:
        """Lets go of what is open."""
        ...
