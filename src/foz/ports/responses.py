"""
Responses that callers may look at again and go on from: whose they are, what was asked and what was answered.

A response goes on from an earlier one, that from one before it: a chain. What a chain's last response needs is kept as
long as it is. Somebody else's response is none.
"""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

Whose = tuple[str, str]
"""Principal and project."""


class KeptResponse(Struct, frozen=True):
    """One response. Times are UTC milliseconds; what was said is in its dialect's words."""

    id: str
    created: int
    previous: str | None
    """The response that it goes on from."""
    input: bytes
    """What its caller said in this turn."""
    body: bytes | None = None
    """The response; None while it is made in the background."""
    queued: bytes | None = None
    """How it was told when it was accepted to be made in the background."""


class Responses(Protocol):
    """Keeps them, each for a while; where there are too many of one owner, the oldest are forgotten first."""

    async def keep(self, whose: Whose, kept: KeptResponse) -> None:
        """Durable when it returns."""
        ...

    async def find(self, whose: Whose, id: str) -> KeptResponse | None:
        """None where it is not there, or no longer, or somebody else's."""
        ...

    async def chain(self, whose: Whose, id: str) -> Sequence[KeptResponse]:
        """
        It and all that it goes on from, the oldest first; nothing where `find` finds nothing. Raises NotFound where a
        part of it was forgotten, BadRequest where it is longer than may be gone on from.
        """
        ...

    async def settle(self, whose: Whose, id: str, body: bytes) -> None:
        """What was made in the background."""
        ...

    async def remove(self, whose: Whose, id: str) -> bool:
        """Whether it was there. What others go on from stays for them, and is not found by itself any more."""
        ...
