"""Files that callers upload: whose they are, what they are, and for how long. Somebody else's file is none."""

from collections.abc import Sequence
from typing import Literal, Protocol

from msgspec import Struct

PREFIX = "file-foz"
"""How the ids of our own files begin: those of providers begin otherwise."""
Whose = tuple[str, str]
"""Principal and project."""


class Kept(Struct, frozen=True):
    """One file, without its bytes. Times are UTC milliseconds."""

    id: str
    name: str
    purpose: str
    kind: Literal["text", "image", "pdf"]
    mime: str
    size: int
    created: int
    expires: int


class Draft(Protocol):
    """A file while it comes in."""

    async def write(self, data: bytes) -> None:
        """More of it. Raises BadRequest (413) where it grows too large."""
        ...

    async def keep(self, name: str, purpose: str, seconds: int | None) -> Kept:
        """
        All of it is there. Raises BadRequest where its bytes are of no known kind, OverBudget where its owner has too
        many files.
        """
        ...

    async def drop(self) -> None:
        """It is not wanted, or is kept already."""
        ...


class Files(Protocol):
    """Keeps them."""

    async def begin(self, whose: Whose) -> Draft:
        """A new one. Raises OverBudget where there is no room."""
        ...

    async def find(self, whose: Whose, id: str) -> Kept:
        """Raises NotFound."""
        ...

    async def every(self, whose: Whose, purpose: str = "") -> Sequence[Kept]:
        """All of them, the oldest first."""
        ...

    async def read(self, whose: Whose, id: str) -> bytes:
        """All its bytes. Raises NotFound."""
        ...

    async def remove(self, whose: Whose, id: str) -> None:
        """Raises NotFound."""
        ...
