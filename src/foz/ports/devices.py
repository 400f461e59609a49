"""The GPUs of this machine."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct


class Device(Struct, frozen=True):
    """One GPU; memory in bytes."""

    name: str
    total: int
    free: int


class Devices(Protocol):
    """Looks at them. May block for a moment."""

    def look(self) -> Sequence[Device]:
        """As they are now; none where there are none, or nobody can tell."""
        ...
