"""What was said in a call, kept apart from the ledger, for a while, and only where a skin's capture is on."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from foz.canon.entry import Entry
from foz.canon.principal import Principal, Role


class Kept(Struct, frozen=True):
    """One call's content. What was too long is cut, and says so."""

    entry_id: bytes
    principal: str
    project: str
    input: str
    output: str
    input_cut: bool
    output_cut: bool

    def readable_by(self, reader: Principal) -> bool:
        """Administrators may read all, others what is their project's; who has no project, what is their own."""
        if reader.role is Role.ADMIN:
            return True
        return self.principal == reader.id if reader.project is None else self.project == reader.project


class Content(Protocol):
    """Keeps and shows it. It is never in a log."""

    def keep(self, entry: Entry, input: str, output: str) -> None:
        """Takes it and returns at once. It may be lost if the process dies; the call's account never is."""
        ...

    async def read(self, entry_id: bytes) -> Kept | None:
        """What was kept of a call; None where nothing was, or its time is over."""
        ...

    async def read_many(self, entry_ids: Sequence[bytes]) -> Mapping[bytes, Kept]:
        """What was kept of these calls, by entry; those of which nothing is there are left out."""
        ...
