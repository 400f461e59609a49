"""Responses in memory. Implements `ports.responses.Responses`."""

from collections.abc import Sequence

from msgspec import structs

from foz.canon.fault import Fault
from foz.ports.responses import KeptResponse, Whose


class MemoryResponses:
    """Keeps them as long as it lives, or refuses to."""

    def __init__(self, fault: Fault | None = None) -> None:
        self.kept: dict[tuple[Whose, str], KeptResponse] = {}
        self._fault = fault
        """What keeping one comes to."""

    async def keep(self, whose: Whose, kept: KeptResponse) -> None:
        """There from now on."""
        if self._fault is not None:
            raise self._fault
        self.kept[whose, kept.id] = kept

    async def find(self, whose: Whose, id: str) -> KeptResponse | None:
        """None where it is not there, or somebody else's."""
        return self.kept.get((whose, id))

    async def chain(self, whose: Whose, id: str) -> Sequence[KeptResponse]:
        """It and all that it goes on from, the oldest first."""
        found: list[KeptResponse] = []
        at: str | None = id
        while at is not None and (whose, at) in self.kept:
            found.append(self.kept[whose, at])
            at = found[-1].previous
        return found[::-1]

    async def settle(self, whose: Whose, id: str, body: bytes) -> None:
        """What was made in the background."""
        self.kept[whose, id] = structs.replace(self.kept[whose, id], body=body)

    async def remove(self, whose: Whose, id: str) -> bool:
        """Whether it was there."""
        return self.kept.pop((whose, id), None) is not None
