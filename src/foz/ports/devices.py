"""The GPUs of this machine."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct


class Device(Struct, frozen=True):
    """One GPU; memory in bytes."""

    name: str
    total: int
    free: int
    index: int = 0
    """Its place on the bus, among all of this machine."""
    load: int | None = None
    """How busy it was just now, in percent, where it tells."""


class Devices(Protocol):
    """Looks at them. May block for a moment."""

    def look(self) -> Sequence[Device]:
        """As they are now; none where there are none, or nobody can tell."""
        ...
