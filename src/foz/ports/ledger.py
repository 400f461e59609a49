"""The account of every call. What `open` and `settle` return is done when it is durable."""

from collections.abc import Awaitable
from typing import Protocol

from foz.canon.entry import Attempt, AttemptEnd, Entry, EntryEnd


class Ledger(Protocol):
    """Writes the book. Nothing is sent to a target before its attempt is open; the first settle wins."""

    def open(self, entry: Entry, first: Attempt | None) -> Awaitable[None]:
        """Opens an entry with its first attempt (none where it fails before any)."""
        ...

    def next_attempt(self, ended: AttemptEnd, attempt: Attempt) -> Awaitable[None]:
        """Ends one attempt and opens the next, in one write."""
        ...

    def settle(self, end: EntryEnd, ended: AttemptEnd | None) -> Awaitable[None]:
        """Ends an entry and its last attempt, in one write."""
        ...
