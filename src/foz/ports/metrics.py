"""What the data plane counts. Called on the hot path: no labels are built here, nothing is locked."""

from typing import Protocol

from foz.canon.entry import EntryEnd


class Meters(Protocol):
    """Counts and latencies by model and target."""

    def began(self, model: str) -> None:
        """One more in flight."""
        ...

    def ended(self, skin: str, model: str, target: str, end: EntryEnd) -> None:
        """One less, and how it went. `target` is empty where none was asked."""
        ...

    def refused(self, skin: str, code: str, status: int) -> None:
        """A request that came to no entry: wrong, unknown, not allowed, or too much. `code` is the fault's."""
        ...

    def breaker(self, target: str, state: str) -> None:
        """A target's breaker is now `closed`, `open` or `half_open`."""
        ...
