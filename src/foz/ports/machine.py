"""The machine that an engine is to run on."""

from typing import Protocol

from msgspec import Struct


class Room(Struct, frozen=True):
    """Main memory in bytes, as far as this process may use it, and processors."""

    total: int
    free: int
    """What can be had without taking anything from others: caches of files count as free."""
    cores: int
    processor: str = "CPU"
    """Its name, for people."""


class Machine(Protocol):
    """Looks at it. May block for a moment."""

    def look(self) -> Room:
        """As it is now."""
        ...
